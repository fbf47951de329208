"""Account TRs: orders, balance, buying power, open orders, daily executions. Source: kis-protocol.md 4.5, 4.6, 4.10."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from kquant.exchange.core import account_rows as rows
from kquant.exchange.core.books import Environment, Order, Refusal, Side, Venue
from kquant.exchange.core.checks import Terms
from kquant.exchange.core.desk import Desk
from kquant.exchange.core.ledger import Ledger
from kquant.exchange.core.order_types import TYPES
from kquant.exchange.core.ports import Market
from kquant.exchange.core.refusals import found_as, refusal_of, sent_as
from kquant.exchange.core.rest import (
    Answer,
    Request,
    RestError,
    Route,
    Routes,
    check_account,
    required,
    value_error,
    whole,
)
from kquant.exchange.core.rules import hhmmss

BALANCE_ROWS: Final[dict[Environment, int]] = {"real": 50, "paper": 20}
DAILY_ROWS: Final[dict[Environment, int]] = {"real": 100, "paper": 15}
OPEN_ROWS: Final = 50
KEY_WIDTH: Final = 100
SELL_IDS: Final = ("TTTC0011U", "TTTC0801U", "VTTC0011U", "VTTC0801U")
OLD_LIST_IDS: Final = ("CTSC9215R", "CTSC9115R", "VTSC9215R", "VTSC9115R")
"""The daily list of what is older than three months."""

_PAGING: Final = ("CTX_AREA_FK100", "CTX_AREA_NK100")
_BALANCE_PARAMS: Final = (
    "AFHR_FLPR_YN",
    "OFL_YN",
    "INQR_DVSN",
    "UNPR_DVSN",
    "FUND_STTL_ICLD_YN",
    "FNCG_AMT_AUTO_RDPT_YN",
    "PRCS_DVSN",
    *_PAGING,
)
_BALANCE_CHOICES: Final = {
    "AFHR_FLPR_YN": ("N", "X", "Y"),
    "INQR_DVSN": ("01", "02"),
    "FUND_STTL_ICLD_YN": ("N", "Y"),
    "FNCG_AMT_AUTO_RDPT_YN": ("N", "Y"),
    "PRCS_DVSN": ("00", "01"),
}
_DAILY_PARAMS: Final = (
    *("INQR_STRT_DT", "INQR_END_DT", "SLL_BUY_DVSN_CD", "INQR_DVSN", "PDNO", "CCLD_DVSN", "ORD_GNO_BRNO", "ODNO"),
    *("INQR_DVSN_3", "INQR_DVSN_1"),
    *_PAGING,
)
_CHANGE_FIELDS: Final = (
    *("KRX_FWDG_ORD_ORGNO", "ORGN_ODNO", "ORD_DVSN", "RVSE_CNCL_DVSN_CD"),
    *("ORD_QTY", "ORD_UNPR", "QTY_ALL_ORD_YN"),
)
_SIDES: Final = {"00": None, "": None, "01": "sell", "02": "buy"}
_DAILY_CHOICES: Final = {
    "SLL_BUY_DVSN_CD": tuple(_SIDES),
    "CCLD_DVSN": ("00", "", "01", "02"),
    "INQR_DVSN": ("00", "01"),
}


class Account:
    """Answers account TRs of one environment; `now` gives the market second that comes next."""

    def __init__(
        self,
        market: Market,
        ledger: Ledger,
        desk: Desk,
        *,
        account: tuple[str, str],
        now: Callable[[], int],
        environment: Environment = "real",
    ) -> None:
        self._market = market
        self._ledger = ledger
        self._desk = desk
        self._account = account
        self._now = now
        self._environment: Environment = environment
        self._today = f"{market.day:%Y%m%d}"

    def routes(self) -> Routes:
        """Return the paths answered here; a path without paper TR ids does not exist on paper."""

        def get(real: str, paper: str, handle: Callable[[Request], Answer]) -> Route:
            return Route(method="GET", real=tuple(real.split()), paper=tuple(paper.split()), handle=handle)

        def post(real: str, paper: str, handle: Callable[[Request], Answer]) -> Route:
            return Route(method="POST", real=tuple(real.split()), paper=tuple(paper.split()), handle=handle)

        return {
            "/trading/inquire-balance": get("TTTC8434R", "VTTC8434R", self.balance),
            "/trading/inquire-psbl-order": get("TTTC8908R", "VTTC8908R", self.buying_power),
            "/trading/inquire-psbl-sell": get("TTTC8408R", "", self.selling_power),
            "/trading/inquire-psbl-rvsecncl": get("TTTC0084R TTTC8036R", "", self.open_orders),
            "/trading/inquire-daily-ccld": get(
                "TTTC0081R TTTC8001R CTSC9215R CTSC9115R",
                "VTTC0081R VTTC8001R VTSC9215R VTSC9115R",
                self.daily_executions,
            ),
            "/trading/order-cash": post(
                "TTTC0012U TTTC0011U TTTC0802U TTTC0801U", "VTTC0012U VTTC0011U VTTC0802U VTTC0801U", self.order_cash
            ),
            "/trading/order-rvsecncl": post("TTTC0013U TTTC0803U", "VTTC0013U VTTC0803U", self.order_change),
        }

    # -- orders ---------------------------------------------------------------------------------------------

    def order_cash(self, request: Request) -> Answer:
        """order-cash: a new order; the venue is KRX where none is named."""
        self._check_account(request.body)
        fields = required(request.body, "PDNO", "ORD_DVSN", "ORD_QTY", "ORD_UNPR")
        side: Side = "sell" if request.headers["tr_id"] in SELL_IDS else "buy"
        if side == "sell" and request.body.get("SLL_TYPE", "01") not in ("", "01", "02"):
            raise value_error("SLL_TYPE", request.body["SLL_TYPE"])
        result = self._desk.place(
            side,
            fields["PDNO"],
            whole(fields, "ORD_QTY"),
            whole(fields, "ORD_UNPR"),
            fields["ORD_DVSN"],
            self._now(),
            venue=_venue(request),
            stop_price=_stop_price(request),
        )
        return self._sent(result, side)

    def order_change(self, request: Request) -> Answer:
        """order-rvsecncl: revise (01) or cancel (02) what is open of an order; the answer has a new number."""
        self._check_account(request.body)
        fields = required(request.body, *_CHANGE_FIELDS)
        if fields["QTY_ALL_ORD_YN"] not in ("Y", "N"):
            raise value_error("QTY_ALL_ORD_YN", fields["QTY_ALL_ORD_YN"])
        if fields["KRX_FWDG_ORD_ORGNO"] not in ("", self._desk.notices.branch):
            return self._sent(refusal_of("unknown_order", self._environment), "cancel")
        qty = None if fields["QTY_ALL_ORD_YN"] == "Y" else whole(fields, "ORD_QTY")
        no = whole(fields, "ORGN_ODNO")
        venue = _venue(request)
        match fields["RVSE_CNCL_DVSN_CD"]:
            case "01":
                price, stop = whole(fields, "ORD_UNPR"), _stop_price(request)
                result = self._desk.revise(
                    no, qty, price, fields["ORD_DVSN"], self._now(), venue=venue, stop_price=stop
                )
                return self._sent(result, "revise")
            case "02":
                return self._sent(self._desk.cancel(no, qty, self._now(), venue=venue), "cancel")
            case other:
                raise value_error("RVSE_CNCL_DVSN_CD", other)

    # -- inquiries ------------------------------------------------------------------------------------------

    def balance(self, request: Request) -> Answer:
        """inquire-balance: the positions page by page and the account's sums (on every page)."""
        self._check_account(request.params)
        fields = required(request.params, *_BALANCE_PARAMS)
        for name, allowed in _BALANCE_CHOICES.items():
            if fields[name] not in allowed:
                raise value_error(name, fields[name])
        with_yesterday = fields["PRCS_DVSN"] == "00"
        held = [self._ledger.positions[code] for code in sorted(self._ledger.positions)]
        listed = [one for one in held if with_yesterday or one.qty or one.bought or one.sold]
        found = {}
        for one in listed:
            base, sellable = self._base(one.code), self._ledger.sellable(one.code)
            row = rows.balance_row(one, base, self._price(one.code), sellable, with_yesterday=with_yesterday)
            found[one.code] = row
        answer = self._paged(request, found, BALANCE_ROWS[self._environment], "output1")
        cash = self._ledger.cash
        opening = sum(self._base(one.code) * one.opening_qty for one in held)
        answer.outputs["output2"] = [
            rows.balance_sums(
                cash,
                cost=sum(one.cost for one in held),
                value=sum(self._price(one.code) * one.qty for one in held),
                before=cash.d1 + opening,
            )
        ]
        return answer

    def buying_power(self, request: Request) -> Answer:
        """inquire-psbl-order: cash and quantity that a new buy of this type may use.

        Types without a price of their own count with the upper limit, as the order would be held for.
        """
        self._check_account(request.params)
        names = ["PDNO", "ORD_UNPR", "ORD_DVSN", "CMA_EVLU_AMT_ICLD_YN", "OVRS_ICLD_YN"]
        fields = required(request.params, *names)
        stock = self._market.by_code.get(fields["PDNO"])
        if fields["PDNO"] and stock is None:
            raise value_error("PDNO", fields["PDNO"])
        if self._desk.checks.kind(fields["ORD_DVSN"], "KRX") is None:
            raise value_error("ORD_DVSN", fields["ORD_DVSN"])
        price = whole(fields, "ORD_UNPR") if fields["ORD_UNPR"] else 0
        if stock is not None:
            terms = Terms("buy", stock.code, 1, price, fields["ORD_DVSN"])
            limit = self._desk.checks.price_of(terms, self._now())
            if limit or not TYPES[fields["ORD_DVSN"]].priced:
                price = self._desk.checks.reserve(stock, fields["ORD_DVSN"], limit, self._now())
        available = max(self._ledger.available_cash(), 0)
        output = rows.buying_power(available, price, self._ledger.buyable(price))
        return self._found({"output": output})

    def selling_power(self, request: Request) -> Answer:
        """inquire-psbl-sell: what of one stock may be sold now."""
        self._check_account(request.params)
        code = required(request.params, "PDNO")["PDNO"]
        position = self._ledger.positions.get(code)
        if position is None:
            raise value_error("PDNO", code)
        return self._found({"output": rows.sellable_row(position, self._price(code), self._ledger.sellable(code))})

    def open_orders(self, request: Request) -> Answer:
        """inquire-psbl-rvsecncl: orders that may still be revised or cancelled, newest first, 50 a page."""
        self._check_account(request.params)
        fields = required(request.params, "INQR_DVSN_1", "INQR_DVSN_2", *_PAGING)
        sides: dict[str, Side | None] = {"0": None, "1": "sell", "2": "buy"}
        if fields["INQR_DVSN_2"] not in sides or fields["INQR_DVSN_1"] not in ("0", "1"):
            raise value_error("INQR_DVSN_2", fields["INQR_DVSN_2"])
        side = sides[fields["INQR_DVSN_2"]]
        found = [order for order in self._listed() if self._ledger.changeable(order) > 0 and side in (None, order.side)]
        found.sort(key=lambda order: (order.code if fields["INQR_DVSN_1"] == "1" else "", -order.no))
        branch, by_code = self._desk.notices.branch, self._market.by_code
        table = {
            f"{order.no:010d}": rows.open_row(order, by_code.get(order.code), branch, self._ledger.changeable(order))
            for order in found
        }
        return self._paged(request, table, OPEN_ROWS, "output")

    def daily_executions(self, request: Request) -> Answer:
        """inquire-daily-ccld: one row an order (revise and cancel requests too); two TRs split at three months."""
        self._check_account(request.params)
        fields = required(request.params, *_DAILY_PARAMS)
        for name in ("INQR_STRT_DT", "INQR_END_DT"):
            if len(fields[name]) != len(self._today) or not fields[name].isdigit():
                raise value_error(name, fields[name])
        for name, allowed in _DAILY_CHOICES.items():
            if fields[name] not in allowed:
                raise value_error(name, fields[name])
        venue = request.params.get("EXCG_ID_DVSN_CD", "").strip() or "KRX"
        if venue not in ("KRX", "NXT", "SOR", "ALL"):
            raise value_error("EXCG_ID_DVSN_CD", venue)
        split = _three_months_before(self._market.day)
        is_old = request.headers["tr_id"] in OLD_LIST_IDS
        orders = [
            order
            for order in [*self._ledger.past, *self._listed()]
            if ((order.day or self._today) < split) == is_old and self._is_wanted(order, fields, venue)
        ]
        orders.sort(key=lambda order: (order.day or self._today, order.no), reverse=fields["INQR_DVSN"] != "01")
        branch, by_code = self._desk.notices.branch, self._market.by_code
        table = {
            f"{order.day or self._today}{order.no:010d}": rows.daily_row(
                order, by_code.get(order.code), branch, self._today
            )
            for order in orders
        }
        answer = self._paged(request, table, DAILY_ROWS[self._environment], "output1")
        answer.outputs["output2"] = rows.daily_sums(orders)
        return answer

    # -- helpers --------------------------------------------------------------------------------------------

    def _check_account(self, fields: Mapping[str, Any]) -> None:
        check_account(fields, self._account)

    def _sent(self, result: Order | Refusal, what: Literal["buy", "sell", "revise", "cancel"]) -> Answer:
        if isinstance(result, Refusal):
            raise RestError(200, result.rt_cd, result.msg_cd, result.msg1)
        branch = self._desk.notices.branch
        output = {"KRX_FWDG_ORD_ORGNO": branch, "ODNO": f"{result.no:010d}", "ORD_TMD": hhmmss(result.second)}
        msg_cd, msg1 = sent_as(self._environment, what)
        return Answer(outputs={"output": output}, msg_cd=msg_cd, msg1=msg1)

    def _found(self, outputs: dict[str, dict[str, str]]) -> Answer:
        msg_cd, msg1 = found_as(self._environment)
        return Answer(outputs=dict(outputs), msg_cd=msg_cd, msg1=msg1)

    def _listed(self) -> list[Order]:
        """Return today's orders that the lists show already: a fresh one takes `list_lag_s` to appear."""
        until = self._now() - self._desk.list_lag_s
        return [order for order in self._ledger.orders.values() if order.second <= until]

    def _paged(self, request: Request, table: dict[str, dict[str, str]], size: int, output: str) -> Answer:
        """Return one page of *table* (key -> row). The key handed out is that of the page's last row."""
        keys = list(table)
        asked = request.params["CTX_AREA_NK100"].strip()
        start = 0
        if asked and request.headers.get("tr_cont", "").strip() == "N":
            if asked not in table:
                raise value_error("CTX_AREA_NK100", asked)
            start = keys.index(asked) + 1
        page = keys[start : start + size]
        more = start + size < len(keys)
        outputs = {
            "ctx_area_fk100": request.params["CANO"].ljust(KEY_WIDTH),
            "ctx_area_nk100": (page[-1] if more else "").ljust(KEY_WIDTH),
            output: [table[key] for key in page],
        }
        msg_cd, msg1 = found_as(self._environment, more=more)
        following = ("M" if start else "F") if more else ("E" if start else "D")
        return Answer(outputs=outputs, msg_cd=msg_cd, msg1=msg1, tr_cont=following)

    def _price(self, code: str) -> int:
        """Return the last price; nothing is paid for a stock that is listed no more."""
        return self._desk.checks.last(code, self._now()) if code in self._market.by_code else 0

    def _base(self, code: str) -> int:
        stock = self._market.by_code.get(code)
        return 0 if stock is None else stock.base

    def _is_wanted(self, order: Order, fields: dict[str, str], venue: str) -> bool:
        day = order.day or self._today
        is_open = order.leaves + order.expired > 0
        return (
            fields["INQR_STRT_DT"] <= day <= fields["INQR_END_DT"]
            and _SIDES[fields["SLL_BUY_DVSN_CD"]] in (None, order.side)
            and fields["PDNO"] in ("", order.code)
            and (not fields["ODNO"] or fields["ODNO"].lstrip("0") == str(order.no))
            and fields["ORD_GNO_BRNO"] in ("", self._desk.notices.branch)
            and venue in ("ALL", order.venue)
            # Only cash orders of listed stocks are placed here: no credit, ELW or free board.
            and fields["INQR_DVSN_3"] in ("00", "01", "")
            and fields["INQR_DVSN_1"] in ("", "0")
            and {"00": True, "": True, "01": order.filled > 0, "02": is_open}[fields["CCLD_DVSN"]]
        )


def _venue(request: Request) -> Venue:
    named = request.body.get("EXCG_ID_DVSN_CD", "")
    venues: dict[str, Venue] = {"": "KRX", "KRX": "KRX", "NXT": "NXT", "SOR": "SOR"}
    if not isinstance(named, str) or named not in venues:
        raise value_error("EXCG_ID_DVSN_CD", named)
    return venues[named]


def _stop_price(request: Request) -> int:
    price = request.body.get("CNDT_PRIC", "")
    if not isinstance(price, str):
        raise value_error("CNDT_PRIC", price)
    return whole({"CNDT_PRIC": price}, "CNDT_PRIC") if price else 0


def _three_months_before(day: dt.date) -> str:
    month = day.month - 3
    year, month = (day.year, month) if month > 0 else (day.year - 1, month + 12)
    return f"{year:04d}{month:02d}{day.day:02d}"
