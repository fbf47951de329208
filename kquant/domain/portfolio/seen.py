"""What `portfolio` has seen of the others: the day, orders at work, and the outcomes of the balances it asked for."""

from __future__ import annotations

from msgspec import Struct, structs

from kquant.events.analyzer import ListingAnswered
from kquant.events.base import Recorded, name_of
from kquant.events.day import Carried, DayOpened, JobDue
from kquant.events.orders import (
    ExecutionsListed,
    ExecutionsWanted,
    OrderFilled,
    OrderFinished,
    OrderIntended,
    OrdersSettled,
    ProofWanted,
)
from kquant.events.pipeline import PipelineStarted
from kquant.events.portfolio import BalanceAnswered, BalanceWanted
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.values import SECOND_US, IntentId, Krw, Micros, Symbol

CASH = "cash"
"""What a difference of money is called, where one of shares is called by its code."""
QUIET_US = 10 * SECOND_US
"""A fill younger than this explains a difference: the broker's balance and its list of orders lag each other."""


class Seen(Struct, frozen=True, kw_only=True):
    """What others said. outcomes, outcome_of, outcome_at: balance outcomes, each request counted once, and the last one.

    answered_for: seq of the request of the last balance that came.   working: intents that may still fill, and their stock.
    fills: instant and seq of the last fill, by stock.   listed_for, listed_at: seq and instant of the request of the last complete
    list of orders.   asking: those of the request under way.
    funds: codes without sell tax.   given_up: orders finished as not placed, and their stock.   proof_seq: when `orders`
    last asked for a balance.   settled: the last comparison of orders and fills with the broker's final list.
    """

    day: str = ""
    carried: tuple[Carried, ...] | None = None
    carried_cash_krw: Krw | None = None
    funds: frozenset[Symbol] = frozenset()
    working: dict[IntentId, Symbol] = {}
    given_up: dict[IntentId, Symbol] = {}
    fills: dict[Symbol, tuple[Micros, int]] = {}
    listed_for: int = 0
    listed_at: Micros = Micros(0)
    asking: tuple[int, Micros] = (0, Micros(0))
    proof_seq: int = 0
    pipeline_deadline: Micros = Micros(0)
    is_closed: bool = False
    settled: OrdersSettled | None = None
    outcomes: int = 0
    outcome_of: int = 0
    outcome_at: int = 0
    answered_for: int = 0

    def is_quiet(self, at: Micros, what: str = CASH) -> bool:
        """Tell whether a difference at *at* cannot be explained by orders of ours. what: a code, or cash, which all move."""
        codes = self._movers(what)
        return not any(code in codes for code in self.working.values()) and all(
            at - filled_at > QUIET_US for code, (filled_at, _) in self.fills.items() if code in codes
        )

    def filled_seq(self, what: str = CASH) -> int:
        """Return the seq of the last fill that moved *what*, as above; 0 before one."""
        codes = self._movers(what)
        return max((seq for code, (_, seq) in self.fills.items() if code in codes), default=0)

    def _movers(self, what: str) -> frozenset[str]:
        """Return the stocks whose orders move it: its own, or all.

        An order given up as not placed may be listed late. Shares and cash of it are then taken over as one.
        """
        if what != CASH and what not in self.given_up.values():
            return frozenset({what})
        return frozenset({*self.working.values(), *self.fills})

    def lacks_proof(self) -> bool:
        """Tell whether `orders` waits for a balance that was asked for after it said so."""
        return self.proof_seq > self.answered_for


def observe(seen: Seen, fact: Recorded) -> Seen:
    """Fold a foreign fact."""
    match fact.event:
        case DayOpened(day=day, positions=positions, cash_krw=cash):
            return structs.replace(seen, day=day, carried=positions, carried_cash_krw=cash)
        case ListingAnswered(stocks=stocks):
            return structs.replace(seen, funds=frozenset(stock.code for stock in stocks if stock.kind == "fund"))
        case OrderIntended(intent=intent, code=code):
            return structs.replace(seen, working={**seen.working, intent: code})
        case OrderFinished(intent=intent, code=code, outcome=outcome):
            given_up = {**seen.given_up, intent: code} if outcome == "not_placed" else seen.given_up
            working = {other: of for other, of in seen.working.items() if other != intent}
            return structs.replace(seen, working=working, given_up=given_up)
        case OrderFilled(code=code):
            return structs.replace(seen, fills={**seen.fills, code: (fact.at, fact.seq)})
        case ExecutionsWanted():
            return structs.replace(seen, asking=(fact.seq, fact.at))
        case ExecutionsListed() if fact.caused_by is not None:
            at = seen.asking[1] if seen.asking[0] == fact.caused_by else seen.listed_at
            return structs.replace(seen, listed_for=max(seen.listed_for, fact.caused_by), listed_at=at)
        case ProofWanted():
            return structs.replace(seen, proof_seq=fact.seq)
        case OrdersSettled():
            return structs.replace(seen, settled=fact.event)
        case PipelineStarted(sync_deadline=deadline):
            return structs.replace(seen, pipeline_deadline=deadline)
        case JobDue(job="session_closed"):
            return structs.replace(seen, is_closed=True)
        case BalanceAnswered():
            if fact.caused_by is not None and fact.caused_by > seen.outcome_of:
                seen = structs.replace(seen, answered_for=fact.caused_by)
            return _outcome(seen, fact)
        case ReadFailed(what=what) | ReadExpired(what=what) if what == name_of(BalanceWanted):
            return _outcome(seen, fact)
    return seen


def _outcome(seen: Seen, fact: Recorded) -> Seen:
    if fact.caused_by is None or fact.caused_by <= seen.outcome_of:
        return seen
    return structs.replace(seen, outcomes=seen.outcomes + 1, outcome_of=fact.caused_by, outcome_at=fact.seq)
