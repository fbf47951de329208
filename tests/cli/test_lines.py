"""Lines outlive the days: what changes with the date changes under way (kis-protocol 1.8, 6 row 26)."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from msgspec import structs

from kquant.cli.keys import Keys
from kquant.cli.lines import Hosts, Lines
from kquant.cli.shell import settings_for
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.limits import PORTFOLIO, Limiter
from kquant.values import Micros

APPLIED = date(2026, 11, 20)
KEYS = Keys(account="50001234-01", hts_id="DEMO01", app_key="K" * 36, app_secret="S" * 180, issued=APPLIED.isoformat())
HOSTS = Hosts(rest_url="http://127.0.0.1:1", ws_url="ws://127.0.0.1:2")


def made(folder: Path, *, gap_ms: int = 0) -> Lines:
    broker = settings_for("live", None, [f"broker.rest_url={HOSTS.rest_url}"]).settings.broker
    broker = structs.replace(broker, limits=tuple(structs.replace(one, gap_ms=gap_ms) for one in broker.limits))
    data = structs.replace(KEYS, account="", app_key="D" * 36, issued="2025-12-15")
    clock = SteppedClock(Micros(10**15))
    return Lines(broker, "real", HOSTS, KEYS, clock, tokens=folder, today=APPLIED, reading=(HOSTS, data))


async def at_once(limiter: Limiter) -> int:
    """Return how many calls of one kind may be made without waiting."""
    count = 0
    while limiter._free_at(PORTFOLIO) <= limiter._clock.now():
        await limiter.take(PORTFOLIO)
        count += 1
    return count


@pytest.mark.parametrize(("day", "calls"), [(date(2026, 11, 22), 2), (date(2026, 11, 23), 12), (date(2027, 1, 4), 12)])
async def test_a_new_keys_lower_limit_ends_with_its_third_day_in_a_run_that_goes_on(tmp_path, day, calls):
    """3 a second, then what `rest_per_second` of live.toml says (15). Orders keep 1 of 3 and 3 of 15.

    Of 3 they kept 2 once: one call a second was left for all that is read, and no price was confirmed in time.
    """
    lines = made(tmp_path)
    assert lines.begin_day(day) is not None
    assert await at_once(lines._trading.line.limiter) == calls
    assert await at_once(made(tmp_path)._trading.line.limiter) == 2


async def test_a_key_whose_year_ends_while_the_run_goes_on_is_warned_of_each_day_kis_protocol_6_row_26(tmp_path):
    lines = made(tmp_path)
    assert lines.begin_day(date(2026, 11, 14)) == ()
    (warning,) = lines.begin_day(date(2026, 11, 16))
    assert "2026-12-15" in warning
    assert len(lines.begin_day(date(2027, 11, 1))) == 2


async def test_a_data_key_beside_a_paper_account_has_the_real_services_budget_and_keeps_nothing_for_orders(tmp_path):
    """`rest_per_second` of paper.toml is 1: prices asked for one a second come too late for an entry (kis-protocol 1.8)."""
    broker = settings_for("paper", None, [f"broker.rest_url={HOSTS.rest_url}"]).settings.broker
    broker = structs.replace(broker, limits=tuple(structs.replace(one, gap_ms=0) for one in broker.limits))
    data = structs.replace(KEYS, account="", app_key="D" * 36, issued="2025-12-15")
    clock = SteppedClock(Micros(10**15))
    lines = Lines(broker, "paper", HOSTS, KEYS, clock, tokens=tmp_path, today=APPLIED, reading=(HOSTS, data))
    assert lines._data is not None
    assert await at_once(lines._data.line.limiter) == 18
    assert await at_once(lines._trading.line.limiter) == 1
    clock.set(Micros(10**15 + 10**6))
    lines.begin_day(date(2026, 11, 23))
    assert await at_once(lines._data.line.limiter) == 18
