import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.events.portfolio import DayReconciled
from kquant.testing.facts import FactLog
from kquant.views.report import html_report, text_report
from kquant.views.why import UnknownStock, why
from kquant.views.words import columns, pad, percent, rate_bp, signed_won, width

from .day import KAKAO, SAMSUNG, Day

FACTS = Day().whole()
LINE = "kquant replay verify 2026-11-20"


class Wellformed(HTMLParser):
    """Counts that every opened element is closed in order."""

    VOID = ("meta", "input", "br", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_wellformed_file_without_outside_resources_or_scripts() -> None:
    page = html_report(FACTS, replay_command=LINE, provenance=["seeded"], drawn={SAMSUNG})
    parser = Wellformed()
    parser.feed(page)
    assert parser.open == []
    assert parser.seen.count("svg") == 5
    assert not re.search(r"(?:src|href)=|https?:|url\((?!#)|<script|@import", page)
    assert LINE in page
    assert "drawn path" in page


def test_the_page_escapes_what_events_say() -> None:
    log = FactLog()
    log.start()
    log.open_day()
    assert "&lt;b&gt;" in html_report(log.facts, replay_command="<b>")


def test_a_day_without_anything_still_has_a_report() -> None:
    log = FactLog()
    log.start()
    log.open_day()
    assert "Nothing was traded." in html_report(log.facts, replay_command=LINE)
    text = text_report(log.facts, replay_command=LINE)
    assert "NOT CLOSED" in text
    assert "never compared" in text


def test_a_day_that_did_not_reconcile_says_so_at_the_top_and_what_follows() -> None:
    log = FactLog()
    log.start()
    log.open_day()
    agreed = html_report(log.facts, replay_command=LINE)
    log.add("portfolio", DayReconciled(agrees=False, differences=(), why="the balance could not be read <b>"))
    page, text = html_report(log.facts, replay_command=LINE), text_report(log.facts, replay_command=LINE)
    assert "NOT RECONCILED (미대사)" in text.splitlines()[1]
    head = page[: page.index("</header>")]
    assert "미대사 · not reconciled: the balance could not be read &lt;b&gt;" in head
    assert "until `kquant resume`" in head
    assert "미대사" not in agreed


def test_no_line_of_the_text_is_much_wider_than_a_hundred_columns() -> None:
    text = text_report(FACTS, replay_command=LINE)
    assert max(width(line) for line in text.splitlines()) <= 110
    assert text.rstrip().endswith(f"Replay: {LINE}")


def test_why_tells_the_whole_chain_back_to_the_run_that_began_it() -> None:
    story = why(FACTS, SAMSUNG)
    bought = next(t for t in story.told if t.section == "Orders" and t.text.startswith("intent 1: buy"))
    assert [c.text.split(":")[0] for c in bought.causes] == ["buy 삼성전자(005930)", "run 1 starts, due 09"]
    assert any(line.startswith("Bought 120 of 120주") for line in story.verdict)
    assert any(line.startswith("Sold 120 of 120주") and "(stop)" in line for line in story.verdict)


def test_the_report_says_in_words_what_denied_buys() -> None:
    text = text_report(FACTS, replay_command="kquant replay verify")
    assert "Denied   enough stocks are held or being bought 보유 종목 수 (MAX_POSITIONS) × 1" in text.splitlines()


def test_why_at_a_moment_does_not_know_what_came_later() -> None:
    claim = next(f.seq for f in FACTS if f.name == "analyzer.picked")
    story = why(FACTS, SAMSUNG, claim)
    assert not any("Bought" in line for line in story.verdict)
    assert max(t.seq for t in story.told) <= claim


def test_why_names_the_filter_the_eviction_and_the_denial() -> None:
    assert any("spac (" in line for line in why(FACTS, "123450").verdict)
    assert (
        "Waits for a slot: it has a claim, and lost its slot to 035420 (priority 1)" in why(FACTS, "247540").verdict[0]
    )
    assert (
        "Buys denied 1 times: enough stocks are held or being bought 보유 종목 수 (MAX_POSITIONS)."
        in why(FACTS, "051910").verdict
    )
    assert "Has a slot: priority 1" in why(FACTS, KAKAO).verdict[0]


def test_why_refuses_a_stock_the_day_never_mentions() -> None:
    with pytest.raises(UnknownStock, match="no event of the day mentions '999999'"):
        why(FactLog().facts, "999999")


@given(text=st.text(alphabet="a삼성1 원", max_size=20), size=st.integers(1, 12), right=st.booleans())
def test_a_padded_cell_has_exactly_its_columns(text: str, size: int, right: bool) -> None:
    assert width(pad(text, size, right=right)) == size


def test_a_table_keeps_its_columns_under_wide_characters() -> None:
    lines = columns(["stock", "n"], [["삼성전자", "1"], ["NAVER", "22"]], right=(1,))
    assert {width(line) for line in lines} == {12}


def test_signs_are_written_without_colour() -> None:
    assert [signed_won(1_200), signed_won(-800), signed_won(0)] == ["▲1,200원", "▼800원", "0원"]
    assert [percent(123), percent(-5), percent(0), percent(2_997)] == ["+1.23%", "-0.05%", "0.00%", "+29.97%"]
    assert (rate_bp(-1, 3), rate_bp(1, 0)) == (-3_333, 0)
