"""Data are silent, lost, doubled, late, broken or forged: nothing false is believed, and nothing stops."""

from collections import Counter

import pytest

from kquant.events.analyzer import ListingAnswered
from kquant.events.day import AlertRaised
from kquant.events.feed import FeedLost
from kquant.events.slots import DropWanted, RegisterWanted, SlotSuspected
from kquant.gateways.kis.feed.wire import decode
from kquant.journal import TapeReader
from kquant.market.records import Trade
from kquant.values import SECOND_US

from .checks import check_day
from .rig import Played, play

pytestmark = pytest.mark.timeout(240)

SILENT = "121470"
"""The best daily pick of the generated day: registered from the analysis on."""
FAULTS = (
    f"silent_symbol:stock={SILENT},tr_id=H0STCNT0,until=14:50:00",
    "lose_frames:count=200,chance=0.01",
    "repeat_frames:count=200,chance=0.01",
    "late_frames:count=200,chance=0.01,s=4",
    "garble_frames:count=200,chance=0.01",
    "forge_ticks:count=200,chance=0.01",
    "zero_prices:on=feed,count=100,chance=0.01",
)


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Played:
    return play(tmp_path_factory.mktemp("frames"), *FAULTS)


@pytest.fixture(scope="module")
def believed(frames) -> list[Trade]:
    """Every trade that was believed, as the tape has it, in order."""
    texts = [record.data.decode() for record in TapeReader(frames.outcome.folder) if record.kind == "frame"]
    trades = [one for text in texts for one in decode(text) if isinstance(one, Trade)]
    assert len(trades) > 1_000
    return trades


def rejected(played: Played) -> Counter[str]:
    """Return how many frames lie on the tape as not believed, by reason."""
    records = [record for record in TapeReader(played.outcome.folder) if record.kind == "rejected"]
    return Counter(record.data.partition(b"\n")[0].decode() for record in records)


def test_the_table_ends_equal_and_nothing_was_sent_twice(frames):
    check_day(frames)


@pytest.mark.parametrize("kind", [fault.partition(":")[0] for fault in FAULTS])
def test_the_fault_happened(frames, kind):
    assert frames.hits(kind) >= 20


def test_a_stock_that_is_registered_and_silent_is_suspected_and_renewed_once_kis_protocol_2_5(frames):
    [suspected] = [fact for fact in frames.facts if isinstance(fact.event, SlotSuspected)]
    assert (suspected.event.code, suspected.event.channel) == (SILENT, "trades")
    asked = [fact for fact in frames.facts if isinstance(fact.event, RegisterWanted) and fact.event.code == SILENT]
    first, again = [fact for fact in asked if fact.event.channel == "trades"]
    assert first.seq < suspected.seq < again.seq
    assert suspected.at - first.at >= 300 * SECOND_US
    drops = [event for event in frames.of(DropWanted) if (event.code, event.channel) == (SILENT, "trades")]
    assert drops[0].why.startswith("renewed")


def test_lost_doubled_and_late_frames_never_let_the_days_volume_fall(frames, believed):
    volumes: dict[str, int] = {}
    for trade in believed:
        assert trade.volume >= volumes.get(trade.code, 0), trade
        volumes[trade.code] = trade.volume
    assert rejected(frames)["volume"] >= 20


def test_no_broken_frame_is_believed_and_each_lies_on_the_tape(frames):
    told = rejected(frames)
    assert told["format"] >= 30
    assert sum(told.values()) >= frames.hits("forge_ticks")


def test_no_forged_tick_is_believed(frames, believed):
    [listing] = frames.of(ListingAnswered)
    limits = {row.code: (row.lower, row.upper) for row in listing.stocks if row.lower is not None}
    judged = [trade for trade in believed if trade.code in limits]
    assert len(judged) > 1_000
    for trade in judged:
        lower, upper = limits[trade.code]
        # The rounding of the limits is told nowhere: a tick more is let through.
        assert lower * 0.98 <= trade.last_price <= upper * 1.02, trade
    assert {"band", "code"} <= set(rejected(frames))
    assert "999999" not in {trade.code for trade in believed}


def test_a_price_of_0_is_never_believed(frames, believed):
    assert all(trade.last_price > 0 for trade in believed)
    assert rejected(frames)["figures"] >= 5


def test_what_is_not_believed_is_told_to_a_person_now_and_then(frames):
    alerts = [event for event in frames.of(AlertRaised) if "not believed" in event.text]
    assert 2 <= len(alerts) <= 8, "at most one in ten minutes, and one at first"
    assert len(frames.of(FeedLost)) == 1, "broken data are no reason to hang up"
