"""Answers to reads are slow, lost, refused, broken or lie about their form: each is a named failure, never a figure."""

import pytest

from kquant.cli import codes
from kquant.events.feed import FeedLost
from kquant.events.orders import OrderRefused
from kquant.events.portfolio import BalanceAnswered
from kquant.events.scanner import RankingsAnswered, ReadFailed, ScanCompleted
from kquant.values import kst_clock

from .checks import check_day
from .rig import BUSY, Played, play

pytestmark = pytest.mark.timeout(240)

RANKING = "path=/ranking/"
READS = {
    f"lost_answer:{RANKING},how=hang,after=9": "Timeout",
    f"html_500:{RANKING},after=12": "HTTP 500",
    f"html_500:{RANKING},status=200,effect=after,after=14": "HTTP 200",
    f"truncated_json:{RANKING},after=16": "no JSON",
    f"empty_body:{RANKING},after=19": "no JSON",
    f"huge_body:{RANKING},mb=2,after=22": "longer than",
    f"gzip_garbage:{RANKING},after=25": "Payload",
    f"null_field:{RANKING},field=stck_prpr,after=28": "stck_prpr",
    f"rename_field:{RANKING},field=stck_prpr,after=31": "stck_prpr",
    f"drop_field:{RANKING},field=acml_vol,after=34": "acml_vol",
    f"set_field:{RANKING},field=stck_prpr,value=NaN,after=37": "stck_prpr",
    f"set_field:{RANKING},field=stck_prpr,value=1e9,after=40": "stck_prpr",
}
"""A fault and what the failure it leads to names."""
HARMLESS = (
    f"wrong_content_type:{RANKING},after=5",
    f"slow_rest:{RANKING},ms=600,count=2,after=8",
    f"lost_request:{RANKING},after=3",
    f"lost_answer:{RANKING},after=6",
)
"""The right JSON under a wrong content-type and a late answer are read all the same; a read whose kept connection ends
under it is made once more on a new one by the HTTP library, which does so for reads alone."""
PASSING = (f"rest_error:{RANKING},code=EGW00202,after=44", "throttle:path=/ranking/,count=1,after=47")
"""Passing troubles: a read is asked once more (kis-protocol 1.9)."""
OTHERS = (
    "revoke_token:from=14:50:00",
    "revoke_token:how=expired,from=15:03:00",
    "throttle:from=14:45:00,count=6",
    "zero_prices:on=rest,path=/quotations/inquire-price",
    "zero_prices:on=rest,path=/ranking/,after=50",
)
FAULTS = (*READS, *HARMLESS, *PASSING, *OTHERS)


@pytest.fixture(scope="module")
def reads(tmp_path_factory) -> Played:
    return play(tmp_path_factory.mktemp("reads"), *FAULTS, changes=(*BUSY, "broker.rest_timeout_seconds=2"))


def test_the_table_ends_equal_and_nothing_was_sent_twice(reads):
    check_day(reads)
    assert reads.outcome.code == codes.OK


@pytest.mark.parametrize("spec", FAULTS, ids=lambda spec: spec.replace("path=/", ""))
def test_the_fault_happened(reads, spec):
    row = reads.witness.faults[1 + FAULTS.index(spec)]
    assert row["hits"] == row["count"] or "inquire-price" in spec


@pytest.mark.parametrize("spec", READS)
def test_a_broken_answer_is_a_named_failure(reads, spec):
    reasons = [event.reason for event in reads.of(ReadFailed)]
    assert any(READS[spec] in reason for reason in reasons), reasons


def test_no_ranking_was_believed_with_a_price_of_0_or_less(reads):
    answers = reads.of(RankingsAnswered)
    assert len(answers) > 20
    for answer in answers:
        assert all(row.price > 0 for row in (*answer.gainers, *answer.volumes))


def test_a_scan_whose_ranking_failed_is_followed_by_the_next_minutes_scan(reads):
    failed = [event for event in reads.of(ReadFailed) if event.what == "scanner.rankings_wanted"]
    assert len(failed) <= len(READS) + len(PASSING) + 6
    assert len(reads.of(ScanCompleted)) >= 40


def test_a_revoked_or_expired_token_is_issued_again_once_and_reads_go_on_kis_protocol_1_2(reads):
    gone = [event for event in reads.of(ReadFailed) if event.reason[:8] in {"EGW00121", "EGW00123"}]
    assert gone == [], "a read is asked again with the new token"
    after = [fact for fact in reads.facts if isinstance(fact.event, BalanceAnswered) and kst_clock(fact.at) > "15:03"]
    assert after


def test_an_order_under_a_void_token_is_refused_and_not_sent_again(reads):
    assert {event.message_code for event in reads.of(OrderRefused)} <= {"EGW00121", "EGW00123", "EGW00201"}


def test_no_trouble_with_reads_is_a_reason_to_hang_up(reads):
    assert len(reads.of(FeedLost)) == 1
