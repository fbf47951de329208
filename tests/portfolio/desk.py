"""A portfolio mind at a desk: facts are told to it as its host would, and what it says is kept."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from kquant.config import load
from kquant.domain.owner import Mind
from kquant.domain.portfolio import PORTFOLIO, Own
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Event, Recorded, name_of
from kquant.events.day import AlarmRang, AlarmSet, Carried, DayOpened, JobDue, RunStarted
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
from kquant.events.portfolio import BalanceAnswered, BalanceWanted, Holding
from kquant.events.scanner import ReadFailed
from kquant.krx import SessionHours
from kquant.values import SECOND_US, Micros, Seq, from_kst

SETTINGS = load("demo", environ={}).settings
DAY = date(2026, 11, 20)
START = from_kst(DAY, time(8, 55))
HOURS = SessionHours(
    open_at=from_kst(DAY, time(9)),
    closing_auction_at=from_kst(DAY, time(15, 20)),
    close_at=from_kst(DAY, time(15, 30)),
    shift_minutes=0,
    note="",
)
A, B, FUND = "000100", "000200", "069500"


class Desk:
    """Feeds facts to a portfolio mind, as its host would."""

    def __init__(self, *, carried: tuple[Carried, ...] | None = None, cash: int | None = None) -> None:
        self.mind: Mind[Own, Any] = Mind(PORTFOLIO)
        self.seq = 0
        self.at = START
        self.request = 0
        self.said: list[Event] = []
        self.facts: list[Recorded] = []
        self.tell(RunStarted(settings=SETTINGS, profile="demo", code_hash="", seed=1, versions={}))
        stocks = tuple(_listed(code) for code in (A, B, FUND))
        self.tell(ListingAnswered(stocks=stocks, source=""))
        self.tell(
            DayOpened(
                day="2026-11-20", account="", hours=HOURS, positions=carried, cash_krw=cash, day_before="",
                digest_before="", reconciled_before=True,
            )
        )  # fmt: skip

    @property
    def own(self) -> Own:
        return self.mind.own

    def tell(self, event: Event, caused_by: int | None = None) -> tuple[Event, ...]:
        fact = self._record("world", event, caused_by)
        if not self.mind.concerns(fact) or not self.mind.perceive(fact):
            return ()
        events = self.mind.decide(fact)
        for said in events:
            self._record("portfolio", said, fact.seq)
            self.mind.learn(said)
            if isinstance(said, BalanceWanted):
                self.request = self.seq
        self.said.extend(events)
        return events

    def _record(self, stream: str, event: Event, caused_by: int | None) -> Recorded:
        self.seq += 1
        fact = Recorded(
            seq=Seq(self.seq), stream=stream, version=1, name=name_of(event), at=Micros(self.at), by=stream,
            caused_by=None if caused_by is None else Seq(caused_by), index=0, event=event, digest=b"",
        )  # fmt: skip
        self.facts.append(fact)
        return fact

    def balance(self, cash: int, *holdings: tuple[str, int, int]) -> tuple[Event, ...]:
        rows = tuple(
            Holding(code=code, name=code, qty=qty, sellable=qty, cost_krw=cost) for code, qty, cost in holdings
        )
        return self.tell(BalanceAnswered(holdings=rows, cash_krw=cash, cash_today_krw=cash), self.request)

    def listed(self) -> None:
        """The broker's list of orders, asked for just now, is read whole."""
        self.tell(ExecutionsWanted(why="", valid_until=self.at))
        self.tell(ExecutionsListed(rows=()), self.seq)

    def prove(self) -> tuple[Event, ...]:
        return self.tell(ProofWanted(intent=1, code=A))

    def close(self) -> None:
        self.tell(JobDue(job="session_closed", due=self.at))

    def settle(self, *differences: str) -> tuple[Event, ...]:
        """Orders and fills were compared with the broker's final list."""
        return self.tell(OrdersSettled(listing=Seq(1), agrees=not differences, differences=differences))

    def fail(self) -> tuple[Event, ...]:
        return self.tell(ReadFailed(what="portfolio.balance_wanted", reason="HTTP 500"), self.request)

    def wait(self, seconds: int) -> None:
        self.at += seconds * SECOND_US

    def ring(self, alarm: str) -> tuple[Event, ...]:
        due = next(one.due for one in reversed(self.said) if isinstance(one, AlarmSet) and one.alarm == alarm)
        self.at = max(self.at, due)
        return self.tell(AlarmRang(owner="portfolio", alarm=alarm, due=due))

    def run(self) -> tuple[Event, ...]:
        return self.tell(PipelineStarted(run=1, due=self.at, sync_deadline=self.at + 20 * SECOND_US))

    def intend(self, intent: int = 1, code: str = A) -> None:
        self.tell(
            OrderIntended(
                intent=intent, code=code, name=code, side="buy", qty=1, kind="limit", price=1, reason="signal", decision=1,
                reserved_krw=1, valid_until=self.at,
            )
        )  # fmt: skip

    def finish(self, intent: int = 1) -> None:
        self.tell(OrderFinished(intent=intent, code=A, side="buy", outcome="filled", filled_qty=1))


def _listed(code: str) -> Listed:
    return Listed(
        code=code, name=code, market="KOSPI", kind="fund" if code == FUND else "common", base=1, upper=None, lower=None,
        halted=False, administrative=False, liquidation=False, overheated=False, warning=0, prev_volume=0,
    )  # fmt: skip


def fill(
    side: str, qty: int, amount: int, *, code: str = A, no: str = "1", cum: tuple[int, int] | None = None
) -> Event:
    filled_qty, filled_amount = cum or (qty, amount)
    return OrderFilled(
        intent=1, order_no=no, code=code, name=code, side=side, qty=qty, amount_krw=amount, filled_qty=filled_qty,
        filled_amount_krw=filled_amount, leaves_qty=0,
    )  # fmt: skip


def opened(cash: int = 10_000_000, *holdings: tuple[str, int, int]) -> Desk:
    desk = Desk()
    desk.balance(cash, *holdings)
    desk.said.clear()
    return desk


def names(events: tuple[Event, ...]) -> list[str]:
    return [name_of(event) for event in events]
