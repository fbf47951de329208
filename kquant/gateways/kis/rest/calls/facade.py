"""Both roles behind one name, so that an owner's request is answered by whichever client can."""

from __future__ import annotations

from kquant.gateways.kis.rest.calls.data import DataCalls
from kquant.gateways.kis.rest.calls.trading import TradingCalls
from kquant.gateways.kis.rest.client import ReadOnlyClient, TradingClient


class KisCalls:
    """One account's calls and the market's.

    data: the calls of a real key that only reads, where the account is a paper one; without it the account's own service
    answers, which on paper lacks rankings, news and holidays: those calls raise NotOnPaper, and nothing else stops.
    """

    def __init__(self, client: TradingClient, account: str, data: DataCalls | None = None, *, hts_id: str = "") -> None:
        trading = TradingCalls(client, account)
        self.has_after_market = client.environment == "real"  # paper takes the types 00 to 04 only (kis-protocol 4.9)
        self.trading = trading
        self.data = data if data is not None else DataCalls(ReadOnlyClient(client.line), hts_id)
        self.gainers, self.volumes = self.data.gainers, self.data.volumes
        self.conditions, self.condition_hits = self.data.conditions, self.data.condition_hits
        self.watch_groups, self.watch_list = self.data.watch_groups, self.data.watch_list
        self.price, self.prices = self.data.price, self.data.prices
        self.prices_at_once = self.data.prices_at_once
        self.quote, self.book = self.data.quote, self.data.book
        self.news, self.master = self.data.news, self.data.master
        self.holidays, self.is_open_day = self.data.holidays, self.data.is_open_day
        self.balance, self.executions = trading.balance, trading.executions
        self.orderable, self.sellable, self.open_orders = trading.orderable, trading.sellable, trading.open_orders
        self.place, self.cancel, self.replace = trading.place, trading.cancel, trading.replace
