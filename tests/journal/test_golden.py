"""Old logs stay readable for ever: a golden day of each format version, read with today's code.

Nothing under `golden/` ever changes. When an event's shape does, give the class a VERSION and an upcaster, and say in
READS_AS what its old payloads read as now. When an event is added, name it in NEWER. When the format changes, write a
golden day of the new one beside the old with `make_golden.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from kquant.events import codec
from kquant.events.base import Recorded
from kquant.events.day import AlertRaised
from kquant.gateways.kis.feed import wire
from kquant.journal import Attachments, JournalError, TapeReader, TapeWriter, open_day, read_day
from kquant.journal.tapefile import KINDS
from kquant.market.records import RestPrice, Trade
from kquant.values import Micros
from kquant.views.describe import describe

from . import make_golden

GOLDEN = Path(__file__).parent / "golden"
FORMATS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())

NEWER: Mapping[str, frozenset[str]] = {
    "format-1": frozenset(
        {
            "feed.stopped",
            "feed.notices_connected",
            "feed.notices_lost",
            "market.status_changed",
            "feed.clock_skewed",
            "orders.quote_wanted",
            "quote.answered",
            "quote.failed",
            "orders.resized",
            "orders.exit_postponed",
            "orders.settled",
            "orders.proof_wanted",
            "operator.flatten_ordered",
            "operator.armed",
            "operator.disarmed",
            "llm.asked",
            "llm.answered",
        }
    )
}
"""Events that came after a format's golden day was written, by their stored names."""

NEWER_KINDS: Mapping[str, frozenset[str]] = {"format-1": frozenset({"rejected", "refloor"})}
"""Kinds of tape records that came after a format's golden day was written."""

READS_AS: Mapping[tuple[str, int], Any] = {}
"""(format, seq) -> what a payload that is upcast reads as today, where that is no longer what was stored."""


@pytest.fixture(params=FORMATS)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(version: str, tmp_path: Path) -> Path:
    """A copy, so that nothing a reader leaves behind can touch the original."""
    return Path(shutil.copytree(GOLDEN / version, tmp_path / version))


@pytest.fixture
def facts(folder: Path) -> list[Recorded]:
    return list(read_day(folder))


def lines(folder: Path, name: str) -> list[Any]:
    return [msgspec.json.decode(line) for line in (folder / name).read_bytes().splitlines()]


def missing(stored: Any, now: Any, where: str = "") -> list[str]:
    """Return where today's value lacks what was stored or differs from it; what it has beyond that is newer."""
    if isinstance(stored, dict) and isinstance(now, dict):
        return [
            found
            for key, value in stored.items()
            for found in (missing(value, now[key], f"{where}.{key}") if key in now else [f"{where}.{key} is gone"])
        ]
    if isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        pairs = enumerate(zip(stored, now, strict=True))
        return [found for place, pair in pairs for found in missing(*pair, f"{where}[{place}]")]
    return [] if stored == now else [f"{where}: stored {stored!r}, read as {now!r}"]


def test_every_format_there_was_has_its_golden_day() -> None:
    assert sorted(f"format-{number}" for number in range(1, codec.FORMAT + 1)) == FORMATS
    assert set(NEWER) == set(FORMATS)


def test_every_stored_event_reads_as_it_was_written(version: str, folder: Path, facts: list[Recorded]) -> None:
    rows = lines(folder, make_golden.EVENTS_FILE)
    assert len(rows) == len(facts)
    for row, fact in zip(rows, facts, strict=True):
        # The chained digest stands for the row's very bytes; the rendering for what they mean.
        now = make_golden.event_row(fact, row["payload_version"])
        expected = {**row, "payload": READS_AS.get((version, fact.seq), row["payload"])}
        assert missing(expected, now, f"seq {fact.seq} {fact.name}") == []


def test_every_event_is_in_the_golden_day_or_newer(version: str, facts: list[Recorded]) -> None:
    known = {fact.name for fact in facts}
    assert known | NEWER[version] == set(codec.EVENTS)
    assert not known & NEWER[version]


def stripped(kind: inspect.Type, value: Any, gone: list[str]) -> Any:
    """Return a payload as it was before every field that has a default came; their names are added to *gone*."""
    match kind:
        case inspect.StructType(fields=fields) if isinstance(value, dict):
            gone += [field.encode_name for field in fields if not field.required]
            types = {field.encode_name: field.type for field in fields if field.required}
            kept = {key: stripped(types[key], part, gone) for key, part in value.items() if key in types}
            return {key: part for key, part in value.items() if key == "type"} | kept
        case inspect.VarTupleType(item_type=item) if isinstance(value, list):
            return [stripped(item, part, gone) for part in value]
        case inspect.UnionType(types=types):
            structs = [one for one in types if isinstance(one, inspect.StructType)]
            return stripped(structs[0], value, gone) if structs else value
        case _:
            return value


def test_a_payload_from_before_a_field_with_a_default_still_decodes(folder: Path) -> None:
    gone: list[str] = []
    for row in lines(folder, make_golden.EVENTS_FILE):
        cls = codec.EVENTS[row["name"]]
        if row["payload_version"] != cls.VERSION:
            continue
        old = stripped(inspect.type_info(cls), row["payload"], gone)
        event = codec.decode(row["name"], cls.VERSION, msgspec.msgpack.encode(old))
        for field in msgspec.structs.fields(cls):
            if not field.required and field.default is not msgspec.NODEFAULT:
                assert getattr(event, field.name) == field.default
        assert missing(old, msgspec.msgpack.decode(codec.encode(event)), row["name"]) == []
    assert {"covered_code", "presumed", "left", "trailing_high"} <= set(gone)


def test_every_golden_event_can_be_told_in_words(facts: list[Recorded]) -> None:
    for fact in facts:
        assert describe(fact.event).strip()


def test_a_golden_day_opens_sealed(folder: Path, facts: list[Recorded]) -> None:
    journal = open_day(folder, lambda: Micros(0))
    try:
        assert journal.read(0, len(facts) + 1) == facts
        with pytest.raises(JournalError, match=f"closed after seq {len(facts)}"):
            journal.append("run", [AlertRaised(level="info", text="late")], by="run").result(10)
    finally:
        journal.close()


def test_a_golden_tape_reads_record_by_record_and_can_be_gone_on_with(version: str, folder: Path) -> None:
    rows = lines(folder, make_golden.TAPE_FILE)
    assert [make_golden.tape_row(record) for record in TapeReader(folder)] == rows
    assert {row["kind"] for row in rows} | NEWER_KINDS[version] == set(KINDS)
    writer = TapeWriter(folder)
    assert writer.append("second", Micros(rows[-1]["at"]), b"") == len(rows) + 1
    writer.close()
    assert [make_golden.tape_row(record) for record in TapeReader(folder)][:-1] == rows


def test_what_lies_on_a_golden_tape_still_means_something(folder: Path, facts: list[Recorded]) -> None:
    for record in TapeReader(folder):
        match record.kind:
            case "frame":
                [trade] = wire.decode(record.data.decode())
                assert isinstance(trade, Trade)
                assert (trade.code, trade.volume) == ("005930", 14_871_538)
            case "rest":
                price = msgspec.msgpack.decode(record.data, type=RestPrice)
                assert (price.code, price.last_price, price.change_bp) == ("000660", 182_400, 133)
            case "control":
                assert 1 <= int(record.data) <= len(facts)
            case _:
                assert record.data == b"" or int(record.data) >= 1


def test_a_golden_attachment_comes_back_under_the_hash_events_name(folder: Path, facts: list[Recorded]) -> None:
    named = {fact.event.source for fact in facts if fact.name == "listing.answered"}
    [name] = named
    assert msgspec.json.decode(Attachments(folder).get(name))["rt_cd"] == "0"


def test_a_golden_day_of_todays_events_can_be_written(tmp_path: Path) -> None:
    make_golden.write(tmp_path / "day")
    facts = read_day(tmp_path / "day")
    assert {fact.name for fact in facts} == set(codec.EVENTS)
    assert len(lines(tmp_path / "day", make_golden.EVENTS_FILE)) == len(facts)
