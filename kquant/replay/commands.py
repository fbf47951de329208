"""What the replay commands of the command line do: a day's folder in; plain data, text and an exit code out.

Owners and the frame decoder come from outside: replay knows neither the concrete owners nor the broker's wire.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from kquant.domain.owner import BrokenLog, Owner
from kquant.events.base import Recorded
from kquant.journal import JournalError, TapeReader, read_day
from kquant.journal.tape import TapeError
from kquant.market.fold import BrokenTape, Decoder
from kquant.replay.market import MarketVerified, verify_market
from kquant.replay.rebuild import NoSuchMoment, seq_at
from kquant.replay.rebuild import rebuild as rebuild_facts
from kquant.replay.verify import Difference, Verified
from kquant.replay.verify import verify as verify_facts
from kquant.values import KquantError, Seq, kst_clock
from kquant.views.describe import line, score
from kquant.views.holdings import portfolio_lines
from kquant.views.names import names_of
from kquant.views.portfolio import PortfolioView, portfolio_view
from kquant.views.scores import PicksView, ScoresView, picks_view, scores_view
from kquant.views.slots import SlotsView, slots_view
from kquant.views.why import why as why_facts
from kquant.views.words import columns, signed_won, won

OK = 0
DIFFERS = 1

Owners = Sequence[Owner[Any, Any]]
Facts = Sequence[Recorded]
"""A running day's facts, as its instance told them; without them a command reads the day's folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """data: what --json prints.   text: what people read.   code: 0, or 1 when verify found a difference."""

    data: Any
    text: str
    code: int = OK


class UnknownStream(KquantError):
    """A stream the day does not have."""


def moment(facts: Sequence[Recorded], at: str | None, seq: int | None) -> Seq:
    """Return the seq that --at (HH:MM:SS KST) or --seq names; the last one without either. Raises NoSuchMoment."""
    if at is not None and seq is not None:
        raise NoSuchMoment("--at and --seq name two moments: give one of them")
    if not facts:
        raise NoSuchMoment("the day's journal is empty")
    if at is not None:
        return seq_at(facts, at)
    if seq is None:
        return facts[-1].seq
    if not 1 <= seq <= facts[-1].seq:
        raise NoSuchMoment(f"seq {seq} is not in the day: it has 1 to {facts[-1].seq}")
    return Seq(seq)


def rebuild(
    folder: Path, owners: Owners, *, at: str | None = None, seq: int | None = None, facts: Facts | None = None
) -> Answer:
    """Return slot table, portfolio, picks, scores and every owner's state as they were at a moment."""
    facts = read_day(folder) if facts is None else facts
    end = moment(facts, at, seq)
    known = facts[:end]
    held = rebuild_facts(facts, owners, end)
    views = (slots_view(known), portfolio_view(known), picks_view(known), scores_view(known))
    data = {
        "seq": held.seq,
        "at": held.at,
        "kst": kst_clock(held.at),
        "slots": plain(views[0]),
        "portfolio": plain(views[1]),
        "picks": plain(views[2]),
        "scores": plain(views[3]),
        "owners": {stream: {"version": held.versions[stream], "own": plain(own)} for stream, own in held.own.items()},
    }
    head = f"{kst_clock(held.at)} KST, seq {held.seq} of {facts[-1].seq}"
    return Answer(
        data=data, text="\n".join([head, *_slots(views[0]), *_money(views[1]), *_picks(views[2]), *_scores(views[3])])
    )


def portfolio(folder: Path, *, at: str | None = None, seq: int | None = None, facts: Facts | None = None) -> Answer:
    """Return positions, gains, costs and cash as they were at a moment."""
    facts = read_day(folder) if facts is None else facts
    end = moment(facts, at, seq)
    view, then = portfolio_view(facts[:end]), facts[end - 1].at
    extra = {"unrealised_krw": view.unrealised_krw, "unpriced": view.unpriced, "pnl_krw": view.pnl_krw}
    gains = [{"average_krw": p.average_krw, "unrealised_krw": p.unrealised_krw} for p in view.positions]
    data = plain(view) | extra | {"seq": end, "at": then, "kst": kst_clock(then)}
    data["positions"] = [{**plain(p), **gain} for p, gain in zip(view.positions, gains, strict=True)]
    text = [f"{folder.name}, {kst_clock(then)} KST, seq {end}", "", *portfolio_lines(view, then)]
    return Answer(data=data, text="\n".join(text))


def verify(folder: Path, owners: Owners, decode: Decoder | None = None, *, facts: Facts | None = None) -> Answer:
    """Decide the day again and derive its market events from the tape again. decode None leaves the tape out.

    An altered journal is read as far as it can be decoded, so that the altered event is shown in both versions.
    Given facts are those of a running day: their digests are checked as they were told, and no file is opened.
    """
    told = facts is not None
    damage = ""
    if facts is None:
        facts = read_day(folder, check=False)
        try:
            read_day(folder)
        except JournalError as error:
            damage = str(error)
    data: dict[str, Any] = {"damage": damage, "broken": "", "decisions": None, "market": None}
    lines = [f"DAMAGED: {damage}"] if damage else []
    ok = not damage
    try:
        decided = verify_facts(facts, owners, chain=told)
    except BrokenLog as error:
        ok, data["broken"] = False, str(error)
        lines.append(f"BROKEN: {error}")
    else:
        ok = ok and decided.agrees
        data["decisions"] = plain(decided)
        lines.extend(verified_lines(decided))
    if told:
        lines.append("tape: left out, the day is still running")
    elif decode is not None:
        market = _market(folder, facts, decode)
        ok = ok and not isinstance(market, str) and market.agrees
        data["market"] = market if isinstance(market, str) else plain(market)
        lines.extend([f"tape: {market}"] if isinstance(market, str) else market_lines(market))
    return Answer(data=data, text="\n".join(lines), code=OK if ok else DIFFERS)


def events(folder: Path, *, stream: str | None = None, after: int = 0, facts: Facts | None = None) -> Answer:
    """Return the log, one line an event, of one stream or of all. after: only events with a higher seq."""
    facts = read_day(folder) if facts is None else facts
    names = names_of(facts)
    streams = sorted({fact.stream for fact in facts})
    if stream is not None and stream not in streams:
        raise UnknownStream(f"no stream {stream!r} in this day: it has {', '.join(streams)}")
    found = [fact for fact in facts if fact.seq > after and stream in (None, fact.stream)]
    return Answer(data=[plain(fact) for fact in found], text="\n".join(line(fact, names) for fact in found))


def why(
    folder: Path, code: str, *, at: str | None = None, seq: int | None = None, facts: Facts | None = None
) -> Answer:
    """Return why a stock got, kept, lost or never got a slot, and why it was bought or not."""
    facts = read_day(folder) if facts is None else facts
    found = why_facts(facts, code, moment(facts, at, seq))
    return Answer(data=plain(found), text="\n".join(found.lines()))


def verified_lines(found: Verified) -> list[str]:
    """Return verify's result as people read it; other code comes first, because it explains the rest."""
    lines: list[str] = []
    if found.other_code:
        known = ", ".join(code[:12] or "unknown" for code in found.other_code)
        lines.append(f"note: the day was decided by other code ({known}): a difference may be a change of rules")
    if found.chain:
        lines.append(f"BROKEN: {found.chain}")
    lines.append(f"{found.decisions:,} decisions, {found.differences:,} differences ({found.events:,} events compared)")
    if found.parked:
        lines.append(f"{found.parked} parked inputs skipped")
    if found.unanswered:
        lines.append(f"{found.unanswered} inputs at the log's end were still unanswered when the process ended")
    return [*lines, *_first(found.first)]


def market_lines(found: MarketVerified) -> list[str]:
    """Return the tape's result as people read it."""
    head = f"tape: {found.records:,} records, {found.compared:,} market events derived again, {found.differences:,} differences"
    lines = [head]
    if found.rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in found.rejected.items())
        lines.append(f"tape: frames that were not believed: {reasons}")
    if found.unverifiable:
        lines.append(f"tape: {found.unverifiable} market events beyond the end of the tape are unverifiable")
    if found.unrecorded:
        lines.append(f"tape: {found.unrecorded} market events at its end had not been recorded when the process ended")
    return [*lines, *_first(found.first)]


def plain(value: Any) -> Any:
    """Return structs, dataclasses, tuples and odd mappings as what JSON knows; bytes as hex."""
    if isinstance(value, Struct):
        return {name: plain(item) for name, item in structs.asdict(value).items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        if all(isinstance(key, str | int) for key in value):
            return {str(key): plain(item) for key, item in value.items()}
        return [[plain(key), plain(item)] for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value, key=repr)]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value


def _market(folder: Path, facts: Sequence[Recorded], decode: Decoder) -> MarketVerified | str:
    try:
        return verify_market(TapeReader(folder), facts, decode)
    except (TapeError, BrokenTape) as error:
        return str(error)


def _first(found: Difference | None) -> list[str]:
    if found is None:
        return []
    return [
        f"first difference at seq {found.seq}, {kst_clock(found.at)} KST, {found.owner}:",
        f"  recorded: {found.recorded}",
        f"  decided:  {found.decided}",
    ]


def _slots(view: SlotsView) -> list[str]:
    counts = ", ".join(f"{count} of priority {priority}" for priority, count in view.counts().items())
    rows = [
        [str(s.priority), f"{s.name}({s.code})", s.channel, s.state, kst_clock(s.since), ", ".join(s.reasons)]
        for s in (*view.held, *view.waiting)
    ]
    title = ["", f"Slots: {len(view.held)} used ({counts}), {len(view.waiting)} waiting, epoch {view.epoch}"]
    return title + (columns(["P", "stock", "channel", "state", "since", "why"], rows) if rows else [])


def _money(view: PortfolioView) -> list[str]:
    rows = [
        [f"{p.name}({p.code})", f"{p.qty:,}주", won(p.cost_krw), won(p.value_krw), signed_won(p.value_krw - p.cost_krw)]
        for p in view.positions
    ]
    cash = "unknown" if view.cash_krw is None else won(view.cash_krw)
    worth = "unknown" if view.equity_krw is None else won(view.equity_krw)
    title = ["", f"Portfolio: cash {cash}, equity {worth}, P&L {signed_won(view.pnl_krw)}"]
    return title + (columns(["stock", "shares", "cost", "value", "P&L"], rows, right=(1, 2, 3, 4)) if rows else [])


def _picks(view: PicksView) -> list[str]:
    rows = [[str(p.rank), f"{p.name}({p.code})", str(p.score), "slot" if p.subscribed else ""] for p in view.picks]
    title = ["", f"Picks: {len(view.picks)} of {view.analysed:,} stocks"]
    return title + (columns(["rank", "stock", "score", ""], rows, right=(0, 2)) if rows else [])


def _scores(view: ScoresView) -> list[str]:
    scans = [[f"{s.name}({s.code})", score(s.last), score(s.best), str(s.scans)] for s in view.scans]
    finals = [[f"{f.name}({f.code})", score(f.total), str(f.run), f.why] for f in view.finals]
    out = ["", f"Scan scores: {len(scans)} stocks"]
    out += columns(["stock", "last", "best", "scans"], scans, right=(1, 2, 3)) if scans else []
    out += ["", f"Final scores: {len(finals)} stocks"]
    return out + (columns(["stock", "score", "run", "why not"], finals, right=(1, 2)) if finals else [])
