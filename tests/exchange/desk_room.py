"""An order desk over the tiny market, without services or sockets: notices are kept as field tables."""

import datetime as dt

from kquant.exchange.core.books import Cash, Environment, LedgerState, Order, Position, Refusal
from kquant.exchange.core.desk import Desk
from kquant.exchange.core.ledger import Ledger
from kquant.exchange.core.matching import Matcher
from kquant.exchange.core.rules import cost_rates
from kquant.exchange.market.model import Interruption, Print, Stock
from kquant.exchange.market.sessions import hours_of
from tests.exchange.fake_market import CLOSE, OPEN, FakeMarket, stock

CODE = "000010"
NOTICE = [
    "CUST_ID",
    "ACNT_NO",
    "ODER_NO",
    "OODER_NO",
    "SELN_BYOV_CLS",
    "RCTF_CLS",
    "ODER_KIND",
    "ODER_COND",
    "STCK_SHRN_ISCD",
    "CNTG_QTY",
    "CNTG_UNPR",
    "STCK_CNTG_HOUR",
    "RFUS_YN",
    "CNTG_YN",
    "ACPT_YN",
    "BRNC_NO",
    "ODER_QTY",
    "ACNT_NAME",
    "ORD_COND_PRC",
    "ORD_EXG_GB",
    "POPUP_YN",
    "FILLER",
    "CRDT_CLS",
    "CRDT_LOAN_DATE",
    "CNTG_ISNM40",
    "ODER_PRC",
]
AFTER_MARKET_DAY = dt.date(2026, 9, 15)


class Room:
    """One desk. `last` prints 10,000 won at five past nine, so that there is a book of 10 won ticks around it."""

    def __init__(
        self,
        *prints: Print,
        environment: Environment = "real",
        day: dt.date | None = None,
        cash: int = 100_000_000,
        shares: int = 1_000,
        depth: int = 100,
        paused: tuple[Interruption, ...] = (),
        stocks: tuple[Stock, ...] = (),
        latency_s: int = 0,
        list_lag_s: int = 0,
    ) -> None:
        listed = stocks or (stock(CODE),)
        rows = [Print(OPEN + 5, 10_000, 1_000, 3), *prints]
        self.market = FakeMarket(listed, {listed[0].code: rows}, depth, {listed[0].code: paused})
        if day is not None:
            self.market.day = day
            self.market.hours = hours_of(day, OPEN, CLOSE)
        held = (
            [Position(code=CODE, name="종목", qty=shares, cost=shares * 10_000, opening_qty=shares)] if shares else []
        )
        state = LedgerState(cash=Cash(settled=cash), positions=held)
        self.ledger = Ledger(state, cost_rates(self.market.day), self.market.day)
        self.notices: list[dict[str, str]] = []
        self.desk = Desk(
            self.market,
            self.ledger,
            Matcher(self.market, self.ledger),
            lambda text: self.notices.append(dict(zip(NOTICE, text.split("^"), strict=True))),
            hts_id="DEMO01",
            account="5000123401",
            holder="김모의",
            environment=environment,
            latency_s=latency_s,
            list_lag_s=list_lag_s,
        )
        self.second = OPEN + 60

    def play(self, until: int) -> None:
        """Play market time until *until* is next."""
        while self.second < until:
            self.desk.play(self.second)
            self.second += 1

    def place(self, division: str, price: int = 0, qty: int = 10, side: str = "buy", **more: object) -> Order | Refusal:
        return self.desk.place(side, CODE, qty, price, division, self.second, **more)  # type: ignore[arg-type]

    def placed(self, division: str, price: int = 0, qty: int = 10, side: str = "buy", **more: object) -> Order:
        order = self.place(division, price, qty, side, **more)
        assert isinstance(order, Order), order
        return order

    def said(self) -> list[tuple[str, str, str, str]]:
        """Return (RCTF_CLS, CNTG_YN, RFUS_YN, ACPT_YN) of each notice since the last call."""
        found = [(row["RCTF_CLS"], row["CNTG_YN"], row["RFUS_YN"], row["ACPT_YN"]) for row in self.notices]
        self.notices.clear()
        return found

    def fills(self) -> list[tuple[int, int]]:
        """Return (qty, price) of every fill."""
        return [(fill.qty, fill.price) for fill in self.ledger.fills]
