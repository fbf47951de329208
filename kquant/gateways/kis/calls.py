"""The KIS calls a trading day needs, each with typed answers. Field tables: kis-protocol 4.2 to 4.8.

A missing or malformed field is KisUnreadable with its name, never a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kquant.events.orders import Execution
from kquant.events.pipeline import NewsItem
from kquant.events.portfolio import BalanceAnswered, Holding
from kquant.events.scanner import RankRow
from kquant.gateways.kis.limits import ORDERS, OTHER, PORTFOLIO, RANKINGS, RECONCILIATION
from kquant.gateways.kis.rest import Answer, KisUnreadable, RestClient, int_field, text_field
from kquant.gateways.kis.wire import basis_points
from kquant.market.records import RestPrice
from kquant.values import Krw, OrderKind, Shares, Side, Symbol

PREFIX = "/uapi/domestic-stock/v1"
PAGES_MAX = 50
ROWS_A_CALL = 30
MARKETS = ("0001", "1001")
ORDER_TR: dict[Side, str] = {"buy": "TTTC0012U", "sell": "TTTC0011U"}
KINDS: dict[OrderKind, str] = {"limit": "00", "market": "01"}
SIDES: dict[str, Side] = {"01": "sell", "02": "buy"}


class KisCalls:
    """One account's calls on one REST client."""

    def __init__(self, client: RestClient, account: str) -> None:
        self._client = client
        self._number, _, self._product = account.partition("-")

    async def gainers(self, limit: int) -> tuple[RankRow, ...]:
        """Return the top risers, best first; above 30 the markets are asked apart and merged."""
        asked = ("0000",) if limit <= ROWS_A_CALL else MARKETS
        rows: list[RankRow] = []
        for scope in asked:
            rows.extend(
                _gainer(row) for row in await self._ranking("fluctuation", "FHPST01700000", _gainer_params(scope))
            )
        rows.sort(key=lambda row: (-row.change_bp, row.code))
        return _ranked(rows, limit)

    async def volumes(self, limit: int) -> tuple[RankRow, ...]:
        """Return the most traded by shares, best first; above 30 the markets are asked apart and merged."""
        asked = ("0000",) if limit <= ROWS_A_CALL else MARKETS
        rows: list[RankRow] = []
        for scope in asked:
            rows.extend(_volume(row) for row in await self._ranking("volume", "FHPST01710000", _volume_params(scope)))
        rows.sort(key=lambda row: (-row.volume, row.code))
        return _ranked(rows, limit)

    async def price(self, code: Symbol) -> RestPrice:
        """Return a stock's price and day so far."""
        params = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": code}
        answer = await self._client.get(f"{PREFIX}/quotations/inquire-price", "FHKST01010100", params, lane=PORTFOLIO)
        row = _object(answer, "output")
        return RestPrice(
            code,
            Krw(int_field(row, "stck_prpr")),
            Krw(int_field(row, "stck_oprc")),
            Krw(int_field(row, "stck_hgpr")),
            Krw(int_field(row, "stck_lwpr")),
            Shares(int_field(row, "acml_vol")),
            Krw(int_field(row, "acml_tr_pbmn")),
            _rate(row, "prdy_ctrt"),
        )

    async def news(self) -> tuple[NewsItem, ...]:
        """Return the newest titles, newest first."""
        params = dict.fromkeys(
            (
                "FID_NEWS_OFER_ENTP_CODE",
                "FID_COND_MRKT_CLS_CODE",
                "FID_INPUT_ISCD",
                "FID_TITL_CNTT",
                "FID_INPUT_DATE_1",
                "FID_INPUT_HOUR_1",
                "FID_RANK_SORT_CLS_CODE",
                "FID_INPUT_SRNO",
            ),
            "",
        )
        answer = await self._client.get(f"{PREFIX}/quotations/news-title", "FHKST01011800", params, lane=OTHER)
        return tuple(_news(row) for row in _rows(answer, "output", "output1"))

    async def is_open_day(self, day: str) -> bool:
        """Tell whether the exchange opens on *day* (YYYYMMDD). KIS asks for one such call a day."""
        params = {"BASS_DT": day, "CTX_AREA_FK": "", "CTX_AREA_NK": ""}
        answer = await self._client.get(f"{PREFIX}/quotations/chk-holiday", "CTCA0903R", params, lane=OTHER)
        for row in _rows(answer, "output"):
            if text_field(row, "bass_dt") == day:
                said = text_field(row, "opnd_yn")
                if said not in {"Y", "N"}:
                    raise KisUnreadable(f"field opnd_yn is {said!r}")
                return said == "Y"
        raise KisUnreadable(f"chk-holiday does not list {day}")

    async def balance(self) -> BalanceAnswered:
        """Return the whole balance. cash_krw is D+2 settled cash; rows without shares are left out."""
        params = {
            **self._account_params(),
            "AFHR_FLPR_YN": "N",
            "OFL_YN": "",
            "INQR_DVSN": "02",
            "UNPR_DVSN": "01",
            "FUND_STTL_ICLD_YN": "N",
            "FNCG_AMT_AUTO_RDPT_YN": "N",
            "PRCS_DVSN": "00",
        }
        pages = await self._pages(f"{PREFIX}/trading/inquire-balance", "TTTC8434R", params, PORTFOLIO)
        found: dict[Symbol, Holding] = {}
        for page in pages:
            for row in _rows(page, "output1"):
                if int_field(row, "hldg_qty") == 0:
                    continue
                holding = _holding(row)
                if found.setdefault(holding.code, holding) != holding:
                    raise KisUnreadable(f"balance lists {holding.code} twice with different figures")
        summary = _first(_rows(pages[0], "output2"), "output2")
        return BalanceAnswered(
            holdings=tuple(found[code] for code in sorted(found)),
            cash_krw=Krw(int_field(summary, "prvs_rcdl_excc_amt")),
            cash_today_krw=Krw(int_field(summary, "dnca_tot_amt")),
        )

    async def executions(self, day: str) -> tuple[Execution, ...]:
        """Return every order of *day* (YYYYMMDD) with its cumulative fills, oldest first, all pages."""
        params = {
            **self._account_params(),
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
            "EXCG_ID_DVSN_CD": "KRX",
        }
        pages = await self._pages(f"{PREFIX}/trading/inquire-daily-ccld", "TTTC0081R", params, RECONCILIATION)
        return tuple(_execution(row) for page in pages for row in _rows(page, "output1"))

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
    ) -> Answer:
        """Send one order: one POST, if *gate* lets it."""
        body = {
            **self._account_params(),
            "PDNO": code,
            "ORD_DVSN": KINDS[kind],
            "ORD_QTY": str(qty),
            "ORD_UNPR": str(price if kind == "limit" else 0),
            "EXCG_ID_DVSN_CD": "KRX",
            "SLL_TYPE": "01" if side == "sell" else "",
            "CNDT_PRIC": "",
        }
        path = f"{PREFIX}/trading/order-cash"
        return await self._client.post_once(
            path, ORDER_TR[side], body, lane=ORDERS, timeout_seconds=timeout_seconds, gate=gate
        )

    async def cancel(self, order_no: str, branch: str, *, timeout_seconds: int, gate: Callable[[], None]) -> Answer:
        """Cancel what is left of an order: one POST, if *gate* lets it."""
        body = {
            **self._account_params(),
            "KRX_FWDG_ORD_ORGNO": branch,
            "ORGN_ODNO": order_no.zfill(10),
            "ORD_DVSN": "00",
            "RVSE_CNCL_DVSN_CD": "02",
            "ORD_QTY": "0",
            "ORD_UNPR": "0",
            "QTY_ALL_ORD_YN": "Y",
            "EXCG_ID_DVSN_CD": "KRX",
        }
        path = f"{PREFIX}/trading/order-rvsecncl"
        return await self._client.post_once(
            path, "TTTC0013U", body, lane=ORDERS, timeout_seconds=timeout_seconds, gate=gate
        )

    async def master(self, market: str) -> bytes:
        """Return the zipped master file of "kospi" or "kosdaq"."""
        return await self._client.download(f"/common/master/{market}_code.mst.zip")

    def _account_params(self) -> dict[str, str]:
        return {"CANO": self._number, "ACNT_PRDT_CD": self._product}

    async def _ranking(self, kind: str, tr_id: str, params: Mapping[str, str]) -> list[Mapping[str, Any]]:
        path = f"{PREFIX}/ranking/fluctuation" if kind == "fluctuation" else f"{PREFIX}/quotations/volume-rank"
        return _rows(await self._client.get(path, tr_id, params, lane=RANKINGS), "output")

    async def _pages(self, path: str, tr_id: str, params: Mapping[str, str], lane: int) -> list[Answer]:
        """Return all pages. Raises KisUnreadable if they repeat or do not end: a part is never taken for the whole."""
        pages: list[Answer] = []
        keys = ("", "")
        seen: set[tuple[str, str]] = set()
        while True:
            asked = {**params, "CTX_AREA_FK100": keys[0], "CTX_AREA_NK100": keys[1]}
            answer = await self._client.get(path, tr_id, asked, lane=lane, following=bool(pages))
            pages.append(answer)
            if not answer.more:
                return pages
            keys = (
                str(answer.body.get("ctx_area_fk100", "")).strip(),
                str(answer.body.get("ctx_area_nk100", "")).strip(),
            )
            if keys in seen or len(pages) >= PAGES_MAX:
                raise KisUnreadable(f"{tr_id}: page {len(pages) + 1} repeats or never ends")
            seen.add(keys)


def _rows(answer: Answer, *names: str) -> list[Mapping[str, Any]]:
    for name in names:
        rows = answer.body.get(name)
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        if isinstance(rows, dict):
            return [rows]
    raise KisUnreadable(f"no {' or '.join(names)} in the answer")


def _object(answer: Answer, name: str) -> Mapping[str, Any]:
    row = answer.body.get(name)
    if not isinstance(row, dict):
        raise KisUnreadable(f"{name} is not an object")
    return row


def _first(rows: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    if not rows:
        raise KisUnreadable(f"{name} is empty")
    return rows[0]


def _rate(row: Mapping[str, Any], name: str) -> Any:
    text = text_field(row, name)
    try:
        return basis_points(text)
    except ValueError:
        raise KisUnreadable(f"field {name} is {text!r}, not a percentage") from None


def _ranked(rows: Sequence[RankRow], limit: int) -> tuple[RankRow, ...]:
    unique = list({row.code: row for row in reversed(rows)}.values())[::-1]
    return tuple(
        RankRow(
            code=row.code,
            name=row.name,
            rank=rank,
            price=row.price,
            change_bp=row.change_bp,
            volume=row.volume,
            turnover=row.turnover,
            high=row.high,
            low=row.low,
            open=row.open,
            prev_volume=row.prev_volume,
        )
        for rank, row in enumerate(unique[:limit], start=1)
    )


def _gainer(row: Mapping[str, Any]) -> RankRow:
    price = int_field(row, "stck_prpr")
    gap = row.get("oprc_vrss_prpr")
    return RankRow(
        code=Symbol(text_field(row, "stck_shrn_iscd")),
        name=text_field(row, "hts_kor_isnm"),
        rank=0,
        price=Krw(price),
        change_bp=_rate(row, "prdy_ctrt"),
        volume=Shares(int_field(row, "acml_vol")),
        turnover=None,
        high=Krw(int_field(row, "stck_hgpr")),
        low=Krw(int_field(row, "stck_lwpr")),
        open=Krw(price - int_field(row, "oprc_vrss_prpr")) if isinstance(gap, str) and gap.strip() else None,
        prev_volume=None,
    )


def _volume(row: Mapping[str, Any]) -> RankRow:
    return RankRow(
        code=Symbol(text_field(row, "mksc_shrn_iscd")),
        name=text_field(row, "hts_kor_isnm"),
        rank=0,
        price=Krw(int_field(row, "stck_prpr")),
        change_bp=_rate(row, "prdy_ctrt"),
        volume=Shares(int_field(row, "acml_vol")),
        turnover=Krw(int_field(row, "acml_tr_pbmn")),
        high=None,
        low=None,
        open=None,
        prev_volume=Shares(int_field(row, "prdy_vol")),
    )


def _gainer_params(scope: str) -> dict[str, str]:
    return {
        "fid_cond_mrkt_div_code": "J",
        "fid_cond_scr_div_code": "20170",
        "fid_input_iscd": scope,
        "fid_rank_sort_cls_code": "0",
        "fid_input_cnt_1": "0",
        "fid_prc_cls_code": "0",
        "fid_input_price_1": "",
        "fid_input_price_2": "",
        "fid_vol_cnt": "",
        "fid_trgt_cls_code": "0",
        "fid_trgt_exls_cls_code": "0",
        "fid_div_cls_code": "0",
        "fid_rsfl_rate1": "",
        "fid_rsfl_rate2": "",
    }


def _volume_params(scope: str) -> dict[str, str]:
    return {
        "FID_COND_MRKT_DIV_CODE": "J",
        "FID_COND_SCR_DIV_CODE": "20171",
        "FID_INPUT_ISCD": scope,
        "FID_DIV_CLS_CODE": "0",
        "FID_BLNG_CLS_CODE": "0",
        "FID_TRGT_CLS_CODE": "111111111",
        "FID_TRGT_EXLS_CLS_CODE": "1111111101",
        "FID_INPUT_PRICE_1": "",
        "FID_INPUT_PRICE_2": "",
        "FID_VOL_CNT": "",
        "FID_INPUT_DATE_1": "",
    }


def _news(row: Mapping[str, Any]) -> NewsItem:
    codes = [str(row.get(f"iscd{place}") or "").strip() for place in range(1, 6)]
    return NewsItem(
        id=text_field(row, "cntt_usiq_srno"),
        published=text_field(row, "data_dt") + text_field(row, "data_tm"),
        title=text_field(row, "hts_pbnt_titl_cntt"),
        codes=tuple(Symbol(code) for code in codes if code),
        source=str(row.get("dorg") or "").strip(),
    )


def _holding(row: Mapping[str, Any]) -> Holding:
    return Holding(
        code=Symbol(text_field(row, "pdno")),
        name=text_field(row, "prdt_name"),
        qty=Shares(int_field(row, "hldg_qty")),
        sellable=Shares(int_field(row, "ord_psbl_qty")),
        cost_krw=Krw(int_field(row, "pchs_amt")),
    )


def _execution(row: Mapping[str, Any]) -> Execution:
    kind_code = text_field(row, "ord_dvsn_cd")
    kinds: dict[str, OrderKind] = {code: kind for kind, code in KINDS.items()}
    side = SIDES.get(text_field(row, "sll_buy_dvsn_cd"))
    if side is None:
        raise KisUnreadable(f"field sll_buy_dvsn_cd is {row.get('sll_buy_dvsn_cd')!r}")
    return Execution(
        order_no=text_field(row, "odno").lstrip("0"),
        original_order_no=str(row.get("orgn_odno") or "").strip().lstrip("0"),
        branch=str(row.get("ord_gno_brno") or "").strip(),
        code=Symbol(text_field(row, "pdno")),
        name=text_field(row, "prdt_name"),
        side=side,
        kind=kinds.get(kind_code, "other"),
        order_qty=Shares(int_field(row, "ord_qty")),
        price=Krw(int_field(row, "ord_unpr")),
        filled_qty=Shares(int_field(row, "tot_ccld_qty")),
        filled_amount=Krw(int_field(row, "tot_ccld_amt")),
        leaves_qty=Shares(int_field(row, "rmn_qty")),
        cancelled_qty=Shares(int_field(row, "cnc_cfrm_qty")),
        rejected_qty=Shares(int_field(row, "rjct_qty")),
        is_cancel="취소" in str(row.get("sll_buy_dvsn_cd_name") or ""),
        time=text_field(row, "ord_tmd"),
    )
