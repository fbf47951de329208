"""The command: scores of recorded days against later prices, and what it says with too few of them."""

import json
import xml.etree.ElementTree as ET

import pytest

from kquant.cli import main
from kquant.events.analyzer import BatchRow

from .days import FRIDAY, MONDAY, TUESDAY, WEDNESDAY, batch, code, day_log, given, parts, picked, write
from .test_outcomes import daily

STOCKS = [code(number) for number in range(1, 41)]
ACCOUNT = "12345678-01"


@pytest.fixture
def data(tmp_path):
    """Two days scored: on both, the higher the score of a stock the more it rose in the session after."""
    scored = batch(
        [BatchRow(code=each, parts=parts(place * 3 // 4, technicals=10)) for place, each in enumerate(STOCKS)]
    )
    extra = (picked(STOCKS[::-1][:10], 4), *(given(each, place) for place, each in enumerate(STOCKS[:20])))
    bases = dict.fromkeys(STOCKS, 10_000)
    account = tmp_path / "data" / ACCOUNT
    for day, factor in ((FRIDAY, 0), (MONDAY, 0), (TUESDAY, 1), (WEDNESDAY, 2)):
        then = {each: base + factor * 10 * place for place, (each, base) in enumerate(bases.items())}
        write(account / day, day_log(day, [scored] if day in {FRIDAY, MONDAY} else [], *extra, bases=then))
    return tmp_path / "data"


def run(capsys, *arguments):
    code_ = main(["scores", "calibrate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code_, out, err


def asked(capsys, data, *arguments):
    code_, out, err = run(capsys, "--data", data, "--json", *arguments)
    assert code_ == 0, err
    return json.loads(out)


def line_of(found, job, name):
    [line] = [
        line for scorer in found["scorers"] if scorer["job"] == job for line in scorer["lines"] if line["name"] == name
    ]
    return line


def test_scores_that_rank_the_returns_have_a_correlation_of_one(capsys, data):
    found = asked(capsys, data)
    assert found["days"] == [FRIDAY, MONDAY]
    total = line_of(found, "analysis", "total")
    assert (total["samples"], total["days"], total["daily_days"]) == (80, 2, 2)
    assert total["rank"] > 0.99
    assert [decile["came"]["excess_bp"] for decile in total["deciles"]] == sorted(
        decile["came"]["excess_bp"] for decile in total["deciles"]
    )
    assert line_of(found, "analysis", "technicals")["rank"] is None
    assert (line_of(found, "scan", "total")["samples"], line_of(found, "scan", "total")["days"]) == (40, 2)


def test_excess_is_counted_from_the_mean_of_all_listed_stocks_of_the_day(capsys, data):
    found = asked(capsys, data, FRIDAY)
    # Stock k rose by k * 10 won of 10,000 on Monday: 195 basis points in the mean.
    deciles = line_of(found, "analysis", "financials")["deciles"]
    whole = sum(decile["came"]["excess_bp"] * decile["came"]["samples"] for decile in deciles)
    assert abs(whole) <= 40
    picks, subscribed = found["chosen"]
    assert (picks["name"], picks["came"]["samples"], picks["came"]["mean_bp"]) == ("picks", 10, 345)
    assert (subscribed["name"], subscribed["came"]["samples"], subscribed["came"]["mean_bp"]) == ("subscribed", 4, 375)


def test_days_that_nothing_followed_are_left_out_by_name(capsys, data):
    found = asked(capsys, data)
    assert [(left["day"], left["why"]) for left in found["left"]] == [
        (TUESDAY, "2026-11-26 was not recorded"),
        (WEDNESDAY, "2026-11-26 was not recorded"),
    ]


def test_below_the_stated_number_of_samples_it_says_insufficient_and_that_is_no_failure(capsys, data):
    code_, out, _ = run(capsys, "--data", data)
    assert code_ == 0
    assert out.count("insufficient") == 3 + 5 + 2  # lines of the analysis and the scan, picks and subscribed
    assert "insufficient 표본 부족: 80 samples on 2 days, wanted 300 on 20 days" in out
    assert "decile" not in out


@pytest.mark.parametrize(("samples", "days", "shown"), [(80, 2, True), (81, 2, False), (80, 3, False)])
def test_the_number_is_the_users(capsys, data, samples, days, shown):
    code_, out, _ = run(capsys, "--data", data, "--least-samples", samples, "--least-days", days)
    assert code_ == 0
    first = out[out.index("analysis") :].split("\n\n")[0]
    assert ("rank correlation +" in first and "(n 80, 2 days)" in first) is shown
    assert ("insufficient" in first) is not shown


def test_a_file_of_daily_rows_takes_the_place_of_recorded_days(capsys, data, tmp_path):
    rows = [
        f"('{each}', DATE '{MONDAY}', {10_000 - 10 * place}, {-10 * place}, 5)" for place, each in enumerate(STOCKS)
    ]
    prices = daily(tmp_path / "daily.parquet", rows)
    found = asked(capsys, data, FRIDAY, "--outcomes", prices)
    assert found["outcomes"] == "daily.parquet"
    assert line_of(found, "analysis", "total")["rank"] < -0.99


def test_a_horizon_of_two_sessions_spans_both(capsys, data):
    one, two = (asked(capsys, data, FRIDAY, "--horizon", horizon) for horizon in (1, 2))
    assert one["chosen"][0]["came"]["mean_bp"] == 345
    assert two["days"] == [FRIDAY]
    assert two["chosen"][0]["came"]["mean_bp"] == 690


def test_the_picture_has_a_bar_a_decile_and_words_where_samples_are_too_few(capsys, data, tmp_path):
    code_, _, _ = run(
        capsys, "--data", data, "--least-samples", 80, "--least-days", 2, "--svg", tmp_path / "scores.svg"
    )
    assert code_ == 0
    picture = ET.parse(tmp_path / "scores.svg").getroot()  # noqa: S314  made here
    panels = picture.findall("{http://www.w3.org/2000/svg}g")
    bars = [len([one for one in panel.iter() if one.get("class") in {"up", "down"}]) for panel in panels]
    texts = ["".join(panel.itertext()) for panel in panels]
    assert dict(zip((text.split("rank")[0].split("insuff")[0] for text in texts), bars, strict=True)) == {
        "analysis · heuristic-1 · total": 10,
        "analysis · heuristic-1 · financials": 10,
        "analysis · heuristic-1 · technicals": 1,
        **{f"scan · heuristic-1 · {name}": 0 for name in ("total", "persistence", "volume", "momentum", "risk")},
    }
    assert all(("insufficient" in text) == (bar == 0) for text, bar in zip(texts, bars, strict=True))


def test_bad_input_is_one_line_and_code_2(capsys, data, tmp_path):
    for arguments, said in (
        (("--horizon", 11), "11"),
        (("--horizon", 0), "0"),
        (("--least-days", 0), "0"),
        (("--outcomes", tmp_path / "gone.parquet"), "gone.parquet is not a file"),
        (("2026-01-05",), "no day 2026-01-05"),
        (("--svg", tmp_path / "no" / "where.svg"), "where.svg"),
    ):
        code_, out, err = run(capsys, "--data", data, *arguments)
        assert (code_, out) == (2, "")
        assert said in err
        assert err.count("\n") == 1
    code_, _, err = run(capsys, "--data", tmp_path / "empty")
    assert (code_, err.count("\n")) == (2, 1)
