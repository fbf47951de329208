"""Events as a trading day appends them: nine kinds in five streams, seeded by their place only."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from bench.frames import codes
from kquant.events import codec
from kquant.events.base import Event, name_of
from kquant.events.market import Bar, BarsClosed
from kquant.events.orders import OrderAccepted, OrderFilled, OrderIntended
from kquant.events.portfolio import CashMoved
from kquant.events.scanner import ScanFacts, ScanParts, ScoreGiven, ScoreWanted
from kquant.events.slots import SlotClaimed, SlotClaimRenewed
from kquant.values import BasisPoints, IntentId, Krw, Micros, Seq, Shares, Symbol

NINE = Micros(1_789_344_000_000_000)
_CODES = [Symbol(code) for code in codes(40)]
Streamed = tuple[str, Event]


def sample(count: int) -> list[Streamed]:
    """Return *count* (stream, event) pairs."""
    return [_one(place) for place in range(count)]


def _one(place: int) -> Streamed:
    code = _CODES[place // 9 % len(_CODES)]
    name, at, price = f"Stock {code}", Micros(NINE + place * 1_000), Krw(70_000 + 100 * (place % 41))
    intent, qty = IntentId(place // 9 + 1), Shares(1 + place % 97)
    amount = Krw(price * qty)
    match place % 9:
        case 0:
            return "slots", SlotClaimed(code=code, name=name, reason="surging", rank=0, since=at)
        case 1:
            return "slots", SlotClaimRenewed(code=code, reason="surging", rank=0, since=at)
        case 2:
            return "scanner", ScoreWanted(cycle=place // 30, code=code, name=name, facts=_facts(price), valid_until=at)
        case 3:
            return "scorer", _score(place, code)
        case 4:
            bars = tuple(_bar(other, price) for other in _CODES[:8])
            return "market", BarsClosed(start=at, bars=bars, place=place)
        case 5:
            return "orders", OrderIntended(
                intent=intent, code=code, name=name, side="buy", qty=qty, kind="limit", price=price, reason="signal",
                decision=Seq(place + 1), reserved_krw=amount, valid_until=at,
            )  # fmt: skip
        case 6:
            return "broker", OrderAccepted(intent=intent, order_no=str(10_000 + place), branch="00950", time="090001")
        case 7:
            return "orders", OrderFilled(
                intent=intent, order_no=str(10_000 + place), code=code, name=name, side="buy", qty=qty,
                amount_krw=amount, filled_qty=qty, filled_amount_krw=amount, leaves_qty=Shares(0),
            )  # fmt: skip
        case _:
            return "portfolio", CashMoved(
                intent=intent, order_no=str(10_000 + place), amount_krw=Krw(-amount), fee_krw=Krw(amount // 7_000),
                tax_krw=Krw(0), cash_krw=Krw(50_000_000 - place),
            )  # fmt: skip


def _facts(price: Krw) -> ScanFacts:
    return ScanFacts(
        price=price, change_bp=BasisPoints(512), volume=Shares(1_000_000), turnover=Krw(price * 1_000_000), high=price,
        low=Krw(price - 900), open=Krw(price - 700), prev_volume=Shares(900_000), gainer_rank=3, volume_rank=None,
        cycles_seen=4, change_bp_before=BasisPoints(498), volume_before=Shares(940_000), minutes_open=37,
    )  # fmt: skip


def _score(place: int, code: Symbol) -> ScoreGiven:
    return ScoreGiven(
        cycle=place // 30, code=code, parts=ScanParts(persistence=24, volume=15, momentum=22, risk=place % 20),
        reasons=("four cycles in a row", "volume 1.1 of the day before", "five percent up", "few ticks to the limit"),
        model="heuristic-1", prompt="", answer="", tokens=0, cost_krw=Krw(0), latency_ms=0,
    )  # fmt: skip


def _bar(code: Symbol, price: Krw) -> Bar:
    return Bar(
        code=code, open=price, high=Krw(price + 300), low=Krw(price - 200), close=Krw(price + 100),
        volume=Shares(12_345), value=Krw(12_345 * price), covered_seconds=60, day_high=Krw(price + 900),
    )  # fmt: skip


def export(events: Iterable[Streamed], path: Path) -> int:
    """Write the events for a peer, a JSON line each: stream, name, fields, and the payload kquant stores (base64)."""
    lines = [
        json.dumps([stream, name_of(event), msgspec.to_builtins(event), base64.b64encode(codec.encode(event)).decode()])
        for stream, event in events
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return len(lines)


def payload_bytes(events: Sequence[Streamed]) -> float:
    """Return the mean size of a payload as kquant stores it."""
    return sum(len(codec.encode(event)) for _, event in events) / len(events)
