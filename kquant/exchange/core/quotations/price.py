"""One stock's price: inquire-price (82 fields) and inquire-price-2. kis-protocol 4.3.

`PRICE_FORMS` gives the field order and number formats of real inquire-price answers; a test writes those with it.
"""

import datetime as dt
from typing import Final

from kquant.exchange.core.quotations.figures import FigureBook, Figures, market_name, status_code
from kquant.exchange.core.quotations.flows import FlowBook
from kquant.exchange.core.quotations.forms import Form, Row, cents, percent_of, rounded, say
from kquant.exchange.core.quotations.past import Extreme, Past
from kquant.exchange.core.quotations.source import Source, direction, step_sign, ymd
from kquant.exchange.core.rest import Answer, Request
from kquant.exchange.core.rules import tick_size
from kquant.exchange.market.model import DayStats, Stock


def _forms(text: str, form: Form) -> dict[str, Form]:
    return dict.fromkeys(text.split(), form)


PRICE_FORMS: Final[dict[str, Form]] = (
    _forms("iscd_stat_cls_code", "text")
    | _forms("marg_rate", "hundredths")
    | _forms("rprs_mrkt_kor_name new_hgpr_lwpr_cls_code bstp_kor_isnm temp_stop_yn oprc_rang_cont_yn", "text")
    | _forms("clpr_rang_cont_yn crdt_able_yn grmn_rate_cls_code elw_pblc_yn", "text")
    | _forms("stck_prpr prdy_vrss", "whole")
    | _forms("prdy_vrss_sign", "text")
    | _forms("prdy_ctrt", "hundredths")
    | _forms("acml_tr_pbmn acml_vol", "whole")
    | _forms("prdy_vrss_vol_rate", "hundredths")
    | _forms("stck_oprc stck_hgpr stck_lwpr stck_mxpr stck_llam stck_sdpr", "whole")
    | _forms("wghn_avrg_stck_prc hts_frgn_ehrt", "hundredths")
    | _forms("frgn_ntby_qty pgtr_ntby_qty pvt_scnd_dmrs_prc pvt_frst_dmrs_prc pvt_pont_val", "whole")
    | _forms("pvt_frst_dmsp_prc pvt_scnd_dmsp_prc dmrs_val dmsp_val cpfn rstc_wdth_prc stck_fcam stck_sspr", "whole")
    | _forms("aspr_unit hts_deal_qty_unit_val lstn_stcn hts_avls", "whole")
    | _forms("per pbr", "hundredths")
    | _forms("stac_month", "text")
    | _forms("vol_tnrt eps bps", "hundredths")
    | _forms("d250_hgpr", "whole")
    | _forms("d250_hgpr_date", "text")
    | _forms("d250_hgpr_vrss_prpr_rate", "hundredths")
    | _forms("d250_lwpr", "whole")
    | _forms("d250_lwpr_date", "text")
    | _forms("d250_lwpr_vrss_prpr_rate", "hundredths")
    | _forms("stck_dryy_hgpr", "whole")
    | _forms("dryy_hgpr_vrss_prpr_rate", "hundredths")
    | _forms("dryy_hgpr_date", "text")
    | _forms("stck_dryy_lwpr", "whole")
    | _forms("dryy_lwpr_vrss_prpr_rate", "hundredths")
    | _forms("dryy_lwpr_date", "text")
    | _forms("w52_hgpr", "whole")
    | _forms("w52_hgpr_vrss_prpr_ctrt", "hundredths")
    | _forms("w52_hgpr_date", "text")
    | _forms("w52_lwpr", "whole")
    | _forms("w52_lwpr_vrss_prpr_ctrt", "hundredths")
    | _forms("w52_lwpr_date", "text")
    | _forms("whol_loan_rmnd_rate", "hundredths")
    | _forms("ssts_yn stck_shrn_iscd", "text")
    | _forms("fcam_cnnm", "grouped")
    | _forms("cpfn_cnnm apprch_rate", "text")
    | _forms("frgn_hldn_qty", "whole")
    | _forms("vi_cls_code ovtm_vi_cls_code", "text")
    | _forms("last_ssts_cntg_qty", "whole")
    | _forms("invt_caful_yn mrkt_warn_cls_code short_over_yn sltr_yn mang_issu_cls_code", "text")
)
"""Field -> form, in the order in which KIS answers them."""

Values = dict[str, int | str]


def yes(value: object) -> str:
    """Return Y or N."""
    return "Y" if value else "N"


class Prices:
    """Answers inquire-price and inquire-price-2."""

    def __init__(self, source: Source, past: Past, figures: FigureBook, flows: FlowBook) -> None:
        self._source = source
        self._past = past
        self._figures = figures
        self._flows = flows

    def price(self, request: Request) -> Answer:
        """inquire-price FHKST01010100: one object, no symbol name in it."""
        stock, _ = self._source.stock(request)
        values = self._values(stock)
        return Answer(outputs={"output": {name: say(form, values[name]) for name, form in PRICE_FORMS.items()}})

    def price_2(self, request: Request) -> Answer:
        """inquire-price-2 FHPST01010000: flags, names of classes, and the day against the previous close."""
        stock, _ = self._source.stock(request)
        stats, figures = self._source.stats(stock), self._figures.of(stock)
        price = stats.last or stock.base
        change, sign = direction(stock, price)
        output: Row = {
            "rprs_mrkt_kor_name": market_name(stock),
            "new_hgpr_lwpr_cls_code": self._new_extreme(stock, stats),
            "mxpr_llam_cls_code": {"1": "상한", "4": "하한"}.get(sign, ""),
            "crdt_able_yn": yes(figures.credit),
            "stck_mxpr": str(stock.upper),
            "elw_pblc_yn": yes(figures.warrants),
            "prdy_clpr_vrss_oprc_rate": _against(stats.open, stock.base),
            "crdt_rate": cents(figures.loan_bp),
            "marg_rate": cents(figures.margin * 100),
            **_distances(stock, stats, price),
            "mang_issu_yn": yes(stock.administrative),
            "divi_app_cls_code": "",
            "short_over_yn": yes(stock.overheated),
            "mrkt_warn_cls_code": f"{stock.warning:02d}",
            "invt_caful_yn": yes(stock.warning == 1),
            "stange_runup_yn": "N",
            "ssts_hot_yn": "N",
            "low_current_yn": yes(stock.single_price),
            "vi_cls_code": yes(self._source.in_vi(stock)),
            "short_over_cls_code": "2" if stock.overheated else "0",
            "stck_llam": str(stock.lower),
            "new_lstn_cls_name": "",
            "vlnt_deal_cls_name": "정리매매" if stock.liquidation else "",
            "flng_cls_name": "",
            "revl_issu_reas_name": "",
            "mrkt_warn_cls_name": ("", "투자주의", "투자경고", "투자위험")[stock.warning],
            "stck_sdpr": str(stock.base),
            "bstp_cls_code": "",
            "stck_prdy_clpr": str(stock.prev_close),
            "insn_pbnt_yn": "N",
            "fcam_mod_cls_name": "",
            "stck_prpr": str(price),
            "prdy_vrss": str(change),
            "prdy_vrss_sign": sign,
            "prdy_ctrt": cents(percent_of(change, stock.base)),
            "acml_tr_pbmn": str(stats.value),
            "acml_vol": str(stats.volume),
            "prdy_vrss_vol_rate": cents(percent_of(stats.volume, stock.prev_volume)),
            "bstp_kor_isnm": stock.sector,
            "sltr_yn": yes(stock.liquidation),
            "trht_yn": yes(self._source.halted(stock)),
            "oprc_rang_cont_yn": "N",
            "vlnt_fin_cls_code": "",
            "stck_oprc": str(stats.open),
            "prdy_vol": str(stock.prev_volume),
        }
        return Answer(outputs={"output": output})

    # -- one stock's values ---------------------------------------------------------------------------------

    def _values(self, stock: Stock) -> Values:
        source, figures = self._source, self._figures.of(stock)
        stats = source.stats(stock)
        price = stats.last or stock.base
        change, sign = direction(stock, price)
        program = source.market.program(stock.code, source.last())
        estimate = self._flows.estimate(stock)
        values: Values = {
            "iscd_stat_cls_code": status_code(stock, figures),
            "marg_rate": figures.margin * 100,
            "rprs_mrkt_kor_name": market_name(stock),
            "new_hgpr_lwpr_cls_code": self._new_extreme(stock, stats),
            "bstp_kor_isnm": stock.sector,
            "temp_stop_yn": yes(self._source.halted(stock)),
            "oprc_rang_cont_yn": "N",
            "clpr_rang_cont_yn": "N",
            "crdt_able_yn": yes(figures.credit),
            "grmn_rate_cls_code": " " if not figures.credit else "60" if figures.margin == 60 else "40",
            "elw_pblc_yn": yes(figures.warrants),
            "stck_prpr": price,
            "prdy_vrss": change,
            "prdy_vrss_sign": sign,
            "prdy_ctrt": percent_of(change, stock.base),
            "acml_tr_pbmn": stats.value,
            "acml_vol": stats.volume,
            "prdy_vrss_vol_rate": percent_of(stats.volume, stock.prev_volume),
            "stck_oprc": stats.open,
            "stck_hgpr": stats.high,
            "stck_lwpr": stats.low,
            "stck_mxpr": stock.upper,
            "stck_llam": stock.lower,
            "stck_sdpr": stock.base,
            "wghn_avrg_stck_prc": stats.value * 100 // stats.volume if stats.volume else 0,
            "hts_frgn_ehrt": percent_of(figures.foreign_shares, stock.listed_shares),
            "frgn_ntby_qty": 0 if estimate is None else estimate[0],
            "pgtr_ntby_qty": program.buy_qty - program.sell_qty,
            "rstc_wdth_prc": max(stock.upper - stock.base, 0),
            "aspr_unit": tick_size(price, stock.kind),
            "hts_deal_qty_unit_val": 1,
            "hts_avls": rounded(stock.listed_shares * price, 100_000_000),
            "vol_tnrt": percent_of(stats.volume, stock.listed_shares),
            "ssts_yn": yes(not (stock.halted or stock.liquidation)),
            "stck_shrn_iscd": stock.code,
            "apprch_rate": "",
            "vi_cls_code": yes(self._source.in_vi(stock)),
            "ovtm_vi_cls_code": "N",
            "invt_caful_yn": yes(stock.warning == 1),
            "mrkt_warn_cls_code": f"{stock.warning:02d}",
            "short_over_yn": yes(stock.overheated),
            "sltr_yn": yes(stock.liquidation),
            "mang_issu_cls_code": yes(stock.administrative),
        }
        return values | self._pivots(stock) | _company(stock, figures, price) | self._extremes(stock, price)

    def _pivots(self, stock: Stock) -> Values:
        """Return the pivot levels of the session before and DeMark's expected high and low, 0 when it is not known."""
        bar = self._past.previous(stock)
        names = "pvt_scnd_dmrs_prc pvt_frst_dmrs_prc pvt_pont_val pvt_frst_dmsp_prc pvt_scnd_dmsp_prc dmrs_val dmsp_val"
        if not (bar.high and bar.low and bar.open):
            return dict.fromkeys(names.split(), 0)
        high, low, close = bar.high, bar.low, bar.close
        pivot = (high + low + close) // 3
        doubled = 2 * (high + low + close) // 3
        if close < bar.open:
            weight = high + 2 * low + close
        elif close > bar.open:
            weight = 2 * high + low + close
        else:
            weight = high + low + 2 * close
        levels = (
            pivot + high - low,
            doubled - low,
            pivot,
            doubled - high,
            pivot - high + low,
            weight // 2 - low,
            weight // 2 - high,
        )
        return dict(zip(names.split(), (max(level, 0) for level in levels), strict=True))

    def _extremes(self, stock: Stock, price: int) -> Values:
        """Return the highs and lows of 250 sessions, of the year and of 52 weeks, their days, and the price's distance."""
        day = self._source.market.day
        spans = (
            ("d250_hgpr", "d250_hgpr_date", "d250_hgpr_vrss_prpr_rate", "high", self._past.days[0]),
            ("d250_lwpr", "d250_lwpr_date", "d250_lwpr_vrss_prpr_rate", "low", self._past.days[0]),
            ("stck_dryy_hgpr", "dryy_hgpr_date", "dryy_hgpr_vrss_prpr_rate", "high", dt.date(day.year, 1, 1)),
            ("stck_dryy_lwpr", "dryy_lwpr_date", "dryy_lwpr_vrss_prpr_rate", "low", dt.date(day.year, 1, 1)),
            ("w52_hgpr", "w52_hgpr_date", "w52_hgpr_vrss_prpr_ctrt", "high", day - dt.timedelta(days=364)),
            ("w52_lwpr", "w52_lwpr_date", "w52_lwpr_vrss_prpr_ctrt", "low", day - dt.timedelta(days=364)),
        )
        values: Values = {}
        for name, dated, rate, kind, since in spans:
            found: Extreme = self._past.extreme(stock, "high" if kind == "high" else "low", since)
            values[name] = found.price
            # No date of 292 real answers is blank, and python-kis refuses one that is.
            values[dated] = ymd(found.day or self._source.market.prev_day)
            values[rate] = percent_of(price - found.price, found.price) if found.price else 0
        return values

    def _new_extreme(self, stock: Stock, stats: DayStats) -> str:
        """Return 신고가 or 신저가 when the day's high or low is that of 250 sessions, blank otherwise."""
        first = self._past.days[0]
        if stats.volume and self._past.extreme(stock, "high", first).price == stats.high:
            return "신고가"
        if stats.volume and self._past.extreme(stock, "low", first).price == stats.low:
            return "신저가"
        return ""


def _company(stock: Stock, figures: Figures, price: int) -> Values:
    """Return capital, ratios and ownership; PER and PBR are of the price now, as in real answers."""
    eps, bps = figures.eps_x100, figures.bps_x100
    per = rounded(price * 10_000, abs(eps)) * (1 if eps >= 0 else -1)
    return {
        "cpfn": rounded(figures.capital, 100_000_000),
        "stck_fcam": figures.face,
        "stck_sspr": figures.substitute,
        "lstn_stcn": stock.listed_shares,
        "per": per,
        "pbr": rounded(price * 10_000, bps),
        "stac_month": "12",
        "eps": eps,
        "bps": bps,
        "whol_loan_rmnd_rate": figures.loan_bp,
        "fcam_cnnm": figures.face,
        "cpfn_cnnm": f"{figures.capital // 100_000_000:,} 억",
        "frgn_hldn_qty": figures.foreign_shares,
        "last_ssts_cntg_qty": figures.shorted,
    }


def _distances(stock: Stock, stats: DayStats, price: int) -> Row:
    """Return the day's open, high and low against the price and against the previous close."""
    if not stats.volume:
        low = high = opened = 0
    else:
        low, high, opened = price - stats.low, price - stats.high, price - stats.open
    return {
        "lwpr_vrss_prpr": str(low),
        "lwpr_vrss_prpr_sign": step_sign(low),
        "prdy_clpr_vrss_lwpr_rate": _against(stats.low, stock.base),
        "stck_lwpr": str(stats.low),
        "hgpr_vrss_prpr": str(high),
        "hgpr_vrss_prpr_sign": step_sign(high),
        "prdy_clpr_vrss_hgpr_rate": _against(stats.high, stock.base),
        "stck_hgpr": str(stats.high),
        "oprc_vrss_prpr": str(opened),
        "oprc_vrss_prpr_sign": step_sign(opened),
    }


def _against(price: int, base: int) -> str:
    return cents(percent_of(price - base, base)) if price else "0.00"
