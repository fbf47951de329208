import pytest

from kquant.events import codec
from kquant.events.base import Event, UnknownEvent, name_of
from kquant.events.day import AlarmSet
from kquant.values import Micros


def test_every_event_has_a_dotted_stored_name_and_a_docstring() -> None:
    for name, cls in codec.EVENTS.items():
        assert name.count(".") == 1
        assert name == name.lower()
        assert cls.__doc__


def test_an_event_comes_back_as_it_was() -> None:
    event = AlarmSet(alarm="scan", due=Micros(1_700_000_000_000_000))
    assert codec.decode("alarm.set", 1, codec.encode(event)) == event


def test_an_unknown_name_is_refused_not_skipped() -> None:
    with pytest.raises(UnknownEvent, match=r"alarm\.rung is unknown"):
        codec.decode("alarm.rung", 1, b"\x80")


def test_a_payload_newer_than_this_code_is_refused() -> None:
    with pytest.raises(UnknownEvent, match="newer"):
        codec.decode("alarm.set", 2, b"\x80")


def test_a_payload_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UnknownEvent, match="does not fit"):
        codec.decode("alarm.set", 1, b"\x80")


def test_an_old_payload_is_upcast_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    class Renamed(Event, frozen=True, kw_only=True, tag="test.renamed"):
        VERSION = 3
        due: int
        note: str

    monkeypatch.setitem(codec.EVENTS, "test.renamed", Renamed)  # type: ignore[arg-type]
    monkeypatch.setattr(
        codec,
        "UPCASTERS",
        {
            ("test.renamed", 1): lambda old: {"type": old["type"], "due": old["at"]},
            ("test.renamed", 2): lambda old: {**old, "note": ""},
        },
    )
    old = codec.msgspec.msgpack.encode({"type": "test.renamed", "at": 7})
    assert codec.decode("test.renamed", 1, old) == Renamed(due=7, note="")
    assert name_of(Renamed) == "test.renamed"


def test_the_digest_depends_on_every_column() -> None:
    row = (codec.GENESIS, 1, "slots", 1, "slots.claimed", 1, 5, "slots", None, 0, b"x")
    digests = {codec.chain(*row)}
    for place, other in enumerate((b"y" * 32, 2, "slot", 2, "slots.claimer", 2, 6, "x", 0, 1, b"y")):
        digests.add(codec.chain(*(*row[:place], other, *row[place + 1 :])))
    assert len(digests) == len(row) + 1
