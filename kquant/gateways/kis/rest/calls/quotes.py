"""Prices, order books, investor flows and volatility interruptions (kis-protocol 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kquant.gateways.kis.rest.answers import Interruption, InvestorFlow, Level, OrderBook, QuoteDetail
from kquant.gateways.kis.rest.client import ReadOnlyClient
from kquant.gateways.kis.rest.endpoints import BOOK, INVESTORS, MULTI_PRICE, PRICE, VI_STATUS
from kquant.gateways.kis.rest.envelope import object_of, rows_of
from kquant.gateways.kis.rest.errors import KisUnreadable
from kquant.gateways.kis.rest.fields import (
    Row,
    any_text,
    blank_or_int,
    change_field,
    code_field,
    count_field,
    day_field,
    flag_field,
    price_field,
    shares_field,
    text_field,
    time_field,
    won_field,
)
from kquant.gateways.kis.rest.limits import BACKFILL, PORTFOLIO
from kquant.market.records import RestPrice
from kquant.values import Krw, Shares, Symbol, to_kst

CODES_A_CALL: Final = 30
LEVELS: Final = 10
UNFLAGGED: Final = frozenset({"", "N", "0", "00"})
"""How a class field says "no"; anything else is a yes."""


class QuoteCalls:
    """What stocks cost now, and who buys and sells them."""

    def __init__(self, client: ReadOnlyClient) -> None:
        self._client = client

    async def price(self, code: Symbol) -> RestPrice:
        """Return a stock's price and day so far."""
        row = object_of(await self._client.get(PRICE, _of(code), lane=PORTFOLIO), "output")
        return RestPrice(
            code,
            price_field(row, "stck_prpr"),
            won_field(row, "stck_oprc"),
            won_field(row, "stck_hgpr"),
            won_field(row, "stck_lwpr"),
            shares_field(row, "acml_vol"),
            won_field(row, "acml_tr_pbmn"),
            change_field(row, "prdy_ctrt", "prdy_vrss_sign"),
        )

    def prices_at_once(self) -> bool:
        """Tell whether `prices` needs one call for thirty stocks, not one for each."""
        return self._client.offers(MULTI_PRICE)

    async def prices(self, codes: Sequence[Symbol]) -> tuple[RestPrice, ...]:
        """Return many stocks' prices and days so far, thirty a call; one call each where only that is offered.

        A stock KIS does not answer for is left out: its price is stale, not zero.
        """
        if not self.prices_at_once() or len(codes) == 1:
            return tuple([await self.price(code) for code in codes])
        found: list[RestPrice] = []
        for start in range(0, len(codes), CODES_A_CALL):
            part = codes[start : start + CODES_A_CALL]
            params: dict[str, str] = {}
            for place, code in enumerate(part, start=1):
                params[f"FID_COND_MRKT_DIV_CODE_{place}"] = "J"
                params[f"FID_INPUT_ISCD_{place}"] = code
            answer = await self._client.get(MULTI_PRICE, params, lane=PORTFOLIO)
            found.extend(_one_of_many(row, part) for row in rows_of(answer, "output") if _is_filled(row))
        return tuple(found)

    async def quote(self, code: Symbol) -> QuoteDetail:
        """Return a stock's price with its day's limits and its flags."""
        row = object_of(await self._client.get(PRICE, _of(code), lane=PORTFOLIO), "output")
        warning = text_field(row, "mrkt_warn_cls_code")
        if warning not in {"00", "01", "02", "03"}:
            raise KisUnreadable(f"field mrkt_warn_cls_code is {warning[:20]!r}, none of 00 to 03")
        return QuoteDetail(
            code=code,
            last_price=price_field(row, "stck_prpr"),
            change_bp=change_field(row, "prdy_ctrt", "prdy_vrss_sign"),
            open=won_field(row, "stck_oprc"),
            high=won_field(row, "stck_hgpr"),
            low=won_field(row, "stck_lwpr"),
            upper=won_field(row, "stck_mxpr"),
            lower=won_field(row, "stck_llam"),
            base=price_field(row, "stck_sdpr"),
            tick=price_field(row, "aspr_unit"),
            volume=shares_field(row, "acml_vol"),
            value=won_field(row, "acml_tr_pbmn"),
            status=text_field(row, "iscd_stat_cls_code"),
            warning=int(warning),
            halted=flag_field(row, "temp_stop_yn"),
            liquidation=flag_field(row, "sltr_yn"),
            overheated=flag_field(row, "short_over_yn"),
            administrative=any_text(row, "mang_issu_cls_code") not in UNFLAGGED,
            vi=text_field(row, "vi_cls_code"),
        )

    async def book(self, code: Symbol) -> OrderBook:
        """Return a stock's order book."""
        answer = await self._client.get(BOOK, _of(code), lane=PORTFOLIO)
        row, expected = object_of(answer, "output1"), object_of(answer, "output2")
        price, qty = won_field(expected, "antc_cnpr"), shares_field(expected, "antc_vol")
        return OrderBook(
            code=code,
            time=time_field(row, "aspr_acpt_hour"),
            asks=_levels(row, "askp"),
            bids=_levels(row, "bidp"),
            total_ask_qty=shares_field(row, "total_askp_rsqn"),
            total_bid_qty=shares_field(row, "total_bidp_rsqn"),
            expected_price=price if price and qty else None,
            expected_qty=qty if price and qty else None,
        )

    async def investors(self, code: Symbol) -> tuple[InvestorFlow, ...]:
        """Return about thirty days of net buying, newest first. Today's is None until KIS fills it after the close."""
        answer = await self._client.get(INVESTORS, _of(code), lane=BACKFILL)
        today = f"{to_kst(self._client.clock.now()):%Y%m%d}"
        return tuple(_flow(row, today) for row in rows_of(answer, "output"))

    async def interruptions(self) -> tuple[Interruption, ...]:
        """Return today's volatility interruptions of both markets."""
        params = {
            "FID_DIV_CLS_CODE": "0",
            "FID_COND_SCR_DIV_CODE": "20139",
            "FID_MRKT_CLS_CODE": "0",
            "FID_INPUT_ISCD": "",
            "FID_RANK_SORT_CLS_CODE": "0",
            "FID_INPUT_DATE_1": f"{to_kst(self._client.clock.now()):%Y%m%d}",
            "FID_TRGT_CLS_CODE": "",
            "FID_TRGT_EXLS_CLS_CODE": "",
        }
        answer = await self._client.get(VI_STATUS, params, lane=PORTFOLIO)
        return tuple(_interruption(row) for row in rows_of(answer, "output"))


def _of(code: Symbol) -> dict[str, str]:
    return {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": code}


def _is_filled(row: Row) -> bool:
    """Tell whether a row of a multiple quote is one: KIS pads the answer with blank rows."""
    return any(isinstance(value, str) and value.strip(" 0") for value in row.values())


def _one_of_many(row: Row, asked: Sequence[Symbol]) -> RestPrice:
    code = code_field(row, "inter_shrn_iscd")
    if code not in asked:
        raise KisUnreadable(f"field inter_shrn_iscd is {code}, which was not asked for")
    return RestPrice(
        code,
        price_field(row, "inter2_prpr"),
        won_field(row, "inter2_oprc"),
        won_field(row, "inter2_hgpr"),
        won_field(row, "inter2_lwpr"),
        shares_field(row, "acml_vol"),
        won_field(row, "acml_tr_pbmn"),
        change_field(row, "prdy_ctrt", "prdy_vrss_sign"),
    )


def _levels(row: Row, side: str) -> tuple[Level, ...]:
    return tuple(
        Level(price=won_field(row, f"{side}{place}"), qty=shares_field(row, f"{side}_rsqn{place}"))
        for place in range(1, LEVELS + 1)
    )


def _flow(row: Row, today: str) -> InvestorFlow:
    day = day_field(row, "stck_bsop_date")
    figures = [blank_or_int(row, f"{who}_ntby_qty") for who in ("prsn", "frgn", "orgn")]
    # In session KIS leaves today's figures blank, or writes zeros: neither is known yet.
    if day == today and not any(figures):
        figures = [None, None, None]
    elif None in figures:
        raise KisUnreadable(f"the investor figures of {day} are blank")
    individuals, foreigners, institutions = (None if each is None else Shares(each) for each in figures)
    return InvestorFlow(
        day=day,
        close=price_field(row, "stck_clpr"),
        individuals=individuals,
        foreigners=foreigners,
        institutions=institutions,
    )


def _interruption(row: Row) -> Interruption:
    ended = any_text(row, "vi_cncl_hour")
    return Interruption(
        code=code_field(row, "mksc_shrn_iscd"),
        name=text_field(row, "hts_kor_isnm"),
        began=time_field(row, "cntg_vi_hour"),
        ended=None if ended.strip("0") == "" else time_field(row, "vi_cncl_hour"),
        kind=text_field(row, "vi_kind_code"),
        price=Krw(price_field(row, "vi_prc")),
        count=count_field(row, "vi_count"),
    )
