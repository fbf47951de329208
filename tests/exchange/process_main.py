"""The exchange's process over a tiny market instead of a generated one: `python process_main.py OPTIONS`."""

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kquant.exchange import market
from kquant.exchange.market.model import Print
from kquant.exchange.servers.process import main
from tests.exchange.fake_market import OPEN, FakeMarket, stock


def made(day: dt.date) -> FakeMarket:
    rows = [stock(f"{n:06d}") for n in range(1, 8)]
    prints = [Print(OPEN + at, 10_000 + 10 * (at % 3), 1_000, 1) for at in range(1, 120)]
    market = FakeMarket(rows, {"000001": prints})
    market.day = day
    return market


def markets(source: int, *, stocks: int, first: dt.date | None) -> Callable[[dt.date], FakeMarket]:
    return made


market.markets = markets  # type: ignore[assignment]
sys.exit(main())
