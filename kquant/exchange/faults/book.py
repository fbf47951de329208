"""The faults that are set, asked at every hook what to do. Pure: the moment is handed in, texts held back wait here."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from kquant.exchange.core.rest import Request, Response
from kquant.exchange.faults import answers, moments, outgoing, texts
from kquant.exchange.faults.active import Active
from kquant.exchange.faults.fault import Fault, FaultError
from kquant.exchange.faults.kinds import Hook
from kquant.exchange.faults.verdicts import (
    After,
    Before,
    Connected,
    Drop,
    Incoming,
    Lose,
    Moment,
    Now,
    Outgoing,
    Service,
    Session,
)

_HOOKS: Final[tuple[Hook, ...]] = ("moment", "connect", "incoming", "outgoing", "pong", "before", "after")
_LOSES: Final[dict[str, Lose]] = {"abort": "abort", "hang": "hang"}
_DROPS: Final[dict[str, Drop]] = {"abort": "abort", "close": "close"}
_MAINTENANCE: Final = "시스템 점검 중입니다."


class FaultBook:
    """All faults of one exchange. Every answer is a function of what was set and asked before."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._active: dict[int, Active] = {}
        self._by_hook: dict[Hook, list[Active]] = {hook: [] for hook in _HOOKS}
        self._waiting = outgoing.Waiting()
        self._last = 0
        for fault in faults:
            self.add(fault)

    @property
    def quiet(self) -> bool:
        """Whether texts of the server go out as they are, and none is held back."""
        return not self._by_hook["outgoing"] and not self._waiting

    # -- setting and clearing -------------------------------------------------------------------------------

    def add(self, fault: Fault) -> int:
        """Set one more fault and return its number."""
        self._last += 1
        active = self._active[self._last] = Active(self._last, fault)
        for hook in active.kind.hooks:
            self._by_hook[hook].append(active)
        return self._last

    def clear(self, number: int) -> None:
        """Take a fault back; what it has already done stays done. Raises FaultError for an unknown number."""
        active = self._active.pop(number, None)
        if active is None:
            raise FaultError(f"no fault has the id {number}; set are {', '.join(map(str, self._active)) or 'none'}")
        for hook in active.kind.hooks:
            self._by_hook[hook].remove(active)

    def clear_all(self) -> None:
        """Take every fault back."""
        for number in list(self._active):
            self.clear(number)

    def rows(self) -> list[dict[str, Any]]:
        """Return every fault with its parameters and how often it matched and acted."""
        return [active.row() for active in self._active.values()]

    # -- REST -----------------------------------------------------------------------------------------------

    def before(self, service: Service, request: Request, now: Now) -> Before:
        """Return what to do with a call before its effect; the first fault that loses or answers it ends the matter."""
        verdict = Before(request=request)
        for active in self._by_hook["before"]:
            if verdict.reply is not None or verdict.lose:
                break
            if active.fault.params.get("effect", "before") != "before" or not _about_call(active, service, request):
                continue
            if active.fault.kind == "partial_pages":
                verdict.request = answers.without_invented_key(verdict.request)
            elif active.draw(now):
                active.hits += 1
                _apply_before(active.fault, request, verdict)
        return verdict

    def after(self, service: Service, request: Request, response: Response, now: Now) -> After:
        """Return what becomes of an answer after the effect."""
        verdict = After(response=response)
        for active in self._by_hook["after"]:
            fault = active.fault
            if fault.params.get("effect", "after") != "after" or not _about_call(active, service, request):
                continue
            if verdict.lose or not active.draw(now):
                continue
            match fault.kind:
                case "slow_rest" | "notice_first":
                    _wait(fault, verdict)
                case "lost_answer":
                    verdict.lose = _LOSES[fault.text("how")]
                case _:
                    changed = answers.change(fault, request, verdict.response, now, active.rng)
                    if changed is None:
                        continue
                    verdict.response = changed
            active.hits += 1
        return verdict

    # -- WebSocket ------------------------------------------------------------------------------------------

    def connecting(self, service: Service, now: Now) -> Connected:
        """Return what to do with a handshake."""
        status, drop = 0, Connected().drop
        for active in self._by_hook["connect"]:
            fault = active.fault
            if not active.serves(service) or fault.params.get("on", "connect") != "connect" or not active.draw(now):
                continue
            active.hits += 1
            if fault.kind == "drop_connection":
                drop = _DROPS[fault.text("how")]
            else:
                status = fault.number("status") if fault.kind == "refuse_connection" else 503
        return Connected(status, drop)

    def incoming(self, service: Service, session: Session, text: str, now: Now) -> Incoming:
        """Return what to do with a text of the client; faults look at registrations (tr_type 1) alone."""
        waiting = self._by_hook["incoming"]
        request = texts.request_of(text) if waiting else None
        if request is None or request[0] != "1":
            return Incoming()
        tr_id, tr_key = request[1:]
        for active in waiting:
            fault = active.fault
            if fault.params.get("on", "register") != "register" or not _about_pair(active, service, tr_id, tr_key):
                continue
            if fault.kind == "capacity" and not _beyond(fault.number("limit"), session, (tr_id, tr_key)):
                continue
            if not active.draw(now):
                continue
            active.hits += 1
            match fault.kind:
                case "drop_connection":
                    return Incoming((), _DROPS[fault.text("how")])
                case "lose_registration":
                    return Incoming(())
                case "capacity":
                    code = "OPSP0008"
                case "appkey_in_use":
                    code = "OPSP8996"
                case _:
                    code = fault.text("code")
            return Incoming((texts.refusal_text(code, tr_id, tr_key),))
        return Incoming()

    def outgoing(self, service: Service, session: Session, text: str, now: Now) -> Outgoing:
        """Return what to send to *session* now in place of *text*; what is held back comes out of `release`."""
        if self.quiet:
            return Outgoing((text,))
        found = texts.read(text, session)
        sent, drop = [text], Connected().drop
        for active in self._by_hook["outgoing"]:
            if not sent or not outgoing.concerns(active, service, found) or not active.draw(now):
                continue
            if active.fault.kind == "drop_connection":
                drop = _DROPS[active.fault.text("how")]
            else:
                changed = outgoing.apply(active, service, session, found, sent, self._waiting, now)
                if changed is None:
                    continue
                sent = changed
            active.hits += 1
        if found.sort == "notice" and sent:
            sent = [*sent, *self._waiting.after_notice((service, session.number))]
        return Outgoing(tuple(sent), drop, found.sort == "ping" and not sent)

    def release(self, now: Now) -> list[tuple[Service, int, str]]:
        """Return the texts whose time has come, as (service, session, text), in the order they fall due."""
        return self._waiting.due(now.us) if self._waiting else []

    def disconnected(self, service: Service, session: int) -> None:
        """Forget what was held back for a line that is gone."""
        self._waiting.forget((service, session))

    def mutes_pong(self, service: Service, now: Now) -> bool:
        """Tell whether a protocol ping goes unanswered."""
        muted = False
        for active in self._by_hook["pong"]:
            if active.serves(service) and active.draw(now):
                active.hits += 1
                muted = True
        return muted

    def moments(self, lines: Sequence[tuple[Service, int]], now: Now) -> list[Moment]:
        """Return what happens by itself now; *lines* are the open connections. Ask after each move of market time."""
        happened: list[Moment] = []
        for active in self._by_hook["moment"]:
            happened += moments.happen(active, lines, now)
        return happened


def _about_call(active: Active, service: Service, request: Request) -> bool:
    where = active.fault.where
    return (
        active.serves(service)
        and where.path in request.path
        and where.tr_id in ("", request.headers.get("tr_id", ""))
        and (not where.stock or where.stock == answers.stock_of(request))
    )


def _about_pair(active: Active, service: Service, tr_id: str, tr_key: str) -> bool:
    where = active.fault.where
    return active.serves(service) and where.tr_id in ("", tr_id) and where.stock in ("", tr_key)


def _beyond(limit: int, session: Session, pair: tuple[str, str]) -> bool:
    return pair not in session.registered and len(session.registered) >= limit


def _apply_before(fault: Fault, request: Request, verdict: Before) -> None:
    match fault.kind:
        case "slow_rest":
            _wait(fault, verdict)
        case "lost_request":
            verdict.lose = _LOSES[fault.text("how")]
        case "reject_order":
            verdict.reject_order = True
        case "html_500":
            verdict.reply = answers.page(fault.number("status"))
        case "throttle":
            verdict.reply = answers.error(request, fault.text("code"), "")
        case "rest_error":
            verdict.reply = answers.error(request, fault.text("code"), fault.text("message"))
        case "maintenance":
            match fault.text("how"):
                case "abort":
                    verdict.lose = "abort"
                case "json":
                    verdict.reply = answers.error(request, "EGW00002", _MAINTENANCE)
                case _:
                    verdict.reply = answers.page(503)
        case other:
            raise ValueError(f"{other} is no fault of a call")


def _wait(fault: Fault, verdict: Before | After) -> None:
    if fault.params.get("clock", "wall") == "market":
        verdict.market_ms += fault.number("ms")
    else:
        verdict.wall_ms += fault.number("ms")
