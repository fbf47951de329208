"""Account TRs: balance, buying power, orders, daily executions. Source: kis-protocol.md 4.5, 4.6, 4.10."""

from collections.abc import Callable
from typing import Final, Literal

from kquant.exchange.core.desk import BRANCH, NO_LIMIT, Desk
from kquant.exchange.core.ledger import Ledger, Order, Position, Refusal, Side
from kquant.exchange.core.ports import Market
from kquant.exchange.core.rest import Answer, Request, RestError, Route, Routes, required, value_error, whole
from kquant.exchange.core.rules import hhmmss, percent, ratio

BALANCE_ROWS: Final = 50
DAILY_ROWS: Final = 100
_BALANCE_PARAMS: Final = [
    "CANO",
    "ACNT_PRDT_CD",
    "AFHR_FLPR_YN",
    "OFL_YN",
    "INQR_DVSN",
    "UNPR_DVSN",
    "FUND_STTL_ICLD_YN",
    "FNCG_AMT_AUTO_RDPT_YN",
    "PRCS_DVSN",
    "CTX_AREA_FK100",
    "CTX_AREA_NK100",
]
_DAILY_PARAMS: Final = [
    "CANO",
    "ACNT_PRDT_CD",
    "INQR_STRT_DT",
    "INQR_END_DT",
    "SLL_BUY_DVSN_CD",
    "INQR_DVSN",
    "PDNO",
    "CCLD_DVSN",
    "ORD_GNO_BRNO",
    "ODNO",
    "INQR_DVSN_3",
    "INQR_DVSN_1",
    "CTX_AREA_FK100",
    "CTX_AREA_NK100",
]
SELL_IDS: Final = ("TTTC0011U", "TTTC0801U")


class Account:
    """Answers account TRs; `now` gives the market second that comes next, `last` the last finished one."""

    def __init__(
        self, market: Market, ledger: Ledger, desk: Desk, *, account: tuple[str, str], now: Callable[[], int]
    ) -> None:
        self._market = market
        self._ledger = ledger
        self._desk = desk
        self._account = account
        self._now = now

    # -- orders ---------------------------------------------------------------------------------------------

    def routes(self) -> Routes:
        """Return the paths answered here."""
        return {
            "/trading/inquire-balance": Route(
                method="GET", real=("TTTC8434R",), paper=("VTTC8434R",), handle=self.balance
            ),
            "/trading/inquire-psbl-order": Route(
                method="GET", real=("TTTC8908R",), paper=("VTTC8908R",), handle=self.buying_power
            ),
            "/trading/inquire-daily-ccld": Route(
                method="GET",
                real=("TTTC0081R", "TTTC8001R"),
                paper=("VTTC0081R", "VTTC8001R"),
                handle=self.daily_executions,
            ),
            "/trading/order-cash": Route(
                method="POST",
                real=("TTTC0012U", "TTTC0011U", "TTTC0802U", "TTTC0801U"),
                paper=("VTTC0012U", "VTTC0011U", "VTTC0802U", "VTTC0801U"),
                handle=self.order_cash,
            ),
            "/trading/order-rvsecncl": Route(
                method="POST",
                real=("TTTC0013U", "TTTC0803U"),
                paper=("VTTC0013U", "VTTC0803U"),
                handle=self.order_change,
            ),
        }

    def order_cash(self, request: Request) -> Answer:
        """order-cash: a new limit (00) or market (01) order on KRX."""
        self._check_account(request.body)
        fields = required(request.body, "PDNO", "ORD_DVSN", "ORD_QTY", "ORD_UNPR")
        self._check_venue(request)
        side: Side = "sell" if request.headers["tr_id"] in SELL_IDS else "buy"
        qty, price = whole(fields, "ORD_QTY"), whole(fields, "ORD_UNPR")
        division = _division(fields["ORD_DVSN"])
        price = price if division == "00" else 0
        return self._sent(self._desk.place(side, fields["PDNO"], qty, price, division, self._now()))

    def order_change(self, request: Request) -> Answer:
        """order-rvsecncl: revise (01) or cancel (02) what is open of an order; the answer has a new number."""
        self._check_account(request.body)
        fields = required(
            request.body,
            *[
                "KRX_FWDG_ORD_ORGNO",
                "ORGN_ODNO",
                "ORD_DVSN",
                "RVSE_CNCL_DVSN_CD",
                "ORD_QTY",
                "ORD_UNPR",
                "QTY_ALL_ORD_YN",
            ],
        )
        self._check_venue(request)
        everything = fields["QTY_ALL_ORD_YN"] == "Y"
        qty = None if everything else whole(fields, "ORD_QTY")
        no = whole(fields, "ORGN_ODNO")
        match fields["RVSE_CNCL_DVSN_CD"]:
            case "01":
                division = _division(fields["ORD_DVSN"])
                price = whole(fields, "ORD_UNPR") if division == "00" else 0
                return self._sent(self._desk.revise(no, qty, price, division, self._now()))
            case "02":
                return self._sent(self._desk.cancel(no, qty, self._now()))
            case other:
                raise value_error("RVSE_CNCL_DVSN_CD", other)

    # -- inquiries ------------------------------------------------------------------------------------------

    def balance(self, request: Request) -> Answer:
        """inquire-balance: 50 positions a page and the account's sums (on every page)."""
        self._check_account(request.params)
        fields = required(request.params, *_BALANCE_PARAMS)
        if fields["INQR_DVSN"] not in ("01", "02"):
            raise value_error("INQR_DVSN", fields["INQR_DVSN"])
        positions = [self._ledger.positions[code] for code in sorted(self._ledger.positions)]
        rows = [self._balance_row(position) for position in positions]
        answer = self._paged(request, rows, BALANCE_ROWS)
        answer.outputs["output2"] = [self._sums(positions)]
        return answer

    def buying_power(self, request: Request) -> Answer:
        """inquire-psbl-order: cash and quantity that a new buy may use."""
        self._check_account(request.params)
        names = ["PDNO", "ORD_UNPR", "ORD_DVSN", "CMA_EVLU_AMT_ICLD_YN", "OVRS_ICLD_YN"]
        fields = required(request.params, *names)
        stock = self._market.by_code.get(fields["PDNO"])
        if fields["PDNO"] and stock is None:
            raise value_error("PDNO", fields["PDNO"])
        if fields["ORD_DVSN"] == "01" and stock is not None:
            price = stock.upper if stock.upper < NO_LIMIT else 0
        else:
            price = whole(fields, "ORD_UNPR") if fields["ORD_UNPR"] else 0
        available = max(self._ledger.available_cash(), 0)
        qty = self._ledger.buyable(price)
        output = {
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
        return Answer(outputs={"output": output}, msg_cd="KIOK0510", msg1="조회가 계속됩니다.")

    def daily_executions(self, request: Request) -> Answer:
        """inquire-daily-ccld: one row an order (revise and cancel requests too), 100 a page."""
        self._check_account(request.params)
        fields = required(request.params, *_DAILY_PARAMS)
        day = f"{self._market.day:%Y%m%d}"
        within = fields["INQR_STRT_DT"] <= day <= fields["INQR_END_DT"]
        orders = [order for order in self._ledger.orders.values() if within and _wanted(order, fields)]
        orders.sort(key=lambda order: order.no, reverse=fields["INQR_DVSN"] != "01")
        answer = self._paged(request, [self._daily_row(order, day) for order in orders], DAILY_ROWS)
        qty, amount = sum(order.filled for order in orders), sum(order.amount for order in orders)
        answer.outputs["output2"] = {
            "tot_ord_qty": str(sum(order.qty for order in orders)),
            "tot_ccld_qty": str(qty),
            "tot_ccld_amt": str(amount),
            "prsm_tlex_smtl": str(sum(order.commission + order.tax for order in orders)),
            "pchs_avg_pric": ratio(amount, qty, 4),
        }
        return answer

    # -- helpers --------------------------------------------------------------------------------------------

    def _check_account(self, fields: object) -> None:
        found = required(fields, "CANO", "ACNT_PRDT_CD")  # type: ignore[arg-type]
        if (found["CANO"], found["ACNT_PRDT_CD"]) != self._account:
            raise RestError(200, "2", "OPSQ2000", "ERROR : INPUT INVALID_CHECK_ACNO")

    def _check_venue(self, request: Request) -> None:
        venue = request.body.get("EXCG_ID_DVSN_CD", "KRX")
        if venue not in ("KRX", ""):
            raise value_error("EXCG_ID_DVSN_CD", venue)

    def _sent(self, result: Order | Refusal) -> Answer:
        if isinstance(result, Refusal):
            raise RestError(200, result.rt_cd, result.msg_cd, result.msg1)
        output = {"KRX_FWDG_ORD_ORGNO": BRANCH, "ODNO": f"{result.no:010d}", "ORD_TMD": hhmmss(result.second)}
        return Answer(outputs={"output": output}, msg_cd="APBK0013", msg1="주문 전송 완료 되었습니다.")

    def _paged(self, request: Request, rows: list[dict[str, str]], page: int) -> Answer:
        key = request.params["CTX_AREA_NK100"].strip()
        if key and not key.isdigit():
            raise value_error("CTX_AREA_NK100", key)
        start = int(key) if key and request.headers.get("tr_cont", "").strip() == "N" else 0
        more = start + page < len(rows)
        outputs = {
            "ctx_area_fk100": request.params["CANO"].ljust(100),
            "ctx_area_nk100": (str(start + page) if more else "").ljust(100),
            "output1": rows[start : start + page],
        }
        text = "조회가 계속됩니다." if more else "조회가 완료되었습니다."
        code = "KIOK0500" if more else "KIOK0510"
        following = ("M" if start else "F") if more else ("E" if start else "D")
        return Answer(outputs=outputs, msg_cd=code, msg1=text, tr_cont=following)

    def _price(self, code: str) -> int:
        return self._market.stats(code, self._now() - 1).last or self._market.by_code[code].base

    def _balance_row(self, position: Position) -> dict[str, str]:
        price, base = self._price(position.code), self._market.by_code[position.code].base
        value = price * position.qty
        gain = value - position.cost
        return {
            "pdno": position.code,
            "prdt_name": position.name,
            "trad_dvsn_name": "현금",
            "bfdy_buy_qty": "0",
            "bfdy_sll_qty": "0",
            "thdt_buyqty": str(position.bought),
            "thdt_sll_qty": str(position.sold),
            "hldg_qty": str(position.qty),
            "ord_psbl_qty": str(self._ledger.sellable(position.code)),
            "pchs_avg_pric": ratio(position.cost, position.qty, 4),
            "pchs_amt": str(position.cost),
            "prpr": str(price),
            "evlu_amt": str(value),
            "evlu_pfls_amt": str(gain),
            "evlu_pfls_rt": percent(gain, position.cost),
            "evlu_erng_rt": percent(gain, position.cost),
            "loan_dt": "",
            "loan_amt": "0",
            "stln_slng_chgs": "0",
            "expd_dt": "",
            "fltt_rt": percent(price - base, base),
            "bfdy_cprs_icdc": str(price - base),
            "item_mgna_rt_name": "40%",
            "grta_rt_name": "",
            "sbst_pric": "0",
            "stck_loan_unpr": "0",
        }

    def _sums(self, positions: list[Position]) -> dict[str, str]:
        cash = self._ledger.cash
        cost = sum(position.cost for position in positions)
        value = sum(self._price(position.code) * position.qty for position in positions)
        before = cash.settled + sum(
            self._market.by_code[position.code].base * position.opening_qty for position in positions
        )
        total = cash.d2 + value
        zero = "nxdy_auto_rdpt_amt d2_auto_rdpt_amt bfdy_buy_amt bfdy_sll_amt bfdy_tlex_amt cma_evlu_amt tot_loan_amt"
        return {
            "dnca_tot_amt": str(cash.settled),
            "nxdy_excc_amt": str(cash.settled),
            "prvs_rcdl_excc_amt": str(cash.d2),
            "thdt_buy_amt": str(cash.bought),
            "thdt_sll_amt": str(cash.sold),
            "thdt_tlex_amt": str(cash.fees + cash.taxes),
            "scts_evlu_amt": str(value),
            "tot_evlu_amt": str(total),
            "nass_amt": str(total),
            "fncg_gld_auto_rdpt_yn": "N",
            "pchs_amt_smtl_amt": str(cost),
            "evlu_amt_smtl_amt": str(value),
            "evlu_pfls_smtl_amt": str(value - cost),
            "tot_stln_slng_chgs": "0",
            "bfdy_tot_asst_evlu_amt": str(before),
            "asst_icdc_amt": str(total - before),
            "asst_icdc_erng_rt": ratio(total - before, before, 8),
            **dict.fromkeys(zero.split(), "0"),
        }

    def _daily_row(self, order: Order, day: str) -> dict[str, str]:
        side = "매도" if order.side == "sell" else "매수"
        suffix = {"new": "", "revise": "정정", "cancel": "취소"}[order.request]
        blank = (
            "loan_dt ordr_empno ccld_cndt_name inqr_ip_addr cpbc_ordp_ord_rcit_dvsn_cd cpbc_ordp_infm_mthd_dvsn_cd "
            "infm_tmd ctac_tlno cpbc_ordp_mtrl_dvsn_cd rsvn_ord_end_dt stpm_efct_occr_dtmd"
        )
        return {
            "ord_dt": day,
            "ord_gno_brno": BRANCH,
            "odno": f"{order.no:010d}",
            "orgn_odno": f"{order.origin:010d}" if order.origin else "",
            "ord_dvsn_name": "지정가" if order.division == "00" else "시장가",
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
            "excg_dvsn_cd": "02",
            "ord_orgno": BRANCH,
            "excg_id_dvsn_cd": "KRX",
            "excg_id_dvsn_Cd": "KRX",
            "stpm_cndt_pric": "0",
            **dict.fromkeys(blank.split(), ""),
        }


def _wanted(order: Order, fields: dict[str, str]) -> bool:
    if fields["SLL_BUY_DVSN_CD"] not in ("00", "", "01" if order.side == "sell" else "02"):
        return False
    if fields["PDNO"] not in ("", order.code) or (fields["ODNO"] and fields["ODNO"].lstrip("0") != str(order.no)):
        return False
    is_open = order.leaves + order.expired > 0
    return fields["CCLD_DVSN"] in ("00", "") or (order.filled > 0 if fields["CCLD_DVSN"] == "01" else is_open)


def _division(text: str) -> Literal["00", "01"]:
    if text == "00":
        return "00"
    if text == "01":
        return "01"
    raise RestError(200, "7", "APBK0400", f"지원하지 않는 주문구분입니다. [{text}]")


def _average(order: Order) -> str:
    """Return the average fill price, whole won as KIS prints it where it is whole."""
    if order.filled == 0:
        return "0"
    price, rest = divmod(order.amount, order.filled)
    return ratio(order.amount, order.filled, 4) if rest else str(price)
