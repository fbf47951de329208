"""From options and a state folder to an exchange: which day to begin with, whose books, at what market time."""

import argparse
import datetime as dt
import hashlib
import os
import time

from msgspec import Struct

from kquant.exchange.core.books import Environment
from kquant.exchange.core.exchange import KST, US, Exchange, ExchangeOptions
from kquant.exchange.core.layouts import LAYOUTS
from kquant.exchange.core.ports import Market
from kquant.exchange.core.state import (
    ENVIRONMENTS,
    Days,
    Restored,
    ServiceOptions,
    market_identity,
    opening_account,
)
from kquant.exchange.servers.days import DayError, GeneratedDays, RecordedDays, next_open_day, nth_day
from kquant.exchange.servers.store import ClockFile, SqliteStore, StoreError


class StartError(Exception):
    """The exchange cannot start; the message is one clear line."""


class State(Struct, frozen=True):
    """The open files of a state folder."""

    stores: dict[Environment, SqliteStore]
    clock: ClockFile

    def close(self) -> None:
        """Close them all."""
        for store in self.stores.values():
            store.close()
        self.clock.close()


def open_exchange(options: argparse.Namespace) -> tuple[Exchange, State]:
    """Return the exchange that the options and its state folder describe; raises StartError."""
    try:
        state = State(
            {environment: SqliteStore(options.state, environment) for environment in ENVIRONMENTS},
            ClockFile(options.state),
        )
    except StoreError as error:
        raise StartError(str(error)) from error
    try:
        return _open(options, state), state
    except (StoreError, DayError, ValueError) as error:
        state.close()
        raise StartError(str(error)) from error
    except StartError:
        state.close()
        raise


def _open(options: argparse.Namespace, state: State) -> Exchange:
    held = max((store.day for store in state.stores.values() if store.day is not None), default=None)
    days, day = _days_of(options, held, state.stores["real"].first_day)
    market = days.market(day)
    settings = _exchange_options(options, market)
    restored: dict[Environment, Restored] = {}
    for environment, store in state.stores.items():
        if store.day is None or store.day == day:
            store.claim(day, market_identity(market))
        found = store.load()
        if found is None:
            store.save_opening(opening_account(market, settings.real if environment == "real" else settings.paper))
            found = store.load()
        if found is not None:
            restored[environment] = found
    now_us = state.clock.load()
    if options.clock == "wall":
        now_us = _wall_start(market, now_us, open_now=options.open_now)
    return Exchange(
        market, settings, stores=state.stores, restored=restored, now_us=now_us, save_clock=state.clock.save, days=days
    )


def _days_of(options: argparse.Namespace, held: dt.date | None, first: dt.date | None) -> tuple[Days, dt.date]:
    """Return the days to play and the one to begin with. held, first: the state folder's day and its first one."""
    today = dt.datetime.now(KST).date()
    wanted: dt.date | None = options.day
    if wanted is not None and held is not None and wanted not in (first, held):
        raise StartError(f"the state folder {options.state} holds day {held}, not {wanted}: use another folder")
    if options.clock == "wall" and wanted is None:
        # The wall does not wait for a folder: books of an earlier day move on to today.
        wanted = today if options.open_now else next_open_day(today)
        held = None if held is None else max(held, wanted)
    if options.market is not None:
        dated = options.clock == "wall" and options.day is None
        recorded = RecordedDays(options.market, first or wanted if dated else None)
        if options.day is not None and options.day not in (recorded.first, held):
            raise StartError(f"the market day {options.market[0]} is of {recorded.first}, not {options.day}")
        return recorded, recorded.first if held is None else held
    begin = held or wanted or next_open_day(today)
    last = None if options.days is None else nth_day(first or begin, options.days)
    if last is not None and begin > last:
        raise StartError(f"--days {options.days}: the state folder {options.state} played its last day on {last}")
    return GeneratedDays(options.generate, options.stocks, last, first or begin), begin


def _wall_start(market: Market, held_us: int | None, *, open_now: bool) -> int:
    """Return the market time to begin with on the wall's clock: the wall's own, or the open, or where it stopped."""
    midnight_us = int(dt.datetime.combine(market.day, dt.time(), KST).timestamp()) * US
    first_us = midnight_us + market.open_second * US if open_now else int(time.time() * US)
    return first_us if held_us is None or held_us < midnight_us else held_us


def _exchange_options(options: argparse.Namespace, market: Market) -> ExchangeOptions:
    layout = LAYOUTS[options.layout]
    start = options.start
    if start is None:
        start = 7 * 3600 if options.clock == "step" else market.open_second - 60
    return ExchangeOptions(
        real=_service_options(options, "real", layout.calls[0]),
        paper=_service_options(options, "paper", layout.calls[1]),
        start_second=start,
        layout=layout,
        whole_day=options.whole_day,
    )


def _service_options(options: argparse.Namespace, environment: Environment, calls: int) -> ServiceOptions:
    prefix = "" if environment == "real" else "paper_"
    secret = getattr(options, f"{prefix}appsecret")
    return ServiceOptions(
        account=getattr(options, f"{prefix}account"),
        hts_id=getattr(options, f"{prefix}hts_id") or options.hts_id,
        app_key=getattr(options, f"{prefix}appkey"),
        app_secret=secret,
        salt=hashlib.sha256(secret.encode()).digest() + os.urandom(16),
        cash=options.cash,
        holdings=options.holdings,
        calls_per_second=options.limits.get(environment, calls),
        ledger_calls_per_second=options.ledger_limits.get(environment),
        linger_s=options.linger,
        latency_s=options.latency,
        list_lag_s=options.list_lag,
    )
