"""`kquant market import` and `kquant market info`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("cyclopts")

from kquant.cli import market
from kquant.cli.shell import app
from kquant.exchange.market import save
from tests.exchange_market.days import small_day

BARS = "code,time,open,high,low,close,v\n000010,0900,100,110,100,105,50\n000010,1530,106,106,106,106,9\n"


def _run(*words: str) -> object:
    return app(list(words), exit_on_error=False, print_error=False, result_action="return_value")


def test_an_import_is_reported_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars, out = tmp_path / "bars.csv", tmp_path / "out"
    bars.write_text(BARS)
    words = (
        "--bars",
        str(bars),
        "--day",
        "2026-03-04",
        "--out",
        str(out),
        "--columns",
        "volume=v",
        "time=time",
        "--json",
    )
    assert _run("market", "import", *words) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert (found["day"], found["from_bars"], found["guessed_bases"]) == ("2026-03-04", 1, ["000010"])
    assert _run("market", "info", str(out), "--json") == 0
    shown = msgspec.json.decode(capsys.readouterr().out)
    assert (shown["day"], shown["source"], shown["stocks"], shown["bars"]) == ("2026-03-04", "imported", 1, 2)


def test_a_generated_day_is_shown_to_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(small_day(), tmp_path / "day")
    assert _run("market", "info", str(tmp_path / "day")) == 0
    text = capsys.readouterr().out
    assert "2026-11-20  09:00-15:30 KST  generated, seed 20261120" in text
    assert "600 stocks" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give either --bars FILE or --krx FOLDER"),
        (("--bars", "a.csv", "--krx", "b"), "give either"),
        (("--bars", "nothing.csv"), "nothing.csv is not a file"),
        (("--krx", "nowhere"), "nowhere has no folder day-2026-03-04"),
        (("--krx", "nowhere", "--daily", "d.csv"), "leave out --daily"),
        (("--bars", "a.csv", "--columns", "volume"), "write name=column"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(market.MarketError, match=says):
        _run("market", "import", "--day", "2026-03-04", "--out", str(tmp_path / "out"), *words)
