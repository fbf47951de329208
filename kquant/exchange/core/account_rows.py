"""Rows and sums of the account TRs, every field of kis-protocol.md 4.5 and 4.6 as text."""

from collections.abc import Sequence
from typing import Final

from kquant.exchange.core.books import Cash, Order, Position
from kquant.exchange.core.order_types import TYPES
from kquant.exchange.core.rules import hhmmss, percent, ratio
from kquant.exchange.market.model import Stock

_EXCHANGES: Final = {"KOSPI": "02", "KOSDAQ": "03"}
_PRE_OPEN_EXCHANGE: Final = "61"
_VENUE_NAMES: Final = {"KRX": "한국거래소", "NXT": "넥스트레이드", "SOR": "SOR"}
_REQUESTS: Final = {"new": "", "revise": "정정", "cancel": "취소"}
_DAILY_BLANKS: Final = [
    "loan_dt",
    "ordr_empno",
    "ccld_cndt_name",
    "inqr_ip_addr",
    "cpbc_ordp_ord_rcit_dvsn_cd",
    "cpbc_ordp_infm_mthd_dvsn_cd",
    "infm_tmd",
    "ctac_tlno",
    "cpbc_ordp_mtrl_dvsn_cd",
    "rsvn_ord_end_dt",
]
_SUM_ZEROS: Final = ["nxdy_auto_rdpt_amt", "d2_auto_rdpt_amt", "cma_evlu_amt", "tot_loan_amt", "tot_stln_slng_chgs"]


def balance_row(position: Position, base: int, price: int, sellable: int, *, with_yesterday: bool) -> dict[str, str]:
    """Return one row of inquire-balance; *price* values the shares, *base* is the day's base price (won)."""
    value = price * position.qty
    gain = value - position.cost
    return {
        "pdno": position.code,
        "prdt_name": position.name,
        "trad_dvsn_name": "현금",
        "bfdy_buy_qty": str(position.bought_before if with_yesterday else 0),
        "bfdy_sll_qty": str(position.sold_before if with_yesterday else 0),
        "thdt_buyqty": str(position.bought),
        "thdt_sll_qty": str(position.sold),
        "hldg_qty": str(position.qty),
        "ord_psbl_qty": str(sellable),
        "pchs_avg_pric": ratio(position.cost, position.qty, 4),
        "pchs_amt": str(position.cost),
        "prpr": str(price),
        "evlu_amt": str(value),
        "evlu_pfls_amt": str(gain),
        "evlu_pfls_rt": percent(gain, position.cost),
        "evlu_erng_rt": ratio(gain * 100, position.cost, 8),
        "loan_dt": "",
        "loan_amt": "0",
        "stln_slng_chgs": "0",
        "expd_dt": "",
        "fltt_rt": ratio((price - base) * 100, base, 8),
        "bfdy_cprs_icdc": str(price - base),
        "item_mgna_rt_name": "40%",
        "grta_rt_name": "",
        "sbst_pric": "0",
        "stck_loan_unpr": "0",
    }


def balance_sums(cash: Cash, cost: int, value: int, before: int) -> dict[str, str]:
    """Return output2 of inquire-balance. cost, value: of what is held; before: all assets as the day opened (won)."""
    total = cash.d2 + value
    return {
        "dnca_tot_amt": str(cash.settled),
        "nxdy_excc_amt": str(cash.d1),
        "prvs_rcdl_excc_amt": str(cash.d2),
        "bfdy_buy_amt": str(cash.bought_before),
        "thdt_buy_amt": str(cash.bought),
        "bfdy_sll_amt": str(cash.sold_before),
        "thdt_sll_amt": str(cash.sold),
        "bfdy_tlex_amt": str(cash.costs_before),
        "thdt_tlex_amt": str(cash.fees + cash.taxes),
        "scts_evlu_amt": str(value),
        "tot_evlu_amt": str(total),
        "nass_amt": str(total),
        "fncg_gld_auto_rdpt_yn": "N",
        "pchs_amt_smtl_amt": str(cost),
        "evlu_amt_smtl_amt": str(value),
        "evlu_pfls_smtl_amt": str(value - cost),
        "bfdy_tot_asst_evlu_amt": str(before),
        "asst_icdc_amt": str(total - before),
        "asst_icdc_erng_rt": ratio(total - before, before, 8),
        **dict.fromkeys(_SUM_ZEROS, "0"),
    }


def sellable_row(position: Position, price: int, sellable: int) -> dict[str, str]:
    """Return the output of inquire-psbl-sell."""
    value = price * position.qty
    gain = value - position.cost
    return {
        "pdno": position.code,
        "buy_qty": str(position.bought),
        "sll_qty": str(position.sold),
        "cblc_qty": str(position.qty),
        "nsvg_qty": "0",
        "ord_psbl_qty": str(sellable),
        "pchs_avg_pric": ratio(position.cost, position.qty, 4),
        "pchs_amt": str(position.cost),
        "now_pric": str(price),
        "evlu_amt": str(value),
        "evlu_pfls_amt": str(gain),
        "evlu_pfls_rt": percent(gain, position.cost),
    }


def daily_row(order: Order, stock: Stock | None, branch: str, today: str) -> dict[str, str]:
    """Return one row of inquire-daily-ccld; *today* dates an order without a day (YYYYMMDD)."""
    day = order.day or today
    side = "매도" if order.side == "sell" else "매수"
    suffix = _REQUESTS[order.request]
    return {
        "ord_dt": day,
        "ord_gno_brno": branch,
        "odno": f"{order.no:010d}",
        "orgn_odno": f"{order.origin:010d}" if order.origin else "",
        "ord_dvsn_name": TYPES[order.division].name,
        "sll_buy_dvsn_cd": "01" if order.side == "sell" else "02",
        "sll_buy_dvsn_cd_name": f"{side}{suffix}" if suffix else f"현금{side}",
        "pdno": order.code,
        "prdt_name": order.name,
        "ord_qty": str(order.qty),
        "ord_unpr": str(order.price),
        "ord_tmd": hhmmss(order.second),
        "tot_ccld_qty": str(order.filled),
        "avg_prvs": _average(order),
        "cncl_yn": "Y" if order.cancelled and order.request != "cancel" else "N",
        "tot_ccld_amt": str(order.amount),
        "ord_dvsn_cd": order.division,
        "cnc_cfrm_qty": str(order.cancelled),
        # Whether KIS still shows a remainder after the close is unverified; the sterner reading is played.
        "rmn_qty": str(order.leaves + order.expired),
        "rjct_qty": str(order.rejected),
        "prdt_type_cd": "300",
        "excg_dvsn_cd": _exchange(order, stock),
        "ord_orgno": branch,
        "excg_id_dvsn_cd": order.venue,
        "excg_id_dvsn_Cd": order.venue,
        "stpm_cndt_pric": str(order.stop_price),
        "stpm_efct_occr_dtmd": f"{day}{hhmmss(order.stopped_at)}" if order.stopped_at >= 0 else "",
        **dict.fromkeys(_DAILY_BLANKS, ""),
    }


def daily_sums(orders: Sequence[Order]) -> dict[str, str]:
    """Return output2 of inquire-daily-ccld over all *orders* found, whatever the page."""
    qty, amount = sum(order.filled for order in orders), sum(order.amount for order in orders)
    return {
        "tot_ord_qty": str(sum(order.qty for order in orders)),
        "tot_ccld_qty": str(qty),
        "tot_ccld_amt": str(amount),
        "prsm_tlex_smtl": str(sum(order.commission + order.tax for order in orders)),
        "pchs_avg_pric": ratio(amount, qty, 4),
    }


def open_row(order: Order, stock: Stock | None, branch: str, possible: int) -> dict[str, str]:
    """Return one row of inquire-psbl-rvsecncl; *possible* shares may still be revised or cancelled."""
    return {
        "ord_gno_brno": branch,
        "odno": f"{order.no:010d}",
        "orgn_odno": f"{order.origin:010d}" if order.origin else "",
        "ord_dvsn_name": TYPES[order.division].name,
        "pdno": order.code,
        "prdt_name": order.name,
        "rvse_cncl_dvsn_name": _REQUESTS[order.request],
        "ord_qty": str(order.qty),
        "ord_unpr": str(order.price),
        "ord_tmd": hhmmss(order.second),
        "tot_ccld_qty": str(order.filled),
        "tot_ccld_amt": str(order.amount),
        "psbl_qty": str(possible),
        "sll_buy_dvsn_cd": "01" if order.side == "sell" else "02",
        "ord_dvsn_cd": order.division,
        "mgco_aptm_odno": "",
        "excg_dvsn_cd": _exchange(order, stock),
        "excg_id_dvsn_cd": order.venue,
        "excg_id_dvsn_name": _VENUE_NAMES[order.venue],
        "stpm_cndt_pric": str(order.stop_price),
        "stpm_efct_occr_yn": "Y" if order.stopped_at >= 0 else "N",
    }


def buying_power(available: int, price: int, qty: int) -> dict[str, str]:
    """Return the output of inquire-psbl-order: won that may be used, the price counted with, the shares it buys."""
    return {
        "ord_psbl_cash": str(available),
        "ord_psbl_sbst": "0",
        "ruse_psbl_amt": "0",
        "fund_rpch_chgs": "0",
        "psbl_qty_calc_unpr": str(price),
        "nrcvb_buy_amt": str(available),
        "nrcvb_buy_qty": str(qty),
        "max_buy_amt": str(available),
        "max_buy_qty": str(qty),
        "cma_evlu_amt": "0",
        "ovrs_re_use_amt_wcrc": "0",
        "ord_psbl_frcr_amt_wcrc": "0",
    }


def _exchange(order: Order, stock: Stock | None) -> str:
    if TYPES[order.division].session == "pre_open":
        return _PRE_OPEN_EXCHANGE
    return _EXCHANGES[stock.market if stock is not None else "KOSPI"]


def _average(order: Order) -> str:
    """Return the average fill price, whole won as KIS prints it where it is whole."""
    if order.filled == 0:
        return "0"
    price, rest = divmod(order.amount, order.filled)
    return ratio(order.amount, order.filled, 4) if rest else str(price)
