"""Small afternoons: one seed is one market, a rebuilt moment is the lived one, an altered event is named."""

import asyncio
import random
import shutil
import signal
import sqlite3
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from kquant.actors.host import OwnerHost
from kquant.cli.live import LiveRun, RunOptions
from kquant.config import load, parse_value
from kquant.domain import OWNERS
from kquant.events.orders import OrderIntended
from kquant.events.scanner import RankingsAnswered
from kquant.gateways.kis.feed.wire import decode
from kquant.journal import TapeReader
from kquant.market.records import Trade
from kquant.replay.rebuild import rebuild

from .world import AFTERNOON, facts_of, folder_of, kquant, of

pytestmark = pytest.mark.timeout(240)

MOMENTS = 40


class Watched:
    """A second run of the afternoon, in this process: stream and version -> the state its live owner held there."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.held: dict[tuple[str, int], object] = {}

    def take(self, original):
        def wrapped(host, fact):
            original(host, fact)
            self.held[host.owner.stream, host._mind.version] = host.own

        return wrapped


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Watched:
    watched = Watched(tmp_path_factory.mktemp("watched") / "data")
    given = dict(text.split("=", 1) for text in AFTERNOON if text != "--set")
    overrides = {key: parse_value(value) for key, value in given.items()}
    loaded = load("demo", overrides={**overrides, "journal.data": str(watched.data)})
    options = RunOptions(loaded=loaded, data=watched.data, day=None, speed="max", market=None, days=1)
    outcomes = []
    interval = sys.getswitchinterval()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OwnerHost, "_take", watched.take(OwnerHost._take))
        code = asyncio.run(LiveRun(options, Console(quiet=True), outcomes.append).run())
    sys.setswitchinterval(interval)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert code == 0, outcomes
    return watched


def test_rebuild_equals_stream_by_stream_what_the_live_run_held_at_many_moments(watched):
    facts = facts_of(watched.data)
    assert of(facts, OrderIntended)
    versions: dict[str, int] = {owner.stream: 0 for owner in OWNERS}
    comparable = []
    for fact in facts:
        if fact.stream in versions:
            versions[fact.stream] = fact.version
        # Between two events of one answer no live owner holds anything: it folds a whole answer once it is durable.
        if all(version == 0 or (stream, version) in watched.held for stream, version in versions.items()):
            comparable.append(fact.seq)
    assert len(comparable) > len(facts) // 2
    moments = random.Random(20261120).sample(comparable, MOMENTS)
    for seq in [*sorted(moments), comparable[-1]]:
        rebuilt = rebuild(facts, OWNERS, seq)
        for owner in OWNERS:
            version = rebuilt.versions[owner.stream]
            if version:
                assert rebuilt.own[owner.stream] == watched.held[owner.stream, version], (seq, owner.stream)


def test_the_recovered_owners_hold_what_the_live_ones_held_at_the_end(watched):
    from kquant.actors.host import OwnerHost as Host
    from kquant.journal import open_day
    from kquant.values import Micros

    journal = open_day(folder_of(watched.data), lambda: Micros(0))
    try:
        for owner in OWNERS:
            host = Host(owner, journal, pytest.fail)
            host.recover()
            assert host.own == watched.held[owner.stream, host._mind.version]
    finally:
        journal.close()


def trades_of(data: Path) -> dict[tuple[str, str, int], tuple[int, int]]:
    """Return what the tape says of every print: stock, time and the day's volume then -> price and size."""
    found = {}
    for record in TapeReader(folder_of(data)):
        if record.kind == "frame":
            for trade in decode(record.data.decode()):
                if isinstance(trade, Trade):
                    found[trade.code, trade.time, trade.volume] = (trade.last_price, trade.last_qty)
    return found


def test_two_runs_with_one_seed_play_the_same_market(afternoon, watched):
    assert afternoon.code == 0, afternoon.err[-2_000:]
    one = {answer.cycle: answer for answer in of(afternoon.facts, RankingsAnswered)}
    other = {answer.cycle: answer for answer in of(facts_of(watched.data), RankingsAnswered)}
    assert len(one) == len(other) >= 55
    assert one == other
    mine, theirs = trades_of(afternoon.data), trades_of(watched.data)
    both = mine.keys() & theirs.keys()
    assert len(both) > 1_000
    assert {key: mine[key] for key in both} == {key: theirs[key] for key in both}


def test_both_runs_of_one_seed_verify(afternoon, watched):
    for folder in (afternoon.folder, folder_of(watched.data)):
        done = kquant("replay", "verify", folder)
        assert done.returncode == 0, done.stdout
        assert " 0 differences" in done.stdout


def test_another_seed_plays_another_market(afternoon, tmp_path):
    data = tmp_path / "data"
    late = tuple(text.replace("14:25", "15:15") for text in AFTERNOON)
    done = kquant("run", "--data", data, *late, "--set", "demo.seed=7")
    assert done.returncode == 0, done.stderr[-2_000:]
    other = {row.code for answer in of(facts_of(data), RankingsAnswered) for row in answer.gainers}
    mine = {row.code for answer in of(afternoon.facts, RankingsAnswered) for row in answer.gainers}
    assert other
    assert other != mine


def test_one_event_changed_by_hand_is_named_by_verify(afternoon, tmp_path):
    copy = tmp_path / "day"
    shutil.copytree(afternoon.folder, copy, ignore=shutil.ignore_patterns("attachments", "report.html"))
    victim = next(
        fact for fact in afternoon.facts if isinstance(fact.event, OrderIntended) and fact.event.side == "buy"
    )
    db = sqlite3.connect(copy / "journal.sqlite")
    for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {trigger}")
    [[payload]] = db.execute("SELECT payload FROM journal WHERE seq = ?", (victim.seq,)).fetchall()
    fields = msgspec.msgpack.decode(payload)
    fields["qty"] += 1
    db.execute("UPDATE journal SET payload = ? WHERE seq = ?", (msgspec.msgpack.encode(fields), victim.seq))
    db.commit()
    db.close()
    done = kquant("replay", "verify", copy)
    assert done.returncode == 1
    assert f"seq {victim.seq}" in done.stdout
    assert f"first difference at seq {victim.seq}" in done.stdout
    assert f"qty={victim.event.qty + 1}" in done.stdout.replace(" ", "").replace(":", "=").replace('"', "")
    for command in (("replay", "rebuild"), ("events",)):
        refused = kquant(*command, copy)
        assert refused.returncode == 2
        assert f"seq {victim.seq}" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
