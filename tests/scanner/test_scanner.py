"""Scan cycles: from the timetable to the stocks that qualify for a slot."""

from __future__ import annotations

from typing import Any

import pytest

from kquant.domain.scanner import RANKINGS, SCANNER
from kquant.events.base import Event
from kquant.events.day import AlarmCancelled, JobDue
from kquant.events.scanner import (
    RankingsAnswered,
    RankingsWanted,
    RankRow,
    ReadExpired,
    ReadFailed,
    ScanCompleted,
    ScanFailed,
    ScanParts,
    ScanStarted,
    ScoreAbstained,
    ScoreFailed,
    ScoreGiven,
    ScoreWanted,
    SourceRows,
)
from kquant.values import SECOND_US
from tests.scanner.daylog import SETTINGS, Drive, listed, listing, opened


def row(code: str, rank: int = 1, **changes: Any) -> RankRow:
    fields: dict[str, Any] = {
        "code": code,
        "name": f"stock {code}",
        "rank": rank,
        "price": 11_000,
        "change_bp": 1_000,
        "volume": 500_000,
        "turnover": 5_400_000_000,
        "high": 11_200,
        "low": 10_000,
        "open": 10_100,
        "prev_volume": 1_000_000,
    }
    return RankRow(**{**fields, **changes})


def given(wanted: ScoreWanted, total: int) -> ScoreGiven:
    parts = ScanParts(
        persistence=min(30, total),
        volume=min(20, max(0, total - 30)),
        momentum=min(30, max(0, total - 50)),
        risk=max(0, total - 80),
    )
    return ScoreGiven(
        cycle=wanted.cycle,
        code=wanted.code,
        parts=parts,
        reasons=(),
        model="test",
        prompt="",
        answer="",
        tokens=0,
        cost_krw=0,
        latency_ms=0,
    )


def morning(*stocks: Any) -> Drive:
    drive = Drive(SCANNER)
    drive.tell(opened(), "run")
    drive.tell(listing(*stocks), "rest")
    return drive


def due(drive: Drive, clock: str) -> list[Event]:
    drive.move(clock)
    return drive.tell(JobDue(job="scan", due=drive.now), "scheduler")


def ranked(drive: Drive, cycle: int, gainers: list[RankRow], volumes: list[RankRow]) -> list[Any]:
    return drive.tell(RankingsAnswered(cycle=cycle, gainers=tuple(gainers), volumes=tuple(volumes)), "rest")


CODES = [f"{number:06d}" for number in range(100, 160)]


def test_a_scan_ends_with_the_best_scores_qualified_for_a_subscription() -> None:
    drive = morning(*(listed(code) for code in CODES))
    started = due(drive, "09:05")
    deadline = drive.at("09:05") + 50 * SECOND_US
    assert started[:2] == [
        ScanStarted(cycle=1, due=drive.at("09:05")),
        RankingsWanted(cycle=1, limit=20, valid_until=deadline),
    ]
    asked = ranked(drive, 1, [row(code, n) for n, code in enumerate(CODES[:15], 1)], [])
    totals = [70, 69, 95, 95, 71, 72, 73, 74, 75, 76, 77, 78, 79, 0, 100]
    answers = [drive.tell(given(wanted, total), "scorer") for wanted, total in zip(asked, totals, strict=True)]
    assert all(answer == [] for answer in answers[:-1])
    completed = answers[-1][0]
    assert [(each.code, each.total) for each in completed.qualified] == [
        ("000114", 100), ("000102", 95), ("000103", 95), ("000112", 79), ("000111", 78),
        ("000110", 77), ("000109", 76), ("000108", 75), ("000107", 74), ("000106", 73),
    ]  # fmt: skip
    assert answers[-1][1] == AlarmCancelled(alarm="deadline")
    assert [each.total for each in completed.scored] == totals
    drive.check_recovery()


def test_further_sources_take_their_turn_and_a_ranked_stock_keeps_its_rank() -> None:
    drive = morning(*(listed(code) for code in CODES))
    due(drive, "09:05")
    hits = SourceRows(source="condition:급등", rows=(row(CODES[1]), row(CODES[7], turnover=None)))
    watched = SourceRows(source="watchlist:관심", rows=(row(CODES[8]),))
    asked = drive.tell(
        RankingsAnswered(
            cycle=1, gainers=(row(CODES[0]), row(CODES[1], 2)), volumes=(row(CODES[2]),), further=(hits, watched)
        ),
        "rest",
    )
    assert [each.code for each in asked] == [CODES[0], CODES[2], CODES[1], CODES[8], CODES[7]]
    assert [each.facts.gainer_rank for each in asked] == [1, None, 2, None, None]
    drive.check_recovery()


def test_both_rankings_are_merged_without_duplicates_and_at_most_thirty_are_scored() -> None:
    drive = morning(*(listed(code) for code in CODES))
    due(drive, "09:05")
    gainers = [row(code, n) for n, code in enumerate(CODES[:20], 1)]
    volumes = [row(code, n) for n, code in enumerate(CODES[15:35], 1)]
    asked = ranked(drive, 1, gainers, volumes)
    codes = [wanted.code for wanted in asked]
    assert len(codes) == len(set(codes)) == SETTINGS.scanner.max_scored
    assert codes[:4] == [CODES[0], CODES[15], CODES[1], CODES[16]]
    both = next(wanted.facts for wanted in asked if wanted.code == CODES[15])
    assert (both.gainer_rank, both.volume_rank) == (16, 1)


def test_a_stock_in_both_rankings_takes_the_fresher_row_and_fills_its_gaps() -> None:
    drive = morning(listed("000100"))
    due(drive, "09:05")
    gainer = row("000100", 1, volume=600_000, turnover=None, price=11_100)
    volume = row("000100", 2, volume=500_000, high=None, turnover=5_000_000_000)
    facts = ranked(drive, 1, [gainer], [volume])[0].facts
    assert (facts.price, facts.volume, facts.turnover, facts.high) == (11_100, 600_000, 5_000_000_000, 11_200)


def test_what_a_filter_drops_is_named_and_never_scored() -> None:
    drive = morning(
        listed("000100"),
        listed("000101", halted=True),
        listed("000102", warning=2),
        listed("000103", upper=11_020),
        listed("000104"),
        listed("000105"),
        listed("000106", warning=1),
    )
    due(drive, "09:05")
    gainers = [row(f"00010{n}", n + 1) for n in range(4)]
    gainers += [row("000104", 5, turnover=None, low=None), row("000105", 6, turnover=400_000_000), row("000106", 7)]
    asked = ranked(drive, 1, [*gainers, row("999999", 8)], [])
    assert [wanted.code for wanted in asked] == ["000100", "000106"]
    for wanted in asked:
        last = drive.tell(given(wanted, 80), "scorer")
    assert {left.code: left.filter for left in last[0].left} == {
        "000101": "halted",
        "000102": "warning",
        "000103": "upper_limit_ticks",
        "000104": "turnover_unknown",
        "000105": "min_turnover_krw",
        "999999": "unlisted",
    }


def test_a_turnover_no_ranking_gave_is_the_least_it_can_have_been() -> None:
    drive = morning(listed("000100"))
    due(drive, "09:05")
    assert ranked(drive, 1, [row("000100", turnover=None)], [])[0].facts.turnover == 10_000 * 500_000


def test_yesterdays_volume_comes_from_the_listing_where_the_ranking_has_none() -> None:
    drive = morning(listed("000100", prev_volume=123), listed("000101", prev_volume=123))
    due(drive, "09:05")
    asked = ranked(drive, 1, [row("000100", prev_volume=None), row("000101", 2)], [])
    assert [wanted.facts.prev_volume for wanted in asked] == [123, 1_000_000]


def test_a_high_no_ranking_gives_is_the_highest_seen_before() -> None:
    drive = morning(listed("000100"), listed("000101"))
    highs = []
    rows = [row("000100", high=11_500), row("000100", high=None), row("000101", high=None)]
    for number, each in enumerate(rows, 1):
        due(drive, f"09:{number + 4:02d}")
        (wanted,) = ranked(drive, number, [each], [])
        highs.append(wanted.facts.high)
        drive.tell(given(wanted, 50), "scorer")
    assert highs == [11_500, 11_500, None]


def test_persistence_counts_consecutive_cycles_and_a_gap_starts_it_anew() -> None:
    drive = morning(listed("000100"), listed("000101"))
    facts = []
    for number, clock in enumerate(["09:05", "09:06", "09:07", "09:20"], 1):
        due(drive, clock)
        here = [row("000100", 1, change_bp=1_000 + number, volume=number)]
        asked = ranked(drive, number, here, [row("000101", 1)] if number == 2 else [])
        facts.append(asked[0].facts)
        for wanted in asked:
            drive.tell(given(wanted, 50), "scorer")
    assert [each.cycles_seen for each in facts] == [1, 2, 3, 1]
    assert [each.change_bp_before for each in facts] == [None, 1_001, 1_002, None]
    assert [each.volume_before for each in facts] == [None, 1, 2, None]
    assert [each.minutes_open for each in facts] == [5, 6, 7, 20]
    drive.check_recovery()


def test_the_deadline_completes_the_cycle_with_what_arrived_and_no_score_never_qualifies() -> None:
    drive = morning(*(listed(code) for code in CODES[:4]))
    due(drive, "09:05")
    asked = ranked(drive, 1, [row(code, n) for n, code in enumerate(CODES[:4], 1)], [])
    drive.tell(given(asked[0], 90), "scorer")
    drive.tell(ScoreAbstained(cycle=1, code=asked[1].code, why="?"), "scorer")
    drive.tell(ScoreFailed(cycle=1, code=asked[2].code, why="?"), "scorer")
    (completed,) = drive.ring()
    assert isinstance(completed, ScanCompleted)
    assert [each.total for each in completed.scored] == [90, None, None, None]
    assert [each.code for each in completed.qualified] == [asked[0].code]
    assert drive.tell(given(asked[3], 100), "scorer") == []
    drive.check_recovery()


def test_parts_out_of_range_are_no_score() -> None:
    drive = morning(listed("000100"))
    due(drive, "09:05")
    (wanted,) = ranked(drive, 1, [row("000100")], [])
    too_good = ScanParts(persistence=31, volume=20, momentum=30, risk=20)
    answer = given(wanted, 0)
    completed = drive.tell(
        ScoreGiven(**{f: getattr(answer, f) for f in answer.__struct_fields__} | {"parts": too_good})
    )
    assert completed[0].scored[0].total is None
    assert completed[0].qualified == ()


def test_only_the_first_outcome_of_a_request_counts() -> None:
    drive = morning(listed("000100"), listed("000101"))
    due(drive, "09:05")
    first, second = ranked(drive, 1, [row("000100"), row("000101", 2)], [])
    drive.tell(given(first, 60), "scorer")
    drive.tell(given(first, 99), "scorer")
    completed = drive.tell(given(second, 10), "scorer")[0]
    assert [each.total for each in completed.scored] == [60, 10]


def test_a_cycle_still_open_fails_the_next_one_and_goes_on() -> None:
    drive = morning(listed("000100"))
    due(drive, "09:05")
    (wanted,) = ranked(drive, 1, [row("000100")], [])
    assert due(drive, "09:06") == [ScanFailed(cycle=2, reason="cycle 1 was still open")]
    assert drive.tell(given(wanted, 80), "scorer")[0].cycle == 1
    assert due(drive, "09:07")[0] == ScanStarted(cycle=3, due=drive.at("09:07"))
    drive.check_recovery()


def test_rankings_that_fail_expire_or_never_come_fail_the_cycle() -> None:
    drive = morning(listed("000100"))
    due(drive, "09:05")
    failed = drive.tell(ReadFailed(what=RANKINGS, reason="500"), "rest", drive.said_at(RankingsWanted))
    assert failed == [ScanFailed(cycle=1, reason="no rankings: 500"), AlarmCancelled(alarm="deadline")]
    due(drive, "09:06")
    assert drive.tell(ReadExpired(what=RANKINGS), "rest", drive.said_at(RankingsWanted))[0].cycle == 2
    due(drive, "09:07")
    assert drive.tell(ReadFailed(what="portfolio.balance_wanted", reason="500"), "rest") == []
    assert drive.ring() == [ScanFailed(cycle=3, reason="no rankings within 50 s")]
    assert ranked(drive, 3, [row("000100")], []) == []
    drive.check_recovery()


@pytest.mark.parametrize("late", [ReadFailed(what=RANKINGS, reason="500"), ReadExpired(what=RANKINGS)])
def test_an_older_cycles_late_failure_does_not_fail_the_one_under_way(late: ReadFailed | ReadExpired) -> None:
    drive = morning(listed("000100"))
    due(drive, "09:05")
    first = drive.said_at(RankingsWanted)
    assert drive.ring() == [ScanFailed(cycle=1, reason="no rankings within 50 s")]
    due(drive, "09:06")
    assert drive.tell(late, "rest", first) == []
    assert ranked(drive, 2, [], [])[0] == ScanCompleted(cycle=2, scored=(), qualified=(), left=())
    drive.check_recovery()


def test_empty_rankings_complete_at_once() -> None:
    drive = morning(listed("000100"))
    due(drive, "09:05")
    assert ranked(drive, 1, [], [])[0] == ScanCompleted(cycle=1, scored=(), qualified=(), left=())


def test_the_one_minute_cycle_fits_in_its_minute_all_morning() -> None:
    drive = morning(*(listed(code) for code in CODES))
    for minute in range(5, 35):
        due(drive, f"09:{minute:02d}")
        asked = ranked(drive, minute - 4, [row(code, n) for n, code in enumerate(CODES[:20], 1)], [])
        assert all(wanted.valid_until < drive.now + 60 * SECOND_US for wanted in asked)
        for wanted in asked:
            drive.tell(given(wanted, 75), "scorer")
    assert [event.cycle for event in drive.said(ScanCompleted)] == list(range(1, 31))
    assert drive.said(ScanFailed) == []
    assert all(len(event.qualified) == 10 for event in drive.said(ScanCompleted))
    drive.check_recovery()
