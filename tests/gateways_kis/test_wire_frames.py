"""Recorded frames, read whole and damaged, and texts that no field may hold."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.gateways.kis.feed import wire
from kquant.gateways.kis.feed.wire import FeedFormatError
from kquant.market.records import Book, Trade
from tests.gateways_kis import accepted
from tests.gateways_kis.test_wire import BOOK, PROGRAM_2, TRADE_46, TRADE_47

PRINTED = [TRADE_46, TRADE_47, BOOK, PROGRAM_2]


def recorded() -> list[str]:
    folder = Path(os.environ.get("KQUANT_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))
    path = folder / "frames" / "kis_ws_frames_real.txt"
    if not path.exists():
        if os.environ.get("KQUANT_REQUIRE_SHARED_DATA") == "1":
            pytest.fail("frames/kis_ws_frames_real.txt is missing, and KQUANT_REQUIRE_SHARED_DATA asks for it")
        pytest.skip("the recorded frames are not here: set KQUANT_SHARED_DATA to their folder")
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def test_every_recorded_frame_is_read_whole():
    frames = recorded()
    assert len(frames) >= 12
    for frame in frames:
        _, _, count, payload = frame.split("|", 3)
        records = wire.decode(frame)
        assert len(records) == int(count)
        width = len(payload.split("^")) // int(count)
        for number, record in enumerate(records):
            fields = payload.split("^")[number * width : (number + 1) * width]
            assert (record.code, record.time) == (fields[0], fields[1])
            match record:
                case Trade():
                    read = (record.last_price, record.volume, record.value)
                    assert read == (int(fields[2]), int(fields[13]), int(fields[14]))
                    assert record.change_bp == round(float(fields[5]) * 100)
                case Book():
                    assert (record.ask, record.bid) == (int(fields[3]), int(fields[13]))


def damaged(data: st.DataObject, frame: str) -> str:
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(frame)))
        cut = data.draw(st.integers(0, 3))
        frame = frame[:place] + data.draw(st.text("0^|-._ 9AZ\uff11", max_size=3)) + frame[place + cut :]
    return frame


@given(st.data())
def test_a_damaged_recorded_frame_is_refused_by_name_or_holds_what_it_says(data):
    accepted.frame(damaged(data, data.draw(st.sampled_from(recorded()))))


@given(st.data())
def test_a_damaged_printed_frame_is_refused_by_name_or_holds_what_it_says(data):
    accepted.frame(damaged(data, data.draw(st.sampled_from(PRINTED))))


@pytest.mark.parametrize("text", ["", "-", "1_0.00", "1e3", "--1", "1.234", "\uff11.00", " 1.00", "nan", "1" * 30])
def test_a_rate_that_is_no_percentage_is_refused(text):
    with pytest.raises(ValueError, match="rate"):
        wire.basis_points(text)


@pytest.mark.parametrize("frame", PRINTED)
def test_fields_appended_to_every_record_change_nothing(frame):
    head, tr_id, count, payload = frame.split("|", 3)
    fields = payload.split("^")
    width = len(fields) // int(count)
    longer = [[*fields[start : start + width], "new", ""] for start in range(0, len(fields), width)]
    text = "^".join("^".join(record) for record in longer)
    longer_read = wire.decode(f"{head}|{tr_id}|{count}|{text}")
    if frame is TRADE_46:  # its 47th field is the market segment, whatever it holds
        longer_read = tuple(msgspec.structs.replace(one, segment="") for one in longer_read)
    assert longer_read == wire.decode(frame)


@pytest.mark.parametrize("frame", PRINTED)
def test_a_count_that_does_not_divide_the_fields_is_refused(frame):
    head, tr_id, _, payload = frame.split("|", 3)
    for count in ("003", "-01", "000", "x", ""):
        with pytest.raises(FeedFormatError):
            wire.decode(f"{head}|{tr_id}|{count}|{payload}")


@pytest.mark.parametrize("frame", PRINTED)
def test_a_second_frame_run_into_the_first_is_refused_whole_kis_protocol_2_4(frame):
    for text in (frame + frame, f"{frame}|", f"{frame}^a|b"):
        with pytest.raises(FeedFormatError):
            wire.decode(text)
