"""KIS's answers before their fields: bytes and status in, an `Answer` or an error out (kis-protocol 1.7). No I/O."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from kquant.gateways.kis.rest.errors import KisRefused, KisUnreadable
from kquant.gateways.kis.rest.fields import Row

HTTP_OK = 200
MORE = frozenset({"F", "M"})
"""What the header `tr_cont` says when another page follows; D and E end."""


class Answer(Struct, frozen=True):
    """A successful call: the parsed body, whether another page follows, and the bytes as they came."""

    body: dict[str, Any]
    more: bool
    raw: bytes


def read_answer(raw: bytes, what: str, status: int, tr_cont: str) -> Answer:
    """Return the answer of *what* (a TR id). The body is parsed whatever the status: a limit refusal is an HTTP 500.

    Raises KisRefused with KIS's code, or KisUnreadable.
    """
    parsed = parse(raw, what, status)
    if parsed.get("rt_cd") != "0" or status != HTTP_OK:
        if "rt_cd" not in parsed and "error_code" not in parsed:
            raise KisUnreadable(f"{what}: HTTP {status} without rt_cd")
        if parsed.get("rt_cd") == "0":
            raise KisUnreadable(f"{what}: HTTP {status} with rt_cd 0")
        raise refusal(parsed, status)
    return Answer(parsed, tr_cont.strip() in MORE, raw)


def refusal(parsed: Row, status: int) -> KisRefused:
    """Return what a refusal says, in either of its two shapes (kis-protocol 1.2)."""
    code = parsed.get("msg_cd") or parsed.get("error_code") or status
    message = parsed.get("msg1") or parsed.get("error_description") or ""
    return KisRefused(str(code).strip()[:80], str(message).strip()[:400], status)


def parse(raw: bytes, what: str, status: int) -> dict[str, Any]:
    """Return a body that must be a JSON object."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise KisUnreadable(f"{what}: HTTP {status} with a body that is no JSON object") from None


def rows_of(answer: Answer, *names: str) -> list[Row]:
    """Return the rows of whichever of the containers is there: portal and samples disagree (kis-protocol 4.10)."""
    for name in names:
        rows = answer.body.get(name)
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        if isinstance(rows, dict):
            return [rows]
    raise KisUnreadable(f"no {' or '.join(names)} in the answer")


def object_of(answer: Answer, *names: str) -> Row:
    """Return the one row of whichever of the containers is there: an object, or a list of one."""
    found = rows_of(answer, *names)
    if len(found) != 1:
        raise KisUnreadable(f"{' or '.join(names)} holds {len(found)} rows, not one")
    return found[0]
