"""A stock's book, its last trades, and the members behind them. Source: kis-protocol.md 4.3."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from kquant.exchange.core.quotations.figures import MEMBERS, market_name
from kquant.exchange.core.quotations.forms import Row, cents, percent_of
from kquant.exchange.core.quotations.price import yes
from kquant.exchange.core.quotations.source import Source, direction, second_of
from kquant.exchange.core.rest import Answer, Request
from kquant.exchange.core.rules import hhmmss, sign_of
from kquant.exchange.market.mixing import Stream, key_of
from kquant.exchange.market.model import BUYER, SELLER, Book, Print, Stock

ROWS_MAX: Final = 30


class _Trade(NamedTuple):
    """A print with the day's volume and the volumes of both sides after it."""

    trade: Print
    volume: int
    bought: int
    sold: int


class Trades:
    """Answers asking price, ccnl, time-itemconclusion and member."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def asking_price(self, request: Request) -> Answer:
        """inquire-asking-price-exp-ccn FHKST01010200: ten levels, totals, expected auction price."""
        source = self._source
        stock, _ = source.stock(request)
        second = source.last()
        market = source.market
        book, before = market.book(stock.code, second), market.book(stock.code, second - 1)
        stats = source.stats(stock)
        price, qty = market.indicative(stock.code, second)
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
            "antc_cntg_prdy_ctrt": cents(percent_of(change, stock.base)),
            "antc_vol": str(qty),
            "stck_shrn_iscd": stock.code,
            "vi_cls_code": yes(source.in_vi(stock)),
        }
        session = market.segment(second).session_code
        return Answer(outputs={"output1": _book_fields(book, before, second, session), "output2": output2})

    def last_trades(self, request: Request) -> Answer:
        """inquire-ccnl FHKST01010300: the last 30 trades, newest first."""
        stock, _ = self._source.stock(request)
        rows = [
            {
                "stck_cntg_hour": hhmmss(at.trade.second),
                **_price(stock, at.trade.price, "stck_prpr"),
                "cntg_vol": str(at.trade.qty),
                "tday_rltv": cents(percent_of(at.bought, at.sold)),
            }
            for at in self._newest(stock, self._source.last())
        ]
        return Answer(outputs={"output": rows})

    def trades_until(self, request: Request) -> Answer:
        """inquire-time-itemconclusion FHPST01060000: 30 trades up to FID_INPUT_HOUR_1, newest first."""
        source = self._source
        stock, fields = source.stock(request, "FID_INPUT_HOUR_1")
        until = second_of("FID_INPUT_HOUR_1", fields["FID_INPUT_HOUR_1"])
        stats = source.stats(stock)
        output1 = {
            **_price(stock, stats.last or stock.base, "stck_prpr"),
            "acml_vol": str(stats.volume),
            "prdy_vol": str(stock.prev_volume),
            "rprs_mrkt_kor_name": market_name(stock),
        }
        rows = []
        for at in self._newest(stock, min(until, source.last())):
            quote = source.market.quote(stock.code, at.trade.second)
            rows.append(
                {
                    "stck_cntg_hour": hhmmss(at.trade.second),
                    **_price(stock, at.trade.price, "stck_pbpr"),
                    "askp": str(quote.ask),
                    "bidp": str(quote.bid),
                    "tday_rltv": cents(percent_of(at.bought, at.sold)),
                    "acml_vol": str(at.volume),
                    "cnqn": str(at.trade.qty),
                }
            )
        return Answer(outputs={"output1": output1, "output2": rows})

    def members(self, request: Request) -> Answer:
        """inquire-member FHKST01010600: the five members that sold and bought most, and what foreign ones did.

        Drawn for generated days; a recorded day does not say who traded, and answers zeros.
        """
        stock, _ = self._source.stock(request, venues=("J", "NX"))
        volume = self._source.stats(stock).volume if self._source.generated else 0
        before = self._source.market.stats(stock.code, self._source.last() - 60).volume if volume else 0
        sides = {side: self._shares(stock, side, volume, before) for side in ("seln", "shnu")}
        output: Row = {}
        glob: dict[str, tuple[int, int]] = {}
        for side, shares in sides.items():
            top = sorted(shares, key=lambda share: (-share.qty, share.number))[:5]
            top += [_NOBODY] * (5 - len(top))
            for place, share in enumerate(top, 1):
                output |= {
                    f"{side}_mbcr_no{place}": share.number,
                    f"{side}_mbcr_name{place}": share.name,
                    f"total_{side}_qty{place}": str(share.qty),
                    f"{side}_mbcr_rlim{place}": cents(percent_of(share.qty, volume)),
                    f"{side}_qty_icdc{place}": str(share.more),
                    f"{side}_mbcr_glob_yn_{place}": yes(share.foreign),
                }
            foreign = [share for share in shares if share.foreign]
            glob[side] = sum(share.qty for share in foreign), sum(share.more for share in foreign)
        output |= {
            "glob_total_seln_qty": str(glob["seln"][0]),
            "glob_seln_rlim": cents(percent_of(glob["seln"][0], volume)),
            "glob_ntby_qty": str(glob["shnu"][0] - glob["seln"][0]),
            "glob_total_shnu_qty": str(glob["shnu"][0]),
            "glob_shnu_rlim": cents(percent_of(glob["shnu"][0], volume)),
            "glob_total_seln_qty_icdc": str(glob["seln"][1]),
            "glob_total_shnu_qty_icdc": str(glob["shnu"][1]),
            "acml_vol": str(self._source.stats(stock).volume),
        }
        return Answer(outputs={"output": output})

    def _shares(self, stock: Stock, side: str, volume: int, before: int) -> list["_Share"]:
        """Split the day's volume over the members; they add to it."""
        if not volume:
            return []
        stream = Stream(key_of(self._source.market.seed, "members", side, stock.code))
        weights = [stream.between(1, 60) * (3 if place < 5 else 1) for place in range(len(MEMBERS))]
        total = sum(weights)
        shares = []
        left, left_before = volume, before
        for place, (number, name, foreign) in enumerate(MEMBERS):
            last = place == len(MEMBERS) - 1
            qty = left if last else volume * weights[place] // total
            was = left_before if last else before * weights[place] // total
            left, left_before = left - qty, left_before - was
            shares.append(_Share(number, name, foreign, qty, qty - was))
        return shares

    def _newest(self, stock: Stock, until: int) -> list[_Trade]:
        """Return the last 30 trades up to the end of *until*, newest first."""
        found: list[_Trade] = []
        for group in self._backwards(stock, until):
            found.extend(reversed(group))
            if len(found) >= ROWS_MAX:
                break
        return found[:ROWS_MAX]

    def _backwards(self, stock: Stock, until: int) -> Iterator[list[_Trade]]:
        """Yield the trades of each second with trades, latest second first."""
        market = self._source.market
        left = market.stats(stock.code, until).volume
        for second in range(until, market.open_second - 1, -1):
            if not left:
                return
            prints = market.prints(stock.code, second)
            if not prints:
                continue
            stats = market.stats(stock.code, second - 1)
            left = stats.volume
            volume, bought, sold = stats.volume, stats.buy_volume, stats.sell_volume
            group = []
            for trade in prints:
                volume += trade.qty
                bought += trade.qty * (trade.side == BUYER)
                sold += trade.qty * (trade.side == SELLER)
                group.append(_Trade(trade, volume, bought, sold))
            yield group


class _Share(NamedTuple):
    """What one member traded: shares so far, and how many more than a minute ago."""

    number: str
    name: str
    foreign: bool
    qty: int
    more: int


_NOBODY: Final = _Share(number="", name="", foreign=False, qty=0, more=0)


def _price(stock: Stock, price: int, name: str) -> Row:
    change, sign = direction(stock, price)
    return {
        name: str(price),
        "prdy_vrss": str(change),
        "prdy_vrss_sign": sign,
        "prdy_ctrt": cents(percent_of(change, stock.base)),
    }


def _book_fields(book: Book, before: Book, second: int, session: str) -> Row:
    fields: dict[str, Any] = {"aspr_acpt_hour": hhmmss(max(second, 0))}
    for prefix, levels, old in (("askp", book.asks, before.asks), ("bidp", book.bids, before.bids)):
        for number, level in enumerate(levels, 1):
            fields[f"{prefix}{number}"] = str(level.price)
            fields[f"{prefix}_rsqn{number}"] = str(level.qty)
            fields[f"{prefix}_rsqn_icdc{number}"] = str(level.qty - old[number - 1].qty)
    return fields | {
        "total_askp_rsqn": str(book.ask_qty_total),
        "total_bidp_rsqn": str(book.bid_qty_total),
        "total_askp_rsqn_icdc": str(book.ask_qty_total - before.ask_qty_total),
        "total_bidp_rsqn_icdc": str(book.bid_qty_total - before.bid_qty_total),
        "ovtm_total_askp_rsqn": "0",
        "ovtm_total_bidp_rsqn": "0",
        "ovtm_total_askp_icdc": "0",
        "ovtm_total_bidp_icdc": "0",
        "ntby_aspr_rsqn": str(book.bid_qty_total - book.ask_qty_total),
        "new_mkop_cls_code": session,
        "antc_mkop_cls_code": "",
    }
