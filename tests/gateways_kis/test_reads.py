"""The REST gateway: each read request ends in one outcome, in this process or the next; polling goes on meanwhile."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from msgspec import structs

from kquant.events.analyzer import ListingAnswered, ListingWanted
from kquant.events.base import Event, name_of
from kquant.events.orders import ExecutionsListed, ExecutionsWanted, QuoteAnswered, QuoteFailed, QuoteWanted
from kquant.events.pipeline import NewsAnswered, NewsWanted
from kquant.events.portfolio import BalanceAnswered, BalanceWanted
from kquant.events.scanner import RankingsAnswered, RankingsWanted, ReadExpired, ReadFailed
from kquant.events.slots import PollingEnded, PollingStarted
from kquant.exchange.core.rest_reference import master_zip
from kquant.exchange.market.model import Stock
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.answers import Level, OrderBook, QuoteDetail
from kquant.gateways.kis.rest.client import KisRefused, KisUnreachable, KisUnreadable
from kquant.gateways.kis.rest.limits import BACKFILL, PORTFOLIO, Limiter
from kquant.gateways.kis.rest.master import parse
from kquant.gateways.kis.rest.reads import RestGateway
from kquant.journal.memory import MemoryJournal
from kquant.krx import TickBand
from kquant.market.records import RestPrice
from kquant.values import SECOND_US, BasisPoints, Krw, Micros, Seq, Shares, Symbol
from tests.scoring.fakes import Quiet, Shelf, until

BANDS = tuple(
    TickBand(from_price=Krw(start), tick=Krw(tick))
    for start, tick in ((1, 1), (2000, 5), (5000, 10), (20000, 50), (50000, 100), (200000, 500), (500000, 1000))
)
STOCK = Stock(
    code="005930", name="삼성전자", market="KOSPI", kind="common", base=70_000, upper=91_000, lower=49_000, halted=False,
    administrative=False, liquidation=False, warning=0, overheated=False, prev_close=70_000, prev_volume=123,
    listed_shares=1_000_000, sector="", kospi200=True, drawn=False, single_price=False,
)  # fmt: skip


class Listing:
    """As much of the exchange's market as its master file asks for."""

    day = dt.date(2026, 11, 20)
    seed = 1
    source = "imported"
    stocks = (
        STOCK,
        *(
            Stock(**{**{name: getattr(STOCK, name) for name in STOCK.__struct_fields__}, **change})
            for change in (
                {"code": "005935", "name": "삼성전자우", "kind": "preferred", "base": 60_000},
                {"code": "069500", "name": "KODEX 200", "kind": "etf"},
                {"code": "477380", "name": "미래에셋비전스팩4호", "kind": "spac", "market": "KOSDAQ", "base": 2_000},
                {"code": "900140", "name": "halted one", "market": "KOSDAQ", "halted": True, "warning": 2},
                {"code": "123450", "name": "left to go", "market": "KOSDAQ", "liquidation": True},
            )
        ),
    )

    def known(self, code: str) -> None:
        return None


DETAIL = QuoteDetail(
    code=Symbol("005930"), last_price=Krw(71_000), change_bp=BasisPoints(100), open=Krw(70_100), high=Krw(71_500),
    low=Krw(69_900), upper=Krw(91_000), lower=Krw(49_000), base=Krw(70_000), tick=Krw(100), volume=Shares(1_234),
    value=Krw(87_614_000), status="55", warning=0, halted=False, liquidation=False, overheated=False,
    administrative=False, vi="N",
)  # fmt: skip
BOOK = OrderBook(
    code=Symbol("005930"), time="093001", asks=(Level(price=Krw(71_100), qty=Shares(7)),) * 10,
    bids=(Level(price=Krw(70_900), qty=Shares(9)),) * 10, total_ask_qty=Shares(70), total_bid_qty=Shares(90),
    expected_price=None, expected_qty=None,
)  # fmt: skip


class Calls:
    """Answers by method name; an exception is raised, an event is waited for first."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fail: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.at_once, self.priced = True, 99

    async def _give(self, name: str, value: Any) -> Any:
        self.asked.append(name)
        if self.hold is not None:
            await self.hold.wait()
        if self.fail is not None:
            raise self.fail
        return value

    async def gainers(self, limit: int) -> Any:
        return await self._give("gainers", ())

    async def volumes(self, limit: int) -> Any:
        return await self._give("volumes", ())

    async def news(self) -> Any:
        return await self._give("news", ())

    async def balance(self, *, orderable_until: Micros) -> Any:
        self.orderable_until = orderable_until
        return await self._give("balance", BalanceAnswered(holdings=(), cash_krw=Krw(7), cash_today_krw=Krw(7)))

    async def executions(self, day: str) -> Any:
        return await self._give(f"executions {day}", ())

    async def master(self, market: str) -> Any:
        return await self._give(f"master {market}", master_zip(Listing(), market.upper()))  # type: ignore[arg-type]

    def prices_at_once(self) -> bool:
        return self.at_once

    async def quote(self, code: Symbol) -> Any:
        return await self._give(f"quote {code}", DETAIL)

    async def book(self, code: Symbol) -> Any:
        return await self._give(f"book {code}", BOOK)

    async def prices(self, codes: list[Symbol]) -> Any:
        found = await self._give(f"prices {' '.join(codes)}", tuple(polled(code) for code in codes))
        return found[: self.priced]

    async def price(self, code: Symbol) -> Any:
        return await self._give(f"price {code}", polled(code))


def polled(code: Symbol) -> RestPrice:
    return RestPrice(code, Krw(1), Krw(1), Krw(1), Krw(1), Shares(1), Krw(1), BasisPoints(0))


class Room:
    def __init__(self, journal: MemoryJournal | None = None, clock: SteppedClock | None = None) -> None:
        self.clock = clock or SteppedClock(Micros(1_000 * SECOND_US))
        self.journal = journal or MemoryJournal(self.clock.now)
        self.calls, self.quiet, self.shelf = Calls(), Quiet(), Shelf()
        self.prices: list[RestPrice] = []
        self.gateway = RestGateway(
            self.journal, self.calls, self.clock, self.shelf, BANDS, price=self.prices.append,  # type: ignore[arg-type]
            changed=self.quiet.changed, on_fatal=self.quiet.on_fatal,
        )  # fmt: skip

    def say(self, event: Event, stream: str = "x") -> int:
        return self.journal.append(stream, [event], by="x").result()[0].seq

    async def settle(self) -> None:
        await asyncio.sleep(0)
        await self.quiet.until_idle(self.gateway)  # type: ignore[arg-type]

    def outcomes(self) -> list[tuple[int | None, str]]:
        return [(fact.caused_by, fact.name) for fact in self.journal.read(0, 1_000) if fact.stream == "rest"]


LATER = Micros(2_000 * SECOND_US)
REQUESTS = [
    (ListingWanted(valid_until=LATER), ListingAnswered),
    (RankingsWanted(cycle=1, limit=20, valid_until=LATER), RankingsAnswered),
    (NewsWanted(run=1, codes=(), valid_until=LATER), NewsAnswered),
    (BalanceWanted(reason="pipeline", valid_until=LATER), BalanceAnswered),
    (ExecutionsWanted(why="x", valid_until=LATER), ExecutionsListed),
]


@pytest.mark.parametrize(("valid", "waits"), [(20, 5), (6, 4), (1, -1)])
async def test_a_balance_spends_little_of_its_time_on_what_may_be_ordered_for(valid, waits):
    room = Room()
    now = room.clock.now()
    await room.gateway.start()
    room.say(BalanceWanted(reason="pipeline", valid_until=Micros(now + valid * SECOND_US)))
    await room.settle()
    assert room.calls.orderable_until == now + waits * SECOND_US
    await room.gateway.close()


@pytest.mark.parametrize(("request_", "outcome"), REQUESTS)
async def test_each_request_has_its_answer(request_, outcome):
    room = Room()
    await room.gateway.start()
    seq = room.say(request_)
    await room.settle()
    assert room.outcomes() == [(seq, name_of(outcome))]
    await room.gateway.close()


@pytest.mark.parametrize("error", [KisRefused("OPSQ2000", "no", 200), KisUnreachable("gone")])
@pytest.mark.parametrize(("request_", "outcome"), REQUESTS)
async def test_a_failed_read_names_the_request(request_, outcome, error):
    room = Room()
    room.calls.fail = error
    await room.gateway.start()
    seq = room.say(request_)
    await room.settle()
    assert room.outcomes() == [(seq, name_of(ReadFailed))]
    (failed,) = [fact.event for fact in room.journal.read(1) if isinstance(fact.event, ReadFailed)]
    assert failed == ReadFailed(what=name_of(request_), reason=str(error))
    await room.gateway.close()


@pytest.mark.parametrize(("request_", "outcome"), REQUESTS)
async def test_a_request_that_is_too_old_is_not_asked(request_, outcome):
    room = Room(clock=SteppedClock(Micros(LATER + 1)))
    await room.gateway.start()
    seq = room.say(request_)
    await room.settle()
    assert room.outcomes() == [(seq, name_of(ReadExpired))]
    assert room.calls.asked == []
    await room.gateway.close()


async def test_an_answer_that_comes_too_late_is_no_answer():
    room = Room()
    room.calls.hold = asyncio.Event()
    await room.gateway.start()
    seq = room.say(REQUESTS[3][0])
    await until(lambda: room.calls.asked)
    room.clock.set(Micros(LATER + 1))
    room.calls.hold.set()
    await room.settle()
    assert room.outcomes() == [(seq, name_of(ReadExpired))]
    await room.gateway.close()


async def test_a_restart_asks_what_is_open_and_only_that():
    first = Room()
    await first.gateway.start()
    answered = first.say(REQUESTS[2][0])
    await first.settle()
    first.calls.hold = asyncio.Event()
    left = first.say(REQUESTS[3][0])
    await until(lambda: "balance" in first.calls.asked)
    await first.gateway.close()
    again = Room(first.journal, first.clock)
    await again.gateway.start()
    await again.settle()
    assert again.calls.asked == ["balance"]
    assert again.outcomes() == [(answered, "news.answered"), (left, "balance.answered")]
    await again.gateway.close()


async def test_polling_asks_as_often_as_wanted_survives_failures_and_a_restart_and_ends():
    room = Room()
    await room.gateway.start()
    room.say(PollingStarted(code=Symbol("005930"), why="x", every_seconds=2), "slots")
    await until(lambda: len(room.prices) == 1)
    await until(room.gateway.idle)
    room.calls.fail = KisUnreachable("gone")
    for second in range(1, 5):
        room.clock.set(Micros((1_000 + second) * SECOND_US))
        await until(room.gateway.idle)
        await until(lambda: room.clock.next_wake() is not None)
    assert room.calls.asked == ["price 005930"] * 3
    assert (len(room.prices), room.gateway.poll_failures) == (1, 2)
    await room.gateway.close()
    again = Room(room.journal, room.clock)
    await again.gateway.start()
    await until(lambda: again.prices)
    again.say(PollingEnded(code=Symbol("005930"), why="x"), "slots")
    await until(again.gateway.idle)
    again.clock.set(Micros(1_100 * SECOND_US))
    await until(lambda: not again.gateway._tasks)
    assert len(again.prices) == 1
    await again.gateway.close()


SEVERAL = ("000660", "005930", "035720")


async def poll_several(room: Room) -> None:
    await room.gateway.start()
    events: list[Event] = [PollingStarted(code=Symbol(code), why="x", every_seconds=2) for code in SEVERAL]
    room.journal.append("slots", events, by="x").result()


async def test_several_polled_stocks_cost_one_call():
    """kis-protocol 4.3: intstock-multprice is the cheapest poller within the limit."""
    room = Room()
    room.calls.priced = 2
    await poll_several(room)
    await until(lambda: room.gateway.poll_failures == 1)
    assert room.calls.asked == ["prices 000660 005930 035720"]
    assert [price.code for price in room.prices] == ["000660", "005930"]
    await room.gateway.close()


async def test_where_there_is_no_such_call_each_is_asked():
    room = Room()
    room.calls.at_once = False
    await poll_several(room)
    await until(lambda: len(room.prices) == 3)
    assert room.calls.asked == [f"price {code}" for code in SEVERAL]
    await room.gateway.close()


async def test_a_broken_row_among_many_prices_costs_only_itself():
    room = Room()

    async def broken(codes: list[Symbol]) -> Any:
        raise KisUnreadable("field inter2_prpr is 0, not a price")

    room.calls.prices = broken  # type: ignore[method-assign]
    await poll_several(room)
    await until(lambda: len(room.prices) == 3)
    assert room.gateway.poll_failures == 0
    await room.gateway.close()


async def test_a_read_that_waits_for_the_budget_lets_the_stepped_clock_go_on():
    room = Room()
    limiter = Limiter(1, room.clock)
    await limiter.take(BACKFILL)
    give = room.calls._give

    async def limited(name: str, value: Any) -> Any:
        await limiter.take(BACKFILL)
        return await give(name, value)

    room.calls._give = limited  # type: ignore[method-assign]
    await room.gateway.start()
    room.say(REQUESTS[3][0])
    await until(lambda: room.gateway.idle() and room.clock.next_wake() is not None)
    assert room.calls.asked == []
    room.clock.set(Micros(1_001 * SECOND_US))
    assert not room.gateway.idle()
    await room.settle()
    assert room.calls.asked == ["balance"]
    await room.gateway.close()


def test_the_exchanges_master_files_read_back_as_they_were_meant():
    listed = {
        stock.code: stock
        for market in ("KOSPI", "KOSDAQ")
        for stock in parse(master_zip(Listing(), market), market, BANDS)  # type: ignore[arg-type]
    }
    assert {code: stock.kind for code, stock in listed.items()} == {
        "005930": "common", "005935": "preferred", "069500": "fund", "477380": "spac", "900140": "common",
        "123450": "common",
    }  # fmt: skip
    samsung = listed["005930"]
    assert (samsung.name, samsung.base, samsung.upper, samsung.lower, samsung.prev_volume) == (
        "삼성전자", 70_000, 91_000, 49_000, 123,
    )  # fmt: skip
    assert (listed["900140"].halted, listed["900140"].warning) == (True, 2)
    assert (listed["123450"].upper, listed["123450"].liquidation) == (None, True)


def quote_wanted(request: int = 1) -> QuoteWanted:
    return QuoteWanted(request=request, code=Symbol("005930"), why="entry", decision=Seq(1), valid_until=LATER)


def quotes(room: Room) -> list[Any]:
    return [fact.event for fact in room.journal.read(0, 1_000) if isinstance(fact.event, QuoteAnswered | QuoteFailed)]


@pytest.mark.parametrize(
    ("detail", "book", "said"),
    [
        ({}, {}, {"vi": False, "is_auction": False}),
        ({"vi": "Y"}, {"expected_price": Krw(70_500), "expected_qty": Shares(3)}, {"vi": True, "is_auction": True}),
        ({"halted": True, "status": "58"}, {}, {"halted": True, "status": "58"}),
        ({}, {"asks": (Level(price=Krw(0), qty=Shares(0)),) * 10}, {"ask": 0, "ask_qty": 0}),
    ],
)
async def test_a_quote_is_price_and_book_in_one_answer(monkeypatch, detail, book, said):
    """kis-protocol 4.3: price, limits and flags are of inquire-price, best quotes of inquire-asking-price."""
    room = Room()
    monkeypatch.setitem(globals(), "DETAIL", structs.replace(DETAIL, **detail))
    monkeypatch.setitem(globals(), "BOOK", structs.replace(BOOK, **book))
    await room.gateway.start()
    room.say(quote_wanted(request=3), "orders")
    await room.settle()
    plain = {
        "request": 3, "code": "005930", "last": 71_000, "ask": 71_100, "bid": 70_900, "ask_qty": 7, "bid_qty": 9,
        "upper": 91_000, "lower": 49_000, "volume": 1_234, "value": 87_614_000, "status": "55", "warning": 0,
        "halted": False, "liquidation": False, "overheated": False, "administrative": False, "vi": False,
        "is_auction": False,
    }  # fmt: skip
    assert [structs.asdict(answer) for answer in quotes(room)] == [plain | said]
    assert room.calls.asked == ["quote 005930", "book 005930"]
    await room.gateway.close()


@pytest.mark.parametrize("error", [KisRefused("OPSQ2000", "no", 200), KisUnreachable("gone"), KisUnreadable("html")])
async def test_a_quote_that_cannot_be_had_is_one_failure(error):
    room = Room()
    room.calls.fail = error
    await room.gateway.start()
    room.say(quote_wanted(), "orders")
    await room.settle()
    assert quotes(room) == [QuoteFailed(request=1, code=Symbol("005930"), reason=str(error))]
    await room.gateway.close()


async def test_a_quote_that_is_late_is_one_failure_and_its_call_is_given_up():
    room = Room()
    room.calls.hold = asyncio.Event()
    await room.gateway.start()
    room.say(quote_wanted(), "orders")
    await until(lambda: room.calls.asked)
    room.clock.set(Micros(LATER + 1))
    await room.settle()
    assert quotes(room) == [QuoteFailed(request=1, code=Symbol("005930"), reason="no answer in time")]
    assert room.calls.asked == ["quote 005930"]
    await room.gateway.close()


async def test_where_calls_are_scarce_each_stock_has_its_price_and_book_before_the_next_begins():
    """kis-protocol 1.8: one call a second on paper. All prices first, and no stock would have its book in time."""
    room = Room()
    limiter = Limiter(1, room.clock)
    give = room.calls._give

    async def limited(name: str, value: Any) -> Any:
        await limiter.take(PORTFOLIO)
        return await give(name, value)

    room.calls._give = limited  # type: ignore[method-assign]
    await room.gateway.start()
    codes = [Symbol(f"00{number}930") for number in range(5)]
    until_then = Micros(room.clock.now() + 4 * SECOND_US)
    for number, code in enumerate(codes, 1):
        wanted = structs.replace(quote_wanted(number), code=code, valid_until=until_then)
        room.say(wanted, "orders")
    for _ in range(5):
        await until(room.gateway.idle)
        room.clock.set(Micros(room.clock.now() + SECOND_US))
    await room.settle()
    assert room.calls.asked[:4] == [f"{what} {code}" for code in codes[:2] for what in ("quote", "book")]
    assert [type(one) for one in quotes(room)].count(QuoteAnswered) == 2
    await room.gateway.close()


@pytest.mark.parametrize(("late", "outcome"), [(False, QuoteAnswered), (True, QuoteFailed)])
async def test_an_open_quote_request_is_asked_again_after_a_restart_while_it_is_valid(late, outcome):
    first = Room()
    await first.gateway.start()
    first.say(quote_wanted(1), "orders")
    await first.settle()
    first.calls.hold = asyncio.Event()
    first.say(quote_wanted(2), "orders")
    await until(lambda: len(first.calls.asked) == 3)
    await first.gateway.close()
    if late:
        first.clock.set(Micros(LATER + 1))
    again = Room(first.journal, first.clock)
    await again.gateway.start()
    await again.settle()
    assert [(type(one), one.request) for one in quotes(again)] == [(QuoteAnswered, 1), (outcome, 2)]
    assert again.calls.asked == ([] if late else ["quote 005930", "book 005930"])
    await again.gateway.close()
