"""Slots against a strict broker and a naive model, over arbitrary interleavings. S1..S7 are those of the design."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kquant.domain.slots import pending
from kquant.events.slots import DropWanted, RegisterWanted, SlotEvicted
from kquant.values import MINUTE_US

from .world import World

CODES = st.sampled_from([f"C{number}" for number in range(9)])
CAPACITY, PICKS, SURGES, HEADROOM = 5, 3, 2, 1


class Slots(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.world = World(
            capacity=CAPACITY, picks_cap=PICKS, surges_cap=SURGES, extra_channels=("book",), extra_headroom=HEADROOM,
            changes_per_minute=40, low_changes_per_minute=16, min_dwell_seconds=10, surge_ttl_seconds=300,
            silent_seconds=60,
        )  # fmt: skip
        self.held: dict[str, None] = {}
        self.orders: dict[int, str] = {}
        self.picks: list[str] = []
        self.broken: set[str] = set()

    def has_request(self):
        return bool(self.world.requests)

    # claims

    @rule(code=CODES)
    def buy_or_sell(self, code):
        if code in self.held:
            del self.held[code]
            self.world.sell(code)
        else:
            self.held[code] = None
            self.world.buy(code)

    @rule(code=CODES)
    def order(self, code):
        self.orders[self.world.order(code)] = code

    @precondition(lambda self: self.orders)
    @rule()
    def finish(self):
        intent = min(self.orders)
        self.world.finish(intent, self.orders.pop(intent))

    @rule(codes=st.lists(CODES, unique=True, max_size=PICKS))
    def pick(self, codes):
        self.picks = codes
        self.world.pick(*codes)

    @rule(codes=st.lists(CODES, unique=True, max_size=3))
    def scan(self, codes):
        self.world.scan(*codes)

    # the connection

    @rule()
    def reconnect(self):
        if self.world.up:
            self.world.lose()
        self.world.broker_limit = CAPACITY
        sent = len(self.world.said(RegisterWanted))
        self.world.connect()
        asked = self.world.said(RegisterWanted)[sent:]
        assert len(asked) <= 1

    @precondition(lambda self: self.world.up)
    @rule()
    def lose(self):
        self.world.lose()

    @precondition(lambda self: self.world.up)
    @rule(limit=st.integers(1, CAPACITY))
    def the_broker_takes_fewer(self, limit):
        self.world.broker_limit = max(limit, len(self.world.broker))

    @rule(is_open=st.booleans())
    def session(self, is_open):
        self.world.session(is_open)

    # answers

    @precondition(has_request)
    @rule()
    def ack(self):
        self.world.ack()

    @precondition(has_request)
    @rule()
    def ack_all(self):
        self.world.settle()

    @precondition(has_request)
    @rule(reached=st.booleans())
    def unanswered(self, reached):
        self.world.unanswered(reached)

    @precondition(has_request)
    @rule()
    def expire(self):
        self.world.expire()

    @precondition(has_request)
    @rule(kind=st.sampled_from(["resource", "invalid_key", "other"]))
    def refuse(self, kind):
        request = self.world.requests[0].event
        if isinstance(request, DropWanted):
            kind = "other"
        if (request.code, request.channel) not in self.world.broker or isinstance(request, DropWanted):
            self.world.refuse(kind)

    @precondition(lambda self: self.world.broker)
    @rule(data=st.data())
    def tick(self, data):
        code, channel = data.draw(st.sampled_from(sorted(self.world.broker)))
        self.world.tick(code, channel)

    @rule(seconds=st.sampled_from([1, 3, 20, 70, 400]))
    def pass_time(self, seconds):
        self.world.pass_time(seconds)

    # invariants

    @invariant()
    def s1_never_more_than_capacity_at_the_broker_nor_in_the_client(self):
        on = self.world.on_wire()
        assert len(self.world.broker) <= CAPACITY
        assert len(on) <= CAPACITY
        assert set(self.world.broker) <= set(on), "what the broker holds is counted"

    @invariant()
    def s1_at_most_one_request_is_unanswered(self):
        assert len(self.world.requests) <= 1
        assert (pending(self.world.own, self.world.seen) is not None) == bool(self.world.requests)

    @invariant()
    def s2_a_holding_without_a_slot_is_polled_in_an_open_session(self):
        world = self.world
        if world.seen.session and not world.up:
            assert set(world.own.polling) == set(world.seen.held)
        assert set(world.own.polling) <= set(world.seen.held)

    @invariant()
    def s3_nobody_gives_way_to_a_lower_priority_and_only_surges_and_extras_to_their_like(self):
        for evicted in self.world.said(SlotEvicted):
            assert evicted.for_priority <= evicted.priority or evicted.rule == "headroom"
            assert evicted.priority != 1, "a holding never gives way"
            if evicted.priority == evicted.for_priority:
                assert evicted.priority == 3

    @invariant()
    def s7_no_more_wire_changes_a_minute_than_the_ceiling(self):
        instants = [fact.at for fact in self.world.log if isinstance(fact.event, RegisterWanted | DropWanted)]
        for first in instants:
            assert sum(1 for at in instants if first <= at < first + MINUTE_US) <= 40

    @invariant()
    def claims_are_those_of_the_naive_model(self):
        stocks = self.world.own.stocks
        held = set(self.held) | set(self.orders.values())
        assert {code for code, stock in stocks.items() if stock.priority == 1} == held
        for stock in stocks.values():
            for claim in stock.claims:
                if claim.reason == "picked":
                    assert stock.code in self.picks
                if claim.reason == "surging":
                    assert claim.since + 300_000_000 > self.world.at

    def quiesce(self):
        """Faults stop: a fresh connection, every request acknowledged, every registration ticks."""
        world = self.world
        if world.up:
            world.lose()
        world.broker_limit = CAPACITY
        world.connect()
        for _ in range(140):
            world.settle()
            world.tick_all()
            world.pass_time(1)
        world.settle()
        return world

    def naive_table(self):
        """Read the rules once more, slowly: trades by priority under the caps, then books below the headroom."""
        world = self.world
        able = [s for s in world.own.stocks.values() if (s.code, "trades") not in world.seen.unservable]
        on = dict.fromkeys(world.trades())
        groups = {p: [s for s in able if s.priority == p] for p in (1, 2, 3)}
        groups[1].sort(key=lambda s: (s.code not in on, s.claims[0].since, s.code))
        groups[2].sort(key=lambda s: (s.code not in on, s.claims[0].rank))
        groups[3].sort(key=lambda s: (-s.claims[0].since, s.code))
        chosen = (groups[1] + groups[2][:PICKS] + groups[3][:SURGES])[:CAPACITY]
        table = [(s.code, "trades") for s in chosen]
        for s in chosen:
            if s.priority < 3 and len(table) < CAPACITY - HEADROOM and (s.code, "book") not in world.seen.unservable:
                table.append((s.code, "book"))
        return set(table)

    def teardown(self):
        if not hasattr(self, "world"):
            return
        self.world.check_recovery()
        self.world.check_verify()
        world = self.quiesce()
        # S4 (the newest surges), S6 (client = broker) and S2 (every holding that fits), all at once.
        assert set(world.broker) == set(world.on_wire()) == self.naive_table()
        if world.seen.session:
            missing = {code for code in world.seen.held if (code, "trades") not in world.broker}
            assert set(world.own.polling) == missing
        # S5: a reconnection asks for the table, each once, best first.
        table, sent = set(world.broker), len(world.said(RegisterWanted))
        world.lose()
        world.connect()
        world.settle()
        asked = world.said(RegisterWanted)[sent:]
        assert [each.priority for each in asked] == sorted(each.priority for each in asked)
        keys = [(each.code, each.channel) for each in asked]
        assert len(set(keys)) == len(keys)
        assert set(keys) <= table | self.naive_table()
        world.check_recovery()
        world.check_verify()


Slots.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSlots = Slots.TestCase
