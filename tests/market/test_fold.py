import pytest

from kquant.events.market import Bar, BarsClosed, SnapshotTaken, TriggerFired
from kquant.market.fold import BrokenTape, MarketFold, derive
from kquant.values import Krw, Micros, Shares, Symbol

from .tape import HYNIX, NINE, SAMSUNG, Line, decode, rest, trade, watching


def fired(events):
    return [event.trigger for event in events if isinstance(event, TriggerFired)]


def test_a_stop_fires_once_at_the_first_trade_at_or_below_its_price():
    desk = watching(SAMSUNG)
    desk.arm(7, "stop", price=990)
    assert desk.trades(trade(price=991, volume=1)) == []
    events = desk.trades(trade(price=990, volume=2, time="090001"), trade(price=980, volume=3))
    assert events == [
        TriggerFired(
            trigger=7, code=SAMSUNG, price=Krw(990), bid=Krw(989), ask=Krw(991), exchange_time="090001",
            volume=Shares(2), place=len(desk.lines),
        )
    ]  # fmt: skip
    assert desk.out[-1][2] == 3, "a firing answers its arming"
    assert desk.trades(trade(price=900, volume=4)) == []


def test_a_target_fires_at_or_above_its_price():
    desk = watching(SAMSUNG)
    desk.arm(1, "target", price=1_010)
    assert fired(desk.trades(trade(price=1_009, volume=1))) == []
    assert fired(desk.trades(trade(price=1_010, volume=2))) == [1]


def test_a_trailing_trigger_follows_the_high_and_fires_to_the_won():
    desk = watching(SAMSUNG)
    desk.arm(1, "trailing", bp=300, high=1_000)
    assert fired(desk.trades(trade(price=971, volume=1), trade(price=1_333, volume=2))) == []
    # 1,333 less 3 % is 1,293.01
    assert fired(desk.trades(trade(price=1_294, volume=3))) == []
    assert fired(desk.trades(trade(price=1_293, volume=4))) == [1]


def test_a_disarmed_trigger_never_fires_and_others_stay():
    desk = watching(SAMSUNG)
    desk.arm(1, "stop", price=990)
    desk.arm(2, "stop", price=980)
    desk.disarm(1)
    assert fired(desk.trades(trade(price=985, volume=1))) == []
    assert fired(desk.trades(trade(price=970, volume=2))) == [2]
    assert desk.disarm(2) == []


def test_two_triggers_that_hold_at_one_trade_fire_in_the_order_of_arming():
    desk = watching(SAMSUNG)
    desk.arm(2, "stop", price=990)
    desk.arm(1, "trailing", bp=100, high=1_000)
    assert fired(desk.trades(trade(price=980, volume=1))) == [2, 1]


def test_arming_tests_the_last_trade_of_this_connection_at_once():
    desk = watching(SAMSUNG)
    desk.trades(trade(price=980, volume=1))
    desk.pass_seconds(200)
    assert fired(desk.arm(1, "stop", price=990)) == [1]


@pytest.mark.parametrize("how", ["dropped", "lost", "new connection"])
def test_arming_does_not_test_a_price_that_nothing_keeps_up_to_date(how):
    desk = watching(SAMSUNG)
    desk.trades(trade(price=980, volume=1))
    if how == "dropped":
        desk.drop()
    elif how == "lost":
        desk.end()
    else:
        desk.begin(2)
        desk.register(epoch=2)
    assert desk.arm(1, "stop", price=990) == []
    assert fired(desk.rest(rest(price=990, volume=2))) == [1]


def test_a_rest_price_tests_triggers_and_tells_its_time_of_receipt():
    desk = watching()
    desk.arm(1, "stop", price=990)
    desk.pass_seconds(3)
    (event,) = desk.rest(rest(price=980))
    assert (event.trigger, event.price, event.exchange_time) == (1, 980, "090003")


def test_a_trigger_id_is_armed_only_once_a_day():
    desk = watching(SAMSUNG)
    desk.arm(1, "stop", price=990)
    with pytest.raises(BrokenTape, match="trigger 1"):
        desk.arm(1, "stop", price=990)


@pytest.mark.parametrize(
    ("guard", "bad"),
    [
        ("price", trade(price=0, volume=20)),
        ("price", trade(price=-5, volume=20)),
        ("volume", trade(price=900, volume=9)),
        ("code", trade(code=Symbol("999999"), price=900, volume=20)),
    ],
)
def test_a_trade_that_breaks_a_guard_is_counted_and_changes_nothing(guard, bad):
    desk = watching(SAMSUNG)
    desk.arm(1, "stop", price=950)
    desk.trades(trade(price=1_000, volume=10))
    before = desk.fold.snapshot(1, (SAMSUNG,), desk.at, 0)
    assert desk.trades(bad) == []
    assert desk.fold.snapshot(1, (SAMSUNG,), desk.at, 0) == before
    assert desk.fold.rejected == {"price": 0, "volume": 0, "code": 0} | {guard: 1}
    assert desk.fold.applied == 1


def test_a_trade_of_a_dropped_stock_is_not_believed():
    desk = watching(SAMSUNG)
    desk.drop()
    desk.trades(trade())
    assert desk.fold.rejected["code"] == 1


def test_one_wrong_volume_silences_a_stock_only_until_the_next_connection():
    desk = watching(SAMSUNG)
    desk.trades(trade(volume=10**12))
    desk.trades(trade(volume=11))
    assert desk.fold.rejected["volume"] == 1
    desk.begin(2)
    desk.register(epoch=2)
    desk.trades(trade(volume=12))
    assert desk.fold.applied == 2


def test_a_bar_tells_prices_volume_coverage_and_the_trailing_high():
    desk = watching(SAMSUNG)
    desk.pass_seconds(10)
    desk.register(HYNIX)
    desk.arm(1, "trailing", bp=5_000, high=900)
    desk.trades(trade(price=1_000, volume=1, qty=1), trade(price=1_030, volume=3, qty=2, high=1_030))
    desk.trades(trade(price=990, volume=6, qty=3, high=1_030), trade(code=HYNIX, price=500, volume=4, qty=4))
    desk.pass_seconds(30)
    desk.drop(HYNIX)
    (closed,) = desk.pass_seconds(20)
    assert closed == BarsClosed(
        start=NINE,
        place=len(desk.lines),
        bars=(
            Bar(
                code=HYNIX, open=Krw(500), high=Krw(500), low=Krw(500), close=Krw(500), volume=Shares(4),
                value=Krw(2_000), covered_seconds=30, day_high=Krw(500), trailing_high=None,
            ),
            Bar(
                code=SAMSUNG, open=Krw(1_000), high=Krw(1_030), low=Krw(990), close=Krw(990), volume=Shares(6),
                value=Krw(1_000 + 2_060 + 2_970), covered_seconds=60, day_high=Krw(1_030), trailing_high=Krw(1_030),
            ),
        ),
    )  # fmt: skip
    assert desk.pass_seconds(60) == [], "a minute without a trade says nothing"


def test_a_trade_after_the_minute_closes_its_bars_before_it_counts():
    desk = watching(SAMSUNG)
    desk.trades(trade(volume=1))
    desk.at = Micros(desk.at + 61_000_000)
    (closed,) = desk.trades(trade(price=2_000, volume=2))
    assert [bar.close for bar in closed.bars] == [1_000]


def test_a_lost_connection_ends_the_coverage():
    desk = watching(SAMSUNG)
    desk.trades(trade(volume=1))
    desk.pass_seconds(15)
    desk.end()
    desk.pass_seconds(15)
    desk.begin(2)
    desk.register(epoch=2)
    (closed,) = desk.pass_seconds(30)
    assert closed.bars[0].covered_seconds == 45


def test_a_snapshot_gives_every_asked_code_in_order_with_ages_and_missing_as_none():
    desk = watching(SAMSUNG)
    desk.trades(trade(price=1_000, volume=10))
    desk.pass_seconds(2)
    (shot,) = desk.snapshot(4, HYNIX, SAMSUNG)
    assert isinstance(shot, SnapshotTaken)
    missing, known = shot.quotes
    assert (missing.code, missing.last, missing.last_age_ms, missing.source) == (HYNIX, None, None, None)
    assert (known.last, known.last_age_ms, known.bid, known.source) == (1_000, 2_000, 999, "feed")
    assert (known.program_net, known.book_bid_qty) == (None, None)
    assert desk.out[-1][2] == max(desk.facts)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (Line(1, NINE, "control", b"5"), "event 5"),
        (Line(1, NINE, "sideways", b""), "sideways"),
    ],
)
def test_a_tape_that_does_not_fit_the_journal_is_named(line, says):
    with pytest.raises(BrokenTape, match=says):
        list(derive([line], {}, decode))


def test_an_empty_fold_has_nothing_to_say():
    assert MarketFold().second(NINE, 1) == []
