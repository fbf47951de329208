"""Without any key but KIS's: the day's table over real sockets from the look-alike, whose tables were written by others."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import duckdb

from kquant.config import load
from kquant.gateways.research.lookahead import check_known
from kquant.gateways.research.opening import assembler, build_day
from kquant.gateways.research.provenance import read_notes, read_sources
from kquant.gateways.research.table import read_file
from kquant.values import MINUTE_US, Micros, from_kst
from tests.gateways_kis.look_alike import DAY, look_alike, market
from tests.research.fakes import LeapClock

EIGHT = from_kst(DAY, time(8))


async def test_a_listing_and_what_is_known_of_each_stock_come_from_kis_alone(tmp_path: Path) -> None:
    settings = load("demo", environ={}).settings
    clock = LeapClock(EIGHT)
    async with look_alike(tmp_path) as there:
        calls = await there.calls("real")
        made = assembler(settings.research, settings.krx, tmp_path / "research", clock, {}, calls.data)
        path = await made.for_day(DAY.isoformat(), Micros(EIGHT + 90 * MINUTE_US))
    known = read_file(path)
    stocks = {each.code: each for each in market().stocks}
    assert set(known) == set(stocks)
    until = check_known(path, Micros(clock.now()))
    assert until is not None
    assert until <= clock.now()
    with_prices = {code: row for code, row in known.items() if row.closes}
    assert len(with_prices) > len(stocks) * 9 // 10
    assert {code: row.closes[-1] for code, row in with_prices.items() if row.closes} == {
        code: stocks[code].prev_close for code in with_prices
    }
    flows = {code: row for code, row in known.items() if row.foreign_net_5d is not None}
    told = {code: market().known(code) for code in flows}
    # The look-alike bounds a session's net by its volume, so the thinnest stocks differ by a share or so.
    same = [
        (row.foreign_net_5d, row.institution_net_5d, row.foreign_net_20d, row.institution_net_20d)
        == (one.foreign_net_5d, one.institution_net_5d, one.foreign_net_20d, one.institution_net_20d)
        for row, one in ((row, told[code]) for code, row in flows.items())
        if one is not None
    ]
    assert len(flows) == len(same) > len(stocks) // 2
    assert sum(same) > len(same) * 9 // 10
    assert sum(row.roe_bp is not None for row in known.values()) > len(stocks) // 2
    assert {each.origin for each in read_sources(path)} == {"kis"}
    assert {each.part for each in read_sources(path)} >= {"listing", "prices", "flows", "financials"}
    assert read_notes(path)[:3] == (
        "krx: left out, set KRX_ID and KRX_PW",
        "dart: left out, set DART_API_KEY",
        "naver: left out, set NAVER_CLIENT_ID and NAVER_CLIENT_SECRET",
    )
    with duckdb.connect() as connection:
        found = connection.execute("SELECT DISTINCT prices_session, flows_session FROM read_parquet(?)", [str(path)])
        assert {each for row in found.fetchall() for each in row} <= {None, date(2026, 11, 19).isoformat()}


async def test_a_past_day_is_built_as_it_was_at_its_analysis(tmp_path: Path) -> None:
    settings = load("demo", environ={}).settings
    clock = LeapClock(from_kst(date(2026, 11, 21), time(9)))
    async with look_alike(tmp_path) as there:
        calls = await there.calls("real")
        made = assembler(settings.research, settings.krx, tmp_path / "research", clock, {}, calls.data)
        path = await build_day(made, clock, DAY, from_kst(DAY, time(7, 20)), 30)
    assert check_known(path, from_kst(DAY, time(7, 20))) == from_kst(date(2026, 11, 19), time(18))
    with duckdb.connect() as connection:
        # Flags and base of today's listing are not those of then.
        found = connection.execute("SELECT halted, administrative, base - closes[-1] FROM read_parquet(?)", [str(path)])
        assert set(found.fetchall()) <= {(None, None, 0), (None, None, None)}
    # KIS's ratios say nothing of when they were published, so none is used of a day that is over.
    assert {row.roe_bp for row in read_file(path).values()} == {None}
    assert sum(row.closes is not None for row in read_file(path).values()) > 100
