"""The two rankings a scanner lives on: volume-rank and fluctuation. Source: kis-protocol.md 4.2.

Rows are as of the last finished minute, thirty at most, KOSPI and KOSDAQ apart by index code; the exclusion flags drop
what they name before the rows are cut.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kquant.exchange.core.quotations.figures import FigureBook
from kquant.exchange.core.quotations.forms import Row, cents, percent_of
from kquant.exchange.core.quotations.source import SCOPES, Source, expect, step_sign, ymd
from kquant.exchange.core.rest import Answer, Request, required, value_error, whole
from kquant.exchange.core.rules import hhmmss, sign_of
from kquant.exchange.market.model import RankRow, Stock

ROWS_MAX: Final = 30
_FIRST_ASKED: Final = 100
"""How many rows of the market's own ranking are tried before the whole board is sorted."""


def in_scope(stock: Stock, code: str) -> bool:
    """Return whether the stock belongs to FID_INPUT_ISCD: 0000 all, 0001 KOSPI, 1001 KOSDAQ, 2001 KOSPI200."""
    if code == "2001":
        return stock.kospi200
    market = SCOPES.get(code)
    if market is None:
        raise value_error("FID_INPUT_ISCD", code)
    return market in ("ALL", stock.market)


class Rankings:
    """Answers volume-rank and fluctuation."""

    def __init__(self, source: Source, figures: FigureBook) -> None:
        self._source = source
        self._figures = figures

    def volume(self, request: Request) -> Answer:
        """volume-rank FHPST01710000: by volume, its growth, turnover rate, won, or turnover rate in won (class 0-4)."""
        names = ("FID_COND_MRKT_DIV_CODE", "FID_COND_SCR_DIV_CODE", "FID_INPUT_ISCD", "FID_DIV_CLS_CODE")
        classes = ("FID_BLNG_CLS_CODE", "FID_TRGT_CLS_CODE", "FID_TRGT_EXLS_CLS_CODE", "FID_INPUT_DATE_1")
        fields = required(request.params, *names, *classes, "FID_INPUT_PRICE_1", "FID_INPUT_PRICE_2", "FID_VOL_CNT")
        expect(fields, "FID_COND_MRKT_DIV_CODE", "J", "NX", "UN", "W")
        expect(fields, "FID_COND_SCR_DIV_CODE", "20171")
        belonging = expect(fields, "FID_BLNG_CLS_CODE", "0", "1", "2", "3", "4")
        if fields["FID_COND_MRKT_DIV_CODE"] == "W":  # warrants, of which a market day has none
            return Answer(outputs={"output": []})
        keep = Filter(self._source, self._figures, fields)
        if belonging == "0":
            rows = self._best(keep, by_volume=True)
        else:
            rows = sorted(self._board(keep), key=lambda row: (-self._volume_key(belonging, row), row.code))
        return Answer(outputs={"output": [self._volume_row(rank, row) for rank, row in enumerate(rows[:ROWS_MAX], 1)]})

    def fluctuation(self, request: Request) -> Answer:
        """Fluctuation FHPST01700000: by rise, fall, rise or fall against the open, or amplitude (sort 0-4)."""
        names = ("FID_COND_MRKT_DIV_CODE", "FID_COND_SCR_DIV_CODE", "FID_INPUT_ISCD", "FID_RANK_SORT_CLS_CODE")
        counts = ("FID_INPUT_CNT_1", "FID_PRC_CLS_CODE", "FID_INPUT_PRICE_1", "FID_INPUT_PRICE_2", "FID_VOL_CNT")
        classes = (
            "FID_TRGT_CLS_CODE",
            "FID_TRGT_EXLS_CLS_CODE",
            "FID_DIV_CLS_CODE",
            "FID_RSFL_RATE1",
            "FID_RSFL_RATE2",
        )
        fields = required(request.params, *names, *counts, *classes)
        expect(fields, "FID_COND_MRKT_DIV_CODE", "J", "NX", "UN")
        expect(fields, "FID_COND_SCR_DIV_CODE", "20170")
        sort = fields["FID_RANK_SORT_CLS_CODE"].lstrip("0")
        order = _ORDERS.get(sort)
        if order is None:
            raise value_error("FID_RANK_SORT_CLS_CODE", fields["FID_RANK_SORT_CLS_CODE"])
        count = whole(fields, "FID_INPUT_CNT_1") if fields["FID_INPUT_CNT_1"] else 0
        keep = Filter(self._source, self._figures, fields)
        if sort == "":
            rows = self._best(keep, by_volume=False)
        else:
            rows = sorted(self._board(keep), key=lambda row: (-order(row), row.code))
        rows = rows[: min(count or ROWS_MAX, ROWS_MAX)]
        return Answer(outputs={"output": [self._rise_row(rank, row) for rank, row in enumerate(rows, 1)]})

    def _board(self, keep: "Filter") -> list[RankRow]:
        return [row for row in self._source.board() if keep.passes(row)]

    def _best(self, keep: "Filter", *, by_volume: bool) -> Sequence[RankRow]:
        """Return the first rows by volume or rise: from the market's own ranking where it holds enough of them."""
        source, market = self._source, SCOPES.get(keep.scope)
        if market is not None:
            ask = source.market.rank_volume if by_volume else source.market.rank_gainers
            asked = ask(source.last(), market, _FIRST_ASKED)
            rows = [row for row in asked if keep.passes(row)]
            if len(rows) >= ROWS_MAX or len(asked) < _FIRST_ASKED:
                return rows[:ROWS_MAX]
        key = _shares if by_volume else _rise
        return sorted(self._board(keep), key=lambda row: (-key(row), row.code))

    def _volume_key(self, belonging: str, row: RankRow) -> int:
        stock = self._source.market.by_code[row.code]
        match belonging:
            case "1":
                return row.volume * 10_000 // max(row.prev_volume, 1)
            case "2":
                return row.volume * 1_000_000 // max(stock.listed_shares, 1)
            case "3":
                return row.value
            case _:
                return row.value * 1_000_000 // max(stock.listed_shares * row.last, 1)

    def _volume_row(self, rank: int, row: RankRow) -> Row:
        stock = self._source.market.by_code[row.code]
        turnover = cents(percent_of(row.volume, stock.listed_shares))
        value_turnover = cents(percent_of(row.value, stock.listed_shares * row.last))
        change = cents(percent_of(row.change, stock.base))
        return {
            "hts_kor_isnm": stock.name,
            "mksc_shrn_iscd": row.code,
            "data_rank": str(rank),
            "stck_prpr": str(row.last),
            "prdy_vrss_sign": sign_of(row.change, row.last, stock.upper, stock.lower),
            "prdy_vrss": str(row.change),
            "prdy_ctrt": change,
            "acml_vol": str(row.volume),
            "prdy_vol": str(stock.prev_volume),
            "lstn_stcn": str(stock.listed_shares),
            "avrg_vol": str(row.volume),
            "n_befr_clpr_vrss_prpr_rate": change,
            "vol_inrt": cents(percent_of(row.volume, stock.prev_volume)),
            "vol_tnrt": turnover,
            "nday_vol_tnrt": turnover,
            "avrg_tr_pbmn": str(row.value),
            "tr_pbmn_tnrt": value_turnover,
            "nday_tr_pbmn_tnrt": value_turnover,
            "acml_tr_pbmn": str(row.value),
        }

    def _rise_row(self, rank: int, row: RankRow) -> Row:
        market = self._source.market
        stock = market.by_code[row.code]
        stats = market.stats(row.code, self._source.last())
        date = ymd(market.day)
        from_open = row.last - row.open
        change = cents(percent_of(row.change, stock.base))
        known = market.known(row.code)
        up, down = streak(known.closes or () if known else (), row.change)
        return {
            "stck_shrn_iscd": row.code,
            "data_rank": str(rank),
            "hts_kor_isnm": stock.name,
            "stck_prpr": str(row.last),
            "prdy_vrss": str(row.change),
            "prdy_vrss_sign": sign_of(row.change, row.last, stock.upper, stock.lower),
            "prdy_ctrt": change,
            "acml_vol": str(row.volume),
            "stck_hgpr": str(row.high),
            "hgpr_hour": hhmmss(stats.high_second),
            "acml_hgpr_date": date,
            "stck_lwpr": str(row.low),
            "lwpr_hour": hhmmss(stats.low_second),
            "acml_lwpr_date": date,
            "lwpr_vrss_prpr_rate": cents(percent_of(row.last - row.low, row.low)),
            "dsgt_date_clpr_vrss_prpr_rate": change,
            "cnnt_ascn_dynu": str(up),
            "hgpr_vrss_prpr_rate": cents(percent_of(row.last - row.high, row.high)),
            "cnnt_down_dynu": str(down),
            "oprc_vrss_prpr_sign": step_sign(from_open),
            "oprc_vrss_prpr": str(from_open),
            "oprc_vrss_prpr_rate": cents(percent_of(from_open, row.open)),
            "prd_rsfl": str(row.change),
            "prd_rsfl_rate": change,
        }


class Filter:
    """What a ranking's parameters leave in. Raises RestError for values that cannot be read."""

    def __init__(self, source: Source, figures: FigureBook, fields: Mapping[str, str]) -> None:
        self.scope = fields["FID_INPUT_ISCD"]
        self._by_code = source.market.by_code
        self._figures = figures
        self._flags = fields["FID_TRGT_EXLS_CLS_CODE"]
        for name in ("FID_TRGT_EXLS_CLS_CODE", "FID_TRGT_CLS_CODE"):
            if fields[name].strip("01"):
                raise value_error(name, fields[name])
        self._class = expect(fields, "FID_DIV_CLS_CODE", "0", "1", "2")
        self._lowest = _number(fields, "FID_INPUT_PRICE_1")
        self._highest = _number(fields, "FID_INPUT_PRICE_2")
        self._volume = _number(fields, "FID_VOL_CNT")
        self._rises = (_basis_points(fields, "FID_RSFL_RATE1"), _basis_points(fields, "FID_RSFL_RATE2"))
        if self.scope != "2001" and self.scope not in SCOPES:
            raise value_error("FID_INPUT_ISCD", self.scope)

    def passes(self, row: RankRow) -> bool:
        """Return whether the row stays."""
        stock = self._by_code[row.code]
        if not in_scope(stock, self.scope) or row.last < self._lowest or row.volume < self._volume:
            return False
        if self._highest and row.last > self._highest:
            return False
        if self._class != "0" and (stock.kind == "preferred") != (self._class == "2"):
            return False
        least, most = self._rises
        if (least is not None and row.change_bp < least) or (most and row.change_bp > most):
            return False
        return not self._excluded(stock)

    def _excluded(self, stock: Stock) -> bool:
        """Return whether the ten exclusion flags (kis-protocol 4.2) leave *stock* out; absent flags exclude nothing."""
        if "1" not in self._flags:
            return False
        traits = (
            stock.warning > 0,
            stock.administrative,
            stock.liquidation,
            False,  # unfaithful disclosure: a market day does not know it
            stock.kind == "preferred",
            stock.halted,
            stock.kind == "etf",
            stock.kind == "etn",
            self._flags[8:9] == "1" and not self._figures.of(stock).credit,
            stock.kind == "spac",
        )
        return any(flag == "1" and trait for flag, trait in zip(self._flags, traits, strict=False))


def streak(closes: Sequence[int], change: int) -> tuple[int, int]:
    """Return for how many sessions running, the day's *change* included, the close rose, and fell."""
    if change == 0:
        return 0, 0
    up = change > 0
    count = 1
    for at in range(len(closes) - 1, 0, -1):
        step = closes[at] - closes[at - 1]
        if step == 0 or (step > 0) != up:
            break
        count += 1
    return (count, 0) if up else (0, count)


def _rise(row: RankRow) -> int:
    """Return the change in millionths of the base price."""
    return row.change * 1_000_000 // (row.last - row.change)


def _shares(row: RankRow) -> int:
    return row.volume


def _from_open(row: RankRow) -> int:
    return (row.last - row.open) * 1_000_000 // row.open


_ORDERS: Final[dict[str, Callable[[RankRow], int]]] = {
    "": _rise,
    "1": lambda row: -_rise(row),
    "2": _from_open,
    "3": lambda row: -_from_open(row),
    "4": lambda row: (row.high - row.low) * 1_000_000 // row.low,
}


def _number(fields: Mapping[str, str], name: str) -> int:
    """Return a limit, 0 for a blank one."""
    return whole(fields, name) if fields[name] else 0


def _basis_points(fields: Mapping[str, str], name: str) -> int | None:
    """Return a rate given in percent, None when it is blank or not asked for."""
    text = fields.get(name, "")
    if not text:
        return None
    try:
        return round(float(text) * 100)
    except ValueError:
        raise value_error(name, text) from None
