"""What holds of every text that the decoders accept: each figure is the one its place in the text says, and in bounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kquant.gateways.kis.feed import control, executions, wire
from kquant.gateways.kis.feed.executions import Keys
from kquant.gateways.kis.feed.wire import FeedFormatError
from kquant.market.records import Book, MarketStatus, ProgramTrade, Record, Trade

HUGE = 1 << 62
TRADE = {
    "last_price": 2,
    "open": 7,
    "high": 8,
    "low": 9,
    "ask": 10,
    "bid": 11,
    "last_qty": 12,
    "volume": 13,
    "value": 14,
}
BOOK = {"ask": 3, "bid": 13, "ask_qty": 23, "bid_qty": 33, "total_ask_qty": 43, "total_bid_qty": 44}
PROGRAM = {"sold": 2, "bought": 4, "net": 6}
NOTICE = {"qty": 9, "price": 10, "order_qty": 16}


def frame(text: str) -> Sequence[Record]:
    """Return a data frame's records, none if it is refused by name."""
    try:
        tr_id, width, records = wire.read(text)
    except FeedFormatError:
        return ()
    _, named, count, payload = text.split("|")
    cells = [cell.strip(" ") for cell in payload.split("^")]
    assert (named, len(records), len(records) * width) == (tr_id, int(count), len(cells))
    for number, record in enumerate(records):
        _holds(record, cells[number * width : (number + 1) * width])
    return records


def _holds(record: Record, cells: list[str]) -> None:
    match record:
        case MarketStatus():
            assert record.code in ("", cells[0])
            return
        case Trade():
            places = TRADE
        case Book():
            places = BOOK
        case ProgramTrade():
            places = PROGRAM
        case _:
            raise AssertionError(record)
    assert (record.code, record.time) == (cells[0], cells[1])
    figures = {name: getattr(record, name) for name in places}
    assert figures == {name: int(cells[place].partition(".")[0]) for name, place in places.items()}
    assert max(abs(figure) for figure in figures.values()) < HUGE
    assert min(figure for name, figure in figures.items() if name != "net") >= 0


def notices(text: str, keys: Keys) -> Sequence[executions.Notice]:
    """Return a frame's notices, none if it is refused by name."""
    try:
        read = executions.decode_notices(text, keys)
    except FeedFormatError:
        return ()
    flag, _, count, payload = text.split("|", 3)
    assert len(read) == int(count)
    for notice in read:
        assert notice.order_no.isdigit()
        assert not notice.order_no.startswith("0")
        assert len(notice.code) in (6, 7)
        assert min(notice.qty, notice.price, notice.order_qty) >= 0
        assert max(notice.qty, notice.price, notice.order_qty) < HUGE
    if flag != "1":  # as it was written, without a cipher over it
        width = len(payload.split("^")) // len(read)
        for number, notice in enumerate(read):
            cells = payload.split("^")[number * width : (number + 1) * width]
            assert {name: getattr(notice, name) for name in NOTICE} == {n: int(cells[at]) for n, at in NOTICE.items()}
            assert int(notice.order_no) == int(cells[2])
    return read


def control_frame(text: str) -> control.Control | None:
    """Return a control frame's content, None if it is refused by name."""
    try:
        read = control.decode_control(text)
    except FeedFormatError:
        return None
    given: dict[str, Any] = json.loads(text)
    header, body = given["header"], given.get("body") or {}
    assert read.tr_id in ("", (header.get("tr_id") or "").strip())
    assert read.tr_key in ("", (header.get("tr_key") or "").strip())
    assert (read.rt_cd, read.msg_cd) == (body.get("rt_cd", ""), body.get("msg_cd", ""))
    output = body.get("output") or {}
    assert read.keys in (None, Keys(output.get("key", ""), output.get("iv", "")))
    if read.keys is not None:
        assert (len(read.keys.key), len(read.keys.iv)) == (32, 16)
    return read
