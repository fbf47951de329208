"""Reference data: holidays, news titles, finance tables, a stock's master data, master files (kis-protocol 4.7, 4.8)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

from kquant.events.pipeline import NewsItem
from kquant.gateways.kis.rest.answers import FinanceRow, FinanceTable, Holiday, StockInfo
from kquant.gateways.kis.rest.client import ReadOnlyClient
from kquant.gateways.kis.rest.endpoints import FINANCE, HOLIDAYS, NEWS, STOCK_INFO
from kquant.gateways.kis.rest.envelope import object_of, rows_of
from kquant.gateways.kis.rest.errors import KisUnreadable
from kquant.gateways.kis.rest.fields import (
    Row,
    any_text,
    day_field,
    decimal_field,
    flag_field,
    shares_field,
    text_field,
    time_field,
)
from kquant.gateways.kis.rest.limits import BACKFILL, RANKINGS
from kquant.values import Symbol

MasterFile = Literal["kospi", "kosdaq", "konex"]
FIGURES: Final[dict[FinanceTable, tuple[str, ...]]] = {
    "balance_sheet": (
        "cras", "fxas", "total_aset", "flow_lblt", "fix_lblt", "total_lblt", "cpfn", "cfp_surp", "prfi_surp",
        "total_cptl",
    ),
    "income": (
        "sale_account", "sale_cost", "sale_totl_prfi", "depr_cost", "sell_mang", "bsop_prti", "bsop_non_ernn",
        "bsop_non_expn", "op_prfi", "spec_prfi", "spec_loss", "thtr_ntin",
    ),
    "ratios": ("grs", "bsop_prfi_inrt", "ntin_inrt", "roe_val", "eps", "sps", "bps", "rsrv_rate", "lblt_rate"),
    "profit": ("cptl_ntin_rate", "self_cptl_ntin_inrt", "sale_ntin_rate", "sale_totl_rate"),
    "other": ("payout_rate", "eva", "ebitda", "ev_ebitda"),
    "stability": ("lblt_rate", "bram_depn", "crnt_rate", "quck_rate"),
    "growth": ("grs", "bsop_prfi_inrt", "equt_inrt", "totl_aset_inrt"),
}  # fmt: skip
"""The fields of each finance table."""
AMOUNTS: Final = frozenset({"balance_sheet", "income"})
FILLER: Final = Decimal("99.99")
"""What KIS writes where an amount is missing."""


class ReferenceCalls:
    """What changes once a day or less, and the news."""

    def __init__(self, client: ReadOnlyClient) -> None:
        self._client = client

    async def news(self) -> tuple[NewsItem, ...]:
        """Return the newest titles, newest first."""
        names = (
            "FID_NEWS_OFER_ENTP_CODE", "FID_COND_MRKT_CLS_CODE", "FID_INPUT_ISCD", "FID_TITL_CNTT", "FID_INPUT_DATE_1",
            "FID_INPUT_HOUR_1", "FID_RANK_SORT_CLS_CODE", "FID_INPUT_SRNO",
        )  # fmt: skip
        answer = await self._client.get(NEWS, dict.fromkeys(names, ""), lane=RANKINGS)
        return tuple(_news(row) for row in rows_of(answer, "output", "output1"))

    async def holidays(self, day: str) -> tuple[Holiday, ...]:
        """Return the calendar from *day* (YYYYMMDD) on, as far as one answer goes. KIS asks for one such call a day."""
        params = {"BASS_DT": day, "CTX_AREA_FK": "", "CTX_AREA_NK": ""}
        answer = await self._client.get(HOLIDAYS, params, lane=BACKFILL)
        return tuple(
            Holiday(
                day=day_field(row, "bass_dt"),
                is_open=flag_field(row, "opnd_yn"),
                is_bank_day=flag_field(row, "bzdy_yn"),
                settles=flag_field(row, "sttl_day_yn"),
            )
            for row in rows_of(answer, "output", "output1")
        )

    async def is_open_day(self, day: str) -> bool:
        """Tell whether the exchange opens on *day* (YYYYMMDD)."""
        for each in await self.holidays(day):
            if each.day == day:
                return each.is_open
        raise KisUnreadable(f"chk-holiday does not list {day}")

    async def finance(self, table: FinanceTable, code: Symbol, *, quarterly: bool) -> tuple[FinanceRow, ...]:
        """Return a finance table, newest period first.

        No publication dates are given: these figures say nothing of what was known on a past day.
        """
        params = {
            "FID_DIV_CLS_CODE": "1" if quarterly else "0",
            "fid_cond_mrkt_div_code": "J",
            "fid_input_iscd": code,
        }
        answer = await self._client.get(FINANCE[table], params, lane=BACKFILL)
        rows = [_finance(row, table) for row in rows_of(answer, "output", "output1")]
        return tuple(sorted(rows, key=lambda row: row.period, reverse=True))

    async def stock_info(self, code: Symbol) -> StockInfo:
        """Return a stock's master data."""
        answer = await self._client.get(STOCK_INFO, {"PRDT_TYPE_CD": "300", "PDNO": code}, lane=BACKFILL)
        row = object_of(answer, "output", "output1")
        return StockInfo(
            code=code,
            name=text_field(row, "prdt_abrv_name"),
            market=text_field(row, "mket_id_cd"),
            listed_shares=shares_field(row, "lstg_stqt"),
            halted=flag_field(row, "tr_stop_yn"),
            administrative=flag_field(row, "admn_item_yn"),
            kospi200=flag_field(row, "kospi200_item_yn"),
            nxt_tradable=flag_field(row, "cptt_trad_tr_psbl_yn"),
            nxt_halted=flag_field(row, "nxt_tr_stop_yn"),
        )

    async def master(self, market: MasterFile) -> bytes:
        """Return a market's zipped master file."""
        return await self._client.download(f"/common/master/{market}_code.mst.zip")


def _news(row: Row) -> NewsItem:
    codes = [str(row.get(f"iscd{place}") or "").strip() for place in range(1, 6)]
    return NewsItem(
        id=text_field(row, "cntt_usiq_srno"),
        published=day_field(row, "data_dt") + time_field(row, "data_tm"),
        title=text_field(row, "hts_pbnt_titl_cntt"),
        codes=tuple(Symbol(code) for code in codes if code),
        source=str(row.get("dorg") or "").strip(),
    )


def _finance(row: Row, table: FinanceTable) -> FinanceRow:
    period = text_field(row, "stac_yymm")
    if len(period) != 6 or not period.isascii() or not period.isdigit():
        raise KisUnreadable(f"field stac_yymm is {period[:20]!r}, not a period YYYYMM")
    figures: dict[str, Decimal | None] = {}
    for name in FIGURES[table]:
        figure = decimal_field(row, name) if any_text(row, name) else None
        figures[name] = None if table in AMOUNTS and figure == FILLER else figure
    return FinanceRow(period=period, figures=figures)
