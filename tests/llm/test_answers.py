"""A model's answer is what was asked for, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.gateways.llm.answers import ANSWER_BYTES, BadAnswer, batch_answer, scan_answer
from kquant.values import Symbol
from tests.llm.services import SCAN_TEXT

PARTS = ("financials", "flows", "news", "technicals")


def test_a_good_answer_is_read() -> None:
    answer = scan_answer(SCAN_TEXT)
    assert (answer.persistence.score, answer.volume.score, answer.momentum.score, answer.risk.score) == (20, 12, 18, 10)
    assert answer.persistence.reason == "3회 연속"


def test_space_around_an_answer_is_no_fault() -> None:
    assert scan_answer(f"\n\n {SCAN_TEXT} \n") == scan_answer(SCAN_TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "null",
        "[]",
        "80",
        "98,000 ~ 102,000",
        "I would give this stock 80 points.",
        f"Here it is: {SCAN_TEXT}",
        f"```json\n{SCAN_TEXT}\n```",
        f"{SCAN_TEXT}{SCAN_TEXT}",
        f"{SCAN_TEXT} {{}}",
        f"[{SCAN_TEXT}]",
        SCAN_TEXT[:-1],
        SCAN_TEXT[:40],
        SCAN_TEXT.replace("20", "31"),
        SCAN_TEXT.replace("20", "-1"),
        SCAN_TEXT.replace("20", "20.5"),
        SCAN_TEXT.replace("20", "20.0"),
        SCAN_TEXT.replace("20", "NaN"),
        SCAN_TEXT.replace("20", "Infinity"),
        SCAN_TEXT.replace("20", "1e309"),
        SCAN_TEXT.replace("20", "1e1"),
        SCAN_TEXT.replace("20", '"20"'),
        SCAN_TEXT.replace("20", '"20점"'),
        SCAN_TEXT.replace("20", "true"),
        SCAN_TEXT.replace("20", "null"),
        SCAN_TEXT.replace("20", "9" * 400),
        SCAN_TEXT.replace('"risk"', '"persistence"'),
        SCAN_TEXT.replace('"risk"', '"risky"'),
        SCAN_TEXT.replace('{"score":20,', '{"score":20,"score":30,'),
        SCAN_TEXT.replace('"reason":"3회 연속"', '"why":"3회 연속"'),
        SCAN_TEXT.replace('"3회 연속"', '""'),
        SCAN_TEXT.replace(',"reason":"3회 연속"', ""),
        SCAN_TEXT.replace("{", '{"total":100,', 1),
        SCAN_TEXT.replace("3회 연속", "\\ud800"),
        SCAN_TEXT.replace("3회 연속", "\ud800"),
        SCAN_TEXT.replace("3회", "가" * 4_001),
        "[" * 100_000,
        '{"persistence":' * 50_000,
        " " * (ANSWER_BYTES + 1) + SCAN_TEXT,
        "x" * (5 << 20),
    ],
    ids=lambda text: text[:24],
)
def test_anything_else_is_refused_with_a_short_reason(text: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        scan_answer(text)
    assert 5 < len(str(caught.value)) < 250


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(BadAnswer):
        scan_answer(text)
    with pytest.raises(BadAnswer):
        batch_answer(text, {}, cut=False)


@given(st.integers(0, len(SCAN_TEXT) - 1), st.characters())
def test_a_changed_character_never_gives_points_out_of_range(place: int, char: str) -> None:
    try:
        answer = scan_answer(SCAN_TEXT[:place] + char + SCAN_TEXT[place + 1 :])
    except BadAnswer:
        return
    for part, most in ((answer.persistence, 30), (answer.volume, 20), (answer.momentum, 30), (answer.risk, 20)):
        assert 0 <= part.score <= most


def row(code: str, *, parts: tuple[str, ...] = PARTS, **changes: Any) -> dict[str, Any]:
    return {"code": code, **{name: {"score": 10, "reason": "so"} for name in parts}, **changes}


def text_of(*rows: Any) -> str:
    return msgspec.json.encode({"rows": rows}).decode()


def asked(*codes: str) -> dict[Symbol, tuple[str, ...]]:
    return {Symbol(code): PARTS for code in codes}


def test_good_rows_of_a_bad_batch_are_kept_and_the_others_named() -> None:
    text = text_of(
        row("000001"),
        row("000002", flows={"score": 31, "reason": "so"}),
        row("000003", parts=PARTS[:3]),
        row("000004", extra=1),
        row("000005"),
        row("000005"),
        row("999999"),
        {"no": "code"},
        7,
        "000006",
    )
    codes = [f"00000{number}" for number in range(1, 8)]
    rows, left = batch_answer(text, asked(*codes), cut=False)
    assert list(rows) == ["000001"]
    assert set(left) == set(codes) - {"000001"}
    assert left["000005"] == "two rows"
    assert left["000006"] == left["000007"] == "no row"
    assert left["000003"] == "part technicals is missing"


def test_a_part_that_was_not_measured_cannot_be_given() -> None:
    rows, left = batch_answer(text_of(row("000001")), {Symbol("000001"): ("flows",)}, cut=False)
    assert (rows, left["000001"]) == ({}, "part financials is given, though nothing was measured")


def test_a_null_part_is_a_part_left_out() -> None:
    text = text_of(row("000001", parts=("flows",), financials=None))
    rows, _ = batch_answer(text, {Symbol("000001"): ("flows",)}, cut=False)
    assert rows["000001"].financials is None


@pytest.mark.parametrize("short", range(1, 120, 7))
def test_whole_rows_of_a_cut_answer_are_kept(short: int) -> None:
    text = text_of(row("000001"), row("000002"), row("000003"))[:-short]
    rows, left = batch_answer(text, asked("000001", "000002", "000003"), cut=True)
    assert "000001" in rows
    assert set(rows) | set(left) == {"000001", "000002", "000003"}
    assert not set(rows) & set(left)


def test_an_answer_that_breaks_off_without_being_cut_is_refused() -> None:
    with pytest.raises(BadAnswer):
        batch_answer(text_of(row("000001"), row("000002"))[:-5], asked("000001"), cut=False)


@pytest.mark.parametrize(
    "text", ['{"rows":', "[" * 50_000, '{"rows":[' + "[" * 50_000, 'x {"rows":[{}', '{"sum":[{"code":1}']
)
def test_a_cut_answer_without_a_first_row_gives_none(text: str) -> None:
    try:
        rows, left = batch_answer(text, asked("000001"), cut=True)
    except BadAnswer:
        return
    assert (rows, left) == ({}, {"000001": "no row"})
