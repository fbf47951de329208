import datetime as dt
from pathlib import Path

from kquant.exchange.market import generate, load, save

DAY = dt.date(2026, 1, 15)


def test_the_board_holds_every_traded_stock_and_agrees_with_the_rankings() -> None:
    day = generate(DAY, 5, stocks=150)
    second = day.open_second + 3_600
    board = day.board(second)
    codes = [row.code for row in board]
    traded = [stock.code for stock in day.stocks if day.stats(stock.code, second - 1).volume]
    assert codes == traded
    best = sorted(board, key=lambda row: (-row.volume, row.code))[:20]
    assert best == day.rank_volume(second, "ALL", 20)
    assert day.board(day.open_second + 30) == ()


def test_what_is_known_of_a_stock_is_its_row_of_the_research_table_before_and_after_saving(tmp_path: Path) -> None:
    day = generate(DAY, 5, stocks=30)
    save(day, tmp_path / "day")
    read = load(tmp_path / "day")
    for stock in day.stocks:
        row = day.known(stock.code)
        assert row is not None
        assert row.base == stock.base
        assert row == read.known(stock.code)
    assert day.known("XXXXXX") is None
