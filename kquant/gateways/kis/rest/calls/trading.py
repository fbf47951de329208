"""The trading client: one account's balance, orders and executions, on the paper or the real service.

Sources: kis-protocol 4.5, 4.6, 4.9. Nothing that places, changes or cancels is ever repeated here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kquant.events.orders import Execution
from kquant.events.portfolio import BalanceAnswered, Holding
from kquant.gateways.kis.rest.answers import OpenOrder, Orderable, Sellable
from kquant.gateways.kis.rest.calls.deadline import in_time
from kquant.gateways.kis.rest.calls.paging import all_pages
from kquant.gateways.kis.rest.client import TradingClient
from kquant.gateways.kis.rest.endpoints import BALANCE, CHANGE, CHANGEABLE, EXECUTIONS, ORDER, ORDERABLE, SELLABLE
from kquant.gateways.kis.rest.envelope import Answer, object_of, rows_of
from kquant.gateways.kis.rest.environment import SERVICES
from kquant.gateways.kis.rest.errors import KisError, KisUnreadable
from kquant.gateways.kis.rest.fields import (
    Row,
    any_text,
    code_field,
    int_field,
    shares_field,
    text_field,
    time_field,
    won_field,
)
from kquant.gateways.kis.rest.limits import ORDERS, PORTFOLIO, RECONCILIATION
from kquant.values import Krw, Micros, OrderKind, Shares, Side, Symbol, to_kst

KINDS: Final[dict[OrderKind, str]] = {"limit": "00", "market": "01"}
AFTER_MARKET_LIMIT: Final = "41"
"""A limit order in KRX's after-market, which takes the types 41 to 47 and no others (kis-protocol 4.9, 5.1)."""
KIND_OF: Final[dict[str, OrderKind]] = {code: kind for kind, code in KINDS.items()} | {AFTER_MARKET_LIMIT: "limit"}
SIDES: Final[dict[str, Side]] = {"01": "sell", "02": "buy"}
VENUE: Final = "KRX"


class TradingCalls:
    """One account's calls. account: "12345678-01"."""

    def __init__(self, client: TradingClient, account: str) -> None:
        self._client = client
        self._number, _, self._product = account.partition("-")
        self._service = SERVICES[client.environment]

    async def balance(self, *, orderable_until: Micros | None = None) -> BalanceAnswered:
        """Return the whole balance. cash_krw is D+2 settled cash; rows without shares are left out.

        orderable_until: ask besides what may be ordered without credit, and wait for that until then; without it, or
        when that call fails or is late, it is None: the balance does not depend on it.
        An answer that says that stocks are held but lists none is KisUnreadable: an empty list is not a zero.
        """
        params = {
            **self._account(),
            "AFHR_FLPR_YN": "N",
            "OFL_YN": "",
            "INQR_DVSN": "02",
            "UNPR_DVSN": "01",
            "FUND_STTL_ICLD_YN": "N",
            "FNCG_AMT_AUTO_RDPT_YN": "N",
            "PRCS_DVSN": "00",
        }
        pages = await all_pages(self._client, BALANCE, params, lane=PORTFOLIO)
        found: dict[Symbol, Holding] = {}
        for page in pages:
            for row in rows_of(page, "output1"):
                if shares_field(row, "hldg_qty") == 0:
                    continue
                holding = _holding(row)
                if found.setdefault(holding.code, holding) != holding:
                    raise KisUnreadable(f"the balance lists {holding.code} twice with different figures")
        sums = rows_of(pages[0], "output2")
        if len(sums) != 1:
            raise KisUnreadable(f"output2 of the balance holds {len(sums)} rows, not one")
        if not found and int_field(sums[0], "scts_evlu_amt") != 0:
            raise KisUnreadable(f"the balance lists no stock, but scts_evlu_amt is {sums[0]['scts_evlu_amt']}")
        cost = sum(each.cost_krw for each in found.values())
        _check_sum(sums[0], "pchs_amt_smtl_amt", cost, len(found))
        _check_no_more(sums[0], "pchs_amt_smtl_amt", cost, len(found))
        return BalanceAnswered(
            holdings=tuple(found[code] for code in sorted(found)),
            cash_krw=Krw(int_field(sums[0], "prvs_rcdl_excc_amt")),
            cash_today_krw=Krw(int_field(sums[0], "dnca_tot_amt")),
            cash_next_krw=Krw(int_field(sums[0], "nxdy_excc_amt")),
            orderable_krw=None if orderable_until is None else await self._orderable_cash(orderable_until),
        )

    async def _orderable_cash(self, until: Micros) -> Krw | None:
        """Return the won that may be ordered for without credit, whatever the stock, None if it is not told by *until*."""
        try:
            said = await in_time(self._client.clock, self.orderable(None, "market", Krw(0)), until)
        except KisError:
            return None
        return None if said is None else said.amount

    async def orderable(self, code: Symbol | None, kind: OrderKind, price: Krw) -> Orderable:
        """Return what may be bought without credit. Ask with the kind to be ordered: a limit leaves the margin rate out.

        code: None asks for the amount alone, of no stock in particular; shares and unit price then mean nothing.
        """
        params = {
            **self._account(),
            "PDNO": "" if code is None else code,
            "ORD_UNPR": "" if code is None else str(price if kind == "limit" else 0),
            "ORD_DVSN": KINDS[kind],
            "CMA_EVLU_AMT_ICLD_YN": "N",
            "OVRS_ICLD_YN": "N",
        }
        row = object_of(await self._client.get(ORDERABLE, params, lane=PORTFOLIO), "output")
        return Orderable(
            cash=Krw(int_field(row, "ord_psbl_cash")),
            amount=won_field(row, "nrcvb_buy_amt"),
            qty=shares_field(row, "nrcvb_buy_qty"),
            unit_price=won_field(row, "psbl_qty_calc_unpr"),
        )

    async def sellable(self, code: Symbol) -> Sellable:
        """Return what of a holding may be sold now. Paper has no call for it: there the balance says it."""
        if not self._client.offers(SELLABLE):
            for holding in (await self.balance()).holdings:
                if holding.code == code:
                    return Sellable(code=code, held=holding.qty, qty=holding.sellable)
            return Sellable(code=code, held=Shares(0), qty=Shares(0))
        answer = await self._client.get(SELLABLE, {**self._account(), "PDNO": code}, lane=RECONCILIATION)
        row = object_of(answer, "output", "output1")
        if (said := code_field(row, "pdno")) != code:
            raise KisUnreadable(f"field pdno is {said}, {code} was asked for")
        return Sellable(code=code, held=shares_field(row, "cblc_qty"), qty=shares_field(row, "ord_psbl_qty"))

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Return the orders that may still be changed or cancelled. On paper they come from the day's list."""
        if not self._client.offers(CHANGEABLE):
            day = f"{to_kst(self._client.clock.now()):%Y%m%d}"
            return tuple(_still_open(row) for row in await self.executions(day) if row.leaves_qty > 0)
        params = {**self._account(), "INQR_DVSN_1": "0", "INQR_DVSN_2": "0"}
        pages = await all_pages(self._client, CHANGEABLE, params, lane=RECONCILIATION)
        rows = [_changeable(row) for page in pages for row in rows_of(page, "output", "output1")]
        return tuple({(row.branch, row.order_no): row for row in rows}.values())

    async def executions(self, day: str) -> tuple[Execution, ...]:
        """Return every order of *day* (YYYYMMDD) with its cumulative fills, oldest first, all pages.

        One row an order, and no order is missing from the list but those of the last seconds: absence proves nothing.
        """
        params = {
            **self._account(),
            "INQR_STRT_DT": day,
            "INQR_END_DT": day,
            "SLL_BUY_DVSN_CD": "00",
            "PDNO": "",
            "ORD_GNO_BRNO": "",
            "ODNO": "",
            "CCLD_DVSN": "00",
            "INQR_DVSN": "01",
            "INQR_DVSN_1": "",
            "INQR_DVSN_3": "00",
            "EXCG_ID_DVSN_CD": self._service.venues,
        }
        pages = await all_pages(self._client, EXECUTIONS, params, lane=RECONCILIATION)
        found: dict[tuple[str, str], Execution] = {}
        sums = pages[0].body.get("output2")
        for page in pages:
            for row in rows_of(page, "output1"):
                execution = _execution(row)
                key = (execution.branch, execution.order_no)
                if found.setdefault(key, execution) != execution:
                    raise KisUnreadable(f"order {execution.order_no} is listed twice: the list moved between its pages")
        if isinstance(sums, dict):
            _check_sum(sums, "tot_ccld_qty", sum(each.filled_qty for each in found.values()), 0)
        return tuple(found.values())

    async def place(
        self,
        code: Symbol,
        side: Side,
        kind: OrderKind,
        qty: Shares,
        price: Krw,
        *,
        timeout_seconds: int,
        gate: Callable[[], None],
        after_market: bool = False,
    ) -> Answer:
        """Send one order: one POST, if *gate* lets it. after_market: to KRX's session of that name, limit orders only."""
        body = {
            **self._account(),
            "PDNO": code,
            "ORD_DVSN": _division(kind, after_market=after_market),
            "ORD_QTY": str(qty),
            "ORD_UNPR": str(price if kind == "limit" else 0),
            "EXCG_ID_DVSN_CD": VENUE,
            "SLL_TYPE": "01" if side == "sell" else "",
            "CNDT_PRIC": "",
        }
        return await self._client.post_once(ORDER[side], body, lane=ORDERS, timeout_seconds=timeout_seconds, gate=gate)

    async def cancel(
        self,
        order_no: str,
        branch: str,
        kind: OrderKind,
        *,
        timeout_seconds: int,
        gate: Callable[[], None],
        after_market: bool = False,
    ) -> Answer:
        """Cancel what is left of an order, named with its own type: one POST, if *gate* lets it."""
        change = {
            "ORD_DVSN": _division(kind, after_market=after_market),
            "RVSE_CNCL_DVSN_CD": "02",
            "ORD_QTY": "0",
            "ORD_UNPR": "0",
            "QTY_ALL_ORD_YN": "Y",
        }
        return await self._change(order_no, branch, change, timeout_seconds, gate)

    async def replace(
        self,
        order_no: str,
        branch: str,
        kind: OrderKind,
        price: Krw,
        *,
        timeout_seconds: int,
        gate: Callable[[], None],
        after_market: bool = False,
    ) -> Answer:
        """Give all that is left of an order another price or kind: one POST, if *gate* lets it. Its number changes."""
        change = {
            "ORD_DVSN": _division(kind, after_market=after_market),
            "RVSE_CNCL_DVSN_CD": "01",
            "ORD_QTY": "0",
            "ORD_UNPR": str(price if kind == "limit" else 0),
            "QTY_ALL_ORD_YN": "Y",
        }
        return await self._change(order_no, branch, change, timeout_seconds, gate)

    async def _change(
        self, order_no: str, branch: str, change: dict[str, str], timeout_seconds: int, gate: Callable[[], None]
    ) -> Answer:
        body = {
            **self._account(),
            "KRX_FWDG_ORD_ORGNO": branch,
            "ORGN_ODNO": order_no.zfill(10),
            **change,
            "EXCG_ID_DVSN_CD": VENUE,
        }
        return await self._client.post_once(CHANGE, body, lane=ORDERS, timeout_seconds=timeout_seconds, gate=gate)

    def _account(self) -> dict[str, str]:
        return {"CANO": self._number, "ACNT_PRDT_CD": self._product}


def _division(kind: OrderKind, *, after_market: bool) -> str:
    """Return the ORD_DVSN. Raises ValueError for a market order in the after-market, which has none."""
    if not after_market:
        return KINDS[kind]
    if kind != "limit":
        raise ValueError(f"the after-market takes no {kind} orders")
    return AFTER_MARKET_LIMIT


def _check_sum(sums: Row, name: str, listed: int, rounding: int) -> None:
    """Refuse rows that add to less than KIS's own sum: some are missing. Sums that are not there prove nothing."""
    if isinstance(sums.get(name), str) and listed < (total := int_field(sums, name)) - rounding:
        raise KisUnreadable(f"the rows add to {listed}, but {name} is {total}: some are missing")


def _check_no_more(sums: Row, name: str, listed: int, rounding: int) -> None:
    """Refuse rows that add to more than KIS's own sum: some are ghosts, of nothing that is held (kis-protocol 6 row 13)."""
    if isinstance(sums.get(name), str) and listed > (total := int_field(sums, name)) + rounding:
        raise KisUnreadable(f"the rows add to {listed}, but {name} is {total}: some are of nothing that is held")


def _holding(row: Row) -> Holding:
    return Holding(
        code=code_field(row, "pdno"),
        name=text_field(row, "prdt_name"),
        qty=shares_field(row, "hldg_qty"),
        sellable=shares_field(row, "ord_psbl_qty"),
        cost_krw=won_field(row, "pchs_amt"),
    )


def _side(row: Row) -> Side:
    side = SIDES.get(text_field(row, "sll_buy_dvsn_cd"))
    if side is None:
        raise KisUnreadable(f"field sll_buy_dvsn_cd is {row.get('sll_buy_dvsn_cd')!r:.20}, neither 01 nor 02")
    return side


def number_field(row: Row, name: str) -> str:
    """Return an order number without its leading zeros."""
    text = text_field(row, name)
    if not (text.isascii() and text.isdigit() and text.strip("0") and len(text) <= 12):
        raise KisUnreadable(f"field {name} is {text[:20]!r}, not an order number")
    return text.lstrip("0")


def _original(row: Row) -> str:
    text = any_text(row, "orgn_odno")
    return number_field(row, "orgn_odno") if text.strip("0") else ""


def _name(row: Row) -> str:
    """Return the stock's name, its code where KIS has none: the sample of the day's list leaves it out (kis-protocol 4.10)."""
    return text_field(row, "prdt_name") if row.get("prdt_name", "") != "" else code_field(row, "pdno")


def _execution(row: Row) -> Execution:
    return Execution(
        order_no=number_field(row, "odno"),
        original_order_no=_original(row),
        branch=any_text(row, "ord_gno_brno"),
        code=code_field(row, "pdno"),
        name=_name(row),
        side=_side(row),
        kind=KIND_OF.get(text_field(row, "ord_dvsn_cd"), "other"),
        order_qty=shares_field(row, "ord_qty"),
        price=won_field(row, "ord_unpr"),
        filled_qty=shares_field(row, "tot_ccld_qty"),
        filled_amount=won_field(row, "tot_ccld_amt"),
        leaves_qty=shares_field(row, "rmn_qty"),
        cancelled_qty=shares_field(row, "cnc_cfrm_qty"),
        rejected_qty=shares_field(row, "rjct_qty"),
        is_cancel="취소" in str(row.get("sll_buy_dvsn_cd_name") or ""),
        time=time_field(row, "ord_tmd"),
    )


def _changeable(row: Row) -> OpenOrder:
    return OpenOrder(
        order_no=number_field(row, "odno"),
        original_order_no=_original(row),
        branch=any_text(row, "ord_gno_brno"),
        code=code_field(row, "pdno"),
        side=_side(row),
        kind=KIND_OF.get(text_field(row, "ord_dvsn_cd"), "other"),
        order_qty=shares_field(row, "ord_qty"),
        price=won_field(row, "ord_unpr"),
        filled_qty=shares_field(row, "tot_ccld_qty"),
        leaves=shares_field(row, "psbl_qty"),
        time=time_field(row, "ord_tmd"),
    )


def _still_open(row: Execution) -> OpenOrder:
    return OpenOrder(
        order_no=row.order_no,
        original_order_no=row.original_order_no,
        branch=row.branch,
        code=row.code,
        side=row.side,
        kind=row.kind,
        order_qty=row.order_qty,
        price=row.price,
        filled_qty=row.filled_qty,
        leaves=row.leaves_qty,
        time=row.time,
    )
