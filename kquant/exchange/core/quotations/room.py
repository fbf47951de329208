"""All quotation paths of the look-alike, and where they are offered. Source: kis-protocol.md 4.1-4.4."""

from collections.abc import Callable

from kquant.exchange.core.ports import Market
from kquant.exchange.core.quotations.daily import Dailies
from kquant.exchange.core.quotations.figures import FigureBook
from kquant.exchange.core.quotations.flows import FlowBook
from kquant.exchange.core.quotations.index import Indices
from kquant.exchange.core.quotations.interruptions import Interruptions
from kquant.exchange.core.quotations.investors import Investors
from kquant.exchange.core.quotations.minutes import Minutes
from kquant.exchange.core.quotations.past import Past
from kquant.exchange.core.quotations.price import Prices
from kquant.exchange.core.quotations.rankings import Rankings
from kquant.exchange.core.quotations.screens import Screens
from kquant.exchange.core.quotations.source import Source
from kquant.exchange.core.quotations.trades import Trades
from kquant.exchange.core.quotations.watch import Watch
from kquant.exchange.core.rest import Answer, Request, Route, Routes

Handle = Callable[[Request], Answer]


class Quotations:
    """Answers quotation TRs; `last` gives the last finished second (KST second of the day).

    hts_id: whose conditions and watch lists there are; None lets every user see them.
    """

    def __init__(self, market: Market, last: Callable[[], int], *, hts_id: str | None = None) -> None:
        source = Source(market, last)
        past = Past(source)
        figures = FigureBook(source)
        flows = FlowBook(source, past)
        self._prices = Prices(source, past, figures, flows)
        self._trades = Trades(source)
        self._minutes = Minutes(source, past)
        self._dailies = Dailies(source, past, figures, flows)
        self._indices = Indices(source, past)
        self._investors = Investors(source, past, flows)
        self._rankings = Rankings(source, figures)
        self._screens = Screens(source)
        self._interruptions = Interruptions(source)
        self._watch = Watch(source, hts_id)

    def routes(self) -> Routes:
        """Return the paths answered here."""
        on_paper: list[tuple[str, str, Handle]] = [
            ("inquire-price", "FHKST01010100", self._prices.price),
            ("inquire-ccnl", "FHKST01010300", self._trades.last_trades),
            ("inquire-daily-price", "FHKST01010400", self._dailies.recent),
            ("inquire-asking-price-exp-ccn", "FHKST01010200", self._trades.asking_price),
            ("inquire-investor", "FHKST01010900", self._investors.investor),
            ("inquire-member", "FHKST01010600", self._trades.members),
            ("inquire-daily-itemchartprice", "FHKST03010100", self._dailies.chart),
            ("inquire-time-itemchartprice", "FHKST03010200", self._minutes.today),
            ("inquire-time-itemconclusion", "FHPST01060000", self._trades.trades_until),
            ("inquire-daily-overtimeprice", "FHPST02320000", self._dailies.overtime),
            ("inquire-time-dailychartprice", "FHKST03010230", self._minutes.past),
            ("inquire-daily-indexchartprice", "FHKUP03500100", self._indices.chart),
        ]
        real_only: list[tuple[str, str, Handle]] = [
            ("volume-rank", "FHPST01710000", self._rankings.volume),
            ("inquire-price-2", "FHPST01010000", self._prices.price_2),
            ("intstock-multprice", "FHKST11300006", self._watch.several),
            ("intstock-grouplist", "HHKCM113004C7", self._watch.groups),
            ("intstock-stocklist-by-group", "HHKCM113004C6", self._watch.group),
            ("psearch-title", "HHKST03900300", self._watch.titles),
            ("psearch-result", "HHKST03900400", self._watch.result),
            ("inquire-index-price", "FHPUP02100000", self._indices.price),
            ("investor-trade-by-stock-daily", "FHPTJ04160001", self._investors.by_stock_daily),
            ("foreign-institution-total", "FHPTJ04400000", self._investors.estimates),
            ("inquire-vi-status", "FHPST01390000", self._interruptions.status),
        ]
        rankings: list[tuple[str, str, Handle]] = [
            ("fluctuation", "FHPST01700000", self._rankings.fluctuation),
            ("volume-power", "FHPST01680000", self._screens.volume_power),
            ("market-cap", "FHPST01740000", self._screens.market_cap),
            ("disparity", "FHPST01780000", self._screens.disparity),
            ("near-new-highlow", "FHPST01870000", self._screens.near_extreme),
            ("exp-trans-updown", "FHPST01820000", self._screens.expected),
        ]
        return (
            {f"/quotations/{name}": _route(tr_id, handle, paper=True) for name, tr_id, handle in on_paper}
            | {f"/quotations/{name}": _route(tr_id, handle, paper=False) for name, tr_id, handle in real_only}
            | {f"/ranking/{name}": _route(tr_id, handle, paper=False) for name, tr_id, handle in rankings}
        )


def _route(tr_id: str, handle: Handle, *, paper: bool) -> Route:
    return Route(method="GET", real=(tr_id,), paper=(tr_id,) if paper else (), handle=handle)
