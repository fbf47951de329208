"""Minute and daily bars (kis-protocol 4.4). Never of the future, and never unfinished."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final, Literal

from kquant.gateways.kis.rest.answers import DailyBar, MinuteBar
from kquant.gateways.kis.rest.client import ReadOnlyClient
from kquant.gateways.kis.rest.endpoints import DAILY, MINUTES_PAST, MINUTES_TODAY, RECENT_DAYS
from kquant.gateways.kis.rest.envelope import Answer, rows_of
from kquant.gateways.kis.rest.errors import KisUnreadable
from kquant.gateways.kis.rest.fields import Row, any_text, day_field, price_field, shares_field, time_field, won_field
from kquant.gateways.kis.rest.limits import BACKFILL
from kquant.values import Krw, Symbol, to_kst

PAGES_MAX: Final = 60
DAILY_ROWS: Final = 100
Period = Literal["D", "W", "M", "Y"]


class ChartCalls:
    """Bars of one stock."""

    def __init__(self, client: ReadOnlyClient) -> None:
        self._client = client

    async def minutes(self, code: Symbol, *, since: str = "000000") -> tuple[MinuteBar, ...]:
        """Return today's finished minutes from *since* (HHMMSS KST) on, oldest first."""
        now = to_kst(self._client.clock.now())
        return await self._minutes(code, now, f"{now:%H%M%S}", since, past=False)

    async def minutes_of(self, code: Symbol, day: date, *, since: str = "000000") -> tuple[MinuteBar, ...]:
        """Return a past day's minutes, oldest first; KIS keeps about a year. Raises ValueError for a day to come."""
        now = to_kst(self._client.clock.now())
        if day >= now.date():
            raise ValueError(f"{day} is no past day: ask minutes() for today")
        return await self._minutes(
            code, datetime(day.year, day.month, day.day, tzinfo=now.tzinfo), "235900", since, past=True
        )

    async def daily(
        self, code: Symbol, first: date, last: date, *, adjusted: bool, period: Period = "D"
    ) -> tuple[DailyBar, ...]:
        """Return the bars from *first* to *last*, oldest first. adjusted: for splits and rights issues.

        The day under way is among them while it lasts; *last* is never in the future.
        """
        last = min(last, to_kst(self._client.clock.now()).date())
        found: dict[str, DailyBar] = {}
        for _ in range(PAGES_MAX):
            if last < first:
                return _ascending(found)
            params = {
                "FID_COND_MRKT_DIV_CODE": "J",
                "FID_INPUT_ISCD": code,
                "FID_INPUT_DATE_1": f"{first:%Y%m%d}",
                "FID_INPUT_DATE_2": f"{last:%Y%m%d}",
                "FID_PERIOD_DIV_CODE": period,
                "FID_ORG_ADJ_PRC": "0" if adjusted else "1",
            }
            answer = await self._client.get(DAILY, params, lane=BACKFILL)
            page = [_day(row, value=True) for row in _dated(answer, "output2")]
            found |= {bar.day: bar for bar in page}
            if len(page) < DAILY_ROWS:
                return _ascending(found)
            oldest = min(bar.day for bar in page)
            last = min(last, datetime.strptime(oldest, "%Y%m%d").date()) - timedelta(days=1)  # noqa: DTZ007  a date
        raise KisUnreadable(f"{DAILY.real}: no end of pages")

    async def recent_days(
        self, code: Symbol, *, adjusted: bool, period: Literal["D", "W", "M"] = "D"
    ) -> tuple[DailyBar, ...]:
        """Return the last thirty bars, oldest first.

        This TR's price flag means the opposite of the longer chart's (kis-protocol 4.4).
        """
        params = {
            "FID_COND_MRKT_DIV_CODE": "J",
            "FID_INPUT_ISCD": code,
            "FID_PERIOD_DIV_CODE": period,
            "FID_ORG_ADJ_PRC": "1" if adjusted else "0",
        }
        answer = await self._client.get(RECENT_DAYS, params, lane=BACKFILL)
        return _ascending({(bar := _day(row, value=False)).day: bar for row in _dated(answer, "output", "output2")})

    async def _minutes(
        self, code: Symbol, day: datetime, until: str, since: str, *, past: bool
    ) -> tuple[MinuteBar, ...]:
        wanted = f"{day:%Y%m%d}"
        found: dict[str, MinuteBar] = {}
        seen: set[str] = set()
        asked = until
        for _ in range(PAGES_MAX):
            params = {
                "FID_COND_MRKT_DIV_CODE": "J",
                "FID_INPUT_ISCD": code,
                "FID_INPUT_HOUR_1": asked,
                "FID_PW_DATA_INCU_YN": "N",
            }
            params |= {"FID_INPUT_DATE_1": wanted, "FID_FAKE_TICK_INCU_YN": ""} if past else {"FID_ETC_CLS_CODE": ""}
            answer = await self._client.get(MINUTES_PAST if past else MINUTES_TODAY, params, lane=BACKFILL)
            page = [bar for row in _dated(answer, "output2") if (bar := _minute(row)).day == wanted]
            new = [bar for bar in page if bar.time not in seen]
            seen.update(bar.time for bar in new)
            # A bar of the minute that runs is unfinished, and one of the future a copy of the price now.
            found |= {bar.time: bar for bar in new if past or bar.time[:4] < until[:4]}
            oldest = min((bar.time for bar in new), default="000000")
            if not new or oldest <= max(since, "000100"):
                return tuple(found[at] for at in sorted(found) if at >= since)
            asked = _minute_before(oldest)
        raise KisUnreadable(f"minute bars of {code} on {wanted}: no end of pages")


def _dated(answer: Answer, *names: str) -> list[Row]:
    """Return the rows that have a date: blank ones pad the array."""
    # A tuple, not a set: a damaged date may be of a type that no set takes.
    return [row for row in rows_of(answer, *names) if row.get("stck_bsop_date") not in (None, "")]


def _ascending(found: dict[str, DailyBar]) -> tuple[DailyBar, ...]:
    return tuple(found[day] for day in sorted(found))


def _minute_before(time: str) -> str:
    total = int(time[:2]) * 60 + int(time[2:4]) - 1
    return f"{total // 60:02d}{total % 60:02d}00"


def _minute(row: Row) -> MinuteBar:
    low, high = price_field(row, "stck_lwpr"), price_field(row, "stck_hgpr")
    opened, close = price_field(row, "stck_oprc"), price_field(row, "stck_prpr")
    _check_range(low, high, opened, close)
    return MinuteBar(
        day=day_field(row, "stck_bsop_date"),
        time=time_field(row, "stck_cntg_hour"),
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=shares_field(row, "cntg_vol"),
        value_so_far=won_field(row, "acml_tr_pbmn"),
    )


def _day(row: Row, *, value: bool) -> DailyBar:
    opened, close = won_field(row, "stck_oprc"), price_field(row, "stck_clpr")
    high, low = won_field(row, "stck_hgpr"), won_field(row, "stck_lwpr")
    if opened or high or low:  # a day without a trade has zeros beside its close
        _check_range(low, high, opened)
    return DailyBar(
        day=day_field(row, "stck_bsop_date"),
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=shares_field(row, "acml_vol"),
        value=won_field(row, "acml_tr_pbmn") if value else None,
        ex_rights=any_text(row, "flng_cls_code"),
    )


def _check_range(low: Krw, high: Krw, *prices: Krw) -> None:
    for price in prices:
        if not 0 < low <= price <= high:
            raise KisUnreadable(f"a bar's stck_lwpr {low} and stck_hgpr {high} do not hold its price {price}")
