"""What a product is: search-stock-info and search-info. Source: kis-protocol.md 4.7, 7.6; fields as in KIS's samples."""

from typing import Final

from kquant.exchange.core.quotations.figures import FigureBook, Figures
from kquant.exchange.core.quotations.forms import Row
from kquant.exchange.core.quotations.price import yes
from kquant.exchange.core.quotations.source import Source, ymd
from kquant.exchange.core.reference.master import GROUPS, isin
from kquant.exchange.core.rest import Answer, Request, RestError, required
from kquant.exchange.market.model import Stock

STOCK_TYPE: Final = "300"
"""PRDT_TYPE_CD of stocks, ETFs, ETNs and warrants; other numbers are futures, bonds and foreign markets."""
NXT_TURNOVER: Final = 1_000_000_000
"""Won traded the session before from which a common stock is taken as one that NXT trades too."""


class Products:
    """Answers search-stock-info and search-info."""

    def __init__(self, source: Source, figures: FigureBook) -> None:
        self._source = source
        self._figures = figures

    def stock(self, request: Request) -> Answer:
        """search-stock-info CTPF1002R: one stock's master data."""
        stock = self._asked(request)
        figures = self._figures.of(stock)
        after = self._source.after_close
        closed = self._source.price(stock) if after else stock.prev_close
        output = dict.fromkeys(_STOCK_FIELDS, "")
        output |= _names(stock) | _company(stock, figures) | _flags(stock, halted=self._source.halted(stock))
        output |= {
            "thdt_clpr": str(closed if after else 0),
            "bfdy_clpr": str(stock.prev_close),
            "clpr_chng_dt": ymd(self._source.market.day if after else self._source.market.prev_day),
            "sbst_pric": str(figures.substitute),
            "thco_sbst_pric": str(figures.substitute),
            "thco_sbst_pric_chng_dt": ymd(self._source.market.day),
        }
        return Answer(outputs={"output": output})

    def product(self, request: Request) -> Answer:
        """search-info CTPF1604R: which product a code is; rt_cd 7 when the type has no such code."""
        stock = self._asked(request)
        figures = self._figures.of(stock)
        name = stock.name
        output: Row = {
            "pdno": stock.code.rjust(12, "0"),
            "prdt_type_cd": STOCK_TYPE,
            "prdt_name": name,
            "prdt_name120": name,
            "prdt_abrv_name": name,
            "prdt_eng_name": "",
            "prdt_eng_name120": "",
            "prdt_eng_abrv_name": "",
            "std_pdno": isin(stock.code),
            "shtn_pdno": stock.code,
            "prdt_sale_stat_cd": "",
            "prdt_risk_grad_cd": "",
            "prdt_clsf_cd": "101100" if not stock.etp else "101210",
            "prdt_clsf_name": "주권" if not stock.etp else "상장지수",
            "sale_strt_dt": "",
            "sale_end_dt": "",
            "wrap_asst_type_cd": "06",
            "ivst_prdt_type_cd": "0600",
            "ivst_prdt_type_cd_name": "국내주식",
            "frst_erlm_dt": ymd(figures.listed_on) if figures.listed_on else "",
        }
        return Answer(outputs={"output": output})

    def _asked(self, request: Request) -> Stock:
        fields = required(request.params, "PDNO", "PRDT_TYPE_CD")
        code = fields["PDNO"]
        stock = self._source.market.by_code.get(code[1:] if len(code) == 7 and code.startswith("Q") else code)
        if fields["PRDT_TYPE_CD"] != STOCK_TYPE or stock is None:
            raise RestError(200, "7", "KIOK0560", "조회할 내용이 없습니다")
        return stock


def _names(stock: Stock) -> Row:
    return {
        "pdno": stock.code.rjust(12, "0"),
        "prdt_type_cd": STOCK_TYPE,
        "prdt_name": stock.name,
        "prdt_name120": stock.name,
        "prdt_abrv_name": stock.name,
        "std_pdno": isin(stock.code),
        "issu_istt_cd": stock.code[:5],
    }


def _company(stock: Stock, figures: Figures) -> Row:
    listed = ymd(figures.listed_on) if figures.listed_on else ""
    kospi = stock.market == "KOSPI"
    return {
        "mket_id_cd": "STK" if kospi else "KSQ",
        "scty_grp_id_cd": GROUPS[stock.kind],
        "excg_dvsn_cd": "02" if kospi else "03",
        "setl_mmdd": "12",
        "lstg_stqt": str(stock.listed_shares),
        "lstg_cptl_amt": str(figures.capital),
        "cpta": str(figures.capital),
        "papr": str(figures.face),
        "issu_pric": "0",
        "kospi200_item_yn": yes(stock.kospi200),
        "scts_mket_lstg_dt": listed if kospi else "",
        "kosdaq_mket_lstg_dt": "" if kospi else listed,
        "idx_bztp_lcls_cd": "001" if kospi else "101",
        "idx_bztp_lcls_cd_name": "시가총액규모대",
        "idx_bztp_mcls_cd_name": stock.sector,
        "idx_bztp_scls_cd_name": stock.sector,
        "std_idst_clsf_cd_name": stock.sector,
        "stck_kind_cd": "201" if stock.kind == "preferred" else "101",
        "etf_dvsn_cd": "1" if stock.kind == "etf" else "",
        "reits_kind_cd": "1" if stock.kind == "reit" else "",
    }


def _flags(stock: Stock, *, halted: bool) -> Row:
    on_nxt = stock.kind == "common" and stock.prev_volume * stock.base >= NXT_TURNOVER
    return {
        "oilf_fund_yn": "N",
        "dpsi_aptm_erlm_yn": "Y",
        "tr_stop_yn": yes(halted),
        "admn_item_yn": yes(stock.administrative),
        "crfd_item_yn": "N",
        "elec_scty_yn": "Y",
        "etf_etn_ivst_heed_item_yn": "N",
        "cptt_trad_tr_psbl_yn": yes(on_nxt and not stock.administrative),
        "nxt_tr_stop_yn": yes(halted),
        "etf_cu_qty": "0",
        "etf_chas_erng_rt_dbnb": "0.000000",
        "frnr_psnl_lmt_rt": "0.00000000",
    }


_STOCK_FIELDS: Final = (
    *("pdno", "prdt_type_cd", "prdt_name", "prdt_name120", "prdt_abrv_name", "prdt_eng_name", "prdt_eng_name120"),
    *("prdt_eng_abrv_name", "mket_id_cd", "scty_grp_id_cd", "excg_dvsn_cd", "setl_mmdd", "lstg_stqt", "lstg_cptl_amt"),
    *("cpta", "papr", "issu_pric", "kospi200_item_yn", "scts_mket_lstg_dt", "scts_mket_lstg_abol_dt"),
    *("kosdaq_mket_lstg_dt", "kosdaq_mket_lstg_abol_dt", "frbd_mket_lstg_dt", "frbd_mket_lstg_abol_dt"),
    *("reits_kind_cd", "etf_dvsn_cd", "oilf_fund_yn", "idx_bztp_lcls_cd", "idx_bztp_mcls_cd", "idx_bztp_scls_cd"),
    *("idx_bztp_lcls_cd_name", "idx_bztp_mcls_cd_name", "idx_bztp_scls_cd_name", "stck_kind_cd", "mfnd_opng_dt"),
    *("mfnd_end_dt", "dpsi_erlm_cncl_dt", "etf_cu_qty", "std_pdno", "dpsi_aptm_erlm_yn", "etf_txtn_type_cd"),
    *("etf_type_cd", "lstg_abol_dt", "nwst_odst_dvsn_cd", "sbst_pric", "thco_sbst_pric", "thco_sbst_pric_chng_dt"),
    *("tr_stop_yn", "admn_item_yn", "thdt_clpr", "bfdy_clpr", "clpr_chng_dt", "std_idst_clsf_cd"),
    *("std_idst_clsf_cd_name", "ocr_no", "crfd_item_yn", "elec_scty_yn", "issu_istt_cd", "etf_chas_erng_rt_dbnb"),
    *("etf_etn_ivst_heed_item_yn", "stln_int_rt_dvsn_cd", "frnr_psnl_lmt_rt", "lstg_rqsr_issu_istt_cd"),
    *("lstg_rqsr_item_cd", "trst_istt_issu_istt_cd", "cptt_trad_tr_psbl_yn", "nxt_tr_stop_yn"),
)
