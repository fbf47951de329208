"""Arbitrary tapes against naive readings of them."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.events.market import BarsClosed, TriggerFired
from kquant.market.fold import derive
from kquant.values import MINUTE_US

from .tape import HYNIX, SAMSUNG, decode, rest, trade, watching

CODES = st.sampled_from([SAMSUNG, HYNIX])
PRICES = st.integers(900, 1_100)
STEP = st.one_of(
    st.tuples(st.just("trade"), CODES, PRICES, st.integers(0, 5)),
    st.tuples(st.just("pass"), st.integers(1, 45)),
    st.tuples(st.just("arm"), CODES, st.sampled_from(["stop", "target", "trailing"]), PRICES, st.integers(10, 900)),
    st.tuples(st.just("disarm"), st.integers(1, 9)),
    st.tuples(st.just("drop"), CODES),
    st.tuples(st.just("register"), CODES),
    st.tuples(st.just("rest"), CODES, PRICES),
    st.tuples(st.just("reconnect")),
    st.tuples(st.just("snapshot")),
)


def play(steps):
    desk = watching(SAMSUNG, HYNIX)
    volume, epoch, trigger = {SAMSUNG: 0, HYNIX: 0}, 1, 0
    for step in steps:
        match step:
            case ("trade", code, price, qty):
                volume[code] += qty
                desk.trades(trade(code=code, price=price, volume=volume[code], qty=qty))
            case ("pass", seconds):
                desk.pass_seconds(seconds)
            case ("arm", code, kind, price, bp):
                trigger += 1
                desk.arm(trigger, kind, price=price, bp=bp, high=price, code=code)
            case ("disarm", which):
                desk.disarm(which)
            case ("drop", code):
                desk.drop(code, epoch)
            case ("register", code):
                desk.register(code, epoch)
            case ("rest", code, price):
                desk.rest(rest(code=code, price=price, volume=volume[code]))
            case ("reconnect",):
                desk.end(epoch)
                epoch += 1
                desk.begin(epoch)
                desk.register(SAMSUNG, epoch)
            case ("snapshot",):
                desk.snapshot(1, SAMSUNG, HYNIX)
    return desk


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_deriving_a_tape_again_gives_what_live_gave(steps):
    desk = play(steps)
    assert list(derive(desk.lines, desk.facts, decode)) == desk.out


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_no_arming_fires_twice_and_each_firing_is_true(steps):
    desk = play(steps)
    firings = [(event, cause) for event, _, cause in desk.out if isinstance(event, TriggerFired)]
    assert len({event.trigger for event, _ in firings}) == len(firings)
    for event, cause in firings:
        armed = desk.facts[cause].event
        assert (armed.trigger, armed.code) == (event.trigger, event.code)
        assert armed.kind != "stop" or event.price <= armed.price
        assert armed.kind != "target" or event.price >= armed.price


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["stop", "target", "trailing"]),
    price=PRICES,
    bp=st.integers(1, 1_500),
    prices=st.lists(PRICES, min_size=1, max_size=40),
)
def test_a_trigger_fires_exactly_at_the_first_trade_that_qualifies(kind, price, bp, prices):
    desk = watching(SAMSUNG)
    desk.arm(1, kind, price=price, bp=bp, high=price)
    seen = [desk.trades(trade(price=each, volume=number)) for number, each in enumerate(prices)]
    first, high = None, price
    for number, each in enumerate(prices):
        high = max(high, each)
        limit = {"stop": each <= price, "target": each >= price, "trailing": each <= high * (1 - Fraction(bp, 10_000))}
        if limit[kind] and first is None:
            first = number
    assert [number for number, events in enumerate(seen) if events] == ([] if first is None else [first])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CODES, PRICES, st.integers(1, 9), st.integers(0, 40)), max_size=60))
def test_bars_equal_a_naive_reading_of_the_trades(prints):
    desk = watching(SAMSUNG, HYNIX)
    naive: dict[tuple[int, str], list[tuple[int, int]]] = {}
    volume = {SAMSUNG: 0, HYNIX: 0}
    for code, price, qty, gap in prints:
        desk.pass_seconds(gap)
        volume[code] += qty
        desk.trades(trade(code=code, price=price, volume=volume[code], qty=qty))
        naive.setdefault((desk.at - desk.at % MINUTE_US, code), []).append((price, qty))
    desk.pass_seconds(60)
    bars = {
        (event.start, bar.code): bar for event, _, _ in desk.out if isinstance(event, BarsClosed) for bar in event.bars
    }
    assert set(bars) == set(naive)
    for key, trades in naive.items():
        prices = [price for price, _ in trades]
        bar = bars[key]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert bar.volume == sum(qty for _, qty in trades)
        assert bar.value == sum(price * qty for price, qty in trades)
        assert bar.covered_seconds == 60
    starts = [event.start for event, _, _ in desk.out if isinstance(event, BarsClosed)]
    assert starts == sorted(set(starts))
    assert all(start % MINUTE_US == 0 for start in starts)
