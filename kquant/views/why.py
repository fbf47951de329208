"""Why a stock got, kept, lost or never got a slot, and why it was bought or not: the log, told about one stock.

Each line of the story carries the chain of its causes, followed along `caused_by` back to what the world did first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from kquant.events import analyzer, feed, market, orders, pipeline, portfolio, scanner, slots
from kquant.events.base import Event, Recorded
from kquant.values import KquantError, Micros, Seq, Symbol, kst_clock
from kquant.views.describe import describe, score
from kquant.views.names import Names, names_of
from kquant.views.orders import orders_view
from kquant.views.portfolio import portfolio_view
from kquant.views.rules import phrase
from kquant.views.slots import slots_view
from kquant.views.words import counted, won

SECTIONS = ("Analysis", "Scans", "Slots", "Pipeline", "Orders", "Position")
CHAIN_MOST = 12
"""Causes shown of one line; a longer chain ends with how many more there are."""


class UnknownStock(KquantError):
    """No event of the day mentions the code."""


class Cause(Struct, frozen=True, kw_only=True):
    """One link of a chain of causes."""

    seq: Seq
    at: Micros
    text: str


class Told(Struct, frozen=True, kw_only=True):
    """One line about the stock. times: how often in a row it happened; seq and at are the first's, last_at the last's.

    causes: what it reacted to, nearest first, back to the first cause; empty for what repeats.
    """

    section: str
    seq: Seq
    at: Micros
    last_at: Micros
    times: int
    text: str
    causes: tuple[Cause, ...]


class Why(Struct, frozen=True, kw_only=True):
    """A stock's day. verdict: the answer in a few sentences.   told: the evidence, in the order of the log."""

    code: Symbol
    name: str
    verdict: tuple[str, ...]
    told: tuple[Told, ...]

    def lines(self) -> list[str]:
        """Return verdict and evidence as text, one section after the other, causes as a tree below each line."""
        out = [f"{self.name}({self.code})" if self.name else str(self.code), *(f"  {line}" for line in self.verdict)]
        shown: set[int] = set()
        for section in SECTIONS:
            mine = [told for told in self.told if told.section == section]
            if mine:
                out.extend(("", section))
            for told in mine:
                out.extend(_tree(told, shown))
                shown.add(told.seq)
        return out


def why(facts: Sequence[Recorded], code: str, at: Seq | None = None) -> Why:
    """Return the story of *code* up to *at* (a seq, included; None: the whole day). Raises UnknownStock."""
    known = facts if at is None else [fact for fact in facts if fact.seq <= at]
    symbol = Symbol(code)
    names = names_of(known)
    told: list[Told] = []
    teller = _Teller(symbol, names, known)
    for fact in known:
        item = teller.tell(fact)
        if item is not None:
            _append(told, fact, item, known, names)
    # That it was not picked is told of every code, so it alone does not make a code known.
    if symbol not in names and all(item.section == "Analysis" for item in told):
        raise UnknownStock(f"no event of the day mentions {code!r}: give a KRX code such as 005930")
    return Why(code=symbol, name=names.get(symbol, ""), verdict=_verdict(known, symbol, told), told=tuple(told))


Item = tuple[str, str, str]
"""(section, text, key): lines in a row with the same non-empty key are told once, with their number."""


class _Teller:
    """Picks what concerns one stock out of each fact."""

    def __init__(self, code: Symbol, names: Names, facts: Sequence[Recorded]) -> None:
        self._code = code
        self._names = names
        self._intents = {
            f.event.intent for f in facts if isinstance(f.event, orders.OrderIntended) and f.event.code == code
        }

    def tell(self, fact: Recorded) -> Item | None:
        event = fact.event
        for room in (self._analysis, self._scan, self._slot, self._run, self._trade):
            item = room(event)
            if item is not None:
                return item
        return None

    def _analysis(self, event: Event) -> Item | None:
        code = self._code
        match event:
            case analyzer.BatchJudged(scores=scores):
                for row in scores:
                    if row.code == code:
                        of = f"{score(row.total)} from {row.points} of 100 points of the rubric"
                        if row.missing:
                            of += f", scaled: no {', no '.join(row.missing)}"
                        return "Analysis", f"analysed in batch {event.batch}: {of}", ""
            case analyzer.BatchScored(rows=rows):
                for part in rows:
                    if part.code == code:
                        parts = part.parts
                        known = (
                            f"financials {_part(parts.financials, 30)}, flows {_part(parts.flows, 30)}, "
                            f"news {_part(parts.news, 20)}, technicals {_part(parts.technicals, 20)}"
                        )
                        return "Analysis", f"parts by {event.model}: {known}", ""
            case analyzer.PicksChosen(picks=picks):
                for place, pick in enumerate(picks, 1):
                    if pick.code == code:
                        claim = (
                            "claims a slot"
                            if place <= event.subscribed
                            else f"only the first {event.subscribed} claim a slot"
                        )
                        return "Analysis", f"pick {pick.rank} of {len(picks)} with {pick.score}: {claim}", ""
                worst = f", the last of them with {picks[-1].score}" if picks else ""
                return "Analysis", f"not among the {len(picks)} picks{worst}", ""
            case _:
                return None
        return None

    def _scan(self, event: Event) -> Item | None:
        code = self._code
        match event:
            case scanner.ScoreGiven() if event.code == code:
                reasons = f" ({'; '.join(event.reasons)})" if event.reasons else ""
                return "Scans", f"scan {event.cycle}: {describe(event, self._names)}{reasons}", ""
            case scanner.ScoreAbstained() | scanner.ScoreFailed() if event.code == code:
                return "Scans", f"scan {event.cycle}: {describe(event, self._names)}", f"none {event.why}"
            case scanner.ScanCompleted():
                return self._scanned(event)
            case _:
                return None

    def _scanned(self, event: scanner.ScanCompleted) -> Item | None:
        for row in event.left:
            if row.code == self._code:
                return "Scans", f"left out by filter {row.filter}", f"left {row.filter}"
        for rank, scored in enumerate(event.qualified, 1):
            if scored.code == self._code:
                return "Scans", f"scan {event.cycle}: qualified with {score(scored.total)}, place {rank}", ""
        for scored in event.scored:
            if scored.code == self._code:
                return "Scans", f"scan {event.cycle}: {score(scored.total)}, not qualified", ""
        return None

    def _slot(self, event: Event) -> Item | None:
        match event:
            case slots.SlotClaimRenewed() if event.code == self._code:
                return "Slots", describe(event, self._names), f"renewed {event.reason}"
            case slots.SlotEvicted() if self._code in (event.code, event.for_code):
                return "Slots", describe(event, self._names), ""
            case feed.FeedLost() | feed.FeedConnected():
                return None
            case (
                slots.SlotClaimed()
                | slots.SlotClaimEnded()
                | slots.RegisterWanted()
                | slots.DropWanted()
                | slots.SlotSuspected()
                | slots.PollingStarted()
                | slots.PollingEnded()
                | feed.Registered()
                | feed.Dropped()
                | feed.RegistrationRefused()
                | feed.RegistrationUnanswered()
                | feed.RegistrationExpired()
                | feed.RegistrationVoid()
                | feed.FirstTick()
            ) if event.code == self._code:
                return "Slots", describe(event, self._names), ""
            case _:
                return None

    def _run(self, event: Event) -> Item | None:
        match event:
            case pipeline.PipelineCompleted():
                for left in event.left:
                    if left.code == self._code:
                        return "Pipeline", f"left out by filter {left.filter}", f"left {left.filter}"
                for final in event.scores:
                    if final.code == self._code:
                        why_not = f": {final.why}" if final.why else ""
                        parts = _brain(final.parts)
                        return (
                            "Pipeline",
                            f"run {event.run}: final score {score(final.total)} from {parts}{why_not}",
                            "",
                        )
                return None
            case pipeline.BuySignalled() if event.code == self._code:
                return "Pipeline", describe(event, self._names), ""
            case _:
                return None

    def _trade(self, event: Event) -> Item | None:
        match event:
            case portfolio.PositionOpened() | portfolio.PositionChanged() | portfolio.PositionClosed():
                return ("Position", describe(event, self._names), "") if event.code == self._code else None
            case market.TriggerFired():
                return ("Orders", describe(event, self._names), "") if event.code == self._code else None
            case orders.OrderFilled() | orders.OrderIntended() | orders.OrderFinished() | orders.OrderDenied():
                return ("Orders", describe(event, self._names), "") if event.code == self._code else None
            case (
                orders.QuoteWanted()
                | orders.QuoteAnswered()
                | orders.QuoteFailed()
                | orders.ExitPostponed()
                | orders.ProofWanted()
                | orders.ExternalOrderSeen()
            ):
                return ("Orders", describe(event, self._names), "") if event.code == self._code else None
            case orders.TriggerArmed() | orders.TriggerDisarmed() | orders.OrderFrozen() | orders.OrderUnfrozen():
                return ("Orders", describe(event, self._names), "") if event.code == self._code else None
            case (
                orders.OrderSendStarted()
                | orders.OrderAccepted()
                | orders.OrderRefused()
                | orders.OrderUnknown()
                | orders.OrderExpired()
                | orders.OrderBlocked()
                | orders.OrderResized()
                | orders.CancelWanted()
                | orders.CancelAccepted()
                | orders.CancelRefused()
                | orders.CancelUnknown()
            ):
                return ("Orders", describe(event, self._names), "") if event.intent in self._intents else None
            case _:
                return None


def causes_of(facts: Sequence[Recorded], fact: Recorded, names: Mapping[Symbol, str]) -> tuple[Cause, ...]:
    """Return the chain of causes of a fact, nearest first, at most CHAIN_MOST of them. *facts* start at seq 1."""
    chain: list[Cause] = []
    seq = fact.caused_by
    while seq is not None and len(chain) < CHAIN_MOST:
        cause = facts[seq - 1]
        chain.append(Cause(seq=seq, at=cause.at, text=describe(cause.event, names)))
        seq = cause.caused_by
    return tuple(chain)


def _append(
    told: list[Told], fact: Recorded, item: Item, facts: Sequence[Recorded], names: Mapping[Symbol, str]
) -> None:
    section, text, key = item
    before = next((place for place in range(len(told) - 1, -1, -1) if told[place].section == section), None)
    if key and before is not None and told[before].text == text:
        old = told[before]
        told[before] = Told(
            section=section, seq=old.seq, at=old.at, last_at=fact.at, times=old.times + 1, text=text, causes=old.causes
        )
        return
    causes = causes_of(facts, fact, names)
    told.append(Told(section=section, seq=fact.seq, at=fact.at, last_at=fact.at, times=1, text=text, causes=causes))


def _tree(told: Told, shown: Collection[int]) -> list[str]:
    """Return the line and its causes; a chain stops at a line that was told above. shown: seqs of those."""
    times = f"  ({told.times} times until {kst_clock(told.last_at)})" if told.times > 1 else ""
    lines = [f"  {kst_clock(told.at)} #{told.seq} {told.text}{times}"]
    for depth, cause in enumerate(told.causes):
        branch = f"    {'  ' * depth}└ because"
        if cause.seq in shown:
            lines.append(f"{branch} of #{cause.seq} above")
            break
        lines.append(f"{branch} {kst_clock(cause.at)} #{cause.seq} {cause.text}")
    return lines


def _verdict(facts: Sequence[Recorded], code: Symbol, told: Sequence[Told]) -> tuple[str, ...]:
    return (_slot_verdict(facts, code), *_reasons(told), *_bought(facts, code, told))


def _slot_verdict(facts: Sequence[Recorded], code: Symbol) -> str:
    view = slots_view(facts)
    mine = [line for line in view.held if line.code == code]
    if mine:
        kinds = ", ".join(f"{line.channel} {line.state} since {kst_clock(line.since)}" for line in mine)
        claims = f" ({', '.join(mine[0].reasons)})" if mine[0].reasons else ""
        return f"Has a slot: priority {mine[0].priority}{claims}, {kinds}."
    evicted = [f.event for f in facts if isinstance(f.event, slots.SlotEvicted) and f.event.code == code]
    lost = ""
    if evicted:
        last = evicted[-1]
        lost = f"lost its slot to {last.for_code} (priority {last.for_priority}) by rule {last.rule}"
    if any(line.code == code for line in view.waiting):
        return f"Waits for a slot: it has a claim, and {lost or 'better ones fill the table, or changes are at their limit'}."
    if lost:
        return f"Has no slot: it {lost}."
    ended = [f.event for f in facts if isinstance(f.event, slots.SlotClaimEnded) and f.event.code == code]
    if ended:
        return f"Has no slot: its last reason, {ended[-1].reason}, ended ({ended[-1].why})."
    return "Never had a slot: it was never held, never a subscribed pick and never qualified in a scan."


def _reasons(told: Sequence[Told]) -> tuple[str, ...]:
    filters = [
        f"{t.text.removeprefix('left out by filter ')} ({t.times}x)" for t in told if t.text.startswith("left out")
    ]
    return (f"Filters left it out: {', '.join(filters)}.",) if filters else ()


def _bought(facts: Sequence[Recorded], code: Symbol, told: Sequence[Told]) -> tuple[str, ...]:
    view = orders_view(facts)
    out: list[str] = []
    for order in view.orders:
        if order.code == code and order.filled_qty:
            verb = "Bought" if order.side == "buy" else "Sold"
            price = won(order.filled_krw // order.filled_qty)
            why = order.reason if order.replaces is None else f"in place of intent {order.replaces}"
            out.append(f"{verb} {order.filled_qty:,} of {order.qty:,}주 at {price} on average ({why}).")
    denied = [line for line in view.denied if line.code == code and line.side == "buy"]
    if denied:
        rules = "; ".join(dict.fromkeys(phrase(line.rule) for line in denied))
        out.append(f"Buys denied {len(denied)} times: {rules}.")
    if not any(order.code == code and order.side == "buy" for order in view.orders) and not denied:
        finals = [t for t in told if t.section == "Pipeline" and "final score" in t.text]
        if finals:
            out.append(
                f"Not bought: a candidate in {counted(len(finals), 'run')}, never with a buy signal that led to an order."
            )
        else:
            out.append("Not bought: it was never a candidate of a pipeline run.")
    held = [p for p in portfolio_view(facts).positions if p.code == code]
    if held:
        out.append(
            f"Held now: {held[0].qty:,}주 for {won(held[0].cost_krw)}{', carried over' if held[0].carried else ''}."
        )
    return tuple(out)


def _part(points: int | None, of: int) -> str:
    return "unknown" if points is None else f"{points}/{of}"


def _brain(parts: pipeline.BrainParts) -> str:
    known = [f"{name} {value}" for name in parts.__struct_fields__ if (value := getattr(parts, name)) is not None]
    return ", ".join(known) or "nothing"
