"""Mutated frames: none crashes, none is believed that breaks structure or a guard, every refusal is counted and kept.

Seeded: a failure names the frame's number and text. 50,000 frames by default, a million with KQUANT_FUZZ=full.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import pytest

from kquant.config import load
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.day import RunStarted
from kquant.events.feed import NoticeReceived, NoticeUnreadable
from kquant.events.slots import RegisterWanted
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.feed.channels import TR_IDS, Market
from kquant.gateways.kis.feed.session import Broken, Data, FeedSession, Rejected, Report, Told
from kquant.gateways.kis.feed.wire import decode
from kquant.gateways.market import MarketDesk
from kquant.journal import MemoryJournal
from kquant.market.records import Book, MarketStatus, ProgramTrade, Trade
from kquant.testing.facts import clock
from kquant.values import Epoch, Krw, Micros, Shares, Symbol
from tests.gateways_kis.test_session_scenarios import IV, KEY, ack, notice_frame
from tests.gateways_kis.test_wire import BOOK, PROGRAM_2, TRADE_46, TRADE_47

from .second_parser import Judge, NotAFrameError, Stock

FULL = os.environ.get("KQUANT_FUZZ") == "full"
FRAMES = 1_000_000 if FULL else 50_000
SEED = 20_260_914
AT = clock("15:08:00", "2026-09-14")
MARKETS: dict[Market, str] = {"krx": "H0ST", "unified": "H0UN", "nxt": "H0NX"}
# code, lower, upper, fund: the codes of the sample frames, with limits that hold the prices of those frames.
STOCKS = (("005930", 182_000, 337_000, False), ("000660", 44_000, 81_000, False), ("000270", 46_200, 85_800, False),
          ("396300", 1_000, 3_000, False), ("069500", 30_000, 60_000, True))  # fmt: skip
FUND = "069500"


def three(frame: str) -> str:
    head, tr_id, _, payload = frame.split("|", 3)
    first, volume = payload.replace("14871538", "14871539"), payload.replace("14871538", "14871540")
    return f"{head}|{tr_id}|003|{payload}^{first}^{volume}"


SAMPLES = (
    TRADE_47,
    three(TRADE_47),
    TRADE_46.replace("005930", "000660"),
    TRADE_47.replace("005930", FUND).replace("249250", "41255").replace("249500^249000^1^", "41260^41255^1^"),
    BOOK.replace("005930", "000270"),
    BOOK.replace("005930", "000270").rsplit("^", 3)[0],
    PROGRAM_2,
    "0|H0STMKO0|001|396300^N^(null)^^311^^^55^N^N",
    "0|H0STMKO0|002|396300^Y^거래정지_사유^164^^3^^58^Y^N^1^005930^N^^112^^^^00^N^^2",
)
PIECES = (
    "^",
    "|",
    "0",
    "9",
    "-",
    ".",
    " ",
    "_",
    "N",
    "Y",
    "^^",
    "00",
    "\uff11",
    "\u0663",
    "+",
    "\n",
    "(null)",
    "1e9",
    "nan",
)


class NullTape:
    """Counts what it is given, by kind."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.place = 0

    def append(self, kind: str, at: Micros, data: bytes) -> int:
        assert len(data) < 1 << 20
        self.kinds[kind] += 1
        self.place += 1
        return self.place

    def flush(self) -> int:
        return self.place

    sync = flush

    def close(self) -> None:
        return


def listed(code: str, lower: int, upper: int, fund: bool) -> Listed:
    return Listed(
        code=Symbol(code), name="", market="KOSPI", kind="fund" if fund else "common", base=Krw((lower + upper) // 2),
        upper=Krw(upper), lower=Krw(lower), halted=False, administrative=False, liquidation=False, overheated=False,
        warning=0, prev_volume=Shares(1),
    )  # fmt: skip


class Bench:
    """A session, a desk and a judge that know the same of the world."""

    def __init__(self, market: Market) -> None:
        now = SteppedClock(AT)
        self.journal = MemoryJournal(now.now)
        self.tape = NullTape()
        self.desk = MarketDesk(self.journal, self.tape, now, decode=decode, changed=lambda: None, on_fatal=pytest.fail)
        settings = load("demo", environ={}).settings
        started = RunStarted(settings=settings, profile="demo", code_hash="", seed=0, versions={})
        listing = ListingAnswered(stocks=tuple(listed(*each) for each in STOCKS), source="")
        self.journal.append("run", [started, listing], by="test").result()
        self.desk.epoch_begin(Epoch(1))
        asked = [
            RegisterWanted(code=Symbol(code), channel=channel, priority=1, epoch=Epoch(1), valid_until=Micros(AT + 1))
            for code, *_ in STOCKS
            for channel in TR_IDS[market]
        ]
        self.journal.append("slots", asked, by="test").result()
        self.desk.catch_up()
        self.session = FeedSession("DEMO01", "50001234-01", "H0STCNI0", gap_us=0, ack_us=1, market=market)
        self.session.opened(Epoch(1), "approval", AT)
        self.session.to_send(AT)
        self.session.receive(ack("H0STCNI0", "DEMO01", "OPSP0000", keys=(KEY, IV)))
        self.judge = Judge(MARKETS[market], "151000")
        self.reset()

    def reset(self) -> None:
        """Forget the day's volumes on both sides: one believed giant would hold everything after it back."""
        for code, lower, upper, fund in STOCKS:
            # A share's limits have a tick of tolerance, since nobody tells how they are rounded; a fund's are not asked.
            low, high = (1, 1 << 61) if fund else (lower - step(lower), upper + step(upper))
            self.judge.stocks[code] = Stock(low, high, fund)
            self.desk.fold.refloor(Symbol(code))
        self.desk._guards.floors({Symbol(code): Shares(0) for code, *_ in STOCKS})

    def judged(self, text: str) -> tuple[list[dict[str, object]] | None, str]:
        """Return the second opinion: the records, or None and why not."""
        try:
            return self.judge.judge(text), ""
        except NotAFrameError as reason:
            return None, str(reason)

    def believed(self, text: str) -> list[Any] | None:
        """Return the records if the client believes the text; count and keep it otherwise, as the feed's shell does."""
        (*alerts, output) = self.session.receive(text)
        assert all(isinstance(one, Report) for one in alerts)
        if isinstance(output, Rejected):
            self.desk.reject(output.text, output.reason)
            return None
        assert isinstance(output, Data)
        return list(output.records) if self.desk.frame(output.text, output.records) is not None else None


def step(price: int) -> int:
    return {1_000: 1, 3_000: 5, 44_000: 50, 46_200: 50, 81_000: 100, 85_800: 100, 182_000: 100, 337_000: 500}[price]


def mutated(chance: random.Random, frame: str) -> str:
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(frame) + 1)
        match chance.randrange(9):
            case 0 | 1:
                frame = frame[:at] + chance.choice("0123456789") + frame[at + 1 :]
            case 2:
                frame = frame[:at] + chance.choice(PIECES) + frame[at + 1 :]
            case 3:
                frame = frame[:at] + chance.choice(PIECES) + frame[at:]
            case 4:
                frame = frame[:at] + frame[at + chance.randint(1, 4) :]
            case 5:
                frame = frame[:at]
            case 6:
                cells = frame.split("^")
                one, two = chance.randrange(len(cells)), chance.randrange(len(cells))
                cells[one], cells[two] = cells[two], cells[one]
                frame = "^".join(cells)
            case 7:
                frame = frame.replace(chance.choice(("|001|", "|002|", "|003|")), f"|{chance.randrange(1_100):03d}|", 1)
            case _:
                frame = frame[:at] + chr(chance.choice((0, 9, 10, 127, 160, 255, 0x660, 0xFF10, 0xAC00))) + frame[at:]
    return frame


def names_of(record: Any) -> dict[str, object]:
    match record:
        case Trade():
            return {
                "code": record.code, "price": record.last_price, "qty": record.last_qty, "volume": record.volume,
                "value": record.value, "bid": record.bid, "ask": record.ask, "open": record.open, "high": record.high,
                "low": record.low, "side": record.side,
            }  # fmt: skip
        case Book():
            names = ("code", "bid", "ask", "bid_qty", "ask_qty", "total_bid_qty", "total_ask_qty")
        case ProgramTrade():
            names = ("code", "sold", "bought", "net")
        case MarketStatus():
            names = ("code", "halted", "vi")
    return {name: getattr(record, name) for name in names}


@pytest.mark.timeout(1_800 if FULL else 120)
@pytest.mark.parametrize("market", sorted(MARKETS))
def test_no_mutated_frame_is_believed_that_breaks_structure_or_a_guard(market: Market) -> None:
    bench, chance = Bench(market), random.Random(f"{SEED} {market}")
    samples = [sample.replace("|H0ST", f"|{MARKETS[market]}", 1) for sample in SAMPLES]
    for sample in samples:
        assert bench.believed(sample) is not None, sample
        bench.judge.judge(sample)
        bench.reset()
    sent, taken, why = len(samples), len(samples), Counter[str]()
    for number in range(FRAMES // len(MARKETS)):
        text = mutated(chance, chance.choice(samples))
        if text.startswith("{") or text[2:10] in {"H0STCNI0", "H0STCNI9"}:
            continue
        sent += 1
        records = bench.believed(text)
        second, reason = bench.judged(text)
        if second is None:
            assert records is None, f"{number}: believed although {reason}: {text!r}"
            why[reason.partition(" ")[0]] += 1
            continue
        assert records is not None, f"{number}: nothing is wrong with it and it is not believed: {text!r}"
        assert [names_of(record) for record in records] == second, f"{number}: read differently: {text!r}"
        taken += 1
        bench.reset()
    assert sum(bench.desk.rejected.values()) == bench.tape.kinds["rejected"] == sent - taken
    assert bench.tape.kinds["frame"] == taken
    assert sum(bench.desk.fold.rejected.values()) == 0, "the fold sees nothing that it would have to refuse"
    seen = set(bench.desk.rejected)
    assert {"format", "code", "figures", "band", "grid", "time", "sum"} <= seen, seen
    assert min(why["count"], why["width"], why["code"], why["band"], why["grid"], why["time"], why["number"]) > 0
    assert taken > sent // 20, "most mutations must not be so coarse that nothing is tried but the first check"


def test_control_frames_and_notices_never_crash_and_never_answer_what_was_not_asked() -> None:
    chance = random.Random(SEED)
    texts = [ack("H0STCNT0", "005930", code, keys=(KEY, IV)) for code in ("OPSP0000", "OPSP0001", "OPSP8996")]
    texts += [notice_frame("5000123401"), '{"header":{"tr_id":"PINGPONG","datetime":"20260914150742"}}']
    session = Bench("krx").session
    kinds = Counter[str]()
    for _ in range(FRAMES // 10):
        for output in session.receive(mutated(chance, chance.choice(texts))):
            kinds[type(output).__name__] += 1
            match output:
                case Report(event=event, caused_by=cause):
                    assert cause is None
                    assert isinstance(event, NoticeReceived | NoticeUnreadable)
                    if isinstance(event, NoticeReceived):
                        assert 0 <= event.qty < 1 << 62
                        assert 0 <= event.price < 1 << 62
                case Broken():
                    assert "OPSP8996" in output.reason
                case Told(at=at):
                    assert 0 < at < 1 << 62
                case _:
                    assert isinstance(output, Rejected)
        session.to_send(AT)
    assert session.rejected > 0
    assert kinds["Report"] > 0
