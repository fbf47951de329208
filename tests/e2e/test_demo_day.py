"""The demo day with every default, traded once; each test is a line of "It holds when"."""

import html.parser
import re
from collections import Counter
from itertools import pairwise

import msgspec
import pytest

from kquant.events.analyzer import BatchScored, BatchWanted, PicksChosen
from kquant.events.day import DayClosed, DayOpened, JobDue, OwnerParked
from kquant.events.feed import Dropped, FeedConnected, FeedLost, Registered, RegistrationRefused
from kquant.events.market import TriggerFired
from kquant.events.orders import ExecutionsListed, OrderBound, OrderFilled, OrderIntended
from kquant.events.pipeline import PipelineCompleted, PipelineStarted
from kquant.events.portfolio import CashMoved, DayReconciled, PortfolioOpened
from kquant.events.scanner import ScanCompleted, ScoreWanted
from kquant.events.slots import SlotClaimed, SlotEvicted
from kquant.values import kst_clock

from .world import kquant, of

pytestmark = pytest.mark.timeout(400)

COMMISSION_PER_100_000 = 14
SELL_TAX_PER_100_000 = 200
"""KIS's online commission, and the tax of a sale in 2026 with the rural surtax: both floored on an order's amount."""


def test_the_day_ends_with_code_0_and_its_report_on_the_terminal(demo):
    assert demo.code == 0, demo.err[-2_000:]
    assert "kquant replay verify" in demo.out
    assert "agrees with the broker to the won" in demo.out
    for part in ("Evictions", "Daily picks", "Scan scores", "Final scores", "Reconciliation"):
        assert part in demo.out


def test_no_owner_parked_an_input_and_nothing_was_logged_as_an_error(demo):
    assert of(demo.facts, OwnerParked) == []
    assert "Traceback" not in demo.err
    assert "Traceback" not in demo.out


def test_at_least_2500_stocks_are_analysed_in_batches_of_50(demo):
    wanted = of(demo.facts, BatchWanted)
    sizes = [len(batch.codes) for batch in wanted]
    assert set(sizes[:-1]) == {50}
    assert sizes[-1] <= 50
    codes = [code for batch in wanted for code in batch.codes]
    assert len(set(codes)) == len(codes) >= 2_500
    scored = {row.code for batch in of(demo.facts, BatchScored) for row in batch.rows}
    assert len(scored) >= 2_500
    assert scored <= set(codes)


def test_100_picks_are_stored_and_20_of_them_subscribed(demo):
    [picked] = of(demo.facts, PicksChosen)
    assert len(picked.picks) == 100
    assert [pick.rank for pick in picked.picks] == list(range(1, 101))
    assert all(one.score >= other.score for one, other in pairwise(picked.picks))
    assert picked.subscribed == 20
    best = {pick.code for pick in picked.picks[:20]}
    assert {claim.code for claim in of(demo.facts, SlotClaimed) if claim.reason == "picked"} == best
    assert best <= {got.code for got in of(demo.facts, Registered)}


def test_a_scan_completes_every_minute_from_0905_to_the_close(demo):
    due = [fact for fact in demo.facts if isinstance(fact.event, JobDue) and fact.event.job == "scan"]
    assert kst_clock(due[0].event.due) == "09:05:00"
    assert {late.event.due - early.event.due for early, late in pairwise(due)} == {60_000_000}
    [opened] = of(demo.facts, DayOpened)
    assert due[-1].event.due >= opened.hours.close_at - 60_000_000
    completed = of(demo.facts, ScanCompleted)
    assert len(completed) == len(due) >= 380


def test_at_most_30_are_scored_a_scan_and_those_from_70_claim_a_slot(demo):
    assert max(Counter(wanted.cycle for wanted in of(demo.facts, ScoreWanted)).values()) <= 30
    qualified = set()
    for scan in of(demo.facts, ScanCompleted):
        assert len(scan.scored) <= 30
        good = {row.code for row in scan.scored if row.total is not None and row.total >= 70}
        assert {row.code for row in scan.qualified} <= good
        assert len(scan.qualified) == min(len(good), 10)
        qualified |= {row.code for row in scan.qualified}
    surging = {claim.code for claim in of(demo.facts, SlotClaimed) if claim.reason == "surging"}
    assert surging
    assert surging <= qualified
    assert surging & {got.code for got in of(demo.facts, Registered)}


def test_the_broker_never_holds_more_than_40_slots(demo):
    held, most = set(), 0
    for fact in demo.facts:
        match fact.event:
            case FeedConnected() | FeedLost():
                held.clear()
            case Registered(code=code, channel=channel):
                held.add((code, channel))
            case Dropped(code=code, channel=channel):
                held.discard((code, channel))
            case _:
                pass
        most = max(most, len(held))
    assert 30 <= most <= 40
    # The exchange refuses a 42nd registration, the execution notice counted: it never had to.
    assert of(demo.facts, RegistrationRefused) == []


def test_every_eviction_names_who_for_whom_and_by_which_rule(demo):
    evicted = [fact for fact in demo.facts if isinstance(fact.event, SlotEvicted)]
    assert evicted
    for fact in evicted:
        assert fact.caused_by is not None
        assert fact.event.rule
        assert fact.event.for_code
        assert fact.event.priority >= fact.event.for_priority


def test_the_timetable_runs_the_pipeline_6_and_3_and_6_and_2_times(demo):
    runs = [kst_clock(run.due) for run in of(demo.facts, PipelineStarted)]
    hours = Counter("rush" if t < "10" else "noon" if t < "13" else "steady" if t < "15" else "close" for t in runs)
    assert hours == {"rush": 6, "noon": 3, "steady": 6, "close": 2}
    assert len(of(demo.facts, PipelineCompleted)) == 17


def test_there_are_buys_partial_fills_and_sells_by_trigger(demo):
    intents = {intent.intent: intent for intent in of(demo.facts, OrderIntended)}
    fills = of(demo.facts, OrderFilled)
    assert [fill for fill in fills if fill.side == "buy"]
    assert [fill for fill in fills if fill.leaves_qty > 0]
    sold = {intents[fill.intent].reason for fill in fills if fill.side == "sell"}
    assert sold & {"stop", "target", "trailing"}
    fired = {fact.seq for fact in demo.facts if isinstance(fact.event, TriggerFired)}
    sells = [i for i in intents.values() if i.side == "sell" and i.reason in {"stop", "target", "trailing"}]
    assert {intent.decision for intent in sells} <= fired


def test_orders_and_fills_are_those_of_the_exchanges_ledger(demo):
    ours: dict[str, list[int]] = {}
    for fill in of(demo.facts, OrderFilled):
        total = ours.setdefault(fill.order_no, [0, 0])
        total[0] += fill.qty
        total[1] += fill.amount_krw
    theirs = {no: [order["filled"], order["amount"]] for no, order in demo.books.placed.items() if order["filled"]}
    assert ours == theirs
    bound = {bound.order_no: bound.intent for bound in of(demo.facts, OrderBound)}
    assert set(bound) == set(demo.books.placed)
    assert len(set(bound.values())) == len(bound)


def test_fees_and_tax_of_every_order_are_what_the_rules_give(demo):
    paid: dict[str, list[int]] = {}
    for moved in of(demo.facts, CashMoved):
        costs = paid.setdefault(moved.order_no, [0, 0])
        costs[0] += moved.fee_krw
        costs[1] += moved.tax_krw
    assert paid
    for no, order in demo.books.placed.items():
        fund = order["kind"] in {"etf", "etn"}
        fee = order["amount"] * COMMISSION_PER_100_000 // 100_000
        tax = 0 if order["side"] == "buy" or fund else order["amount"] * SELL_TAX_PER_100_000 // 100_000
        assert paid.get(no, [0, 0]) == [fee, tax], no
        assert [order["commission"], order["tax"]] == [fee, tax], no


def test_positions_and_cash_equal_the_exchanges_ledger_to_the_won(demo):
    [closed] = of(demo.facts, DayClosed)
    assert closed.reconciled
    assert [day.agrees for day in of(demo.facts, DayReconciled)] == [True]
    [opened] = of(demo.facts, PortfolioOpened)
    cash = opened.cash_krw
    for order in demo.books.placed.values():
        fund = order["kind"] in {"etf", "etn"}
        cash -= order["amount"] * COMMISSION_PER_100_000 // 100_000
        if order["side"] == "buy":
            cash -= order["amount"]
        else:
            cash += order["amount"] - (0 if fund else order["amount"] * SELL_TAX_PER_100_000 // 100_000)
    assert closed.cash_krw == demo.books.d2 == cash
    ours = {position.code: (position.qty, position.cost_krw) for position in closed.positions}
    assert ours == {code: (row["qty"], row["cost"]) for code, row in demo.books.positions.items()}


def test_what_the_broker_listed_never_shrinks(demo):
    before: dict[str, int] = {}
    for listed in of(demo.facts, ExecutionsListed):
        now = {row.order_no: row.filled_qty for row in listed.rows}
        assert set(before) <= set(now)
        assert all(now[no] >= filled for no, filled in before.items())
        before = now


def test_verify_finds_no_difference(demo):
    done = kquant("replay", "verify", demo.folder)
    assert done.returncode == 0, done.stdout
    assert re.search(r"[\d,]+ decisions, 0 differences", done.stdout)
    assert re.search(r"tape: [\d,]+ records, [\d,]+ market events derived again, 0 differences", done.stdout)


class _Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.pictures = [], 0

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in {"src", "href", "action", "data", "xlink:href"}]
        self.pictures += tag in {"svg", "img"}


def test_the_html_report_is_one_self_contained_file_with_pictures(demo):
    text = (demo.folder / "report.html").read_text(encoding="utf-8")
    links = _Links()
    links.feed(text)
    assert [link for link in links.found if not link.startswith(("#", "data:"))] == []
    assert not re.search(r"url\(\s*['\"]?(?!#|data:)|@import", text)
    assert links.pictures >= 3


def test_rebuild_by_command_tells_the_days_last_moment(demo):
    done = kquant("replay", "rebuild", demo.folder, "--json")
    assert done.returncode == 0
    held = msgspec.json.decode(done.stdout)
    assert held["seq"] == demo.facts[-1].seq
    assert held["portfolio"]["cash_krw"] == demo.books.d2
    positions = {row["code"]: row["qty"] for row in held["portfolio"]["positions"]}
    assert positions == {code: row["qty"] for code, row in demo.books.positions.items()}
    assert len(held["picks"]["picks"]) == 100


def test_why_tells_how_a_bought_stock_came_to_its_slot_and_its_order(demo):
    intent = next(i for i in of(demo.facts, OrderIntended) if i.side == "buy")
    done = kquant("why", demo.folder, intent.code)
    assert done.returncode == 0
    assert intent.name in done.stdout
    assert re.search("slot", done.stdout)
    assert re.search("buy|bought", done.stdout)
