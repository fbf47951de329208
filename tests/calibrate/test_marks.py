"""What a day's log says of its scores."""

from msgspec.structs import replace

from kquant.events.analyzer import BatchRow
from kquant.events.pipeline import BrainParts, FinalScore, PipelineCompleted
from kquant.events.scanner import ScanParts
from kquant.values import Score
from kquant.views.marks import scored_day

from .days import MONDAY, batch, code, day_log, given, parts, picked

A, B = code(1), code(2)
BASES = {A: 10_000, B: 20_000}


def marks(*events, scored=()):
    found = scored_day(day_log(MONDAY, scored, *events, bases=BASES))
    return {(mark.job, mark.model, mark.code): dict(mark.lines) for mark in found.marks}


def test_an_analysis_gives_the_recorded_total_and_every_part_there_is():
    [[key, lines]] = marks(scored=[batch([BatchRow(code=A, parts=parts(15, None, 10, 10))])]).items()
    assert key == ("analysis", "heuristic-1", A)
    assert lines == {"total": 50, "financials": 15, "news": 10, "technicals": 10}


def test_a_stock_without_a_total_keeps_its_parts():
    [lines] = marks(scored=[batch([BatchRow(code=A, parts=parts(15, technicals=None))])]).values()
    assert lines == {"financials": 15}


def test_a_language_model_has_lines_of_what_the_numbers_gave_and_of_what_it_said():
    row = BatchRow(code=A, parts=parts(20, 20, 10, 10), measured=parts(15, 15, 10, 10), said=parts(30, 30, 20, 20))
    [lines] = marks(scored=[batch([row], model="wise-1")]).values()
    assert (lines["total"], lines["numbers alone"], lines["model alone"]) == (60, 50, 100)
    [lines] = marks(scored=[batch([replace(row, said=None)], model="wise-1")]).values()
    assert lines["model alone"] == lines["total"] == 60


def test_of_a_days_scans_the_last_of_each_model_stands():
    found = marks(given(A, 40), given(A, 55, cycle=2), given(A, 20, cycle=3, model="wise-1"))
    assert {key: lines["total"] for key, lines in found.items()} == {
        ("scan", "heuristic-1", A): 55,
        ("scan", "wise-1", A): 20,
    }


def test_a_scan_out_of_range_has_no_total():
    [lines] = marks(replace(given(A, 40), parts=ScanParts(persistence=31, volume=0, momentum=0, risk=0))).values()
    assert "total" not in lines


def test_final_scores_are_marks_of_the_brain():
    final = FinalScore(
        code=B, name="", total=Score(71), why="",
        parts=BrainParts(pick=Score(80), scan=None, momentum=None, volume=None, program=None, book=Score(60)),
    )  # fmt: skip
    assert marks(PipelineCompleted(run=1, scores=(final,), left=(), signals=1)) == {
        ("final", "brain", B): {"total": 71, "pick": 80, "book": 60}
    }


def test_picks_keep_their_order_and_say_how_many_claimed_a_slot():
    found = scored_day(day_log(MONDAY, (), picked([B, A], 1), bases=BASES))
    assert (found.day, found.picks, found.subscribed, found.embedded) == (MONDAY, (B, A), 1, False)
    assert {each: base.price for each, base in found.listing.items()} == BASES


def test_a_log_without_a_day_has_no_scores():
    assert scored_day([]) is None
