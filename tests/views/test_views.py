import pytest

from kquant.events import codec, feed
from kquant.events.base import Recorded
from kquant.events.slots import RegisterWanted, SlotClaimed, SlotClaimEnded
from kquant.testing.facts import FactLog, clock
from kquant.values import Epoch, Symbol
from kquant.views.describe import describe
from kquant.views.names import names_of
from kquant.views.orders import orders_view
from kquant.views.portfolio import equity, portfolio_view
from kquant.views.progress import Progress
from kquant.views.scores import picks_view, scores_view
from kquant.views.slots import occupancy, slots_view
from kquant.views.summary import day_summary

from .day import CASH, HYNIX, KAKAO, SAMSUNG, Day

CODE = Symbol("005930")


@pytest.fixture(scope="module")
def facts() -> list[Recorded]:
    return Day().whole()


def wanted(epoch: int = 1) -> RegisterWanted:
    return RegisterWanted(code=CODE, channel="trades", priority=2, epoch=Epoch(epoch), valid_until=clock("15:00:00"))


def slot_log() -> FactLog:
    log = FactLog()
    log.add("feed", feed.FeedConnected(epoch=Epoch(1)))
    log.add("slots", SlotClaimed(code=CODE, name="삼성전자", reason="picked", rank=1, since=clock("07:30:00")))
    return log


def test_a_claim_without_a_registration_waits() -> None:
    view = slots_view(slot_log().facts)
    assert view.held == ()
    assert [(line.name, line.state, line.priority) for line in view.waiting] == [("삼성전자", "waiting", 2)]


def test_a_registration_goes_from_sent_to_ticking_and_keeps_when() -> None:
    log = slot_log()
    log.add("slots", wanted(), at="07:40:00")
    assert slots_view(log.facts).held[0].state == "sent"
    log.add("feed", feed.Registered(epoch=Epoch(1), code=CODE, channel="trades", already=False), at="07:40:01")
    log.add("feed", feed.FirstTick(epoch=Epoch(1), code=CODE, channel="trades", place=1), at="09:00:00")
    line = slots_view(log.facts).held[0]
    assert (line.state, line.since) == ("ticking", clock("09:00:00"))


def test_a_stocks_priority_is_the_best_of_its_claims_and_falls_back() -> None:
    log = slot_log()
    log.add("slots", wanted())
    log.add("slots", SlotClaimed(code=CODE, name="삼성전자", reason="held", rank=0, since=clock("07:30:00")))
    assert slots_view(log.facts).held[0].priority == 1
    log.add("slots", SlotClaimEnded(code=CODE, reason="held", why="sold"))
    assert slots_view(log.facts).held[0].priority == 2


def test_a_lost_connection_empties_the_table_and_an_old_answer_is_ignored() -> None:
    log = slot_log()
    log.add("slots", wanted())
    log.add("feed", feed.FeedLost(epoch=Epoch(1), reason="reset"))
    log.add("feed", feed.FeedConnected(epoch=Epoch(2)))
    log.add("slots", wanted(2))
    log.add("feed", feed.Dropped(epoch=Epoch(1), code=CODE, channel="trades", already=False))
    assert [line.state for line in slots_view(log.facts).held] == ["sent"]


def test_a_tick_before_its_acknowledgement_and_a_late_timeout_leave_it_ticking() -> None:
    log = slot_log()
    log.add("slots", wanted())
    log.add("feed", feed.FirstTick(epoch=Epoch(1), code=CODE, channel="trades", place=1))
    log.add("feed", feed.Registered(epoch=Epoch(1), code=CODE, channel="trades", already=False))
    log.add("feed", feed.RegistrationUnanswered(epoch=Epoch(1), code=CODE, channel="trades", action="register"))
    assert slots_view(log.facts).held[0].state == "ticking"


def test_a_renewal_that_was_never_sent_leaves_the_slot_as_it_was() -> None:
    log = slot_log()
    log.add("slots", wanted())
    log.add("feed", feed.FirstTick(epoch=Epoch(1), code=CODE, channel="trades", place=1), at="09:00:00")
    log.add("slots", wanted(), at="09:10:00")
    log.add("feed", feed.RegistrationExpired(epoch=Epoch(1), code=CODE, channel="trades", action="register"))
    line = slots_view(log.facts).held[0]
    assert (line.state, line.since) == ("ticking", clock("09:00:00"))


def test_a_refused_registration_holds_no_slot() -> None:
    log = slot_log()
    log.add("slots", wanted())
    refused = feed.RegistrationRefused(
        epoch=Epoch(1),
        code=CODE,
        channel="trades",
        action="register",
        kind="resource",
        message_code="X",
        message="later",
    )
    log.add("feed", refused)
    assert slots_view(log.facts).held == ()


def test_cash_and_positions_add_up_to_the_won(facts: list[Recorded]) -> None:
    view, fills = portfolio_view(facts), orders_view(facts).fills
    spent = sum(f.amount_krw if f.side == "buy" else -f.amount_krw for f in fills)
    assert view.cash_krw == CASH - spent - view.fees_krw - view.taxes_krw
    assert view.equity_krw == view.cash_krw + sum(p.qty * (p.mark or 0) for p in view.positions)
    assert [c.code for c in view.carried()] == [HYNIX, Symbol("035420"), KAKAO]


def test_pnl_is_equity_against_the_opening_which_values_carried_stock_before_the_first_minute(
    facts: list[Recorded],
) -> None:
    view, points = portfolio_view(facts), equity(facts)
    assert view.opening_krw == CASH + 60 * 52_000
    assert points[0].equity_krw == view.opening_krw
    assert points[-1].equity_krw == view.equity_krw
    assert view.pnl_krw == points[-1].equity_krw - points[0].equity_krw


def test_orders_carry_their_fills_costs_and_end(facts: list[Recorded]) -> None:
    orders = {line.intent: line for line in orders_view(facts).orders}
    assert (orders[1].fills, orders[1].filled_qty, orders[1].state, orders[1].tax_krw) == (3, 120, "filled", 0)
    assert orders[9].tax_krw > 0
    assert sum(line.fee_krw for line in orders.values()) == portfolio_view(facts).fees_krw


def test_picks_and_scores_keep_the_last_word(facts: list[Recorded]) -> None:
    picks = picks_view(facts)
    assert (len(picks.picks), sum(p.subscribed for p in picks.picks), picks.analysed) == (6, 5, 2_700)
    scores = scores_view(facts)
    assert scores.scans[0].best == max(s.best for s in scores.scans if s.best is not None)
    assert next(f for f in scores.finals if f.code == "105560").why == "below 70"


def test_occupancy_ends_where_the_slot_table_does(facts: list[Recorded]) -> None:
    steps = occupancy(facts)
    assert list(steps[-1].counts) == list(slots_view(facts).counts().values())
    assert [s.at for s in steps] == sorted({s.at for s in steps})


def test_progress_fact_by_fact_says_what_the_summary_says(facts: list[Recorded]) -> None:
    progress = Progress(40)
    for fact in facts:
        progress.apply(fact)
    summary = day_summary(facts)
    assert (progress.scans, progress.scored, progress.evictions) == (summary.scans, summary.scored, summary.evictions)
    assert (progress.fills, progress.partial) == (summary.fills, summary.partial_fills)
    assert progress.pnl() == summary.pnl_krw
    assert progress.slots == slots_view(facts).counts()
    assert f"slots {sum(progress.slots.values())}/40" in progress.line()
    assert {"orders", "P&L", "scans"} <= {label for label, _ in progress.rows()}


def test_pipeline_runs_are_counted_by_the_timetables_window(facts: list[Recorded]) -> None:
    assert [(w.window, w.completed) for w in day_summary(facts).runs][:2] == [("09:00–10:00", 2), ("10:00–13:00", 1)]
    assert day_summary(facts).sells == {"stop": 1}


def test_every_event_of_the_day_is_one_line_with_names_first(facts: list[Recorded]) -> None:
    names = names_of(facts)
    for fact in facts:
        text = describe(fact.event, names)
        assert text
        assert "\n" not in text
    bought = next(f.event for f in facts if f.name == "orders.filled")
    assert describe(bought, names).startswith(f"buy 삼성전자({SAMSUNG}) filled 40주 at ")


def test_every_kind_of_event_has_words_of_its_own() -> None:
    import inspect

    from kquant.views import describe as module

    source = inspect.getsource(module)
    silent = [name for name, cls in codec.EVENTS.items() if f".{cls.__name__}(" not in source]
    assert silent == []
