"""The overseas half of an account, which holds nothing here: its inquiries, answered empty.

KIS has one account for both. Clients that ask for "the balance" or "the orders" of an account ask both halves and take
a refusal of one for a refusal of all: python-kis does unless told `country="KR"` (kis-protocol 7.6).
"""

from collections.abc import Callable
from typing import Any, Final

from kquant.exchange.core.books import Environment
from kquant.exchange.core.refusals import found_as
from kquant.exchange.core.rest import Answer, Request, Route, Routes, check_account, required

PREFIX: Final = "/uapi/overseas-stock/v1"
KEY_WIDTH: Final = 200
_PAGING: Final = ("CTX_AREA_FK200", "CTX_AREA_NK200")
_BALANCE_SUMS: Final = (
    *("frcr_pchs_amt1", "ovrs_rlzt_pfls_amt", "ovrs_tot_pfls", "rlzt_erng_rt", "tot_evlu_pfls_amt", "tot_pftrt"),
    *("frcr_buy_amt_smtl1", "ovrs_rlzt_pfls_amt2", "frcr_buy_amt_smtl2"),
)
_PRESENT_SUMS: Final = (
    *("pchs_amt_smtl", "evlu_amt_smtl", "evlu_pfls_amt_smtl", "dncl_amt", "cma_evlu_amt", "tot_dncl_amt", "etext_mgna"),
    *("wdrw_psbl_tot_amt", "frcr_evlu_tota", "evlu_erng_rt1", "pchs_amt_smtl_amt", "evlu_amt_smtl_amt"),
    *("tot_evlu_pfls_amt", "tot_asst_amt", "buy_mgn_amt", "mgna_tota", "frcr_use_psbl_amt", "ustl_sll_amt_smtl"),
    *("ustl_buy_amt_smtl", "tot_frcr_cblc_smtl", "tot_loan_amt"),
)


class Overseas:
    """Answers the inquiries of one account's overseas half. account: number and product code."""

    def __init__(self, account: tuple[str, str], environment: Environment) -> None:
        self._account = account
        self._environment: Environment = environment

    def routes(self) -> Routes:
        """Return the paths answered here, whole: they are not below the domestic prefix."""

        def get(tr_id: str, paper: str, handle: Callable[[Request], Answer]) -> Route:
            return Route(method="GET", real=(tr_id,), paper=(paper,), handle=handle)

        return {
            f"{PREFIX}/trading/inquire-balance": get("TTTS3012R", "VTTS3012R", self.balance),
            f"{PREFIX}/trading/inquire-present-balance": get("CTRP6504R", "VTRP6504R", self.present_balance),
            f"{PREFIX}/trading/inquire-ccnl": get("TTTS3035R", "VTTS3035R", self.orders),
            f"{PREFIX}/trading/inquire-nccs": get("TTTS3018R", "VTTS3018R", self.orders),
        }

    def balance(self, request: Request) -> Answer:
        """inquire-balance: no position."""
        required(request.params, *_PAGING)
        return self._empty(request, {"output1": [], "output2": dict.fromkeys(_BALANCE_SUMS, "0")}, pages=True)

    def present_balance(self, request: Request) -> Answer:
        """inquire-present-balance: no position, no foreign currency."""
        outputs = {"output1": [], "output2": [], "output3": dict.fromkeys(_PRESENT_SUMS, "0")}
        return self._empty(request, outputs, pages=False)

    def orders(self, request: Request) -> Answer:
        """inquire-ccnl and inquire-nccs: no order."""
        required(request.params, *_PAGING)
        return self._empty(request, {"output": []}, pages=True)

    def _empty(self, request: Request, outputs: dict[str, Any], *, pages: bool) -> Answer:
        check_account(request.params, self._account)
        msg_cd, msg1 = found_as(self._environment)
        blank = " " * KEY_WIDTH
        keys = {"ctx_area_fk200": blank, "ctx_area_nk200": blank} if pages else {}
        return Answer(outputs={**keys, **outputs}, msg_cd=msg_cd, msg1=msg1, tr_cont="D" if pages else "")
