"""The real owners on a virtual clock, with a broker that answers balances only: what they decided is decided again."""

from __future__ import annotations

from kquant.actors.single import SingleRuntime, VirtualClock
from kquant.domain import OWNERS
from kquant.events.feed import FeedConnected
from kquant.events.portfolio import BalanceAnswered, BalanceWanted, Holding
from kquant.journal import MemoryJournal
from kquant.replay.rebuild import fold_at
from kquant.replay.verify import code_hash, verify
from kquant.testing.facts import FactLog, clock
from kquant.values import Epoch, Krw, Seq, Shares, Symbol
from kquant.views.slots import slots_view


class Broker:
    """Answers every balance request with one holding."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.journal = journal
        self.read = Seq(0)

    def __call__(self) -> bool:
        moved = False
        for fact in self.journal.read(self.read):
            self.read = fact.seq
            if isinstance(fact.event, BalanceWanted):
                held = Holding(
                    code=Symbol("005930"), name="삼성전자", qty=Shares(10), sellable=Shares(10), cost_krw=Krw(700_000)
                )
                answer = BalanceAnswered(holdings=(held,), cash_krw=Krw(50_000_000), cash_today_krw=Krw(50_000_000))
                self.journal.append("rest", [answer], by="rest", caused_by=fact.seq).result()
                moved = True
        return moved


def test_a_day_of_the_real_owners_verifies_and_rebuilds_to_what_they_hold() -> None:
    log = FactLog()
    log.start(code_hash=code_hash())
    log.open_day()
    now = VirtualClock(clock("07:10:00"))
    journal = MemoryJournal(now.now)
    runtime = SingleRuntime(OWNERS, journal, now, [Broker(journal)])
    for fact in log.facts:
        journal.append(fact.stream, [fact.event], by="run").result()
    journal.append("feed", [FeedConnected(epoch=Epoch(1))], by="feed").result()
    runtime.start()
    held: dict[int, dict[str, object]] = {}
    for moment in ("07:21:00", "08:59:59", "09:00:30", "09:20:00", "10:00:01", "15:45:00"):
        runtime.run_until(clock(moment))
        held[journal.head] = {stream: host.own for stream, host in runtime.hosts.items()}
    facts = journal.read(Seq(0), 1_000_000)
    result = verify(facts, OWNERS)
    assert result.first is None
    assert result.agrees
    assert result.decisions > 100
    assert result.other_code == ()
    assert result.unanswered == 0
    for seq, own in held.items():
        assert fold_at(facts, OWNERS, Seq(seq)) == own
    assert "005930" in {line.code for line in (*slots_view(facts).held, *slots_view(facts).waiting)}
