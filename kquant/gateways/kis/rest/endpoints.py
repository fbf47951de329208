"""Every TR this client names: path, ids on both services, and what a person calls it (kis-protocol 4).

A TR that is not here cannot be asked; one of `DATA` changes nothing at the broker, so a read-only client may name it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kquant.values import Side

Environment = Literal["real", "paper"]

PREFIX = "/uapi/domestic-stock/v1"


class Endpoint(Struct, frozen=True, kw_only=True):
    """One TR. paper: its id on the paper service, "" where that lacks it.   what: in words, for messages."""

    path: str
    real: str
    paper: str
    what: str

    def tr_id(self, environment: Environment) -> str:
        """Return the id on that service, "" where it is not offered."""
        return self.real if environment == "real" else self.paper


def _data(path: str, tr_id: str, what: str, *, paper: bool = False) -> Endpoint:
    return Endpoint(path=f"{PREFIX}/{path}", real=tr_id, paper=tr_id if paper else "", what=what)


def _account(path: str, tr_id: str, what: str, *, paper: bool = True) -> Endpoint:
    return Endpoint(path=f"{PREFIX}/{path}", real=tr_id, paper=f"V{tr_id[1:]}" if paper else "", what=what)


FLUCTUATION = _data("ranking/fluctuation", "FHPST01700000", "the ranking by rise")
VOLUME_RANK = _data("quotations/volume-rank", "FHPST01710000", "the ranking by volume")
CONDITIONS = _data("quotations/psearch-title", "HHKST03900300", "the list of condition searches")
CONDITION_HITS = _data("quotations/psearch-result", "HHKST03900400", "condition searches")
WATCH_GROUPS = _data("quotations/intstock-grouplist", "HHKCM113004C7", "the list of watch lists")
WATCH_LIST = _data("quotations/intstock-stocklist-by-group", "HHKCM113004C6", "watch lists")
PRICE = _data("quotations/inquire-price", "FHKST01010100", "prices", paper=True)
MULTI_PRICE = _data("quotations/intstock-multprice", "FHKST11300006", "prices of many stocks at once")
BOOK = _data("quotations/inquire-asking-price-exp-ccn", "FHKST01010200", "order books", paper=True)
MINUTES_TODAY = _data("quotations/inquire-time-itemchartprice", "FHKST03010200", "today's minute bars", paper=True)
MINUTES_PAST = _data("quotations/inquire-time-dailychartprice", "FHKST03010230", "minute bars of past days", paper=True)
DAILY = _data("quotations/inquire-daily-itemchartprice", "FHKST03010100", "daily bars", paper=True)
RECENT_DAYS = _data("quotations/inquire-daily-price", "FHKST01010400", "the last thirty daily bars", paper=True)
INVESTORS = _data("quotations/inquire-investor", "FHKST01010900", "investor flows", paper=True)
VI_STATUS = _data("quotations/inquire-vi-status", "FHPST01390000", "volatility interruptions")
HOLIDAYS = _data("quotations/chk-holiday", "CTCA0903R", "the exchange's holidays")
NEWS = _data("quotations/news-title", "FHKST01011800", "news titles")
STOCK_INFO = _data("quotations/search-stock-info", "CTPF1002R", "a stock's master data")
FINANCE = {
    "balance_sheet": _data("finance/balance-sheet", "FHKST66430100", "balance sheets"),
    "income": _data("finance/income-statement", "FHKST66430200", "income statements"),
    "ratios": _data("finance/financial-ratio", "FHKST66430300", "financial ratios"),
    "profit": _data("finance/profit-ratio", "FHKST66430400", "profit ratios"),
    "other": _data("finance/other-major-ratios", "FHKST66430500", "other major ratios"),
    "stability": _data("finance/stability-ratio", "FHKST66430600", "stability ratios"),
    "growth": _data("finance/growth-ratio", "FHKST66430800", "growth ratios"),
}

BALANCE = _account("trading/inquire-balance", "TTTC8434R", "the balance")
ORDERABLE = _account("trading/inquire-psbl-order", "TTTC8908R", "the orderable amount")
SELLABLE = _account("trading/inquire-psbl-sell", "TTTC8408R", "the sellable quantity", paper=False)
CHANGEABLE = _account("trading/inquire-psbl-rvsecncl", "TTTC0084R", "the open orders", paper=False)
EXECUTIONS = _account("trading/inquire-daily-ccld", "TTTC0081R", "the day's orders")
ORDER: dict[Side, Endpoint] = {
    "buy": _account("trading/order-cash", "TTTC0012U", "a buy"),
    "sell": _account("trading/order-cash", "TTTC0011U", "a sell"),
}
CHANGE = _account("trading/order-rvsecncl", "TTTC0013U", "a change or a cancel")

DATA: tuple[Endpoint, ...] = (
    FLUCTUATION, VOLUME_RANK, CONDITIONS, CONDITION_HITS, WATCH_GROUPS, WATCH_LIST, PRICE, MULTI_PRICE, BOOK,
    MINUTES_TODAY, MINUTES_PAST, DAILY, RECENT_DAYS, INVESTORS, VI_STATUS, HOLIDAYS, NEWS, STOCK_INFO,
    *FINANCE.values(),
)  # fmt: skip
"""What a read-only client may ask: quotations and reference data, none of an account."""
ACCOUNT: tuple[Endpoint, ...] = (BALANCE, ORDERABLE, SELLABLE, CHANGEABLE, EXECUTIONS)
"""Reads of one account."""
ORDERS: tuple[Endpoint, ...] = (*ORDER.values(), CHANGE)
"""What places, changes or cancels."""

DATA_TRS = frozenset(endpoint.real for endpoint in DATA)
