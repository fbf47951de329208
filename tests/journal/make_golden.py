"""Writes a golden day of the present format: `python tests/journal/make_golden.py FOLDER`. Run once a format, never again.

Every event class is there in several variants: every choice of its literals, each optional part once given and once
missing. Values are plausible and fixed, so two runs of one version write the same events. The tape holds every kind of
record, in two sealed blocks and an open end, as a killed run leaves it.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from kquant.config import load
from kquant.events.base import Event, Recorded
from kquant.events.codec import EVENTS, encode
from kquant.events.day import DayClosed, DayOpened, RunStarted
from kquant.hours import day_hours
from kquant.journal import Attachments, Kind, TapeReader, TapeRecord, TapeWriter, open_day
from kquant.krx import SessionHours
from kquant.market.records import RestPrice
from kquant.settings import Settings
from kquant.values import SECOND_US, BasisPoints, Krw, Micros, Seq, Shares, Symbol, from_kst

DAY = date(2026, 11, 20)
BEGIN, NINE, HALF_PAST_NINE = (from_kst(DAY, time(*moment)) for moment in ((7, 10), (9, 0), (9, 30)))
EVENTS_FILE, TAPE_FILE = "events.jsonl", "tape.jsonl"
ATTACHED = '{"rt_cd":"0","msg_cd":"MCA00000","msg1":"정상처리 되었습니다."}'.encode()
HASH = hashlib.sha256(ATTACHED).hexdigest()

TEXTS = {
    "account": "5000****-01", "alarm": "scan", "answer": HASH, "branch": "06010", "code": "005930",
    "code_hash": "9f" * 32, "codes": "000660", "covered_code": "035720", "day": "2026-11-20", "day_before": "2026-11-19",
    "digest_before": "5a" * 32, "error": "ValueError: shares -1 of 005930", "extension": "", "expected_operation": "311", "halt_reason": "", "exchange_time": "093001",
    "differences": "12345: filled 10 here, 12 there", "filter": "min_turnover_krw", "for_code": "0004V0", "id": "2026112009295900001", "limits": "4c" * 32, "message": "정상처리 되었습니다.",
    "message_code": "OPSP0000", "missing": "condition:급등: APBK0000", "model": "heuristic-1", "name": "삼성전자", "next_code": "247540", "note": "",
    "operation": "112", "order_no": "12345", "orders": "12345: filled 10 here, 12 there", "original_order_no": "12344", "owner": "scanner", "part": "financials", "presumed": "005935",
    "profile": "demo", "prompt": HASH, "published": "20261120092959", "reason": "no answer in time",
    "reasons": "거래대금 1,200억, 3회 연속 순위", "rule": "priority", "source": HASH, "status": "55", "stock_status": "55", "table": HASH, "text": "005930: 확인 필요",
    "time": "093001", "title": "삼성전자, 4분기 실적 발표", "venue": "1", "what": "portfolio.balance_wanted", "who": "operator",
    "why": "not renewed", "fallback": "", "finish": "stop", "notes": "krx: no login", "origin": "dart", "prompt_version": "scan-1", "provider": "gemini", "titles": "삼성전자, 4분기 실적 발표",
}  # fmt: skip

NUMBERS = {
    "agreeing": 2, "amount_krw": -713_000, "analysed": 2_700, "ask": 71_400, "ask_qty": 120, "bid_qty": 340, "attempt": 2, "balance": 17, "base": 70_000, "batch": 3,
    "batches": 54, "bid": 71_300, "book": 61, "book_age_ms": 340, "book_ask_qty": 15_220, "book_bid_qty": 18_910,
    "cancelled_qty": 3, "capacity": 40, "cash_krw": 99_286_902, "cash_next_krw": 100_000_000, "cash_today_krw": 100_000_000, "change_bp": -395,
    "change_bp_before": 2_997, "close": 71_300, "cost_krw": 713_000, "covered_qty": 4, "covered_seconds": 60, "cycle": 26,
    "cycles_seen": 3, "day_high": 71_900, "decision": 21, "due": NINE, "epoch": 2, "every_seconds": 5,
    "failed_batches": 1, "fee_krw": 98, "filled_amount": 713_000, "filled_amount_krw": 713_000, "filled_qty": 10,
    "financials": 24, "flows": 18, "gainer_rank": 7, "high": 71_900, "intent": 17, "last": 71_300, "last_age_ms": 120,
    "known_until": BEGIN, "latency_ms": 850, "leaves_qty": 5, "limit": 30, "line": 1, "listing": 40, "low": 70_100, "lower": 49_000, "minutes_open": 25, "momentum": 22,
    "news": 12, "open": 70_200, "order_qty": 15, "ours": 10, "persistence": 30, "pick": 84, "place": 9, "points": 100,
    "portfolio": 19, "prev_volume": 12_345_678, "orderable_krw": 98_000_000, "price": 71_300, "program": 55, "program_age_ms": 2_400,
    "program_net": -224_036, "qty": 10, "quote": 44, "quote_age_ms": 80, "rank": 1, "realised_krw": -4_500, "rejected_qty": 0, "replaces": 16, "request": 3,
    "reserved_krw": 714_100, "risk": 15, "run": 4, "scan": 77, "score": 84, "seconds": -90, "seed": 20_261_120, "sellable": 8, "seq": 5,
    "signals": 2, "since": NINE, "snapshot": 20, "start": NINE, "stocks": 2_700, "subscribed": 20,
    "sync_deadline": HALF_PAST_NINE, "tax_krw": 1_426, "technicals": 13, "theirs": 15, "tokens": 1_830, "total": 84,
    "trail_bp": 500, "trailing_high": 71_800, "trigger": 6, "turnover": 120_000_000_000, "unscored": 40, "until": HALF_PAST_NINE, "upper": 91_000,
    "valid_until": HALF_PAST_NINE, "value": 880_000_000, "volume": 14_871_538, "volume_before": 14_500_000,
    "volume_rank": 2, "warning": 1, "cost": 1_350_000, "reserve": 4_000_000, "tokens_in": 1_500, "tokens_out": 330,
}  # fmt: skip

STREAMS = {
    "day": "run", "owner": "run", "alert": "run", "alarm": "slots", "schedule": "scheduler", "rankings": "rest",
    "read": "rest", "listing": "rest", "news": "rest", "balance": "rest", "executions": "rest", "score": "scorer",
    "analysis": "research", "order": "broker", "cancel": "broker", "quote": "rest",
}  # fmt: skip
"""First word of a stored name -> stream, where they differ."""


def _value(kind: inspect.Type, name: str, variant: int) -> Any:
    """Return a value of a field. Even variants have every optional part, odd ones none; raises KeyError for a new name."""
    given = variant % 2 == 0
    match kind:
        case inspect.IntType():
            return NUMBERS[name]
        case inspect.StrType():
            return TEXTS[name]
        case inspect.BoolType():
            return given
        case inspect.NoneType():
            return None
        case inspect.LiteralType(values=values):
            return values[variant % len(values)]
        case inspect.DictType():
            return {"kquant": "0.1.0", "python": "3.11"} if given else {}
        case inspect.VarTupleType(item_type=item):
            return (_value(item, name, variant),) if given else ()
        case inspect.UnionType(types=types):
            if not given and any(isinstance(one, inspect.NoneType) for one in types):
                return None
            return _value(next(one for one in types if not isinstance(one, inspect.NoneType)), name, variant)
        case inspect.StructType(cls=cls):
            return _struct(cls, variant)
        case _:
            raise TypeError(f"{name}: {kind} has no golden value")


def _struct(cls: type, variant: int) -> Any:
    if cls is Settings:
        return load("demo" if variant % 2 == 0 else "live", environ={}).settings
    if cls is SessionHours:
        return day_hours(DAY, load("demo", environ={}).settings.krx)
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return cls(**{field.name: _value(field.type, field.name, variant) for field in info.fields})


def _choices(kind: inspect.Type) -> int:
    """Return how many variants show all a type can hold: two, or its longest literal."""
    match kind:
        case inspect.LiteralType(values=values):
            return len(values)
        case inspect.UnionType(types=types):
            return max(map(_choices, types))
        case inspect.VarTupleType(item_type=item):
            # Only even variants have items.
            return 2 * _choices(item)
        case inspect.StructType(cls=cls, fields=fields) if cls not in {Settings, SessionHours}:
            return max([2, *(_choices(field.type) for field in fields)])
        case _:
            return 2


def events() -> Iterator[tuple[str, Event]]:
    """Yield (stream, event): the day's first two in their order, the rest by name, the seal last."""
    first = (RunStarted, DayOpened)
    names = sorted(name for name, cls in EVENTS.items() if cls not in {*first, DayClosed})
    for cls in [*first, *(EVENTS[name] for name in names)]:
        for variant in range(_choices(inspect.type_info(cls))):
            name = str(cls.__struct_config__.tag)
            word = "clock" if name == "alarm.rang" else name.partition(".")[0]
            stream = "research" if name == "research.answered" else STREAMS.get(word, word)
            yield stream, _struct(cls, variant)
    yield "run", _struct(DayClosed, 0)


TRADE = (
    "0|H0STCNT0|001|005930^093001^71300^2^1300^1.86^70912.41^70200^71900^70100^71400^71300^125^14871538^1060000000000^25807"
    "^15918^-9889^93.01^4614191^4291558^1^0.45^63.03^090013^2^1100^090646^5^-600^090741^2^1200^20261120^20^N^71292^244009"
    "^2795345^2044512^0.16^5367918^180.61^0^^71300"
)
PRICE = RestPrice(
    code=Symbol("000660"), last_price=Krw(182_400), open=Krw(180_000), high=Krw(183_000), low=Krw(179_500),
    volume=Shares(2_345_678), value=Krw(425_000_000_000), change_bp=BasisPoints(133),
)  # fmt: skip
RECORDS: tuple[tuple[Kind, bytes], ...] = (
    ("epoch_begin", b"1"),
    ("control", b"40"),
    ("frame", TRADE.encode()),
    ("second", b""),
    ("frame", TRADE.replace("093001^71300", "093002^71400").encode()),
    ("rest", msgspec.msgpack.encode(PRICE)),
    ("second", b""),
    ("epoch_end", b"1"),
    ("epoch_begin", b"2"),
    ("second", b""),
)
BLOCK = 4


def _write_tape(folder: Path) -> None:
    """Write two sealed blocks with one writer and an open end with another, copied while it is open."""
    with tempfile.TemporaryDirectory() as temporary:
        first = TapeWriter(Path(temporary), block_records=BLOCK)
        for number, (kind, data) in enumerate(RECORDS[: 2 * BLOCK]):
            first.append(kind, Micros(NINE + number * SECOND_US), data)
        first.close()
        second = TapeWriter(Path(temporary), block_records=BLOCK)
        for number, (kind, data) in enumerate(RECORDS[2 * BLOCK :], 2 * BLOCK):
            second.append(kind, Micros(NINE + number * SECOND_US), data)
        second.sync()
        for path in Path(temporary).iterdir():
            shutil.copy(path, folder)
        second.close()


def event_row(fact: Recorded, payload_version: int) -> dict[str, Any]:
    """Return what is rendered of an event: its envelope, and the payload as today's code reads and encodes it."""
    row = {name: getattr(fact, name) for name in ("seq", "stream", "version", "name", "at", "by", "caused_by", "index")}
    payload = msgspec.msgpack.decode(encode(fact.event))
    return {**row, "digest": fact.digest.hex(), "payload_version": payload_version, "payload": payload}


def tape_row(record: TapeRecord) -> dict[str, Any]:
    """Return what is rendered of a tape record."""
    return {"place": record.place, "at": record.at, "kind": record.kind, "data": record.data.hex()}


def write(folder: Path) -> None:
    """Write journal, tape, an attachment and what each must read as."""
    folder.mkdir(parents=True)
    now = iter(range(BEGIN, BEGIN + 10_000 * SECOND_US, SECOND_US))
    journal = open_day(folder, lambda: Micros(next(now)))
    for stream, event in events():
        # Two of three react to the event before, as most of a day does.
        cause = Seq(journal.head) if journal.head % 3 else None
        journal.append(stream, [event], by=stream, caused_by=cause).result(10)
    journal.close()
    _write_tape(folder)
    assert Attachments(folder).put(ATTACHED) == HASH
    rows = [event_row(fact, type(fact.event).VERSION) for fact in journal.read(Seq(0), 10_000)]
    tape = [tape_row(record) for record in TapeReader(folder)]
    for name, lines in ((EVENTS_FILE, rows), (TAPE_FILE, tape)):
        (folder / name).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
