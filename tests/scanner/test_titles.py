"""Headlines that go to the scorer: today's, of the stock, newest first, each once, no more than asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kquant.domain.scanner import KEPT, SCANNER, Seen
from kquant.events.base import Recorded
from kquant.events.pipeline import NewsAnswered, NewsItem
from kquant.events.scanner import ScoreWanted
from kquant.values import Symbol

from .daylog import listed
from .test_scanner import due, morning, ranked, row

CODES = ("000010", "000020")


def item(number: int, *codes: str, day: str = "20261120", clock: str = "090000", title: str = "") -> NewsItem:
    return NewsItem(
        id=f"{number:05d}",
        published=f"{day}{clock}",
        title=title or f"headline {number}",
        codes=tuple(Symbol(code) for code in codes),
        source="somebody",
    )


def asked_after(*answers: tuple[NewsItem, ...]) -> dict[str, tuple[str, ...]]:
    """Return the headlines that went along with each candidate of a scan after these news answers."""
    drive = morning(*(listed(code) for code in CODES))
    for number, items in enumerate(answers, 1):
        drive.tell(NewsAnswered(run=number, items=items), "rest")
    due(drive, "09:05")
    wanted = ranked(drive, 1, [row(CODES[0])], [row(CODES[1])])
    return {each.code: each.titles for each in wanted if isinstance(each, ScoreWanted)}


def test_a_candidates_headlines_go_along_newest_first_and_only_its_own() -> None:
    early = item(1, CODES[0], clock="080000", title="early")
    late = item(2, CODES[0], CODES[1], clock="090100", title="late")
    assert asked_after((late, early)) == {CODES[0]: ("late", "early"), CODES[1]: ("late",)}


def test_yesterdays_headlines_stay_away() -> None:
    assert asked_after((item(1, CODES[0], day="20261119"),))[CODES[0]] == ()


def test_a_headline_told_twice_goes_once_and_five_are_enough() -> None:
    many = tuple(item(number, CODES[0], clock=f"0830{number:02d}") for number in range(9, 0, -1))
    titles = asked_after(many, many[:4])[CODES[0]]
    assert titles == tuple(f"headline {number}" for number in range(9, 4, -1))


@given(st.lists(st.lists(st.integers(1, 60), max_size=30), max_size=4))
def test_what_is_remembered_does_not_grow_and_not_depend_on_the_order_of_answers(answers: list[list[int]]) -> None:
    def remembered(order: list[list[int]]) -> tuple[str, ...]:
        seen = Seen()
        for numbers in order:
            items = tuple(item(number, CODES[0], clock=f"08{number - 1:02d}00") for number in numbers)
            fact = Recorded(
                seq=1, stream="rest", version=1, name="news.answered", at=1_795_132_800_000_000, by="rest",
                caused_by=None, index=0, event=NewsAnswered(run=1, items=items), digest=b"",
            )  # fmt: skip
            seen = SCANNER.observe(seen, fact)
        return tuple(each.id for each in seen.news.get(Symbol(CODES[0]), ()))

    newest = sorted({f"{number:05d}" for numbers in answers for number in numbers}, reverse=True)[:KEPT]
    assert remembered(answers) == remembered(answers[::-1]) == tuple(newest)
