"""A score made of some parts only says which it lacks, from the analyzer to the report."""

from __future__ import annotations

from kquant.domain.rubrics import analysis_score
from kquant.events.analyzer import AnalysisParts, Coverage, Pick, PicksChosen, ResearchAnswered
from kquant.journal.memory import MemoryJournal
from kquant.values import Micros, Score, Seq, Symbol
from kquant.views.report import text_report
from kquant.views.scores import lacking, picks_view

CODE = Symbol("005930")
ANSWER = ResearchAnswered(
    table="ab", stocks=2_000, coverage=(Coverage(part="flows", stocks=50),),
    figures=(Coverage(part="52-week high", stocks=0),), notes=("krx: left out, set KRX_ID and KRX_PW",),
    known_until=Micros(5),
)  # fmt: skip


def test_what_is_known_is_scaled_to_a_hundred_and_the_rest_is_named() -> None:
    parts = AnalysisParts(financials=24, flows=None, news=None, technicals=16)
    score = analysis_score(CODE, parts, 50)
    assert (score.total, score.points, score.missing) == (80, 50, ("flows", "news"))
    assert analysis_score(CODE, parts, 51).total is None
    whole = analysis_score(CODE, AnalysisParts(financials=24, flows=3, news=0, technicals=16), 50)
    assert (whole.total, whole.missing) == (43, ())


def test_a_pick_names_the_parts_it_lacks_and_the_report_shows_them() -> None:
    journal = MemoryJournal(lambda: Micros(1))
    pick = Pick(rank=1, code=CODE, name="삼성전자", score=Score(80), points=50, missing=("flows", "news"))
    journal.append("research", [ANSWER], by="research").result()
    chosen = PicksChosen(picks=(pick,), subscribed=1, analysed=2_000, unscored=0, failed_batches=0)
    journal.append("analyzer", [chosen], by="analyzer").result()
    facts = list(journal.read(Seq(0)))
    (line,) = picks_view(facts).picks
    assert line.missing == ("flows", "news")
    text = text_report(facts, replay_command="")
    assert "50/100  flows, news" in text
    assert "known of 2,000 stocks: flows 2 %, 52-week high 0 %" in text
    assert "krx: left out, set KRX_ID and KRX_PW" in text


def test_a_table_from_before_says_only_what_it_knew() -> None:
    old = ResearchAnswered(table="ab", stocks=0, coverage=())
    assert lacking(None) == []
    assert lacking(old) == ["known of 0 stocks: not said"]
