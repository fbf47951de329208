"""Positions and cash: stream `portfolio`, and the broker's balance (stream `rest`)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kquant.events.base import Event
from kquant.values import IntentId, Krw, Micros, Seq, Shares, Symbol

BalanceReason = Literal["opening", "pipeline", "mismatch", "closing", "proof"]
"""What a balance is for: to open the day, before a pipeline run, after a difference, to end the day, or for `orders`."""


class BalanceWanted(Event, frozen=True, kw_only=True, tag="portfolio.balance_wanted"):
    """Request to REST: the balance, all pages. Ends in balance.answered or read.failed/expired."""

    reason: BalanceReason
    valid_until: Micros


class Holding(Struct, frozen=True, kw_only=True):
    """A holding as the broker lists it. cost_krw: what the shares cost in all."""

    code: Symbol
    name: str
    qty: Shares
    sellable: Shares
    cost_krw: Krw


class BalanceAnswered(Event, frozen=True, kw_only=True, tag="balance.answered"):
    """The whole balance, ordered by code, zero rows left out. cash_krw: D+2 settled cash, after all of today's trades.

    cash_today_krw, cash_next_krw: cash in the account today, and settled on D+1.   orderable_krw: what the broker takes
    orders for without credit (미수 없는 매수금액). The last two are None in logs written before they were asked for.
    """

    holdings: tuple[Holding, ...]
    cash_krw: Krw
    cash_today_krw: Krw
    cash_next_krw: Krw | None = None
    orderable_krw: Krw | None = None


class PortfolioOpened(Event, frozen=True, kw_only=True, tag="portfolio.opened"):
    """The day's opening positions are those of the broker's first balance."""

    cash_krw: Krw


class PositionOpened(Event, frozen=True, kw_only=True, tag="portfolio.position_opened"):
    """We hold the stock now. qty shares that cost cost_krw in all (without fees)."""

    code: Symbol
    name: str
    qty: Shares
    cost_krw: Krw
    carried: bool


class PositionChanged(Event, frozen=True, kw_only=True, tag="portfolio.position_changed"):
    """Quantity or cost changed. realised_krw: of the part sold, before costs."""

    code: Symbol
    qty: Shares
    cost_krw: Krw
    realised_krw: Krw


class PositionClosed(Event, frozen=True, kw_only=True, tag="portfolio.position_closed"):
    """Nothing is held any more."""

    code: Symbol
    realised_krw: Krw


class CashMoved(Event, frozen=True, kw_only=True, tag="portfolio.cash_moved"):
    """A fill's effect on cash: amount paid (negative) or received, fee and tax as further costs; cash_krw after it.

    covered_code, covered_qty: stock and shares of a fill that moves nothing, because the figures taken over from the
    broker hold it already (`portfolio.adjusted`); None and 0 for every other fill.
    """

    intent: IntentId | None
    order_no: str
    amount_krw: Krw
    fee_krw: Krw
    tax_krw: Krw
    cash_krw: Krw
    covered_code: Symbol | None = None
    covered_qty: Shares = Shares(0)


class Difference(Struct, frozen=True, kw_only=True):
    """Where the broker and we disagree. what: a code, or "cash"."""

    what: str
    ours: int
    theirs: int


class PortfolioSynchronised(Event, frozen=True, kw_only=True, tag="portfolio.synchronised"):
    """A balance was compared. balance: its seq. No differences means it agrees.

    agreeing: how many reads in a row found these very differences in quiet, this one included; 0 where there are none,
    where orders of ours may explain them, for a read too soon after another, and in logs written before they were counted.
    counted: those of the differences that this is about, where orders at work may explain the others; () for all of them.
    """

    reason: BalanceReason
    balance: Seq
    differences: tuple[Difference, ...]
    agreeing: int = 0
    counted: tuple[Difference, ...] = ()


class PortfolioAdjusted(Event, frozen=True, kw_only=True, tag="portfolio.adjusted"):
    """Enough agreeing reads differ from ours in quiet: the broker's figures are taken over, and a person is told.

    presumed: stocks of orders given up as not placed: a fill of one, listed late, may be in these figures already.
    why: what made them believed; "" in logs written before it was said.
    """

    holdings: tuple[Holding, ...]
    cash_krw: Krw
    differences: tuple[Difference, ...]
    presumed: tuple[Symbol, ...] = ()
    why: str = ""


class DayReconciled(Event, frozen=True, kw_only=True, tag="portfolio.reconciled"):
    """Orders, fills, positions and cash equal the broker's, or do not. Said again if a later fill or list changes it.

    differences: of the closing balance.   orders: of the orders and fills, a line each with the order's number.
    why: what is missing or differs, in a few words, "" if all agrees.
    """

    agrees: bool
    differences: tuple[Difference, ...]
    orders: tuple[str, ...] = ()
    why: str = ""
