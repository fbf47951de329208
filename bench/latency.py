"""Part 7: from a frame leaving a local sender to the order it causes at a local broker, for kquant and for python-kis."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import frames
from bench.broker import COST, QTY, holdings
from bench.figures import Goal, NotMeasured, Options, Result, Row, interleaved, percentile, ratios
from bench.latency_rig import BrokerProcess, Market, Played, kquant_day, names, neighbour
from bench.peer import Peer
from kquant.cli import codes as exit_codes
from kquant.events.base import Recorded
from kquant.events.orders import OrderIntended, OrderSendStarted

TITLE = "7. Frame to order"
RATES = (200, 1_000)
GAP_SECONDS = 0.08
LEAD_SECONDS = 0.7
FALLEN = 60_000
"""Won: below every stop of what cost 70,000 a share, inside the day's limits."""
DURABLE = ("market.trigger_fired", "orders.intended", "order.send_started", "order.accepted")


def run(options: Options, work: Path) -> Result:
    """Play the same market to both in turn, at both rates, alone and beside a process that burns a core."""
    found = _Found()
    with Peer("orders") as peer:
        played: dict[str, Callable[[], float]] = {}
        for rate in RATES:
            wide, narrow = (_market(work, rate, narrow=each) for each in (False, True))
            for burning in (False, True):
                ours, theirs = _label("kquant", rate, burning), _label("python-kis", rate, burning)
                played[ours] = found.of(ours, burning, partial(_ours, work, wide, found))
                played[theirs] = found.of(theirs, burning, partial(_theirs, peer, narrow, found))
        found.rounds = options.count(9, 1)
        interleaved(found.rounds, played)
    return _result(found)


class _Found:
    """Latencies (ms) by variant and round."""

    def __init__(self) -> None:
        self.latencies: dict[str, list[list[float]]] = {}
        self.rounds = 0
        self.late: list[float] = []
        self.peer = ""

    def of(self, name: str, burning: bool, play: Callable[[], Played]) -> Callable[[], float]:
        """Return what measures one round of a variant."""
        rounds = self.latencies.setdefault(name, [])

        def measure() -> float:
            with neighbour(burning):
                played = play()
            rounds.append([latency / 1e6 for latency in played.latencies()])
            self.late.append(played.late / 1e6)
            return 0.0

        return measure

    def middles(self, name: str) -> list[float]:
        """Return each round's median."""
        return [percentile(each, 0.5) for each in self.latencies[name]]

    def tail(self, name: str) -> list[float]:
        """Return the 99th percentile of all rounds' samples: one round alone has too few."""
        return [percentile([latency for each in self.latencies[name] for latency in each], 0.99)]


def _ours(work: Path, market: Market, found: _Found) -> Played:
    folder = work / f"latency-{sum(map(len, found.latencies.values()))}"
    played, outcome = kquant_day(folder, holdings(), COST, QTY, market)
    if outcome.code != exit_codes.INTERRUPTED:
        raise NotMeasured(f"the day failed: {outcome.reason}")
    counted = names(outcome)
    if any(counted[name] < len(market.firing) for name in DURABLE):
        raise NotMeasured(f"not every order was recorded: {[(name, counted[name]) for name in DURABLE]}")
    _check_marks(outcome.facts)
    return played


def _check_marks(facts: list[Recorded]) -> None:
    """Refuse a day in which an order left without both of its marks."""
    intended = {fact.event.intent for fact in facts if isinstance(fact.event, OrderIntended)}
    begun = {fact.event.intent for fact in facts if isinstance(fact.event, OrderSendStarted)}
    if intended != begun:
        raise NotMeasured(f"intents {sorted(intended - begun)} were sent without their mark")


def _theirs(peer: Peer, market: Market, found: _Found) -> Played:
    return asyncio.run(_their_day(peer, market, found))


async def _their_day(peer: Peer, market: Market, found: _Found) -> Played:
    broker = await BrokerProcess.start()
    try:
        found.peer = await asyncio.to_thread(
            peer.call, "start", rest=broker.rest, ws=broker.ws, codes=holdings(), below=FALLEN, qty=QTY
        )
        await broker.registered(len(holdings()))
        played = await broker.play(market)
        await asyncio.to_thread(peer.call, "stop")
        return played
    finally:
        await broker.close()


def _market(work: Path, rate: int, *, narrow: bool) -> Market:
    """Write one market: trades of all stocks in turn at a price nothing waits for, and one that falls, for each."""
    chance = random.Random(rate)
    codes = holdings()
    lead, gap = int(LEAD_SECONDS * rate), int(GAP_SECONDS * rate)
    firing = {lead + place * gap + chance.randrange(gap // 2): code for place, code in enumerate(codes)}
    volumes = dict.fromkeys(codes, 1_000)
    lines = []
    for index in range(lead + gap * (len(codes) + 2)):
        code = firing.get(index) or chance.choice(codes)
        price = FALLEN if index in firing else chance.choice((COST, COST + 100))
        volumes[code] += chance.randrange(1, 500)
        frame = f"0|H0STCNT0|001|{frames.record(code, price, volumes[code], chance)}"
        lines.append(frames.narrowed(frame) if narrow else frame)
    path = work / f"market-{rate}-{'narrow' if narrow else 'wide'}.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return Market(path, firing, rate)


def _label(who: str, rate: int, burning: bool) -> str:
    return f"{who}, {rate:,} frames/s{', beside a burning core' if burning else ''}"


def _result(found: _Found) -> Result:
    rows = []
    for rate in RATES:
        for burning in (False, True):
            ours, theirs = _label("kquant", rate, burning), _label("python-kis", rate, burning)
            judged = rate == RATES[-1] and not burning
            rows.append(Row(f"{ours}: p50", found.middles(ours), "ms", Goal("<=", 2) if judged else None))
            rows.append(Row(f"{theirs}: p50", found.middles(theirs), "ms"))
            rows.append(Row(f"{ours}: p99 of all", found.tail(ours), "ms", Goal("<=", 6) if judged else None))
            rows.append(Row(f"{theirs}: p99 of all", found.tail(theirs), "ms"))
            quicker = ratios(found.middles(theirs), found.middles(ours))
            rows.append(Row("python-kis / kquant: p50", quicker, "×", Goal(">=", 1) if judged else None))
    rows.append(Row("sender behind its timetable, worst of a round", found.late, "ms"))
    firings = len(holdings())
    return Result(
        setup=f"From the call that hands a firing frame to the kernel in the sender's process to the last byte of the order "
        f"it causes at the broker (the same process, one clock), so receiving counts on both sides. {firings} stocks held "
        f"and registered, {firings} stops reached a round, {GAP_SECONDS * 1e3:.0f} ms apart, each a market sell over a kept "
        "connection. kquant: the whole run as `kquant run` wires it, all owners, tape and journal on disk; trigger, intent "
        f"and the mark that the send began are durable before the first byte. {found.peer}: its real-time client and its "
        "order call in the handler, older layout; it stores nothing. Every stock had exactly one order on both sides.",
        rows=rows,
        notes=(f"p99 is that of all {found.rounds * firings} samples of a variant: a round has too few of its own.",),
        missing=["TLS", "a network", "the broker's own time", "confirming a price before a buy"],
    )
