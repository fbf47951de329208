"""Asking the running instance, with a bound on how long a command waits for it."""

from __future__ import annotations

import asyncio
import getpass
import os
from pathlib import Path
from typing import Any

import msgspec

from kquant.gateways.operator import NoInstance, ask

ANSWER_SECONDS = 5
"""A command whose answer takes longer goes on without it: a stuck disk must not hold up a person."""


class Refused(NoInstance):
    """The running instance answered that it does not do it."""


def ask_now(folder: Path, command: str, **fields: Any) -> dict[str, Any]:
    """Return the running instance's one answer. Raises NoInstance if there is none in time, Refused if it is an error."""

    async def asked() -> list[bytes]:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await ask(folder, command, **fields)

    try:
        lines = asyncio.run(asked())
    except TimeoutError:
        raise NoInstance(f"the instance in {folder} runs, but did not answer {command} in {ANSWER_SECONDS} s") from None
    except OSError as error:
        raise NoInstance(f"the instance in {folder} went away before it answered {command}: {error}") from None
    if not lines:
        raise NoInstance(f"the instance in {folder} went away before it answered {command}")
    try:
        answer = msgspec.json.decode(lines[0], type=dict[str, Any])
    except msgspec.DecodeError:
        raise NoInstance(
            f"what answers for the instance in {folder} is no kquant: start one with `kquant run`"
        ) from None
    if "error" in answer:
        raise Refused(f"the running instance refused {command}: {answer['error']}")
    return answer


def order(folder: Path, command: str, *, reason: str, **fields: Any) -> dict[str, Any]:
    """Send a command in this person's name, and return its answer. Raises as `ask_now`."""
    return ask_now(folder, command, who=me(), reason=reason, **fields)


def me() -> str:
    """Return whose command it is; in a container without names, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
