"""Interruptions and halts asked for when a day is loaded: they change the stocks named and nothing else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from kquant.exchange.market import (
    MarketDay,
    MarketFileError,
    ScriptedHalt,
    ScriptedVi,
    generate,
    import_bars,
    load,
    save,
    scripted,
)
from tests.exchange_market.days import COLUMNS, all_prints, fold

PLAIN = generate(dt.date(2026, 11, 20), 11, 80)
OPEN, CLOSE = PLAIN.open_second, PLAIN.close_second
BUSY = [row.code for row in PLAIN.rank_volume(CLOSE + 200, "ALL", 40) if not PLAIN.interruptions(row.code)]
CODE = next(code for code in BUSY if not PLAIN.by_code[code].single_price)
AT = 10 * 3_600 + 15 * 60 + 20


def _volume(day: MarketDay, code: str) -> int:
    return sum(one.qty for one in all_prints(day, code))


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_scripted_interruption_holds_the_prints_and_matches_them_at_its_end(kind: str) -> None:
    day = scripted(PLAIN, vi=[{"code": CODE, "at": "10:15:20", "kind": kind}])
    (one,) = day.interruptions(CODE)
    assert (one.kind, one.start) == (kind, AT)
    assert 120 <= one.end - one.start < 150
    assert abs(one.deviation_bp) >= (1_000 if kind == "static" else 300)
    assert not [each for second in range(one.start, one.end) for each in day.prints(CODE, second)]
    match = day.prints(CODE, one.end)[0]
    assert (match.price, match.side) == (one.result, 3)
    assert _volume(day, CODE) == _volume(PLAIN, CODE)
    assert day.stats(CODE, 50_000) == fold(each for each in all_prints(day, CODE) if each.second <= 50_000)


def test_only_the_stock_named_changes() -> None:
    day = scripted(PLAIN, vi=[ScriptedVi(code=CODE, at=AT)])
    row = [stock.code for stock in day.stocks].index(CODE)
    changed: set[int] = set()
    for name in COLUMNS:
        equal = (getattr(day.bars, name) == getattr(PLAIN.bars, name)).all(axis=1).tolist()
        changed |= {place for place, same in enumerate(equal) if not same}
    assert changed == {row}
    assert day.interrupted() == tuple(
        stock.code for stock in day.stocks if stock.code == CODE or stock.code in PLAIN.interrupted()
    )


def test_a_scripted_halt_trades_nothing_and_resumes_with_a_match() -> None:
    start, end = 11 * 3_600 + 7, 11 * 3_600 + 1_800
    day = scripted(PLAIN, halts=[ScriptedHalt(code=CODE, start=start, end=end, reason="풍문 조회공시")])
    (one,) = day.interruptions(CODE)
    assert (one.kind, one.start, one.end, one.reason) == ("halt", start, end, "풍문 조회공시")
    assert {day.status(CODE, second).phase for second in (start, end - 1)} == {"halted"}
    assert day.status(CODE, end).phase == "continuous"
    assert not [each for second in range(start, end) for each in day.prints(CODE, second)]
    assert day.quote(CODE, start) == (0, 0, 0, 0)
    assert day.prints(CODE, end)[0].side == 3
    assert _volume(day, CODE) < _volume(PLAIN, CODE)
    assert [each for each in all_prints(day, CODE) if each.second < start - 60] == [
        each for each in all_prints(PLAIN, CODE) if each.second < start - 60
    ]


def test_a_halt_without_an_end_lasts_for_the_day() -> None:
    day = scripted(PLAIN, halts=[{"code": CODE, "start": "13:00"}])
    assert all_prints(day, CODE)[-1].second < 13 * 3_600
    assert {day.status(CODE, second).phase for second in (13 * 3_600, CLOSE - 1, CLOSE + 700)} == {"halted"}


def test_a_halt_may_begin_before_the_open() -> None:
    day = scripted(PLAIN, halts=[{"code": CODE, "start": "08:30", "end": "09:30:00"}])
    assert all_prints(day, CODE)[0].second == 9 * 3_600 + 1_800
    assert day.status(CODE, OPEN - 1_800).phase == "halted"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"code": "ZZZZZZ", "at": AT}, "ZZZZZZ: it is not listed"),
        ({"code": CODE, "at": OPEN - 1}, "it trades continuously from"),
        ({"code": CODE, "at": CLOSE - 600}, "it trades continuously from"),
        ({"code": CODE, "at": "noon"}, "'noon' is no time of the day"),
        ({"code": CODE, "at": AT, "kind": "lunch"}, "cannot read the interruption"),
        ({"code": CODE}, "cannot read the interruption"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked: dict[str, object], says: str) -> None:
    with pytest.raises(MarketFileError, match=says):
        scripted(PLAIN, vi=[asked])


def test_two_interruptions_at_once_are_refused() -> None:
    with pytest.raises(MarketFileError, match="it is interrupted at"):
        scripted(PLAIN, vi=[{"code": CODE, "at": AT}, {"code": CODE, "at": AT + 60}])


def test_a_halt_of_a_minute_is_refused() -> None:
    with pytest.raises(MarketFileError, match="lasts more than a minute"):
        scripted(PLAIN, halts=[{"code": CODE, "start": AT, "end": AT + 60}])


def test_an_imported_day_claims_no_interruption_until_one_is_asked_for(tmp_path: Path) -> None:
    """Bars say nothing of interruptions: a jump of 20 % between two of them stays as recorded."""
    lines = ["code,time,open,high,low,close,volume"]
    lines += [
        f"005930,{900 + n:04d},{p},{p},{p},{p},50" for n, p in enumerate((70_000, 71_000, 84_000, 84_100, 84_200))
    ]
    (tmp_path / "bars.csv").write_text("\n".join([*lines, "005930,1530,84200,84200,84200,84200,9"]) + "\n")
    import_bars(tmp_path / "bars.csv", dt.date(2026, 3, 4), tmp_path / "out")
    day = load(tmp_path / "out")
    assert day.interrupted() == ()
    assert [one.price for one in all_prints(day, "005930")][-1] == 84_200
    asked = load(tmp_path / "out", vi=[{"code": "005930", "at": "09:02:00"}])
    (one,) = asked.interruptions("005930")
    assert {each.price for each in all_prints(asked, "005930") if each.second < one.end} == {70_000, 71_000}
    save(asked, tmp_path / "kept")
    assert load(tmp_path / "kept").interruptions("005930") == (one,)
