"""Columns on disk and the technicals reckoned from them, against a naive reckoning of each."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kquant.gateways.research import history
from kquant.gateways.research.sources.port import FlowRow, PriceRow
from kquant.values import Micros

START = date(2025, 1, 1)


def sessions(count: int) -> tuple[date, ...]:
    """Newest first."""
    return tuple(START + timedelta(days=number) for number in reversed(range(count)))


def series(code: str, closes: list[int], volumes: list[int] | None = None, **changes: object) -> list[PriceRow]:
    return [
        PriceRow(
            code=code, session=START + timedelta(days=number), open=close, high=close + 7, low=max(1, close - 5),
            close=close, volume=volumes[number] if volumes else 1_000 + number, **changes,  # type: ignore[arg-type]
        )
        for number, close in enumerate(closes)
    ]  # fmt: skip


def put(folder: Path, rows: list[PriceRow] | list[FlowRow], name: str = "kis-1-0", stamp: int = 1) -> None:
    part = "prices" if isinstance(rows[0], PriceRow) else "flows"
    history.keep(folder, part, name, name.partition("-")[0], Micros(stamp), rows)  # type: ignore[arg-type]


bars = st.lists(
    st.tuples(st.integers(10, 100_000), st.integers(0, 50), st.integers(0, 9), st.integers(0, 10_000)),
    min_size=1, max_size=140,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=bars)
def test_every_figure_is_what_a_plain_reckoning_gives(tmp_path: Path, drawn: list[tuple[int, int, int, int]]) -> None:
    rows = [
        PriceRow(code="005930", session=START + timedelta(days=n), open=c, high=c + up, low=c - down, close=c, volume=v)
        for n, (c, up, down, v) in enumerate(drawn)
    ]
    put(tmp_path, rows)
    found = history.prices(tmp_path, sessions(len(rows)))["005930"]
    closes = [row.close for row in rows]
    assert found.closes == tuple(closes[-120:])
    for days in (1, 5, 20, 60):
        plain = None if len(closes) <= days else (closes[-1] - closes[-1 - days]) * 10_000 // closes[-1 - days]
        assert found.figures[f"ret_{days}d_bp"] == plain
    for days in (5, 20, 60, 120):
        mean = found.figures[f"ma{days}"]
        assert (mean is None) == (len(closes) < days)
        assert mean is None or abs(mean * days - sum(closes[-days:])) <= days
    steps = [b - a for a, b in pairwise(closes)][-14:]
    gains, losses = sum(max(0, each) for each in steps), sum(max(0, -each) for each in steps)
    rsi = found.figures["rsi14_x100"]
    assert (rsi is None) == (len(steps) < 14)
    assert rsi is None or abs(rsi - (10_000 * gains / (gains + losses) if gains + losses else 5_000)) <= 1
    reaches = [
        max(now.high - now.low, abs(now.high - was.close), abs(now.low - was.close))  # type: ignore[operator]
        for was, now in pairwise(rows)
    ][-14:]
    atr = found.figures["atr14"]
    assert (atr is None) == (len(reaches) < 14)
    assert atr is None or abs(atr * 14 - sum(reaches)) <= 14
    volumes = [row.volume or 0 for row in rows]
    ratio = found.figures["volume_ratio_percent"]
    five, twenty = sum(volumes[-5:]) * 4, sum(volumes[-20:])
    assert (ratio is None) == (len(volumes) < 20 or twenty == 0)
    assert ratio is None or abs(ratio - 100 * five / twenty) <= 1
    assert found.figures["w52_high"] is None


def test_the_52_week_marks_need_most_of_a_year(tmp_path: Path) -> None:
    closes = [1_000 + number for number in range(260)]
    put(tmp_path, series("000001", closes) + series("000002", closes)[21:] + series("000003", closes)[20:])
    found = history.prices(tmp_path, sessions(260))
    assert (found["000001"].figures["w52_high"], found["000001"].figures["w52_low"]) == (1_266, 1_005)
    assert found["000001"].figures["below_52w_high_bp"] == (1_266 - 1_259) * 10_000 // 1_266
    assert found["000001"].figures["above_52w_low_bp"] == (1_259 - 1_005) * 10_000 // 1_005
    assert (found["000002"].figures["w52_high"], found["000003"].figures["w52_high"]) == (None, 1_266)


def test_prices_before_a_split_are_scaled_to_it(tmp_path: Path) -> None:
    """Five for one on the third session: the exchange's base says so (kis-protocol 7.5; base = close - change)."""
    rows = [
        PriceRow(code="365590", session=START + timedelta(days=n), open=c, high=c, low=c, close=c, volume=v, base=base)
        for n, (c, v, base) in enumerate(
            [(5_000, 10, 5_000), (5_100, 10, 5_000), (1_050, 50, 1_020), (1_000, 50, 1_050)]
        )
    ]
    put(tmp_path, rows, "krx-1")
    found = history.prices(tmp_path, sessions(4))["365590"]
    assert found.closes == (1_000, 1_020, 1_050, 1_000)
    assert found.volumes == (50, 50, 50, 50)
    assert found.figures["ret_1d_bp"] == -477
    # A base that is only rounded moves nothing.
    rows = [PriceRow(code="1", session=row.session, close=row.close, base=5_001) for row in rows[:2]]
    put(tmp_path / "plain", rows, "krx-1")
    assert history.prices(tmp_path / "plain", sessions(4))["1"].closes == (5_000, 5_100)


def test_a_session_without_a_trade_has_its_close_for_high_and_low_and_unknown_stays_unknown(tmp_path: Path) -> None:
    rows = [
        PriceRow(code="1", session=START, close=100),
        PriceRow(code="1", session=START + timedelta(days=1), open=0, high=0, low=0, close=110, volume=0),
        PriceRow(code="2", session=START + timedelta(days=1), close=50),
    ]
    put(tmp_path, rows)
    found = history.prices(tmp_path, sessions(2))
    assert (found["1"].highs, found["1"].lows, found["1"].volumes) == ((110,), (110,), (0,))
    assert (found["2"].highs, found["2"].volumes) == (None, None)


def test_the_newest_word_on_a_session_counts_and_later_sessions_are_not_seen(tmp_path: Path) -> None:
    put(tmp_path, series("1", [100, 110, 120]), "kis-1-0", stamp=1)
    put(tmp_path, series("1", [100, 115]), "krx-2", stamp=2)
    assert history.prices(tmp_path, sessions(2))["1"].closes == (100, 115)
    assert history.prices(tmp_path, sessions(3))["1"].closes == (100, 115, 120)
    assert history.newest_by_code(tmp_path, "prices", START) == {"1": START + timedelta(days=2)}
    assert history.prices(tmp_path / "nothing", sessions(3)) == {}


@pytest.mark.parametrize(("known", "five", "twenty"), [(20, 15, 210), (19, 15, None), (4, None, None)])
def test_net_buying_needs_every_session_it_sums(
    tmp_path: Path, known: int, five: int | None, twenty: int | None
) -> None:
    days = sessions(25)
    rows = [
        FlowRow(code="1", session=day, foreign_net=n + 1, institution_net=-n - 1) for n, day in enumerate(days[:known])
    ]
    put(tmp_path, rows, "krx-x")
    found = history.flows(tmp_path, days)["1"]
    assert (found.foreign_5d, found.foreign_20d) == (five, twenty)
    assert found.institution_5d == (None if five is None else -five)
    assert found.session == days[0]


def test_whole_sessions_are_told_from_pieces_and_old_files_go(tmp_path: Path) -> None:
    for name in (
        "krx-2026-01-14",
        "krx-2025-01-02",
        f"kis-{1_700_000_000_000_000}-0",
        f"kis-{1_790_000_000_000_000}-1",
    ):
        put(tmp_path, series("1", [1, 2]), name)
    assert history.whole_sessions(tmp_path, "prices", "krx") == {date(2026, 1, 14), date(2025, 1, 2)}
    history.prune(tmp_path, date(2026, 1, 1))
    assert sorted(path.stem for path in (tmp_path / "prices").iterdir()) == ["kis-1790000000000000-1", "krx-2026-01-14"]


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    put(tmp_path, series("1", [1, 2]), "krx-2026-01-14")
    put(tmp_path, series("1", [3, 4]), "krx-2026-01-14")
    assert [path.name for path in (tmp_path / "prices").iterdir()] == ["krx-2026-01-14.parquet"]
    assert history.prices(tmp_path, sessions(2))["1"].closes == (3, 4)
