"""The whole exchange in memory: REST calls, WebSocket texts and market seconds in, answers and frames out.

Servers are thin shells around `Exchange`; a test or a simulation drives it directly. It owns no clock: market time
moves only by `step`, wall times (for tokens and call limits) are handed in.
"""

import datetime as dt
from typing import Final, Literal, Protocol

from msgspec import Struct

from kquant.exchange.core.auth import TOKEN_LIFE_S, CallLimit, Credentials, TokenOffice
from kquant.exchange.core.desk import Desk
from kquant.exchange.core.ledger import Cash, Changes, Ledger, LedgerState, Position
from kquant.exchange.core.matching import SHARE_BP, Matcher
from kquant.exchange.core.ports import Market
from kquant.exchange.core.registrations import NOTICE, SessionHub, WsSession
from kquant.exchange.core.rest import (
    GATEWAY_TEXTS,
    Request,
    Response,
    RestError,
    Routes,
    envelope,
    gateway_error,
    json_bytes,
    refusal,
)
from kquant.exchange.core.rest_account import Account
from kquant.exchange.core.rest_quotes import Quotations
from kquant.exchange.core.rest_reference import Reference, master_zip
from kquant.exchange.core.rules import (
    RANDOM_END_S,
    cost_rates,
    hhmmss,
    phase_at,
)
from kquant.exchange.core.wire import (
    RECORDS_MAX,
    book_record,
    data_frame,
    encrypt,
    fold_print,
    program_record,
    trade_record,
)
from kquant.exchange.market.model import Book, Stock

KST: Final = dt.timezone(dt.timedelta(hours=9))
US: Final = 1_000_000
CALLS_PER_SECOND: Final = 18
PROGRAM_EVERY_S: Final = 10
_PREFIX: Final = "/uapi/domestic-stock/v1"


class ExchangeOptions(Struct, frozen=True, kw_only=True):
    """The account, its keys and the exchange's settings. cash in won."""

    account: tuple[str, str] = ("50001234", "01")
    hts_id: str = "DEMO01"
    holder: str = "김모의"
    app_key: str
    app_secret: str
    salt: bytes = b"kquant exchange"
    start_second: int = 7 * 3600
    cash: int = 100_000_000
    holdings: int = 6
    holding_value: int = 5_000_000
    share_bp: int = SHARE_BP
    linger_s: int = 0
    """Seconds of market time for which an app key stays taken after its session was lost."""


class Store(Protocol):
    """Where the exchange keeps what must survive it. `save` is durable when it returns."""

    def save(self, changes: Changes, matched_through: int, credentials: Credentials) -> None:
        """Commit what changed."""

    def save_clock(self, now_us: int) -> None:
        """Write the market time (UTC microseconds)."""


class MemoryStore:
    """Keeps nothing: for tests and simulations."""

    def save(self, changes: Changes, matched_through: int, credentials: Credentials) -> None:
        """Keep nothing."""

    def save_clock(self, now_us: int) -> None:
        """Keep nothing."""


class Restored(Struct, frozen=True, kw_only=True):
    """What a store gives back after a restart."""

    ledger: LedgerState
    matched_through: int
    credentials: Credentials
    now_us: int


def opening_account(market: Market, options: ExchangeOptions) -> LedgerState:
    """Return the first day's account: cash and holdings of liquid common stocks at their base price."""
    liquid = [
        stock
        for stock in market.stocks
        if stock.kind == "common"
        and stock.prev_volume > 0
        and not (stock.halted or stock.administrative or stock.liquidation or stock.warning or stock.single_price)
    ]
    liquid.sort(key=lambda stock: (-stock.prev_volume * stock.base, stock.code))
    liquid = liquid[:150]
    if len(liquid) < options.holdings:
        raise ValueError(f"the market has {len(liquid)} liquid common stocks, fewer than {options.holdings} holdings")
    stride = len(liquid) // options.holdings if options.holdings else 1
    positions = []
    for stock in liquid[market.seed % stride :: stride][: options.holdings]:
        qty = max(1, options.holding_value // stock.base)
        positions.append(Position(code=stock.code, name=stock.name, qty=qty, cost=qty * stock.base, opening_qty=qty))
    return LedgerState(cash=Cash(settled=options.cash), positions=positions)


class Exchange:
    """A simulated KIS for one account and one trading day."""

    def __init__(
        self,
        market: Market,
        options: ExchangeOptions,
        store: Store | None = None,
        restored: Restored | None = None,
    ) -> None:
        self.market = market
        self.options = options
        self.store: Store = store if store is not None else MemoryStore()
        midnight = dt.datetime.combine(market.day, dt.time(), KST)
        self.midnight_us = int(midnight.timestamp()) * US
        if restored is None:
            state, credentials = opening_account(market, options), Credentials()
            self.now_us, self._matched = self.midnight_us + options.start_second * US, -1
        else:
            state, credentials = restored.ledger, restored.credentials
            self.now_us, self._matched = restored.now_us, restored.matched_through
        self.ledger = Ledger(state, cost_rates(market.day))
        self.opening = state
        self.hub = SessionHub(
            hts_id=options.hts_id,
            codes=frozenset(market.by_code),
            salt=options.salt,
            linger_s=options.linger_s,
        )
        self.office = TokenOffice(
            credentials, app_key=options.app_key, app_secret=options.app_secret, salt=options.salt
        )
        self.hub.approvals = dict.fromkeys(credentials.approvals, options.app_key)
        self.limit = CallLimit(CALLS_PER_SECOND)
        self.outbox: list[tuple[WsSession, str]] = []
        matcher = Matcher(market, self.ledger, options.share_bp)
        self.desk = Desk(
            market,
            self.ledger,
            matcher,
            self._notify,
            hts_id=options.hts_id,
            account="".join(options.account),
            holder=options.holder,
        )
        self._date = f"{market.day:%Y%m%d}"
        self._books: dict[str, Book] = {}
        self._masters: dict[str, bytes] = {}
        self._routes = self._make_routes()
        self._commit()
        self.store.save_clock(self.now_us)

    # -- market time ----------------------------------------------------------------------------------------

    @property
    def second(self) -> int:
        """The KST second of the day that is played next; every earlier one is finished."""
        return (self.now_us - self.midnight_us) // US

    @property
    def active(self) -> bool:
        """Whether time is stepped second by second: from ten seconds before the open to a minute after the close."""
        return self.market.open_second - 10 <= self.second < self.market.close_second + 60

    def step(self, until_us: int) -> int:
        """Move market time towards *until_us*: one second while active, else up to the next market event.

        Frames are in `outbox`, the ledger is durable and the clock saved when the new time (UTC us) is returned.
        """
        if until_us <= self.now_us:
            return self.now_us
        before = self.second
        if self.active:
            target = min(until_us, self.midnight_us + (before + 1) * US)
        else:
            starts = self.midnight_us + (self.market.open_second - 10) * US
            target = min(until_us, starts) if self.now_us < starts else until_us
        if self.active and target >= self.midnight_us + (before + 1) * US:
            self._play(before)
        self._ping((target - self.midnight_us) // US)
        self.now_us = target
        self.limit.step()
        return target

    def advance(self, second: int) -> None:
        """Play market time until *second* (KST second of the day) is next."""
        until = self.midnight_us + second * US
        while self.now_us < until:
            self.step(until)

    def persist_clock(self) -> None:
        """Save the clock; call it after the frames went out and before the step is reported."""
        self.store.save_clock(self.now_us)

    def take_outbox(self) -> list[tuple[WsSession, str]]:
        """Return the frames to send since the last call, in order."""
        out, self.outbox = self.outbox, []
        return out

    # -- WebSocket ------------------------------------------------------------------------------------------

    def ws_connect(self) -> WsSession:
        """Open a WebSocket session."""
        return self.hub.connect(self.second)

    def ws_receive(self, session: WsSession, text: str) -> list[str]:
        """Handle one text of the client; return the answers (they are counted as sent)."""
        answers = self.hub.receive(session, text, self.second)
        session.frames += len(answers)
        return answers

    def ws_disconnect(self, session: WsSession) -> None:
        """The connection is gone, and with it every registration."""
        self.hub.disconnect(session, self.second)

    # -- REST -----------------------------------------------------------------------------------------------

    def rest(self, request: Request, wall: float) -> Response:
        """Answer one call; *wall* is epoch seconds. Order TRs are durable before the answer is returned."""
        try:
            if request.path.startswith("/uapi/"):
                return self._uapi(request, wall)
            return self._open_path(request, wall)
        except RestError as error:
            return refusal(request, error)

    def _open_path(self, request: Request, wall: float) -> Response:
        match (request.method, request.path):
            case ("POST", "/oauth2/tokenP"):
                return self._token(request, wall)
            case ("POST", "/oauth2/revokeP"):
                self._check_keys(request.body.get("appkey"), request.body.get("appsecret"))
                if not self.office.revoke(str(request.body.get("token", ""))):
                    raise gateway_error("EGW00121")
                self._commit()
                return Response(
                    headers={}, content=json_bytes({"code": 200, "message": "접근토큰 폐기에 성공하였습니다"})
                )
            case ("POST", "/oauth2/Approval"):
                self._check_grant(request)
                self._check_keys(request.body.get("appkey"), request.body.get("secretkey"))
                key = self.office.approval(wall)
                self.hub.approvals[key] = self.options.app_key
                self._commit()
                return Response(headers={}, content=json_bytes({"approval_key": key}))
            case ("GET", "/common/master/kospi_code.mst.zip"):
                return self._master("KOSPI")
            case ("GET", "/common/master/kosdaq_code.mst.zip"):
                return self._master("KOSDAQ")
            case _:
                return Response(status=404, headers={}, content=json_bytes({"message": "Not Found"}))

    def _master(self, which: Literal["KOSPI", "KOSDAQ"]) -> Response:
        if which not in self._masters:
            self._masters[which] = master_zip(self.market, which)
        return Response(headers={}, content=self._masters[which], content_type="application/zip")

    def _token(self, request: Request, wall: float) -> Response:
        self._check_grant(request)
        self._check_keys(request.body.get("appkey"), request.body.get("appsecret"))
        issued = self.office.issue(wall)
        if issued is None:
            body = {"error_code": "EGW00133", "error_description": GATEWAY_TEXTS["EGW00133"]}
            return Response(status=403, headers={}, content=json_bytes(body))
        self._commit()
        token, at = issued
        expires = dt.datetime.fromtimestamp(int(at) + TOKEN_LIFE_S, KST)
        body_ok = {
            "access_token": token,
            "access_token_token_expired": f"{expires:%Y-%m-%d %H:%M:%S}",
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE_S - int(wall - at),
        }
        return Response(headers={}, content=json_bytes(body_ok))

    def _check_grant(self, request: Request) -> None:
        if "grant_type" not in request.body:
            raise gateway_error("EGW00114")
        if request.body["grant_type"] != "client_credentials":
            raise gateway_error("EGW00115")

    def _check_keys(self, app_key: object, app_secret: object) -> None:
        if not app_key:
            raise gateway_error("EGW00102")
        if app_key != self.options.app_key:
            raise gateway_error("EGW00103")
        if not app_secret:
            raise gateway_error("EGW00104")
        if app_secret != self.options.app_secret:
            raise gateway_error("EGW00105")

    def _uapi(self, request: Request, wall: float) -> Response:
        if request.path == "/uapi/hashkey":
            self._check_keys(request.headers.get("appkey"), request.headers.get("appsecret"))
            digest = encrypt(json_bytes(dict(request.body)).decode(), "0" * 32, "0" * 16)[-44:]
            return Response(headers={}, content=json_bytes({"BODY": dict(request.body), "HASH": digest}))
        route = self._routes.get(request.path.removeprefix(_PREFIX))
        if route is None or route.method != request.method:
            raise gateway_error("EGW00202")
        authorization = request.headers.get("authorization", "")
        if not authorization:
            raise gateway_error("EGW00122")
        if not authorization.startswith("Bearer "):
            raise gateway_error("EGW00205")
        self._check_keys(request.headers.get("appkey"), request.headers.get("appsecret"))
        fault = self.office.fault(authorization.removeprefix("Bearer ").strip(), wall)
        if fault is not None:
            raise gateway_error(fault)
        if request.headers.get("custtype", "P") not in ("P", "B"):
            raise gateway_error("EGW00208")
        if not request.headers.get("tr_id"):
            raise RestError(200, "2", "OPSQ9999", "ERROR : HEADER TR_ID NOT FOUND")
        if request.headers["tr_id"] not in route.real:
            raise gateway_error("EGW00310")
        if not self.limit.allow(wall):
            raise gateway_error("EGW00201")
        answer = route.handle(request)
        if route.method == "POST":
            self._commit()
        return envelope(request, answer)

    def _make_routes(self) -> Routes:
        quotes = Quotations(self.market, lambda: self.second - 1)
        reference = Reference(self.market, lambda: self.second - 1)
        account = Account(self.market, self.ledger, self.desk, account=self.options.account, now=lambda: self.second)

        return {**quotes.routes(), **reference.routes(), **account.routes()}

    # -- playing one second ---------------------------------------------------------------------------------

    def _play(self, second: int) -> None:
        market = self.market
        # A second whose fills are already in the ledger (a crash before the clock was saved) only prints again.
        if second > self._matched:
            filled = self.desk.play(second)
            ended = second == market.close_second + RANDOM_END_S and self.ledger.expire_all()
            if filled or ended:
                self._matched = second
                self._commit()
        for code, sessions in self.hub.trades.items():
            self._send_trades(market.by_code[code], second, sessions)
        for code, sessions in self.hub.books.items():
            self._send_book(market.by_code[code], second, sessions)
        for code, sessions in self.hub.programs.items():
            if (second + int(code[-2:], 36)) % PROGRAM_EVERY_S == 0:
                record = program_record(code, second, market.program(code, second))
                self._send(sessions, data_frame("H0STPGM0", (record,)))

    def _send_trades(self, stock: Stock, second: int, sessions: dict[int, WsSession]) -> None:
        prints = self.market.prints(stock.code, second)
        if not prints:
            return
        code = stock.code
        stats = self.market.stats(code, second - 1)
        quote = self.market.quote(code, second)
        book = self.market.book(code, second)
        totals = (book.ask_qty_total, book.bid_qty_total)
        records = []
        for trade in prints:
            stats = fold_print(stats, trade)
            records.append(trade_record(stock, trade, stats, quote, totals, self._date))
        for start in range(0, len(records), RECORDS_MAX):
            self._send(sessions, data_frame("H0STCNT0", records[start : start + RECORDS_MAX]))

    def _send_book(self, stock: Stock, second: int, sessions: dict[int, WsSession]) -> None:
        book = self.market.book(stock.code, second)
        before = self._books.get(stock.code)
        if book == before:
            return
        self._books[stock.code] = book
        phase = phase_at(second, self.market.open_second, self.market.close_second)
        hour_class = {"opening": "B", "closing": "A", "continuous": "0", "closed": "0"}[phase]
        expected = (0, 0) if phase == "continuous" else self.market.indicative(stock.code, second)
        volume = self.market.stats(stock.code, second).volume
        record = book_record(stock, second, book, before, volume, expected, hour_class)
        self._send(sessions, data_frame("H0STASP0", (record,)))

    def _send(self, sessions: dict[int, WsSession], text: str) -> None:
        for session in sessions.values():
            session.frames += 1
            self.outbox.append((session, text))

    def _ping(self, second: int) -> None:
        for session, text in self.hub.pings(second, self._date, hhmmss(min(second, 86_399))):
            session.frames += 1
            self.outbox.append((session, text))

    def _notify(self, record: str) -> None:
        for session in self.hub.notices.values():
            session.frames += 1
            text = data_frame(NOTICE, (encrypt(record, session.key, session.iv),), encrypted=True)
            self.outbox.append((session, text))

    def _commit(self) -> None:
        self.store.save(self.ledger.take_changes(), self._matched, self.office.credentials)
