"""A model's answer, read strictly: what the prompt asked for, or `BadAnswer` with why. Nothing is guessed or repaired.

Refused are prose, a second object, a key said twice, an unknown key, a number that is no whole number of its range
("100점", 3.5, NaN, 1e309), a part without a reason, an answer that is empty, cut off or too long. Of a batch the good
rows are kept; a row that is bad, double or about a stock nobody asked about is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from kquant.gateways.llm.untrusted import REASON_CHARS, clean
from kquant.values import KquantError, Symbol

ANSWER_BYTES = 1 << 18
"""A longer answer is not looked at. A batch of 50 with long reasons has some 60 KB."""
SAID_CHARS = 120

Reason = Annotated[str, Meta(min_length=1, max_length=4_000)]
T = TypeVar("T")


class BadAnswer(KquantError):
    """An answer that cannot be used; the message says why in a few words."""


class Of20(Struct, frozen=True, forbid_unknown_fields=True):
    """A part that can give 20 points."""

    score: Annotated[int, Meta(ge=0, le=20)]
    reason: Reason


class Of30(Struct, frozen=True, forbid_unknown_fields=True):
    """A part that can give 30 points."""

    score: Annotated[int, Meta(ge=0, le=30)]
    reason: Reason


class ScanAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """The scan's rubric: 30 + 20 + 30 + 20."""

    persistence: Of30
    volume: Of20
    momentum: Of30
    risk: Of20


class RowAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """One stock of the analysis: 30 + 30 + 20 + 20. None: the part was not asked for."""

    code: str
    financials: Of30 | None = None
    flows: Of30 | None = None
    news: Of20 | None = None
    technicals: Of20 | None = None


class _Rows(Struct, frozen=True, forbid_unknown_fields=True):
    rows: list[msgspec.Raw]


def scan_answer(text: str) -> ScanAnswer:
    """Return the parts of a scan's answer. Raises BadAnswer."""
    return _strict(_content(text), ScanAnswer)


def batch_answer(
    text: str, wanted: Mapping[Symbol, Sequence[str]], *, cut: bool
) -> tuple[dict[Symbol, RowAnswer], dict[Symbol, str]]:
    """Return the good rows by code, and for every other code why it has none.

    wanted: for each code the names of the parts that were asked for.   cut: the answer ended early; whole rows count.
    Raises BadAnswer for an answer that is no list of rows at all.
    """
    content = _content(text)
    try:
        raws = [bytes(raw) for raw in _strict(content, _Rows).rows]
    except BadAnswer:
        if not cut:
            raise
        raws = _whole_rows(content.decode("utf-8", "replace"))
    rows: dict[Symbol, RowAnswer] = {}
    left: dict[Symbol, str] = {}
    for raw in raws:
        code = _code_of(raw)
        if code is None or code not in wanted:
            continue
        if code in rows or code in left:
            rows.pop(code, None)
            left[code] = "two rows"
            continue
        try:
            rows[code] = _row(raw, wanted[code])
        except BadAnswer as error:
            left[code] = str(error)
    left |= {code: "no row" for code in wanted if code not in rows and code not in left}
    return rows, left


def reason_of(text: str) -> str:
    """Return a model's reason as it may be recorded and shown."""
    return clean(text, REASON_CHARS)


def _content(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    if not content.strip():
        raise BadAnswer("the answer is empty")
    if len(content) > ANSWER_BYTES:
        raise BadAnswer(f"the answer has {len(content):,} bytes, more than {ANSWER_BYTES:,}")
    return content


def _strict(content: bytes, kind: type[T]) -> T:
    try:
        answer = msgspec.json.decode(content, type=kind)
        json.loads(content, object_pairs_hook=_unique)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadAnswer(f"the answer is not what was asked for: {clean(str(error), SAID_CHARS)}") from None
    return answer


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is said twice")
    return found


def _row(raw: bytes, parts: Sequence[str]) -> RowAnswer:
    row = _strict(raw, RowAnswer)
    for name in ("financials", "flows", "news", "technicals"):
        if (getattr(row, name) is not None) != (name in parts):
            raise BadAnswer(f"part {name} is {'missing' if name in parts else 'given, though nothing was measured'}")
    return row


class _Coded(Struct, frozen=True):
    code: str


def _code_of(raw: bytes) -> Symbol | None:
    try:
        return Symbol(msgspec.json.decode(raw, type=_Coded).code)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _whole_rows(text: str) -> list[bytes]:
    """Return the whole objects of a list of rows that breaks off. Raises BadAnswer if it does not begin like one."""
    head, bracket, rest = text.partition("[")
    if not bracket or "".join(head.split()) != '{"rows":':
        raise BadAnswer("the answer was cut off before its first row")
    decoder = json.JSONDecoder()
    found: list[bytes] = []
    rest = rest.lstrip()
    while rest.startswith("{"):
        try:
            _, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            break
        found.append(rest[:end].encode("utf-8", "surrogatepass"))
        rest = rest[end:].lstrip().removeprefix(",").lstrip()
    return found
