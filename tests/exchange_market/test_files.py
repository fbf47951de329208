"""A market day's folder: what is written comes back, and every fault is one line that names the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pytest

from kquant.exchange.market import MarketDay, MarketFileError, generate, load, save
from kquant.exchange.market.research import PROVENANCE, read_parquet
from tests.exchange_market.days import COLUMNS, DAY

PARTS = ["stocks.parquet", "bars.parquet", "news.parquet", "research.parquet"]


@pytest.fixture(scope="module")
def made() -> MarketDay:
    return generate(DAY, 5, 60)


@pytest.fixture(scope="module")
def saved(made: MarketDay, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("days") / "it's [one] day"
    save(made, folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "day"))


def _error(folder: Path) -> str:
    with pytest.raises(MarketFileError) as caught:
        load(folder)
    text = str(caught.value)
    assert "\n" not in text
    return text


def _change(file: Path, query: str) -> None:
    fresh = file.with_suffix(".fresh")
    changed = query.format(f"read_parquet('{file}')")
    duckdb.connect().execute(f"COPY ({changed}) TO '{fresh}' (FORMAT parquet)")
    fresh.replace(file)


def test_a_saved_day_comes_back_as_it_was(made: MarketDay, saved: Path, tmp_path: Path) -> None:
    back = load(saved)
    assert (back.day, back.prev_day, back.seed, back.source) == (made.day, made.prev_day, made.seed, made.source)
    assert (back.open_second, back.close_second) == (made.open_second, made.close_second)
    assert (back.stocks, back.all_news) == (made.stocks, made.all_news)
    for name in COLUMNS:
        assert np.array_equal(getattr(back.bars, name), getattr(made.bars, name)), name
    code = made.stocks[3].code
    assert [back.prints(code, second) for second in range(32_400, 33_000)] == [
        made.prints(code, second) for second in range(32_400, 33_000)
    ]
    for number, day in enumerate((made, back)):
        day.write_research(tmp_path / f"{number}.parquet")
    rows = read_parquet(tmp_path / "0.parquet")
    assert rows == read_parquet(tmp_path / "1.parquet")
    assert [row.code for row in rows] == [stock.code for stock in made.stocks]


def test_interruptions_come_back_as_they_were(made: MarketDay, saved: Path) -> None:
    back = load(saved)
    assert made.interrupted()
    assert back.interrupted() == made.interrupted()
    for code in made.interrupted():
        assert back.interruptions(code) == made.interruptions(code)
        one = made.interruptions(code)[0]
        assert back.prints(code, one.end) == made.prints(code, one.end)
        assert back.status(code, one.start) == made.status(code, one.start)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"code": "ZZZZZZ"}, "interrupts ZZZZZZ, which is not in stocks.parquet"),
        ({"end": 1}, "out of order"),
        ({"kind": "lunch"}, "does not list interruptions"),
        ({"start": None}, "does not list interruptions"),
    ],
)
def test_interruptions_that_cannot_be_are_named(folder: Path, change: dict[str, object], says: str) -> None:
    file = folder / "interruptions.json"
    rows = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode([{**rows[0], **change}, *rows[1:]]))
    text = _error(folder)
    assert "interruptions.json" in text
    assert says in text


def test_saving_again_replaces_the_day_and_leaves_nothing_beside_it(made: MarketDay, folder: Path) -> None:
    other = generate(DAY, 6, 20)
    save(other, folder)
    assert load(folder).stocks == other.stocks
    assert [path.name for path in folder.parent.iterdir()] == ["day"]
    assert sorted(path.name for path in folder.iterdir() if path.name != "interruptions.json") == sorted(
        [*PARTS, "meta.json"]
    )


def test_a_folder_that_is_no_market_day_is_never_replaced(made: MarketDay, tmp_path: Path) -> None:
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter").write_text("one")
    with pytest.raises(MarketFileError, match="thesis exists and is not a market day"):
        save(made, mine)
    assert (mine / "chapter").read_text() == "one"


@pytest.mark.parametrize("name", ["meta.json", "stocks.parquet", "bars.parquet", "research.parquet"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in _error(folder)


@pytest.mark.parametrize("name", ["meta.json", *PARTS])
def test_a_file_cut_short_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    assert name in _error(folder)


def test_a_day_without_news_is_a_day(folder: Path) -> None:
    (folder / "news.parquet").unlink()
    assert load(folder).all_news == ()


def test_a_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    assert "nowhere is not a folder" in _error(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("version", 9, "format version 9"),
        ("day", "2026-13-01", "not a market day's description"),
        ("close_second", 10, "close_second 10"),
        ("prev_day", "2026-11-20", "not before day"),
        ("colour", 1, "not a market day's description"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(folder: Path, field: str, value: object, says: str) -> None:
    meta = msgspec.json.decode((folder / "meta.json").read_bytes())
    (folder / "meta.json").write_bytes(msgspec.json.encode({**meta, field: value}))
    assert says in _error(folder)


@pytest.mark.parametrize(
    ("file", "query", "says"),
    [
        ("bars.parquet", "SELECT * REPLACE (low - 1 AS high) FROM {}", "high or low inside its open and close"),
        ("bars.parquet", "SELECT * REPLACE (-1 AS volume) FROM {}", "negative volume"),
        ("bars.parquet", "SELECT * REPLACE (400 AS slot) FROM {}", "outside the day's 391 minutes"),
        ("bars.parquet", "SELECT * REPLACE ('ZZZZZZ' AS code) FROM {}", "ZZZZZZ which is not in stocks.parquet"),
        ("bars.parquet", "SELECT * REPLACE (NULL AS volume) FROM {}", "empty volume"),
        ("bars.parquet", "SELECT * FROM {0} UNION ALL SELECT * FROM {0}", "two bars for one stock and minute"),
        ("bars.parquet", "SELECT * EXCLUDE (close) FROM {}", "close"),
        ("stocks.parquet", "SELECT * REPLACE ('X' AS market) FROM {}", "market"),
        ("stocks.parquet", "SELECT * REPLACE (0 AS base) FROM {}", "has base 0"),
        ("stocks.parquet", "SELECT * FROM {0} UNION ALL SELECT * FROM {0}", "twice"),
        ("stocks.parquet", "SELECT * FROM {} LIMIT 0", "lists no stock"),
        ("research.parquet", "SELECT * EXCLUDE (closes) FROM {}", "closes"),
    ],
)
def test_wrong_tables_are_refused_by_name(folder: Path, file: str, query: str, says: str) -> None:
    _change(folder / file, query)
    text = _error(folder)
    assert file in text
    assert says in text


def test_a_folder_from_before_tables_said_when_each_part_was_public_reads_without_it(
    folder: Path, made: MarketDay
) -> None:
    path = folder / "research.parquet"
    told = read_parquet(path)[0]
    assert told.prices_known_at == told.news_known_at is not None
    gone = ", ".join(PROVENANCE)
    _change(path, f"SELECT * EXCLUDE ({gone}) FROM {{}}")
    back = load(folder).known(made.stocks[0].code)
    assert back is not None
    assert (back.closes, back.prices_known_at) == (made.known(made.stocks[0].code).closes, None)  # type: ignore[union-attr]
