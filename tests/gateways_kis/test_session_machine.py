"""The feed session in any history, against what must always hold."""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kquant.events.feed import FeedConnected
from kquant.gateways.kis.feed.session import NOTICE_PATIENCE, Broken, Data, FeedSession, Output, Report
from kquant.values import Epoch, Micros
from tests.gateways_kis.test_session_scenarios import ACK, GAP, IV, KEY, ack, drop, fresh, register
from tests.gateways_kis.test_wire import TRADE_47

CODES = st.sampled_from(["005930", "000660", "035420"])
ANSWERS = ("OPSP0000", "OPSP0001", "OPSP0002", "OPSP0003", "OPSP0007", "OPSP0008", "OPSP8992", "OPSP8996", "OPSP9999")


class Feed(RuleBasedStateMachine):
    """Opens, loses, asks, answers and lets time pass in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.session: FeedSession = fresh()
        self.now, self.seq, self.epoch = 0, 0, 0
        self.open, self.connected = False, False
        self.asked: set[int] = set()
        self.ended: list[int] = []
        self.waiting: tuple[str, str, str] | None = None
        self.last_sent = -GAP
        self.firsts: list[tuple[int, str, str]] = []
        self.dropped_between: set[tuple[str, str]] = set()

    def note(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Report(event=event, caused_by=cause):
                    if isinstance(event, FeedConnected):
                        assert self.waiting is None
                        self.connected = True
                    if cause is not None:
                        assert cause in self.asked
                        self.ended.append(cause)
                case Data(first=first):
                    self.firsts.extend((self.epoch, *key) for key in first)
                case Broken():
                    self.lose()
                    return

    def pump(self) -> None:
        for text in self.session.to_send(Micros(self.now)):
            frame = json.loads(text)
            if frame["header"].get("tr_id") == "PINGPONG":
                assert text == self.ping
                continue
            given = frame["body"]["input"]
            assert self.waiting is None, "two requests unanswered"
            assert self.connected or given["tr_id"] == "H0STCNI0", "something went before the notice"
            assert self.now - self.last_sent >= GAP or given["tr_id"] == "H0STCNI0"
            self.last_sent = self.now
            self.waiting = (frame["header"]["tr_type"], given["tr_id"], given["tr_key"])

    @precondition(lambda self: not self.open)
    @rule()
    def open_connection(self) -> None:
        self.epoch += 1
        self.now += GAP
        self.open, self.connected, self.waiting = True, False, None
        self.session.opened(Epoch(self.epoch), "approval", Micros(self.now))
        self.pump()
        assert self.waiting == ("1", "H0STCNI0", "DEMO01")

    @precondition(lambda self: self.open)
    @rule()
    def lose(self) -> None:
        self.open, self.connected, self.waiting = False, False, None
        self.note(self.session.closed())
        assert sorted(self.ended) == sorted(self.asked)

    @rule(code=CODES, wants=st.booleans(), life=st.integers(0, 20), stale=st.booleans())
    def ask(self, code: str, wants: bool, life: int, stale: bool) -> None:
        self.seq += 1
        self.asked.add(self.seq)
        epoch = self.epoch - 1 if stale else self.epoch
        make = register(self.seq, code, epoch=epoch, valid=self.now + life * GAP)
        self.note(self.session.request(make if wants else drop(self.seq, code, epoch=epoch)))
        self.pump()

    @precondition(lambda self: self.open)
    @rule(answer=st.sampled_from(ANSWERS), right=st.booleans(), code=CODES)
    def answer(self, answer: str, right: bool, code: str) -> None:
        if right and self.waiting is not None:
            _, tr_id, key = self.waiting
            answer = "OPSP0000" if tr_id == "H0STCNI0" else answer
        else:
            tr_id, key = "H0STCNT0", code
        before = len(self.ended)
        self.waiting_before, self.waiting = self.waiting, None
        keys = (KEY, IV) if tr_id == "H0STCNI0" else None
        self.note(self.session.receive(ack(tr_id, key, answer, keys=keys)))
        assert len(self.ended) >= before
        if self.session.unanswered:
            self.waiting = self.waiting_before
        self.pump()

    @precondition(lambda self: self.open)
    @rule(stamp=st.integers(0, 10**13))
    def ping_pong(self, stamp: int) -> None:
        self.ping = f'{{"header":{{"tr_id":"PINGPONG","datetime":"{stamp}"}}}}'
        assert self.session.receive(self.ping) == []
        self.pump()

    @precondition(lambda self: self.open)
    @rule()
    def trade(self) -> None:
        self.note(self.session.receive(TRADE_47))

    @precondition(lambda self: self.open)
    @rule(noise=st.text(max_size=30))
    def noise(self, noise: str) -> None:
        self.note(self.session.receive(noise))

    @rule(gaps=st.integers(1, 12))
    def wait(self, gaps: int) -> None:
        self.now += gaps * GAP
        if not self.open:
            return
        late = self.session.late(Micros(self.now))
        if not self.session.unanswered:
            self.waiting = None
        self.note(late)
        if self.open:
            self.pump()

    @invariant()
    def every_request_ends_at_most_once(self) -> None:
        assert len(self.ended) == len(set(self.ended))

    @invariant()
    def nothing_sent_waits_longer_than_its_patience(self) -> None:
        due = self.session.wake_at()
        assert due is None or due <= self.now + (ACK if self.connected else NOTICE_PATIENCE * ACK)


Feed.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyHistoryOfAConnection = Feed.TestCase
