"""Indices of the market: now and by day. Source: kis-protocol.md 4 (codes), 4.4.

An index moves as its members' market value does, from a level the seed gives for the session before. An imported day
does not know the level: it answers zeros and counts, and no history. Volumes are in thousand shares, turnover in
million won; levels have two decimals.
"""

import datetime as dt
from typing import Final, NamedTuple

from kquant.exchange.core.quotations.forms import Row, cents, percent_of
from kquant.exchange.core.quotations.past import DailyBar, Past, Period, merged
from kquant.exchange.core.quotations.source import Source, date_of, expect, step_sign, ymd
from kquant.exchange.core.rest import Answer, Request, required, value_error
from kquant.exchange.market.mixing import Stream, key_of
from kquant.exchange.market.model import Stock

NAMES: Final = {"0001": "종합", "1001": "KOSDAQ", "2001": "KOSPI200", "4001": "KRX100"}
_LEVELS: Final = {
    "0001": (380_000, 480_000),
    "1001": (75_000, 98_000),
    "2001": (52_000, 68_000),
    "4001": (800_000, 990_000),
}
"""From where to where an index may stand the session before, in hundredths."""
_HISTORY: Final = 120
CHART_ROWS: Final = 50
_SAMPLE_S: Final = 300
"""The day's high and low are those at every fifth minute."""
_PERIODS: Final[dict[str, Period]] = {"D": "D", "W": "W", "M": "M", "Y": "Y"}


class _Now(NamedTuple):
    """An index and its members' trading so far; levels in hundredths, 0 when not known."""

    level: int
    previous: int
    open: int
    high: int
    low: int
    volume: int
    value: int


class Indices:
    """Answers inquire-index-price and inquire-daily-indexchartprice."""

    def __init__(self, source: Source, past: Past) -> None:
        self._source = source
        self._past = past
        self._members: dict[str, dict[str, Stock]] = {}
        self._samples: dict[tuple[str, int], int] = {}
        self._histories: dict[str, tuple[DailyBar, ...]] = {}

    def price(self, request: Request) -> Answer:
        """inquire-index-price FHPUP02100000: the level, what the day did, and how many stocks rose and fell."""
        code = self._asked(required(request.params, "FID_COND_MRKT_DIV_CODE", "FID_INPUT_ISCD"))
        now = self._now(code)
        members = self._of(code)
        rows = [row for row in self._source.board() if row.code in members]
        rose = sum(row.change > 0 for row in rows)
        fell = sum(row.change < 0 for row in rows)
        history = [bar for bar in self._history(code) if bar.day.year == self._source.market.day.year]
        year = self._year(now, history)
        previous_volume = sum(stock.prev_volume for stock in members.values())
        previous_value = sum(stock.prev_volume * stock.prev_close for stock in members.values())
        output: Row = {
            **_moved(now),
            "acml_vol": str(now.volume // 1_000),
            "prdy_vol": str(previous_volume // 1_000),
            "acml_tr_pbmn": str(now.value // 1_000_000),
            "prdy_tr_pbmn": str(previous_value // 1_000_000),
            **_extreme(now, now.open, "oprc", "prdy_nmix_vrss_nmix_oprc", "bstp_nmix_oprc_prdy_ctrt"),
            **_extreme(now, now.high, "hgpr", "prdy_nmix_vrss_nmix_hgpr", "bstp_nmix_hgpr_prdy_ctrt"),
            **_extreme(now, now.low, "lwpr", "prdy_clpr_vrss_lwpr", "prdy_clpr_vrss_lwpr_rate"),
            "ascn_issu_cnt": str(rose),
            "uplm_issu_cnt": str(sum(row.last == members[row.code].upper for row in rows)),
            "stnr_issu_cnt": str(len(rows) - rose - fell),
            "down_issu_cnt": str(fell),
            "lslm_issu_cnt": str(sum(row.last == members[row.code].lower for row in rows)),
            **year,
            "total_askp_rsqn": "0",
            "total_bidp_rsqn": "0",
            "seln_rsqn_rate": "0.00",
            "shnu_rsqn_rate": "0.00",
            "ntby_rsqn": "0",
        }
        return Answer(outputs={"output": output})

    def chart(self, request: Request) -> Answer:
        """inquire-daily-indexchartprice FHKUP03500100: at most 50 bars between two dates, newest first."""
        dates = ("FID_INPUT_DATE_1", "FID_INPUT_DATE_2")
        fields = required(request.params, "FID_COND_MRKT_DIV_CODE", "FID_INPUT_ISCD", *dates, "FID_PERIOD_DIV_CODE")
        code = self._asked(fields)
        first, until = (date_of(name, fields[name]) for name in dates)
        period = _PERIODS[expect(fields, "FID_PERIOD_DIV_CODE", "D", "W", "M", "Y")]
        now = self._now(code)
        history = self._history(code)
        bars = list(history)
        if history and self._source.last() >= self._source.market.open_second:
            today = self._source.market.day
            bars.append(DailyBar(today, now.open, now.high, now.low, now.level, now.volume, now.value))
        rows = [
            {
                "stck_bsop_date": ymd(bar.day),
                "bstp_nmix_prpr": cents(bar.close),
                "bstp_nmix_oprc": cents(bar.open),
                "bstp_nmix_hgpr": cents(bar.high),
                "bstp_nmix_lwpr": cents(bar.low),
                "acml_vol": str((bar.volume or 0) // 1_000),
                "acml_tr_pbmn": str((bar.value or 0) // 1_000_000),
                "mod_yn": "N",
            }
            for bar in merged(bars, period)[::-1]
            if first <= bar.day <= until
        ]
        previous = history[-1] if history else None
        output1: Row = {
            **_moved(now),
            "prdy_nmix": cents(now.previous),
            "acml_vol": str(now.volume // 1_000),
            "acml_tr_pbmn": str(now.value // 1_000_000),
            "hts_kor_isnm": NAMES[code],
            "bstp_cls_code": code,
            "prdy_vol": str(sum(stock.prev_volume for stock in self._of(code).values()) // 1_000),
            "bstp_nmix_oprc": cents(now.open),
            "bstp_nmix_hgpr": cents(now.high),
            "bstp_nmix_lwpr": cents(now.low),
            "futs_prdy_oprc": cents(previous.open if previous else 0),
            "futs_prdy_hgpr": cents(previous.high if previous else 0),
            "futs_prdy_lwpr": cents(previous.low if previous else 0),
        }
        return Answer(outputs={"output1": output1, "output2": rows[:CHART_ROWS]})

    # -- levels ---------------------------------------------------------------------------------------------

    def _asked(self, fields: dict[str, str]) -> str:
        expect(fields, "FID_COND_MRKT_DIV_CODE", "U")
        code = fields["FID_INPUT_ISCD"]
        if code not in NAMES:
            raise value_error("FID_INPUT_ISCD", code)
        return code

    def _of(self, code: str) -> dict[str, Stock]:
        """Return the members of an index by code; funds are in none, KRX100 has the hundred largest."""
        found = self._members.get(code)
        if found is None:
            stocks = [stock for stock in self._source.market.stocks if not stock.etp and stock.kind != "spac"]
            match code:
                case "0001" | "1001":
                    stocks = [stock for stock in stocks if (stock.market == "KOSPI") == (code == "0001")]
                case "2001":
                    stocks = [stock for stock in stocks if stock.kospi200]
                case _:
                    stocks.sort(key=lambda stock: (-stock.listed_shares * stock.base, stock.code))
                    stocks = stocks[:100]
            found = self._members[code] = {stock.code: stock for stock in stocks}
        return found

    def _previous(self, code: str) -> int:
        """Return the level the session before, in hundredths; 0 when it is not known."""
        if not self._source.generated:
            return 0
        low, high = _LEVELS[code]
        return Stream(key_of(self._source.market.seed, "index", code)).between(low, high)

    def _level(self, code: str, second: int) -> int:
        """Return the level as of the last minute finished by *second*."""
        if not self._source.generated:
            return 0
        key = (code, second // 60)
        found = self._samples.get(key)
        if found is None:
            members = self._of(code)
            before = sum(stock.listed_shares * stock.base for stock in members.values())
            rows = self._source.market.board(second)
            moved = sum(members[row.code].listed_shares * row.change for row in rows if row.code in members)
            found = self._previous(code) * (before + moved) // before if before else 0
            self._samples[key] = found
        return found

    def _now(self, code: str) -> _Now:
        market, last = self._source.market, self._source.last()
        level = self._level(code, last)
        members = self._of(code)
        rows = [row for row in market.board(last) if row.code in members]
        begun = market.open_second + 60
        samples = [self._level(code, at) for at in range(begun, min(last, market.close_second), _SAMPLE_S)]
        samples += [level] if samples or last >= begun else []
        return _Now(
            level=level,
            previous=self._previous(code),
            open=samples[0] if samples else 0,
            high=max(samples, default=0),
            low=min(samples, default=0),
            volume=sum(row.volume for row in rows),
            value=sum(row.value for row in rows),
        )

    def _history(self, code: str) -> tuple[DailyBar, ...]:
        """Return the sessions before the day (hundredths), newest last: the members' closes, weighted by shares."""
        found = self._histories.get(code)
        if found is None:
            found = self._histories[code] = self._make_history(code) if self._source.generated else ()
        return found

    def _make_history(self, code: str) -> tuple[DailyBar, ...]:
        caps, volumes, values = [0] * _HISTORY, [0] * _HISTORY, [0] * _HISTORY
        for stock in self._of(code).values():
            known = self._source.market.known(stock.code)
            closes, traded = (known.closes or (), known.volumes or ()) if known else ((), ())
            if len(closes) != _HISTORY or len(traded) != _HISTORY:
                closes, traded = (stock.base,) * _HISTORY, (0,) * _HISTORY
            shares = stock.listed_shares
            for at, close in enumerate(closes):
                caps[at] += close * shares
                volumes[at] += traded[at]
                values[at] += traded[at] * close
        if not caps[-1]:
            return ()
        newest = self._previous(code)
        closes_x100 = [newest * cap // caps[-1] for cap in caps]
        stream = Stream(key_of(self._source.market.seed, "index days", code))
        bars = []
        for at, day in enumerate(self._past.days[-_HISTORY:]):
            close, before = closes_x100[at], closes_x100[max(at - 1, 0)]
            opened = before + before * stream.between(-40, 40) // 10_000
            high = max(opened, close) * (10_000 + stream.below(60)) // 10_000
            low = min(opened, close) * (10_000 - stream.below(60)) // 10_000
            bars.append(DailyBar(day, opened, high, low, close, volumes[at], values[at]))
        return tuple(bars)

    def _year(self, now: _Now, history: list[DailyBar]) -> Row:
        """Return the year's high and low as far as the sessions known reach back."""
        day: dt.date = self._source.market.day
        highs = [(bar.high, bar.day) for bar in history] + ([(now.high, day)] if now.high else [])
        lows = [(bar.low, bar.day) for bar in history] + ([(now.low, day)] if now.low else [])
        row: Row = {}
        for name, found in (("hgpr", max(highs, default=None)), ("lwpr", min(lows, default=None))):
            price, dated = found if found is not None else (0, None)
            row[f"dryy_bstp_nmix_{name}"] = cents(price)
            row[f"dryy_{name}_vrss_prpr_rate"] = cents(percent_of(now.level - price, price))
            row[f"dryy_bstp_nmix_{name}_date"] = ymd(dated) if dated else ""
        return row


def _moved(now: _Now) -> Row:
    change = now.level - now.previous
    return {
        "bstp_nmix_prpr": cents(now.level),
        "bstp_nmix_prdy_vrss": cents(change),
        "prdy_vrss_sign": step_sign(change),
        "bstp_nmix_prdy_ctrt": cents(percent_of(change, now.previous)),
    }


def _extreme(now: _Now, level: int, name: str, distance: str, rate: str) -> Row:
    """Return one of open, high and low against the previous level; its sign says where the level now is from it."""
    against = level - now.previous if level else 0
    return {
        f"bstp_nmix_{name}": cents(level),
        distance: cents(against),
        f"{name}_vrss_prpr_sign": step_sign(now.level - level if level else 0),
        rate: cents(percent_of(against, now.previous)),
    }
