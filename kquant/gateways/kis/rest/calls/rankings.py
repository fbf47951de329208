"""Candidates: rankings, the user's condition searches and watch lists (kis-protocol 4.2). Real keys only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from kquant.events.scanner import RankRow
from kquant.gateways.kis.rest.answers import Condition, Watched, WatchGroup
from kquant.gateways.kis.rest.client import ReadOnlyClient
from kquant.gateways.kis.rest.endpoints import (
    CONDITION_HITS,
    CONDITIONS,
    FLUCTUATION,
    VOLUME_RANK,
    WATCH_GROUPS,
    WATCH_LIST,
    Endpoint,
)
from kquant.gateways.kis.rest.envelope import rows_of
from kquant.gateways.kis.rest.errors import KisRefused
from kquant.gateways.kis.rest.fields import (
    Row,
    any_text,
    change_field,
    code_field,
    int_field,
    price_field,
    shares_field,
    text_field,
    won_field,
)
from kquant.gateways.kis.rest.limits import RANKINGS
from kquant.values import Krw

ROWS_A_CALL: Final = 30
MARKETS: Final = ("0001", "1001")
"""KOSPI and KOSDAQ at KIS. (1001 is KOSPI at KRX: the two must never be mixed.)"""
EVERYTHING: Final = "0000"
EXCLUDED: Final = "1111111101"
"""Left out at the source: risk, warning and caution, administrative, liquidation, unfaithful disclosure, preferred, halted,
ETF, ETN, SPAC; not those without credit."""
ZEROS: Final = "0"
NO_SUCH_VALUE: Final = frozenset({"OPSQ2001", "OPSQ2002", "OPSQ2003"})
"""How KIS refuses a value. Its own sample doubts the ten flags: after such a refusal none are sent."""
NO_HITS: Final = "MCA05918"
"""A condition search without a hit is an error to KIS: "symbol code error"."""


class RankingCalls:
    """Rankings and the user's own lists. hts_id: whose conditions and watch lists."""

    def __init__(self, client: ReadOnlyClient, hts_id: str) -> None:
        self._client = client
        self._hts_id = hts_id
        self._unfiltered: set[str] = set()
        """Rankings that took no exclusion flags."""

    async def gainers(self, limit: int) -> tuple[RankRow, ...]:
        """Return the top risers, best first; above 30 the markets are asked apart and merged."""
        rows = await self._both(FLUCTUATION, limit, fluctuation_params, gainer)
        rows.sort(key=lambda row: (-row.change_bp, row.code))
        return ranked(rows, limit)

    async def volumes(self, limit: int) -> tuple[RankRow, ...]:
        """Return the most traded by shares, best first; above 30 the markets are asked apart and merged."""
        rows = await self._both(VOLUME_RANK, limit, volume_params, volume)
        rows.sort(key=lambda row: (-row.volume, row.code))
        return ranked(rows, limit)

    async def conditions(self) -> tuple[Condition, ...]:
        """Return the condition searches the user has saved to the server in HTS screen 0110."""
        try:
            answer = await self._client.get(CONDITIONS, {"user_id": self._hts_id}, lane=RANKINGS)
        except KisRefused as error:
            if error.code == NO_HITS:
                return ()
            raise
        return tuple(
            Condition(seq=text_field(row, "seq"), group=any_text(row, "grp_nm"), name=text_field(row, "condition_nm"))
            for row in rows_of(answer, "output2", "output")
        )

    async def condition_hits(self, seq: str) -> tuple[RankRow, ...]:
        """Return what a condition search finds now, 100 at most, in KIS's order. No hit is an empty answer."""
        params = {"user_id": self._hts_id, "seq": seq}
        try:
            answer = await self._client.get(CONDITION_HITS, params, lane=RANKINGS)
        except KisRefused as error:
            if error.code == NO_HITS:
                return ()
            raise
        rows = [hit(row) for row in rows_of(answer, "output2", "output")]
        return ranked(rows, len(rows))

    async def watch_groups(self) -> tuple[WatchGroup, ...]:
        """Return the user's watch lists."""
        params = {"TYPE": "1", "FID_ETC_CLS_CODE": "00", "USER_ID": self._hts_id}
        answer = await self._client.get(WATCH_GROUPS, params, lane=RANKINGS)
        return tuple(
            WatchGroup(code=text_field(row, "inter_grp_code"), name=text_field(row, "inter_grp_name"))
            for row in rows_of(answer, "output2", "output")
        )

    async def watch_list(self, group: str) -> tuple[Watched, ...]:
        """Return the stocks on a watch list, in its order, each once. group: its code."""
        params = {
            "TYPE": "1",
            "USER_ID": self._hts_id,
            "INTER_GRP_CODE": group,
            "FID_ETC_CLS_CODE": "4",
            "DATA_RANK": "",
            "INTER_GRP_NAME": "",
            "HTS_KOR_ISNM": "",
            "CNTG_CLS_CODE": "",
        }
        answer = await self._client.get(WATCH_LIST, params, lane=RANKINGS)
        rows = [
            Watched(code=code_field(row, "jong_code"), name=text_field(row, "hts_kor_isnm"))
            for row in rows_of(answer, "output2")
        ]
        return tuple({row.code: row for row in reversed(rows)}.values())[::-1]

    async def _both(
        self,
        endpoint: Endpoint,
        limit: int,
        params: Callable[[str, str], dict[str, str]],
        read: Callable[[Row], RankRow],
    ) -> list[RankRow]:
        rows: list[RankRow] = []
        for scope in (EVERYTHING,) if limit <= ROWS_A_CALL else MARKETS:
            rows.extend(read(row) for row in await self._filtered(endpoint, scope, params))
        return rows

    async def _filtered(
        self, endpoint: Endpoint, scope: str, params: Callable[[str, str], dict[str, str]]
    ) -> list[Row]:
        if endpoint.real not in self._unfiltered:
            try:
                answer = await self._client.get(endpoint, params(scope, EXCLUDED), lane=RANKINGS)
                return rows_of(answer, "output", "output1")
            except KisRefused as error:
                if error.code not in NO_SUCH_VALUE:
                    raise
                self._unfiltered.add(endpoint.real)
        answer = await self._client.get(endpoint, params(scope, ZEROS), lane=RANKINGS)
        return rows_of(answer, "output", "output1")


def ranked(rows: Sequence[RankRow], limit: int) -> tuple[RankRow, ...]:
    """Return the first *limit* stocks, each once at its best place, ranked from 1."""
    unique = list({row.code: row for row in reversed(rows)}.values())[::-1]
    return tuple(replace(row, rank=rank) for rank, row in enumerate(unique[:limit], start=1))


def gainer(row: Row) -> RankRow:
    """Read a row of the ranking by rise."""
    price = price_field(row, "stck_prpr")
    opened = price - from_open if (from_open := _gap(row)) is not None else None
    return RankRow(
        code=code_field(row, "stck_shrn_iscd"),
        name=text_field(row, "hts_kor_isnm"),
        rank=0,
        price=price,
        change_bp=change_field(row, "prdy_ctrt", "prdy_vrss_sign"),
        volume=shares_field(row, "acml_vol"),
        turnover=None,
        high=won_field(row, "stck_hgpr"),
        low=won_field(row, "stck_lwpr"),
        open=Krw(opened) if opened is not None and opened > 0 else None,
        prev_volume=None,
    )


def _gap(row: Row) -> int | None:
    """Return price minus open, None where KIS leaves it out."""
    value = row.get("oprc_vrss_prpr")
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return int_field(row, "oprc_vrss_prpr")


def volume(row: Row) -> RankRow:
    """Read a row of the ranking by volume."""
    return RankRow(
        code=code_field(row, "mksc_shrn_iscd"),
        name=text_field(row, "hts_kor_isnm"),
        rank=0,
        price=price_field(row, "stck_prpr"),
        change_bp=change_field(row, "prdy_ctrt", "prdy_vrss_sign"),
        volume=shares_field(row, "acml_vol"),
        turnover=won_field(row, "acml_tr_pbmn"),
        high=None,
        low=None,
        open=None,
        prev_volume=shares_field(row, "prdy_vol"),
    )


def hit(row: Row) -> RankRow:
    """Read a hit of a condition search. Its turnover has no documented unit and is left out."""
    return RankRow(
        code=code_field(row, "code"),
        name=text_field(row, "name"),
        rank=0,
        price=price_field(row, "price"),
        change_bp=change_field(row, "chgrate", "daebi"),
        volume=shares_field(row, "acml_vol"),
        turnover=None,
        high=won_field(row, "high"),
        low=won_field(row, "low"),
        open=won_field(row, "open"),
        prev_volume=None,
    )


def fluctuation_params(scope: str, excluded: str) -> dict[str, str]:
    """Return the parameters of the ranking by rise; all must be present."""
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
        "fid_trgt_exls_cls_code": excluded,
        "fid_div_cls_code": "0",
        "fid_rsfl_rate1": "",
        "fid_rsfl_rate2": "",
    }


def volume_params(scope: str, excluded: str) -> dict[str, str]:
    """Return the parameters of the ranking by volume; all must be present."""
    return {
        "FID_COND_MRKT_DIV_CODE": "J",
        "FID_COND_SCR_DIV_CODE": "20171",
        "FID_INPUT_ISCD": scope,
        "FID_DIV_CLS_CODE": "0",
        "FID_BLNG_CLS_CODE": "0",
        "FID_TRGT_CLS_CODE": "111111111",
        "FID_TRGT_EXLS_CLS_CODE": "0000000000" if excluded == ZEROS else excluded,
        "FID_INPUT_PRICE_1": "",
        "FID_INPUT_PRICE_2": "",
        "FID_VOL_CNT": "",
        "FID_INPUT_DATE_1": "",
    }
