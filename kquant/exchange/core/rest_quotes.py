"""Quotation TRs: rankings, price, book, minute chart. Source: kis-protocol.md 4.2-4.4."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from kquant.exchange.core.ports import Market, MarketFilter
from kquant.exchange.core.rest import Answer, Request, Route, Routes, required, value_error, whole
from kquant.exchange.core.rules import hhmmss, percent, ratio, sign_of, tick_size
from kquant.exchange.market.model import Book, DayStats, RankRow, Stock

ROWS_MAX: Final = 30
_MARKETS: Final[dict[str, MarketFilter]] = {"0000": "ALL", "0001": "KOSPI", "1001": "KOSDAQ"}
_VOLUME_PARAMS: Final = [
    "FID_COND_MRKT_DIV_CODE",
    "FID_COND_SCR_DIV_CODE",
    "FID_INPUT_ISCD",
    "FID_DIV_CLS_CODE",
    "FID_BLNG_CLS_CODE",
    "FID_TRGT_CLS_CODE",
    "FID_TRGT_EXLS_CLS_CODE",
    "FID_INPUT_PRICE_1",
    "FID_INPUT_PRICE_2",
    "FID_VOL_CNT",
    "FID_INPUT_DATE_1",
]
_RISE_PARAMS: Final = [
    "FID_COND_MRKT_DIV_CODE",
    "FID_COND_SCR_DIV_CODE",
    "FID_INPUT_ISCD",
    "FID_RANK_SORT_CLS_CODE",
    "FID_INPUT_CNT_1",
    "FID_PRC_CLS_CODE",
    "FID_INPUT_PRICE_1",
    "FID_INPUT_PRICE_2",
    "FID_VOL_CNT",
    "FID_TRGT_CLS_CODE",
    "FID_TRGT_EXLS_CLS_CODE",
    "FID_DIV_CLS_CODE",
    "FID_RSFL_RATE1",
    "FID_RSFL_RATE2",
]


class Quotations:
    """Answers quotation TRs; `last` gives the last finished second (KST second of the day)."""

    def __init__(self, market: Market, last: Callable[[], int]) -> None:
        self._market = market
        self._last = last

    def routes(self) -> Routes:
        """Return the paths answered here."""
        return {
            "/quotations/volume-rank": Route(method="GET", real=("FHPST01710000",), handle=self.volume_rank),
            "/ranking/fluctuation": Route(method="GET", real=("FHPST01700000",), handle=self.fluctuation),
            "/quotations/inquire-price": Route(
                method="GET", real=("FHKST01010100",), paper=("FHKST01010100",), handle=self.price
            ),
            "/quotations/inquire-asking-price-exp-ccn": Route(
                method="GET", real=("FHKST01010200",), paper=("FHKST01010200",), handle=self.asking_price
            ),
            "/quotations/inquire-time-itemchartprice": Route(
                method="GET", real=("FHKST03010200",), paper=("FHKST03010200",), handle=self.minutes
            ),
        }

    def volume_rank(self, request: Request) -> Answer:
        """volume-rank FHPST01710000: at most 30 rows by volume (or by turnover in won, class 3)."""
        fields = required(request.params, *_VOLUME_PARAMS)
        _expect(fields, "FID_COND_MRKT_DIV_CODE", "J", "UN")
        _expect(fields, "FID_COND_SCR_DIV_CODE", "20171")
        _expect(fields, "FID_BLNG_CLS_CODE", "0", "1", "2", "3", "4")
        by_volume = fields["FID_BLNG_CLS_CODE"] == "0"
        rows = self._filtered("volume", fields, ROWS_MAX if by_volume else len(self._market.stocks))
        if not by_volume:
            rows = sorted(rows, key=lambda row: (-self._volume_key(fields["FID_BLNG_CLS_CODE"], row), row.code))
        return Answer(outputs={"output": [self._volume_row(rank, row) for rank, row in enumerate(rows[:ROWS_MAX], 1)]})

    def fluctuation(self, request: Request) -> Answer:
        """Fluctuation FHPST01700000: at most 30 rows by rise (sort 0) or by fall (sort 1)."""
        fields = required(request.params, *_RISE_PARAMS)
        _expect(fields, "FID_COND_MRKT_DIV_CODE", "J", "UN")
        _expect(fields, "FID_COND_SCR_DIV_CODE", "20170")
        sort = fields["FID_RANK_SORT_CLS_CODE"].lstrip("0")
        if sort not in ("", "1"):
            raise value_error("FID_RANK_SORT_CLS_CODE", fields["FID_RANK_SORT_CLS_CODE"])
        count = whole(fields, "FID_INPUT_CNT_1") if fields["FID_INPUT_CNT_1"] else 0
        rows = self._filtered("gainers", fields, ROWS_MAX if sort == "" else len(self._market.stocks))
        if sort == "1":
            rows = rows[::-1]
        rows = rows[: min(count or ROWS_MAX, ROWS_MAX)]
        return Answer(outputs={"output": [self._rise_row(rank, row) for rank, row in enumerate(rows, 1)]})

    def price(self, request: Request) -> Answer:
        """inquire-price FHKST01010100: one object, no symbol name in it."""
        stock = self._stock(request)
        stats = self._market.stats(stock.code, self._last())
        return Answer(outputs={"output": self._price_fields(stock, stats)})

    def asking_price(self, request: Request) -> Answer:
        """inquire-asking-price-exp-ccn FHKST01010200: ten levels, totals, expected auction price."""
        stock = self._stock(request)
        second = self._last()
        book, stats = self._market.book(stock.code, second), self._market.stats(stock.code, second)
        price, qty = self._market.indicative(stock.code, second)
        change = price - stock.base if price else 0
        output2 = {
            "antc_mkop_cls_code": "",
            "stck_prpr": str(stats.last or stock.base),
            "stck_oprc": str(stats.open),
            "stck_hgpr": str(stats.high),
            "stck_lwpr": str(stats.low),
            "stck_sdpr": str(stock.base),
            "antc_cnpr": str(price),
            "antc_cntg_vrss_sign": sign_of(change, price, stock.upper, stock.lower),
            "antc_cntg_vrss": str(change),
            "antc_cntg_prdy_ctrt": percent(change, stock.base),
            "antc_vol": str(qty),
            "stck_shrn_iscd": stock.code,
            "vi_cls_code": "N",
        }
        return Answer(outputs={"output1": _book_fields(book, second), "output2": output2})

    def minutes(self, request: Request) -> Answer:
        """inquire-time-itemchartprice FHKST03010200: up to 30 minute bars, newest first, none of the future."""
        fields = required(request.params, "FID_INPUT_HOUR_1", "FID_PW_DATA_INCU_YN", "FID_ETC_CLS_CODE")
        stock = self._stock(request)
        hour = fields["FID_INPUT_HOUR_1"]
        if len(hour) != 6 or not hour.isdigit():
            raise value_error("FID_INPUT_HOUR_1", hour)
        asked = int(hour[:2]) * 3600 + int(hour[2:4]) * 60
        last = self._last()
        stats = self._market.stats(stock.code, last)
        price, change, sign = _moved(stock, stats.last or stock.base)
        output1 = {
            "prdy_vrss": str(change),
            "prdy_vrss_sign": sign,
            "prdy_ctrt": percent(change, stock.base),
            "stck_prdy_clpr": str(stock.prev_close),
            "acml_vol": str(stats.volume),
            "acml_tr_pbmn": str(stats.value),
            "hts_kor_isnm": stock.name,
            "stck_prpr": str(price),
        }
        newest = min(asked, last // 60 * 60, self._market.close_second)
        starts = range(newest, max(newest - ROWS_MAX * 60, self._market.open_second - 60), -60)
        rows = [row for start in starts if (row := self._bar(stock, start, last))]
        return Answer(outputs={"output1": output1, "output2": rows})

    # -- helpers --------------------------------------------------------------------------------------------

    def _stock(self, request: Request) -> Stock:
        fields = required(request.params, "FID_COND_MRKT_DIV_CODE", "FID_INPUT_ISCD")
        _expect(fields, "FID_COND_MRKT_DIV_CODE", "J", "UN")
        stock = self._market.by_code.get(fields["FID_INPUT_ISCD"])
        if stock is None:
            raise value_error("FID_INPUT_ISCD", fields["FID_INPUT_ISCD"])
        return stock

    def _bar(self, stock: Stock, start: int, last: int) -> dict[str, str] | None:
        prints = [
            trade
            for second in range(start, min(start + 60, last + 1))
            for trade in self._market.prints(stock.code, second)
        ]
        stats = self._market.stats(stock.code, min(start + 59, last))
        if stats.volume == 0:
            return None
        prices = [trade.price for trade in prints] or [stats.last]
        return {
            "stck_bsop_date": f"{self._market.day:%Y%m%d}",
            "stck_cntg_hour": hhmmss(start),
            "stck_prpr": str(prices[-1]),
            "stck_oprc": str(prices[0]),
            "stck_hgpr": str(max(prices)),
            "stck_lwpr": str(min(prices)),
            "cntg_vol": str(sum(trade.qty for trade in prints)),
            "acml_tr_pbmn": str(stats.value),
        }

    def _filtered(self, ranking: Literal["volume", "gainers"], fields: dict[str, str], wanted: int) -> list[RankRow]:
        """Return *wanted* rows that pass the exclusions, asking the market for more until there are enough."""
        market = _MARKETS.get(fields["FID_INPUT_ISCD"])
        if market is None:
            raise value_error("FID_INPUT_ISCD", fields["FID_INPUT_ISCD"])
        ask = self._market.rank_volume if ranking == "volume" else self._market.rank_gainers
        second, total = self._last(), len(self._market.stocks)
        limit = min(max(wanted * 4, 120), total)
        while True:
            rows = ask(second, market, limit)
            kept = [row for row in rows if self._passes(row, fields)]
            if len(kept) >= wanted or limit >= total:
                return kept
            limit = total

    def _passes(self, row: RankRow, fields: dict[str, str]) -> bool:
        stock = self._market.by_code[row.code]
        if _excluded(stock, fields["FID_TRGT_EXLS_CLS_CODE"]):
            return False
        wanted = fields["FID_DIV_CLS_CODE"]
        if (wanted == "1" and stock.kind == "preferred") or (wanted == "2" and stock.kind != "preferred"):
            return False
        low, high = fields["FID_INPUT_PRICE_1"], fields["FID_INPUT_PRICE_2"]
        if (low and row.last < whole(fields, "FID_INPUT_PRICE_1")) or (
            high.lstrip("0") and row.last > whole(fields, "FID_INPUT_PRICE_2")
        ):
            return False
        if fields["FID_VOL_CNT"] and row.volume < whole(fields, "FID_VOL_CNT"):
            return False
        least, most = fields.get("FID_RSFL_RATE1", ""), fields.get("FID_RSFL_RATE2", "")
        if least and row.change_bp < _basis_points("FID_RSFL_RATE1", least):
            return False
        return not (most.strip("0.") and row.change_bp > _basis_points("FID_RSFL_RATE2", most))

    def _volume_key(self, ranking: str, row: RankRow) -> int:
        stock = self._market.by_code[row.code]
        match ranking:
            case "1":
                return row.volume * 10_000 // max(row.prev_volume, 1)
            case "2":
                return row.volume * 1_000_000 // max(stock.listed_shares, 1)
            case "3":
                return row.value
            case _:
                return row.value * 1_000_000 // max(stock.listed_shares * row.last, 1)

    def _volume_row(self, rank: int, row: RankRow) -> dict[str, str]:
        stock = self._market.by_code[row.code]
        turnover = percent(row.volume, stock.listed_shares)
        value_turnover = percent(row.value, stock.listed_shares * row.last)
        return {
            "hts_kor_isnm": stock.name,
            "mksc_shrn_iscd": row.code,
            "data_rank": str(rank),
            "stck_prpr": str(row.last),
            "prdy_vrss_sign": sign_of(row.change, row.last, stock.upper, stock.lower),
            "prdy_vrss": str(row.change),
            "prdy_ctrt": percent(row.change, stock.base),
            "acml_vol": str(row.volume),
            "prdy_vol": str(stock.prev_volume),
            "lstn_stcn": str(stock.listed_shares),
            "avrg_vol": str(row.volume),
            "n_befr_clpr_vrss_prpr_rate": percent(row.change, stock.base),
            "vol_inrt": percent(row.volume, stock.prev_volume),
            "vol_tnrt": turnover,
            "nday_vol_tnrt": turnover,
            "avrg_tr_pbmn": str(row.value),
            "tr_pbmn_tnrt": value_turnover,
            "nday_tr_pbmn_tnrt": value_turnover,
            "acml_tr_pbmn": str(row.value),
        }

    def _rise_row(self, rank: int, row: RankRow) -> dict[str, str]:
        stock = self._market.by_code[row.code]
        stats = self._market.stats(row.code, self._last())
        date = f"{self._market.day:%Y%m%d}"
        from_open = row.last - row.open
        return {
            "stck_shrn_iscd": row.code,
            "data_rank": str(rank),
            "hts_kor_isnm": stock.name,
            "stck_prpr": str(row.last),
            "prdy_vrss": str(row.change),
            "prdy_vrss_sign": sign_of(row.change, row.last, stock.upper, stock.lower),
            "prdy_ctrt": percent(row.change, stock.base),
            "acml_vol": str(row.volume),
            "stck_hgpr": str(row.high),
            "hgpr_hour": hhmmss(stats.high_second),
            "acml_hgpr_date": date,
            "stck_lwpr": str(row.low),
            "lwpr_hour": hhmmss(stats.low_second),
            "acml_lwpr_date": date,
            "lwpr_vrss_prpr_rate": percent(row.last - row.low, row.low),
            "dsgt_date_clpr_vrss_prpr_rate": percent(row.change, stock.base),
            "cnnt_ascn_dynu": "1" if row.change > 0 else "0",
            "hgpr_vrss_prpr_rate": percent(row.last - row.high, row.high),
            "cnnt_down_dynu": "1" if row.change < 0 else "0",
            "oprc_vrss_prpr_sign": "2" if from_open > 0 else "5" if from_open < 0 else "3",
            "oprc_vrss_prpr": str(from_open),
            "oprc_vrss_prpr_rate": percent(from_open, row.open),
            "prd_rsfl": str(row.change),
            "prd_rsfl_rate": percent(row.change, stock.base),
        }

    def _price_fields(self, stock: Stock, stats: DayStats) -> dict[str, str]:
        price, change, sign = _moved(stock, stats.last or stock.base)
        program = self._market.program(stock.code, self._last())
        pivot = (stats.high + stats.low + price) // 3
        return {
            "iscd_stat_cls_code": _status_code(stock),
            "marg_rate": "100.00" if stock.warning or stock.administrative else "40.00",
            "rprs_mrkt_kor_name": "KOSPI200" if stock.kospi200 else stock.market,
            "bstp_kor_isnm": stock.sector,
            "temp_stop_yn": "Y" if stock.halted else "N",
            "oprc_rang_cont_yn": "N",
            "clpr_rang_cont_yn": "N",
            "crdt_able_yn": "N" if stock.warning or stock.administrative or stock.liquidation else "Y",
            "elw_pblc_yn": "N",
            "stck_prpr": str(price),
            "prdy_vrss": str(change),
            "prdy_vrss_sign": sign,
            "prdy_ctrt": percent(change, stock.base),
            "acml_tr_pbmn": str(stats.value),
            "acml_vol": str(stats.volume),
            "prdy_vrss_vol_rate": percent(stats.volume, stock.prev_volume),
            "stck_oprc": str(stats.open),
            "stck_hgpr": str(stats.high),
            "stck_lwpr": str(stats.low),
            "stck_mxpr": str(stock.upper),
            "stck_llam": str(stock.lower),
            "stck_sdpr": str(stock.base),
            "wghn_avrg_stck_prc": ratio(stats.value, stats.volume, 2),
            "pgtr_ntby_qty": str(program.buy_qty - program.sell_qty),
            "pvt_pont_val": str(pivot),
            "pvt_frst_dmrs_prc": str(max(2 * pivot - stats.low, 0)),
            "pvt_scnd_dmrs_prc": str(pivot + stats.high - stats.low),
            "pvt_frst_dmsp_prc": str(max(2 * pivot - stats.high, 0)),
            "pvt_scnd_dmsp_prc": str(max(pivot - stats.high + stats.low, 0)),
            "rstc_wdth_prc": str(max(stock.upper - stock.base, 0)),
            "aspr_unit": str(tick_size(price, stock.kind)),
            "hts_deal_qty_unit_val": "1",
            "lstn_stcn": str(stock.listed_shares),
            "hts_avls": str(stock.listed_shares * price // 100_000_000),
            "vol_tnrt": percent(stats.volume, stock.listed_shares),
            "ssts_yn": "N" if stock.halted else "Y",
            "stck_shrn_iscd": stock.code,
            "vi_cls_code": "N",
            "ovtm_vi_cls_code": "N",
            "invt_caful_yn": "Y" if stock.warning == 1 else "N",
            "mrkt_warn_cls_code": f"{stock.warning:02d}",
            "short_over_yn": "Y" if stock.overheated else "N",
            "sltr_yn": "Y" if stock.liquidation else "N",
            "mang_issu_cls_code": "Y" if stock.administrative else "N",
            **_UNKNOWN_PRICE_FIELDS,
        }


_UNKNOWN_PRICE_FIELDS: Final = dict.fromkeys(
    [
        "grmn_rate_cls_code",
        "hts_frgn_ehrt",
        "frgn_hldn_qty",
        "frgn_ntby_qty",
        "dmrs_val",
        "dmsp_val",
        "cpfn",
        "stck_fcam",
        "stck_sspr",
        "per",
        "pbr",
        "eps",
        "bps",
        "stac_month",
        "d250_hgpr",
        "d250_hgpr_date",
        "d250_hgpr_vrss_prpr_rate",
        "d250_lwpr",
        "d250_lwpr_date",
        "d250_lwpr_vrss_prpr_rate",
        "stck_dryy_hgpr",
        "dryy_hgpr_vrss_prpr_rate",
        "dryy_hgpr_date",
        "stck_dryy_lwpr",
        "dryy_lwpr_vrss_prpr_rate",
        "dryy_lwpr_date",
        "w52_hgpr",
        "w52_hgpr_vrss_prpr_ctrt",
        "w52_hgpr_date",
        "w52_lwpr",
        "w52_lwpr_vrss_prpr_ctrt",
        "w52_lwpr_date",
        "whol_loan_rmnd_rate",
        "fcam_cnnm",
        "cpfn_cnnm",
        "last_ssts_cntg_qty",
        "new_hgpr_lwpr_cls_code",
        "apprch_rate",
    ],
    "",
)
"""Fields a market day knows nothing about are blank, as KIS leaves what it does not have."""


def _moved(stock: Stock, price: int) -> tuple[int, int, str]:
    change = price - stock.base
    return price, change, sign_of(change, price, stock.upper, stock.lower)


def _status_code(stock: Stock) -> str:
    if stock.halted:
        return "58"
    if stock.administrative:
        return "51"
    if stock.warning:
        return {1: "54", 2: "53", 3: "52"}[stock.warning]
    return "59" if stock.overheated else "55"


def _book_fields(book: Book, second: int) -> dict[str, str]:
    fields: dict[str, Any] = {"aspr_acpt_hour": hhmmss(second)}
    for prefix, levels in (("askp", book.asks), ("bidp", book.bids)):
        for number, level in enumerate(levels, 1):
            fields[f"{prefix}{number}"] = str(level.price)
            fields[f"{prefix}_rsqn{number}"] = str(level.qty)
            fields[f"{prefix}_rsqn_icdc{number}"] = "0"
    fields |= {
        "total_askp_rsqn": str(book.ask_qty_total),
        "total_bidp_rsqn": str(book.bid_qty_total),
        "total_askp_rsqn_icdc": "0",
        "total_bidp_rsqn_icdc": "0",
        "ovtm_total_askp_rsqn": "0",
        "ovtm_total_bidp_rsqn": "0",
        "ovtm_total_askp_icdc": "0",
        "ovtm_total_bidp_icdc": "0",
        "ntby_aspr_rsqn": str(book.bid_qty_total - book.ask_qty_total),
        "new_mkop_cls_code": "20",
        "antc_mkop_cls_code": "",
    }
    return fields


def _excluded(stock: Stock, flags: str) -> bool:
    """Return whether the exclusion flags (kis-protocol.md 4.2) leave *stock* out; absent flags exclude nothing."""
    traits: Sequence[bool] = (
        stock.warning > 0,
        stock.administrative,
        stock.liquidation,
        False,  # unfaithful disclosure: a market day does not know it
        stock.kind == "preferred",
        stock.halted,
        stock.kind == "etf",
        stock.kind == "etn",
        False,  # no credit
        stock.kind == "spac",
    )
    return any(flag == "1" and trait for flag, trait in zip(flags, traits, strict=False))


def _expect(fields: dict[str, str], name: str, *values: str) -> None:
    if fields[name] not in values:
        raise value_error(name, fields[name])


def _basis_points(name: str, text: str) -> int:
    try:
        return round(float(text) * 100)
    except ValueError:
        raise value_error(name, text) from None
