"""The exchange's rules as dated tables and pure functions: tick sizes, price limits, costs, sessions.

The tables themselves are data in `config/` and reach the functions as arguments, so a decision of 2026 is
re-decided under the rules of 2026.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kquant.values import KquantError, Krw, Micros, Side

Venue = Literal["KRX", "NXT"]
SessionKind = Literal["continuous", "auction", "closing_price"]
"""How a session matches: every order at once, one price for all at its end, or at the fixed closing price."""


class OffLimits(KquantError):
    """A price or a date that the tables do not cover."""


class TickBand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices from `from_price` on (won) move in steps of `tick` (won), up to the next band."""

    from_price: Krw
    tick: Krw


class CostTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Costs from `since` on (ISO date, KST). Rates are parts per million of the amount, floored to the won per order."""

    since: str
    commission_ppm: int
    sell_tax_ppm: int
    fund_sell_tax_ppm: int


class Session(Struct, frozen=True, kw_only=True):
    """One stretch of a day in which a venue trades in one way, from `start` (included) to `end` (excluded)."""

    venue: Venue
    name: str
    kind: SessionKind
    start: Micros
    end: Micros


class SessionHours(Struct, frozen=True, kw_only=True):
    """One day's regular session as instants, and every session of every venue that day.

    `shift_minutes` moves the timetable with the session (60 on the college entrance exam day).
    `sessions` ascend by start; empty in logs written before the other sessions were recorded.
    """

    open_at: Micros
    closing_auction_at: Micros
    close_at: Micros
    shift_minutes: int
    note: str
    sessions: tuple[Session, ...] = ()


def sessions_at(hours: SessionHours, at: Micros, venues: tuple[Venue, ...]) -> tuple[Session, ...]:
    """Return the sessions of *venues* under way at *at*."""
    return tuple(one for one in hours.sessions if one.venue in venues and one.start <= at < one.end)


def tick_size(price: Krw, bands: tuple[TickBand, ...]) -> Krw:
    """Return the tick (won) at *price* (won, above zero). *bands* ascend by `from_price`."""
    if price <= 0:
        raise OffLimits(f"price {price} is not above zero")
    found: Krw | None = None
    for band in bands:
        if price >= band.from_price:
            found = band.tick
    if found is None:
        raise OffLimits(f"price {price} is below the first tick band")
    return found


def round_to_tick(price: Krw, side: Side, bands: tuple[TickBand, ...]) -> Krw:
    """Round *price* to one the venue accepts: down for a buy, up for a sell."""
    tick = tick_size(price, bands)
    down = price - price % tick
    return Krw(down if side == "buy" or down == price else down + tick)


def ticks_up(price: Krw, count: int, bands: tuple[TickBand, ...]) -> Krw:
    """Return the price *count* ticks above *price*, crossing bands where they change."""
    for _ in range(count):
        price = Krw(price + tick_size(price, bands))
    return price


def ticks_down(price: Krw, count: int, bands: tuple[TickBand, ...]) -> Krw:
    """Return the price *count* ticks below *price*, crossing bands where they change; never below one won."""
    for _ in range(count):
        if price <= 1:
            break
        price = Krw(price - tick_size(Krw(price - 1), bands))
    return price


def costs_on(day: str, tables: tuple[CostTable, ...]) -> CostTable:
    """Return the cost table in force on *day* (ISO date). *tables* ascend by `since`."""
    in_force = [table for table in tables if table.since <= day]
    if not in_force:
        raise OffLimits(f"no cost table covers {day}: add one to config/fees.toml")
    return in_force[-1]


def commission(amount: Krw, table: CostTable) -> Krw:
    """Return the commission (won) on an order's cumulative *amount* (won), floored."""
    return Krw(amount * table.commission_ppm // 1_000_000)


def sell_tax(amount: Krw, table: CostTable, *, fund: bool) -> Krw:
    """Return the transaction tax (won) on a sell order's cumulative *amount* (won), floored. Funds are ETF and ETN."""
    return Krw(amount * (table.fund_sell_tax_ppm if fund else table.sell_tax_ppm) // 1_000_000)
