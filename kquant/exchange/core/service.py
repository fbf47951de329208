"""One service of the exchange, real or paper: its keys, account, books, desk, sessions, limits and routes.

Both services of an exchange see the same market and the same clock and share nothing else; see kis-protocol.md 1.1.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Final

from kquant.exchange.core.auth import CallLimit, Credentials, TokenOffice
from kquant.exchange.core.books import Environment, Order, Refusal
from kquant.exchange.core.desk import Desk
from kquant.exchange.core.gateway import Gateway
from kquant.exchange.core.layouts import Layout
from kquant.exchange.core.ledger import Ledger
from kquant.exchange.core.matching import Matcher
from kquant.exchange.core.ports import Market
from kquant.exchange.core.quotations import Quotations
from kquant.exchange.core.registrations import NOTICES, SessionHub, WsSession
from kquant.exchange.core.rest import Request, Response
from kquant.exchange.core.rest_account import Account
from kquant.exchange.core.rest_overseas import Overseas
from kquant.exchange.core.rest_reference import MasterName, Reference
from kquant.exchange.core.rules import cost_rates, is_open_day
from kquant.exchange.core.state import Restored, ServiceOptions, Store, market_identity, opening_account
from kquant.exchange.core.wire import data_frame, encrypt

Send = Callable[[WsSession, str], None]
PASSED_BY: Final = 86_399
"""The night after a trading day still is that day, at its last second, until the next one begins."""


class Service:
    """A simulated KIS for one account.

    second: the KST second of the market's day that is played next.   now: market time in epoch seconds.
    send: takes one text for one session.   master: one market's zipped master file.
    """

    def __init__(
        self,
        environment: Environment,
        market: Market,
        options: ServiceOptions,
        *,
        second: Callable[[], int],
        now: Callable[[], int],
        send: Send,
        layout: Layout,
        master: Callable[[MasterName], bytes],
        store: Store,
        restored: Restored | None,
    ) -> None:
        self.environment: Environment = environment
        self.options = options
        self.store = store
        self.matched = -1 if restored is None else restored.matched_through
        self._second = second
        self._now = now
        self._send = send
        self._layout = layout
        state = opening_account(market, options) if restored is None else restored.ledger
        credentials = Credentials() if restored is None else restored.credentials
        day = market.day if restored is None else restored.day
        self.ledger = Ledger(state, cost_rates(day), day)
        self.office = TokenOffice(
            credentials, app_key=options.app_key, app_secret=options.app_secret, salt=options.salt
        )
        self.limit = CallLimit(options.calls_per_second, options.ledger_calls_per_second)
        self.gateway = Gateway(environment, self.office, self.limit, master=master, commit=self.commit)
        self.hub = SessionHub(
            environment,
            hts_id=options.hts_id,
            app_key=options.app_key,
            app_secret=options.app_secret,
            owner_of=self._owner_of,
            salt=options.salt,
            linger_s=options.linger_s,
        )
        if day < market.day:  # the exchange was down over the nights between
            self.next_day(market)
        else:
            self._open_rooms(market)
            self.commit()

    def meet(self, other: "Service") -> None:
        """Make the other service's keys known: as the wrong ones, and for the approval keys of 7.6."""
        self.gateway.other = other.gateway

    def _open_rooms(self, market: Market) -> None:
        self.market = market
        matcher = Matcher(market, self.ledger, self.options.share_bp)
        self.desk = Desk(
            market,
            self.ledger,
            matcher,
            self._notify,
            hts_id=self.options.hts_id,
            account="".join(self.options.account),
            holder=self.options.holder,
            environment=self.environment,
            latency_s=self.options.latency_s,
            list_lag_s=self.options.list_lag_s,
        )
        quotes = Quotations(market, self._last, hts_id=self.options.hts_id)
        reference = Reference(market, self._last)
        account = Account(
            market,
            self.ledger,
            self.desk,
            account=self.options.account,
            now=lambda: min(self._second(), PASSED_BY),
            environment=self.environment,
        )
        overseas = Overseas(self.options.account, self.environment)
        self.gateway.routes = {**quotes.routes(), **reference.routes(), **account.routes(), **overseas.routes()}
        self.hub.codes = frozenset(market.by_code)

    def _last(self) -> int:
        """Return the last finished second; the night belongs to the day before it."""
        return min(self._second() - 1, PASSED_BY)

    # -- REST and WebSocket ---------------------------------------------------------------------------------

    def rest(self, request: Request, wall: float) -> Response:
        """Answer one call; *wall* is epoch seconds. Order TRs are durable before the answer is returned."""
        return self.gateway.rest(request, wall)

    def ws_connect(self) -> WsSession:
        """Open a WebSocket session."""
        return self.hub.connect(self._now())

    def ws_receive(self, session: WsSession, text: str, wall: float) -> list[str]:
        """Handle one text of the client; return the answers."""
        return self.hub.receive(session, text, self._now(), wall)

    def ws_disconnect(self, session: WsSession, *, orderly: bool = False) -> None:
        """The connection is gone, and with it every registration. orderly: the client closed it itself."""
        self.hub.disconnect(session, self._now(), orderly=orderly)

    # -- market time ----------------------------------------------------------------------------------------

    def play(self, second: int) -> None:
        """Execute what [second, second + 1) brings the account; durable when it returns."""
        # A second whose fills are already in the ledger (a crash before the clock was saved) only prints again.
        if second <= self.matched:
            return
        if self.desk.play(second):
            self.matched = second
            self.commit()

    def next_day(self, market: Market) -> None:
        """Go on to the day of *market*: books move on by every trading day since, sessions and tokens stay."""
        day = self.ledger.day
        while day is not None and day < market.day:
            day += dt.timedelta(days=1)
            if day == market.day or is_open_day(day):
                self.ledger.next_day(day)
        self.matched = -1
        self.ledger.take_changes()  # the whole state is written instead
        self.store.open_day(market.day, market_identity(market), self.ledger.state, self.office.credentials)
        self._open_rooms(market)

    def by_hand(self, act: Callable[[Desk, int], Order | Refusal]) -> Order | Refusal:
        """Let the user act at the desk in the broker's own program; durable when it returns."""
        result = act(self.desk, self._second())
        self.commit()
        return result

    def commit(self) -> None:
        """Make what changed in the books and the office durable."""
        self.store.save(self.ledger.take_changes(), self.matched, self.office.credentials)

    # -- helpers --------------------------------------------------------------------------------------------

    def _owner_of(self, approval: str, wall: float) -> str | None:
        """Return the app key an approval key was issued for, be it the other service's; None when it is not valid."""
        if self.office.is_approved(approval, wall):
            return self.office.app_key
        other = self.gateway.other
        if other is not None and other.office.is_approved(approval, wall):
            return other.office.app_key
        return None

    def _notify(self, record: str) -> None:
        tr_id = NOTICES[self.environment]
        record = self._layout.fit(tr_id, record)
        for session in self.hub.listeners():
            key, iv = session.cipher(tr_id)
            self._send(session, data_frame(tr_id, (encrypt(record, key, iv),), encrypted=True))


Services = Mapping[Environment, Service]
