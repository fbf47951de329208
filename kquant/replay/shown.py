"""An event in full, for people who compare two versions of it: its stored name and every field."""

from __future__ import annotations

import json

import msgspec

from kquant.events.base import Event, Recorded, name_of

LONGEST = 1_000
"""Characters of one event that a difference shows."""


def shown(event: Event | Recorded | None) -> str:
    """Return the stored name and all fields as one line, cut at LONGEST characters."""
    if event is None:
        return "nothing"
    if isinstance(event, Recorded):
        event = event.event
    fields = msgspec.to_builtins(event)
    fields.pop("type", None)
    text = f"{name_of(event)} {json.dumps(fields, ensure_ascii=False)}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
