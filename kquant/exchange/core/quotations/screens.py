"""The other rankings: trade strength, size, distance from averages, near new extremes, expected prices.

Source: kis-protocol.md 4.2; parameters and fields as in KIS's own samples. Trade strength and expected prices are those
of the stocks with most turnover: nobody asks for the thousands behind them.
"""

from collections.abc import Callable
from typing import Final

from kquant.exchange.core.quotations.forms import Row, cents, percent_of
from kquant.exchange.core.quotations.rankings import in_scope
from kquant.exchange.core.quotations.source import SCOPES, Source, direction, expect, resting
from kquant.exchange.core.rest import Answer, Request, required, value_error, whole
from kquant.exchange.market.model import RankRow, Stock

ROWS_MAX: Final = 30
BUSIEST: Final = 150
"""How many of the busiest stocks are looked at where every stock's own prints would be needed."""
_COMMON: Final = ("FID_COND_MRKT_DIV_CODE", "FID_COND_SCR_DIV_CODE", "FID_INPUT_ISCD", "FID_DIV_CLS_CODE")
_TARGETS: Final = ("FID_TRGT_CLS_CODE", "FID_TRGT_EXLS_CLS_CODE")
_PRICES: Final = ("FID_INPUT_PRICE_1", "FID_INPUT_PRICE_2", "FID_VOL_CNT")
_AVERAGES: Final = (5, 10, 20, 60, 120)

Fields = dict[str, str]
Pair = tuple[Stock, RankRow]


class Screens:
    """Answers volume-power, market-cap, disparity, near-new-highlow and exp-trans-updown."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sums: dict[str, tuple[int, ...]] = {}

    def volume_power(self, request: Request) -> Answer:
        """volume-power FHPST01680000: by trade strength, shares bought per hundred sold by their initiators."""
        fields = self._asked(request, "20168", *_TARGETS, *_PRICES)
        pairs = [pair for pair in self._traded(fields) if _limited(fields, pair)]
        pairs.sort(key=lambda pair: (-pair[1].value, pair[0].code))
        found = []
        for stock, row in pairs[:BUSIEST]:
            stats = self._source.stats(stock)
            if stats.sell_volume:
                found.append((stats.buy_volume * 10_000 // stats.sell_volume, stock, row, stats))
        found.sort(key=lambda item: (-item[0], item[1].code))
        rows = [
            {
                "stck_shrn_iscd": stock.code,
                **_named(rank, stock, row),
                "tday_rltv": cents(percent_of(stats.buy_volume, stats.sell_volume)),
                "seln_cnqn_smtn": str(stats.sell_volume),
                "shnu_cnqn_smtn": str(stats.buy_volume),
            }
            for rank, (_, stock, row, stats) in enumerate(found[:ROWS_MAX], 1)
        ]
        return Answer(outputs={"output": rows})

    def market_cap(self, request: Request) -> Answer:
        """market-cap FHPST01740000: by market value in 100 million won; stocks that have not traded count too."""
        fields = self._asked(request, "20174", *_TARGETS, *_PRICES)
        everyone = [pair for pair in self._all(fields) if not pair[0].etp]
        total = sum(stock.listed_shares * row.last for stock, row in everyone)
        pairs = [pair for pair in everyone if _limited(fields, pair)]
        pairs.sort(key=lambda pair: (-pair[0].listed_shares * pair[1].last, pair[0].code))
        rows = [
            {
                "mksc_shrn_iscd": stock.code,
                **_named(rank, stock, row),
                "lstn_stcn": str(stock.listed_shares),
                "stck_avls": str(stock.listed_shares * row.last // 100_000_000),
                "mrkt_whol_avls_rlim": cents(percent_of(stock.listed_shares * row.last, total)),
            }
            for rank, (stock, row) in enumerate(pairs[:ROWS_MAX], 1)
        ]
        return Answer(outputs={"output": rows})

    def disparity(self, request: Request) -> Answer:
        """Disparity FHPST01780000: by the price in percent of its average over 5, 10, 20, 60 or 120 sessions."""
        names = ("FID_RANK_SORT_CLS_CODE", "FID_HOUR_CLS_CODE", *_TARGETS, *_PRICES)
        fields = self._asked(request, "20178", *names, classes=_CLASSES)
        lowest = expect(fields, "FID_RANK_SORT_CLS_CODE", "0", "1") == "1"
        sessions = int(expect(fields, "FID_HOUR_CLS_CODE", *(str(count) for count in _AVERAGES)))
        found = []
        for stock, row in self._traded(fields):
            ratio = self._against_average(stock, row.last, sessions)
            if ratio and _limited(fields, (stock, row)):
                found.append((ratio, stock, row))
        found.sort(key=lambda item: (item[0] if lowest else -item[0], item[1].code))
        rows = [
            {
                "mksc_shrn_iscd": stock.code,
                **_named(rank, stock, row),
                **{f"d{count}_dsrt": cents(self._against_average(stock, row.last, count)) for count in _AVERAGES},
            }
            for rank, (_, stock, row) in enumerate(found[:ROWS_MAX], 1)
        ]
        return Answer(outputs={"output": rows})

    def near_extreme(self, request: Request) -> Answer:
        """near-new-highlow FHPST01870000: stocks within a distance (percent) of their 52-week high or low."""
        names = ("FID_APLY_RANG_VOL", "FID_INPUT_CNT_1", "FID_INPUT_CNT_2", "FID_PRC_CLS_CODE")
        fields = self._asked(request, "20187", *names, *_TARGETS, "FID_APLY_RANG_PRC_1", "FID_APLY_RANG_PRC_2")
        of_low = expect(fields, "FID_PRC_CLS_CODE", "0", "1") == "1"
        nearest, farthest = (_limit(fields, name) * 100 for name in ("FID_INPUT_CNT_1", "FID_INPUT_CNT_2"))
        least = _limit(fields, "FID_APLY_RANG_VOL")
        low, high = _limit(fields, "FID_APLY_RANG_PRC_1"), _limit(fields, "FID_APLY_RANG_PRC_2")
        found = []
        for stock, row in self._traded(fields):
            known = self._source.market.known(stock.code)
            if known is None or not known.w52_high or not known.w52_low or row.volume < least:
                continue
            if row.last < low or (high and row.last > high):
                continue
            top, bottom = max(known.w52_high, row.high), min(known.w52_low, row.low)
            distances = percent_of(top - row.last, top), percent_of(row.last - bottom, bottom)
            distance = distances[1 if of_low else 0]
            if nearest <= distance <= (farthest or 10_000):
                found.append((distance, stock, row, (top, bottom), distances))
        found.sort(key=lambda item: (item[0], item[1].code))
        rows = []
        for rank, (_, stock, row, (top, bottom), (from_top, from_bottom)) in enumerate(found[:ROWS_MAX], 1):
            quote = self._source.market.quote(stock.code, self._source.last())
            named = _named(rank, stock, row)
            del named["data_rank"]
            rows.append(
                {
                    "mksc_shrn_iscd": stock.code,
                    **named,
                    "askp": str(quote.ask),
                    "askp_rsqn1": str(quote.ask_qty),
                    "bidp": str(quote.bid),
                    "bidp_rsqn1": str(quote.bid_qty),
                    "new_hgpr": str(top),
                    "hprc_near_rate": cents(from_top),
                    "new_lwpr": str(bottom),
                    "lwpr_near_rate": cents(from_bottom),
                    "stck_sdpr": str(stock.base),
                }
            )
        return Answer(outputs={"output": rows})

    def expected(self, request: Request) -> Answer:
        """exp-trans-updown FHPST01820000: by expected price in a call auction; empty in continuous trading.

        Sort 0 rise %, 1 rise, 2 unchanged, 3 fall %, 4 fall, 5 quantity, 6 won.
        """
        limits = ("FID_APLY_RANG_PRC_1", "FID_VOL_CNT", "FID_PBMN")
        names = ("FID_RANK_SORT_CLS_CODE", *limits, "FID_BLNG_CLS_CODE", "FID_MKOP_CLS_CODE")
        fields = self._asked(request, "20182", *names)
        sort = expect(fields, "FID_RANK_SORT_CLS_CODE", *_EXPECTED_ORDERS)
        expect(fields, "FID_MKOP_CLS_CODE", "0", "1")
        lowest, volume, won = (_limit(fields, name) for name in limits)
        market, second = self._source.market, self._source.last()
        stocks = [stock for stock, _ in self._all(fields)]
        stocks.sort(key=lambda stock: (-stock.prev_volume * stock.base, stock.code))
        found = []
        for stock in stocks[:BUSIEST]:
            price, qty = market.indicative(stock.code, second)
            if price < max(lowest, 1) or qty < volume or price * qty < won * 1_000:
                continue
            change = price - stock.base
            if (sort == "2" and change) or (sort in "01" and change <= 0) or (sort in "34" and change >= 0):
                continue
            found.append((_EXPECTED_ORDERS[sort](stock, price, qty), stock, price, qty))
        found.sort(key=lambda item: (-item[0], item[1].code))
        rows = [self._expected_row(stock, price, qty) for _, stock, price, qty in found[:ROWS_MAX]]
        return Answer(outputs={"output": rows})

    # -- helpers --------------------------------------------------------------------------------------------

    def _expected_row(self, stock: Stock, price: int, qty: int) -> Row:
        book = self._source.market.book(stock.code, self._source.last())
        change, sign = direction(stock, price)
        return {
            "stck_shrn_iscd": stock.code,
            "hts_kor_isnm": stock.name,
            "stck_prpr": str(price),
            "prdy_vrss": str(change),
            "prdy_vrss_sign": sign,
            "prdy_ctrt": cents(percent_of(change, stock.base)),
            "stck_sdpr": str(stock.base),
            "seln_rsqn": str(book.asks[0].qty),
            "askp": str(book.asks[0].price),
            "bidp": str(book.bids[0].price),
            "shnu_rsqn": str(book.bids[0].qty),
            "cntg_vol": str(qty),
            "antc_tr_pbmn": str(price * qty),
            "total_askp_rsqn": str(book.ask_qty_total),
            "total_bidp_rsqn": str(book.bid_qty_total),
        }

    def _asked(self, request: Request, screen: str, *names: str, classes: tuple[str, ...] = ("0", "1", "2")) -> Fields:
        """Return the checked parameters of a ranking whose screen number is *screen*."""
        fields = required(request.params, *_COMMON, *names)
        expect(fields, "FID_COND_MRKT_DIV_CODE", "J", "NX", "UN")
        expect(fields, "FID_COND_SCR_DIV_CODE", screen)
        expect(fields, "FID_DIV_CLS_CODE", *(classes if screen != "20187" else ("0", "1", "2", "3")))
        if fields["FID_INPUT_ISCD"] != "2001" and fields["FID_INPUT_ISCD"] not in SCOPES:
            raise value_error("FID_INPUT_ISCD", fields["FID_INPUT_ISCD"])
        return fields

    def _traded(self, fields: Fields) -> list[Pair]:
        """Return the stocks that traded, of the market and class asked for."""
        by_code = self._source.market.by_code
        pairs = ((by_code[row.code], row) for row in self._source.board())
        return [pair for pair in pairs if self._belongs(pair[0], fields)]

    def _all(self, fields: Fields) -> list[Pair]:
        """Return every stock of the market and class asked for, at its base price before its first trade."""
        rows = {row.code: row for row in self._source.board()}
        stocks = (stock for stock in self._source.market.stocks if self._belongs(stock, fields))
        return [(stock, rows.get(stock.code) or resting(stock)) for stock in stocks]

    def _belongs(self, stock: Stock, fields: Fields) -> bool:
        wanted, screen = fields["FID_DIV_CLS_CODE"], fields["FID_COND_SCR_DIV_CODE"]
        if wanted != "0" and screen in ("20178", "20187"):
            if not _CLASS_TESTS[wanted](stock):
                return False
        elif wanted != "0" and (stock.kind == "preferred") != (wanted == "2"):
            return False
        return in_scope(stock, fields["FID_INPUT_ISCD"])

    def _against_average(self, stock: Stock, price: int, sessions: int) -> int:
        """Return the price in hundredths of a percent of its average with the sessions before; 0 when not known."""
        sums = self._sums.get(stock.code)
        if sums is None:
            known = self._source.market.known(stock.code)
            closes = (known.closes or ()) if known else ()
            sums = tuple(sum(closes[-(count - 1) :]) if len(closes) >= count - 1 else 0 for count in _AVERAGES)
            self._sums[stock.code] = sums
        before = sums[_AVERAGES.index(sessions)]
        return percent_of(price * sessions, before + price) if before else 0


_CLASS_TESTS: Final[dict[str, Callable[[Stock], bool]]] = {
    "1": lambda stock: stock.administrative,
    "2": lambda stock: stock.warning == 1,
    "3": lambda stock: stock.warning == 2,
    "4": lambda _: False,  # notice of a risk: a market day does not know it
    "5": lambda stock: stock.warning == 3,
    "6": lambda stock: stock.kind == "common",
    "7": lambda stock: stock.kind == "preferred",
}
_CLASSES: Final = ("0", *_CLASS_TESTS)


def _rise_rate(stock: Stock, price: int, _: int) -> int:
    return (price - stock.base) * 1_000_000 // stock.base


def _rise(stock: Stock, price: int, _: int) -> int:
    return price - stock.base


_EXPECTED_ORDERS: Final[dict[str, Callable[[Stock, int, int], int]]] = {
    "0": _rise_rate,
    "1": _rise,
    "2": lambda _, price, qty: price * qty,
    "3": lambda stock, price, qty: -_rise_rate(stock, price, qty),
    "4": lambda stock, price, qty: -_rise(stock, price, qty),
    "5": lambda _, __, qty: qty,
    "6": lambda _, price, qty: price * qty,
}


def _limit(fields: Fields, name: str) -> int:
    return whole(fields, name) if fields[name] else 0


def _limited(fields: Fields, pair: Pair) -> bool:
    """Return whether a stock is within the price range and the least volume asked for."""
    _, row = pair
    highest = _limit(fields, "FID_INPUT_PRICE_2")
    return (
        row.last >= _limit(fields, "FID_INPUT_PRICE_1")
        and (not highest or row.last <= highest)
        and row.volume >= _limit(fields, "FID_VOL_CNT")
    )


def _named(rank: int, stock: Stock, row: RankRow) -> Row:
    change, sign = direction(stock, row.last)
    return {
        "data_rank": str(rank),
        "hts_kor_isnm": stock.name,
        "stck_prpr": str(row.last),
        "prdy_vrss": str(change),
        "prdy_vrss_sign": sign,
        "prdy_ctrt": cents(percent_of(change, stock.base)),
        "acml_vol": str(row.volume),
    }
