"""What `orders` has seen of the others: the day, positions and cash, and the gateway's facts about its requests."""

from __future__ import annotations

from msgspec import Struct, structs

from kquant.domain.orders import standing
from kquant.domain.orders.heard import TOLD, Heard, hear
from kquant.domain.orders.standing import Standing
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Recorded, name_of
from kquant.events.day import AlarmRang, ArmOrdered, DayOpened, DisarmOrdered, FlattenOrdered, JobDue, OwnerParked
from kquant.events.feed import ClockSkewed, FeedConnected, NoticeReceived, NoticesConnected, NoticeUnreadable
from kquant.events.market import BarsClosed, MarketStatusChanged, Quoted, SnapshotTaken, TriggerFired
from kquant.events.orders import (
    CancelAccepted,
    CancelRefused,
    CancelUnknown,
    ExecutionsListed,
    ExecutionsWanted,
    OrderAccepted,
    OrderSendStarted,
    OrderUnknown,
    QuoteAnswered,
)
from kquant.events.portfolio import (
    BalanceAnswered,
    CashMoved,
    PortfolioAdjusted,
    PortfolioOpened,
    PortfolioSynchronised,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.krx import SessionHours
from kquant.settings import Settings
from kquant.values import IntentId, Krw, Micros, Seq, Shares, Symbol, to_kst


class Held(Struct, frozen=True, kw_only=True):
    """A position as portfolio tells it. high: highest trade known since we hold it (won), 0 before any bar.

    since: when it was opened; what is sold of it in part changes nothing.   is_carried: held from the day before.
    """

    name: str
    qty: Shares
    cost_krw: Krw
    high: Krw = Krw(0)
    since: Micros = Micros(0)
    is_carried: bool = False


class Carried(Struct, frozen=True, kw_only=True):
    """What the day began with of one stock."""

    qty: Shares
    cost_krw: Krw


SNAPSHOTS_KEPT = 3
"""A signal's snapshot is looked at when its price was confirmed as well; later ones may have been taken by then."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """A market snapshot: its place in the log, its instant, and what it held."""

    seq: int
    at: Micros
    quotes: dict[Symbol, Quoted]


class Orderable(Struct, frozen=True, kw_only=True):
    """What the broker last said it takes orders for without credit (won). asked: seq of the request."""

    asked: int
    krw: Krw


class Moved(Struct, frozen=True, kw_only=True):
    """What portfolio booked for one broker order: how many fills, and what they cost in all (won; sells below zero)."""

    fills: int = 0
    spent_krw: Krw = Krw(0)


class OrderedOut(Struct, frozen=True, kw_only=True):
    """Where a person ordered a stock sold, and what of it is done with: fills booked by then, by broker order.

    When the position ends, all that was booked by then is done with too: what is bought later is another matter.
    """

    at: Seq
    booked: dict[str, int]


class Doubt(Struct, frozen=True, kw_only=True):
    """When an order's answer came, unknown or with a number, and how many listings had been answered by then.

    It is in doubt as long as it is not bound: a number that is another's binds nothing.
    """

    at: Micros
    listings: int


class Seen(Struct, frozen=True, kw_only=True):
    """The foreign fold. cash_krw: None until portfolio opened.

    outcomes, outcome_of, outcome_at, failures: of requested listings, each request counted once.   listings: complete
    ones.   notice_seq: of the last sign that the list may have moved.   rang: due of the last ring by alarm name.
    final_seq: when the closing auction was surely over.
    """

    hours: SessionHours | None = None
    is_closed: bool = False
    is_flattening: bool = False
    stocks: dict[Symbol, Listed] = {}
    cash_krw: Krw | None = None
    realised_krw: Krw = Krw(0)
    costs_krw: Krw = Krw(0)
    positions: dict[Symbol, Held] = {}
    closed_at: dict[Symbol, Micros] = {}
    moved: dict[str, Moved] = {}
    unbookable: dict[str, int] = {}
    """Fills that portfolio could not book and never will, by broker order, until a balance made them up."""
    parked: dict[Symbol, Seq] = {}
    """Where that was said, by stock, until the position is the broker's again."""
    sent_at: dict[IntentId, Micros] = {}
    sent_seq: dict[IntentId, int] = {}
    doubts: dict[IntentId, Doubt] = {}
    cancel_outcomes: dict[IntentId, int] = {}
    outcomes: int = 0
    outcome_of: int = 0
    outcome_at: int = 0
    failures: int = 0
    listings: int = 0
    notice_seq: int = 0
    rang: dict[str, Micros] = {}
    final_seq: int = 0
    skew: int = 0
    """Seconds by which the broker's clock is ahead of ours, 0 while both agree."""
    heard: Heard = Heard()
    """Signals, quotes and what may be sold."""
    armed_day: str = ""
    """The day (ISO date) on which a person let real orders leave, "" for none."""
    ordered_out: frozenset[Symbol] = frozenset()
    """Stocks held that a person wants sold."""
    all_out: OrderedOut | None = None
    """The last order to sell everything: what buys in flight then still bring is sold as well."""
    out: dict[Symbol, OrderedOut] = {}
    """The like of single stocks, since then."""
    prices: dict[Symbol, Krw] = {}
    """Last price known of a stock (won): of a bar, a trigger, a snapshot or an answer over HTTPS."""
    standings: dict[Symbol, Standing] = {}
    carried: dict[Symbol, Carried] = {}
    snapshots: tuple[Snapshot, ...] = ()
    """The last ones, oldest first."""
    orderable: Orderable | None = None

    def booked(self, order_no: str) -> int:
        """Return how many fills of a broker order portfolio is done with: booked, or parked on."""
        return self.moved.get(order_no, Moved()).fills + self.unbookable.get(order_no, 0)

    def out_of(self, code: Symbol) -> OrderedOut | None:
        """Return the last order of a person to sell that stock or everything, None without one."""
        return self.out.get(code, self.all_out)


def observe(seen: Seen, fact: Recorded) -> Seen:
    """Fold a foreign fact."""
    if isinstance(fact.event, TOLD):
        seen = structs.replace(seen, heard=hear(seen.heard, fact))
    match fact.event:
        case BarsClosed() | TriggerFired() | SnapshotTaken() | QuoteAnswered() | MarketStatusChanged():
            return _market(seen, fact)
        case AlarmRang(alarm=alarm, due=due):
            final = fact.seq if alarm == "final" else seen.final_seq
            return structs.replace(seen, rang={**seen.rang, alarm: due}, final_seq=final)
        case NoticeReceived() | NoticeUnreadable() | FeedConnected() | NoticesConnected():
            return structs.replace(seen, notice_seq=fact.seq)
        case ClockSkewed(seconds=seconds):
            return structs.replace(seen, skew=seconds)
        case ExecutionsListed():
            return _outcome(seen, fact, is_complete=True)
        case ReadFailed(what=what) | ReadExpired(what=what) if what == name_of(ExecutionsWanted):
            return _outcome(seen, fact, is_complete=False)
        case OrderSendStarted(intent=intent):
            return structs.replace(
                seen, sent_at={**seen.sent_at, intent: fact.at}, sent_seq={**seen.sent_seq, intent: fact.seq}
            )
        case OrderUnknown(intent=intent) | OrderAccepted(intent=intent) if intent not in seen.doubts:
            doubt = Doubt(at=fact.at, listings=seen.listings)
            return structs.replace(seen, doubts={**seen.doubts, intent: doubt})
        case CancelAccepted(intent=intent) | CancelRefused(intent=intent) | CancelUnknown(intent=intent):
            count = seen.cancel_outcomes.get(intent, 0) + 1
            return structs.replace(seen, cancel_outcomes={**seen.cancel_outcomes, intent: count})
        case DayOpened(hours=hours):
            return structs.replace(seen, hours=hours)
        case ListingAnswered(stocks=stocks):
            return structs.replace(seen, stocks={stock.code: stock for stock in stocks})
        case JobDue(job="session_closed"):
            return structs.replace(seen, is_closed=True)
        case JobDue(job="flatten"):
            return structs.replace(seen, is_flattening=True)
        case ArmOrdered() | DisarmOrdered() | FlattenOrdered():
            return _operator(seen, fact)
    return _portfolio(seen, fact)


def is_armed(seen: Seen, settings: Settings, at: Micros) -> bool:
    """Tell whether orders may leave: always but for a real account, which a person arms for one day (실전 주문 허용)."""
    return settings.broker.exchange != "live" or seen.armed_day == to_kst(at).date().isoformat()


def _operator(seen: Seen, fact: Recorded) -> Seen:
    match fact.event:
        case ArmOrdered(day=day):
            return structs.replace(seen, armed_day=day)
        case DisarmOrdered():
            return structs.replace(seen, armed_day="")
        case FlattenOrdered(code=None):
            order = OrderedOut(at=fact.seq, booked=_booked(seen))
            return structs.replace(seen, ordered_out=frozenset(seen.positions), all_out=order, out={})
        case FlattenOrdered(code=code) if code is not None:
            order = OrderedOut(at=fact.seq, booked=_booked(seen))
            seen = structs.replace(seen, out={**seen.out, code: order})
            if code in seen.positions:
                seen = structs.replace(seen, ordered_out=seen.ordered_out | {code})
    return seen


def _booked(seen: Seen) -> dict[str, int]:
    """Return how many fills portfolio is done with, by broker order."""
    return {number: seen.booked(number) for number in {**seen.moved, **seen.unbookable}}


def _portfolio(seen: Seen, fact: Recorded) -> Seen:
    match fact.event:
        case PortfolioOpened(cash_krw=cash):
            return structs.replace(seen, cash_krw=cash)
        case PortfolioAdjusted(cash_krw=cash, differences=differences):
            moved = {one.what for one in differences}
            parked = {code: seq for code, seq in seen.parked.items() if code not in moved}
            seen = structs.replace(seen, cash_krw=cash, parked=parked)
            return _made_up(seen) if "cash" in moved else seen
        case PortfolioSynchronised(differences=()) if seen.parked:
            return _made_up(structs.replace(seen, parked={}))
        case OwnerParked(owner="portfolio", order_no=number, code=code) if number and code is not None:
            count = seen.unbookable.get(number, 0) + 1
            unbookable = {**seen.unbookable, number: count}
            return structs.replace(seen, unbookable=unbookable, parked={**seen.parked, code: fact.seq})
        case BalanceAnswered(orderable_krw=krw) if krw is not None:
            asked = fact.caused_by if fact.caused_by is not None else fact.seq
            return structs.replace(seen, orderable=Orderable(asked=asked, krw=krw))
        case CashMoved():
            return _cash(seen, fact.event)
        case PositionOpened(code=code, name=name, qty=qty, cost_krw=cost, carried=is_carried):
            if is_carried:
                carried = {**seen.carried, code: Carried(qty=qty, cost_krw=cost)}
                seen = structs.replace(seen, carried=carried)
            held = Held(name=name, qty=qty, cost_krw=cost, since=fact.at, is_carried=is_carried)
            return _hold(seen, code, held)
        case PositionChanged(code=code, qty=qty, cost_krw=cost, realised_krw=realised):
            seen = _hold(seen, code, structs.replace(seen.positions[code], qty=qty, cost_krw=cost))
            return structs.replace(seen, realised_krw=seen.realised_krw + realised)
        case PositionClosed(code=code, realised_krw=realised):
            if (order := seen.out_of(code)) is not None:
                done = structs.replace(order, booked=_booked(seen))
                seen = structs.replace(seen, out={**seen.out, code: done})
            return structs.replace(
                seen,
                positions={other: held for other, held in seen.positions.items() if other != code},
                closed_at={**seen.closed_at, code: fact.at},
                ordered_out=seen.ordered_out - {code},
                realised_krw=seen.realised_krw + realised,
            )
    return seen


def _made_up(seen: Seen) -> Seen:
    """The broker's cash holds what portfolio could not book: nothing of it is set aside any more."""
    moved = dict(seen.moved)
    for number, fills in seen.unbookable.items():
        before = moved.get(number, Moved())
        moved[number] = structs.replace(before, fills=before.fills + fills)
    return structs.replace(seen, moved=moved, unbookable={})


def _hold(seen: Seen, code: Symbol, held: Held) -> Seen:
    return structs.replace(seen, positions={**seen.positions, code: held})


def _cash(seen: Seen, event: CashMoved) -> Seen:
    before = seen.moved.get(event.order_no, Moved())
    costs = event.fee_krw + event.tax_krw
    moved = Moved(fills=before.fills + 1, spent_krw=Krw(before.spent_krw - event.amount_krw + costs))
    return structs.replace(
        seen,
        cash_krw=event.cash_krw,
        costs_krw=seen.costs_krw + costs,
        moved={**seen.moved, event.order_no: moved},
    )


def _market(seen: Seen, fact: Recorded) -> Seen:
    """Keep the last price of a stock, how it stands, and what signals were made from."""
    match fact.event:
        case BarsClosed(bars=bars):
            seen = _bars(seen, fact.event)
            return structs.replace(seen, prices=seen.prices | {bar.code: bar.close for bar in bars})
        case TriggerFired(code=code, price=price):
            return structs.replace(seen, prices=seen.prices | {code: price})
        case SnapshotTaken(quotes=quotes):
            prices = seen.prices | {quote.code: quote.last for quote in quotes if quote.last is not None}
            snapshot = Snapshot(seq=fact.seq, at=fact.at, quotes={quote.code: quote for quote in quotes})
            return structs.replace(seen, prices=prices, snapshots=(*seen.snapshots, snapshot)[-SNAPSHOTS_KEPT:])
        case QuoteAnswered(code=code, last=last):
            prices = seen.prices | {code: last} if last > 0 else seen.prices
            standings = {**seen.standings, code: standing.answered(fact.event, fact.at)}
            return structs.replace(seen, prices=prices, standings=standings)
        case MarketStatusChanged(code=code):
            return structs.replace(seen, standings={**seen.standings, code: standing.told(fact.event, fact.at)})
    return seen


def _bars(seen: Seen, event: BarsClosed) -> Seen:
    """Keep the trailing high, so that an exit armed again does not forget it."""
    changed = {
        bar.code: structs.replace(seen.positions[bar.code], high=bar.trailing_high)
        for bar in event.bars
        if bar.trailing_high is not None
        and bar.code in seen.positions
        and bar.trailing_high > seen.positions[bar.code].high
    }
    return structs.replace(seen, positions={**seen.positions, **changed}) if changed else seen


def _outcome(seen: Seen, fact: Recorded, *, is_complete: bool) -> Seen:
    if fact.caused_by is None or fact.caused_by <= seen.outcome_of:
        return seen
    return structs.replace(
        seen,
        outcomes=seen.outcomes + 1,
        outcome_of=fact.caused_by,
        outcome_at=fact.seq,
        listings=seen.listings + is_complete,
        failures=0 if is_complete else seen.failures + 1,
    )
