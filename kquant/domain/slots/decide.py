"""What slots decides on one input: claims first, then at most one wire request, then polling and the alarm."""

from __future__ import annotations

from collections.abc import Sequence

from kquant.domain.slots.own import Own, claim_of, evolve
from kquant.domain.slots.policy import PRIORITY, SlotPolicy, best_that_fit
from kquant.domain.slots.seen import Seen
from kquant.domain.slots.wire import Table
from kquant.events.analyzer import PicksChosen
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmSet, AlertRaised
from kquant.events.feed import FirstTick, RegistrationRefused
from kquant.events.scanner import ScanCompleted
from kquant.events.slots import (
    CapacityLearned,
    PollingEnded,
    PollingStarted,
    Reason,
    SlotClaimed,
    SlotClaimEnded,
    SlotClaimRenewed,
)
from kquant.settings import Settings, SlotSettings
from kquant.values import SECOND_US, Micros, Symbol

ALARM = "table"
"""The one alarm: the next instant at which anything may move."""


class _Turn:
    """One decision under way: events so far are already applied to `own`. Lives no longer than the decision."""

    def __init__(self, own: Own, seen: Seen, fact: Recorded, rules: SlotSettings) -> None:
        self.own = own
        self.seen = seen
        self.fact = fact
        self.at = fact.at
        self.rules = rules
        self.out: list[Event] = []
        self.wakes: list[Micros] = []

    def say(self, *events: Event) -> None:
        for event in events:
            self.out.append(event)
            self.own = evolve(self.own, event)

    def servable(self, code: Symbol) -> bool:
        return (code, "trades") not in self.seen.unservable

    def waiting(self, code: Symbol) -> bool:
        """Tell whether the stock has no slot: neither with the broker nor asked for."""
        wire = self.seen.wire.get((code, "trades"))
        if wire is not None and wire.held != "no":
            return False
        asked = self.own.asked.get((code, "trades")) if self.own.epoch == self.seen.epoch else None
        answers = 0 if wire is None else wire.answers
        return asked is None or asked.action != "register" or asked.count <= answers


def decider(policy: SlotPolicy = best_that_fit) -> _Decide:
    """Return a `decide` that ranks by *policy*."""
    return _Decide(policy)


class _Decide:
    def __init__(self, policy: SlotPolicy) -> None:
        self._policy = policy

    def __call__(self, own: Own, seen: Seen, fact: Recorded, settings: Settings) -> Sequence[Event]:
        """Return what follows from an input; `()` when nothing does."""
        if isinstance(fact.event, FirstTick) and not _matters(own, seen, fact.event, fact.at):
            return ()
        rules = settings.slots
        turn = _Turn(own, seen, fact, rules)
        _claim_holdings(turn)
        match fact.event:
            case PicksChosen():
                _claim_picks(turn, fact.event)
            case ScanCompleted():
                _claim_surges(turn, fact.event)
            case RegistrationRefused():
                _learn_refusal(turn, fact.event)
            case _:
                pass
        _expire_surges(turn)
        table = Table(turn.own, seen, rules, turn.at, self._policy)
        turn.say(*table.next_request())
        turn.wakes += table.wakes
        if turn.own.polling or seen.session:
            _poll(turn, table)
        _set_alarm(turn)
        return turn.out


def _matters(own: Own, seen: Seen, tick: FirstTick, at: Micros) -> bool:
    """Tell whether a first tick can change anything: it made an uncertain registration certain, just now."""
    wire = seen.wire.get((tick.code, tick.channel))
    return tick.code in own.polling or (wire is not None and wire.at == at)


def _claim_holdings(turn: _Turn) -> None:
    held = turn.seen.held
    for code, stock in tuple(turn.own.stocks.items()):
        if stock.claims[0].reason == "held" and code not in held:
            turn.say(SlotClaimEnded(code=code, reason="held", why="no longer held"))
    for code, name in held.items():
        stock_now = turn.own.stocks.get(code)
        if stock_now is None or stock_now.claims[0].reason != "held":
            turn.say(SlotClaimed(code=code, name=name, reason="held", rank=0, since=turn.at))


def _claim_picks(turn: _Turn, event: PicksChosen) -> None:
    chosen = {pick.code: pick for pick in event.picks[: event.subscribed] if turn.servable(pick.code)}
    for code in tuple(turn.own.stocks):
        if code not in chosen and claim_of(turn.own, code, "picked") is not None:
            turn.say(SlotClaimEnded(code=code, reason="picked", why="new picks"))
    for code, pick in chosen.items():
        before = claim_of(turn.own, code, "picked")
        if before is None:
            turn.say(SlotClaimed(code=code, name=pick.name, reason="picked", rank=pick.rank, since=turn.at))
        elif before.rank != pick.rank:
            turn.say(SlotClaimRenewed(code=code, reason="picked", rank=pick.rank, since=before.since))


def _claim_surges(turn: _Turn, event: ScanCompleted) -> None:
    qualified = {row.code: row for row in event.qualified if turn.servable(row.code)}
    for code in tuple(turn.own.stocks):
        if code not in qualified and claim_of(turn.own, code, "surging") is not None and turn.waiting(code):
            turn.say(SlotClaimEnded(code=code, reason="surging", why="not renewed"))
    for code, row in qualified.items():
        if claim_of(turn.own, code, "surging") is None:
            turn.say(SlotClaimed(code=code, name=row.name, reason="surging", rank=0, since=turn.at))
        else:
            turn.say(SlotClaimRenewed(code=code, reason="surging", rank=0, since=turn.at))


def _expire_surges(turn: _Turn) -> None:
    ttl = turn.rules.surge_ttl_seconds * SECOND_US
    expired: list[Symbol] = []
    for code, stock in turn.own.stocks.items():
        claim = stock.claims[-1]
        if claim.reason == "surging":
            ends = Micros(claim.since + ttl)
            if ends <= turn.at:
                expired.append(code)
            else:
                turn.wakes.append(ends)
    turn.say(*(SlotClaimEnded(code=code, reason="surging", why="expired") for code in expired))


def _learn_refusal(turn: _Turn, event: RegistrationRefused) -> None:
    """Turn a refusal into state. Its delay, if any, is read from `seen` when the next request is chosen."""
    if event.epoch != turn.seen.epoch or event.action != "register":
        return
    name = f"{event.code} {event.channel}"
    if event.kind == "over_capacity":
        count = sum(1 for wire in turn.seen.wire.values() if wire.held != "no")
        turn.say(
            CapacityLearned(epoch=event.epoch, capacity=count),
            AlertRaised(level="warning", text=f"the broker takes only {count} registrations: {name} was one too many"),
        )
    elif event.kind == "fatal":
        text = f"the broker refused {name} ({event.message_code} {event.message}): nothing more is asked on this line"
        turn.say(AlertRaised(level="critical", text=text))
    elif event.kind == "invalid_key" and event.channel == "trades":
        turn.say(AlertRaised(level="warning", text=f"the broker does not know {event.code}: no slot for it today"))
        reasons: tuple[Reason, ...] = ("picked", "surging")
        for reason in reasons:
            if claim_of(turn.own, event.code, reason) is not None:
                turn.say(SlotClaimEnded(code=event.code, reason=reason, why="unservable"))


def _poll(turn: _Turn, table: Table) -> None:
    """Start and end REST polling of holdings, in an open session."""
    wanted: dict[Symbol, str] = {}
    if turn.seen.session:
        for code, stock in turn.own.stocks.items():
            if stock.priority == PRIORITY["held"]:
                why = _why_polled(turn, table, code, stock.claims[0].since)
                if why is not None:
                    wanted[code] = why
    for code in turn.own.polling:
        if code not in wanted:
            held = code in turn.own.stocks and turn.own.stocks[code].priority == PRIORITY["held"]
            why = "session closed" if not turn.seen.session else "live" if held else "no longer held"
            turn.say(PollingEnded(code=code, why=why))
    for code, why in wanted.items():
        if code not in turn.own.polling:
            turn.say(PollingStarted(code=code, why=why, every_seconds=turn.rules.poll_every_seconds))
            if why in ("beyond capacity", "unservable"):
                turn.say(AlertRaised(level="warning", text=f"holding {code} has no slot ({why}): its price is polled"))


def _why_polled(turn: _Turn, table: Table, code: Symbol, since: Micros) -> str | None:
    if turn.seen.epoch is None:
        return "feed down"
    wire = turn.seen.wire.get((code, "trades"))
    if wire is not None and wire.held == "yes":
        return None
    if not turn.servable(code):
        return "unservable"
    if wire is not None and wire.refusals > 0:
        return "refused"
    if not table.fits(code):
        return "beyond capacity"
    if code in turn.own.polling:
        return turn.own.polling[code]
    lost = max(since, turn.seen.turned, turn.seen.session_at, Micros(0) if wire is None else wire.gone)
    due = Micros(lost + turn.rules.poll_after_seconds * SECOND_US)
    if due <= turn.at:
        return "not live"
    turn.wakes.append(due)
    return None


def _set_alarm(turn: _Turn) -> None:
    """Wake at the earliest instant of need. An alarm already set earlier stays: when it rings, all is looked at anew."""
    if not turn.wakes:
        return
    due = max(min(turn.wakes), Micros(turn.at + 1))
    live = turn.own.alarm > turn.seen.rang
    if not live or due < turn.own.alarm:
        turn.say(AlarmSet(alarm=ALARM, due=due))
