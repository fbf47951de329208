"""Which day is traded next, in which folder, and what it carries over."""

from datetime import date

import pytest

from kquant.cli.plan import NoOpenDay, begun, chain_of, day_before, ended, next_open, sealed, unsealed_folder
from kquant.events.day import Carried, DayClosed, DayOpened, RunStopped
from kquant.hours import ClosedDay, day_hours, up_until
from kquant.journal import open_day
from kquant.testing.facts import demo_settings
from kquant.values import Krw, Micros, Shares, Symbol

SETTINGS = demo_settings()
HELD = (Carried(code=Symbol("005930"), name="삼성전자", qty=Shares(3), cost_krw=Krw(210_000)),)


def hours_of(day):
    try:
        return day_hours(day, SETTINGS.krx)
    except ClosedDay:
        return None


def until(hours):
    return up_until(hours, SETTINGS)


def write(folder, *, before="", seal=True, agrees=True):
    """Leave a day in a folder, as a run leaves it."""
    folder.mkdir(parents=True)
    day = date.fromisoformat(folder.name[:10])
    hours = day_hours(day, SETTINGS.krx)
    journal = open_day(folder, lambda: hours.open_at)
    opened = DayOpened(
        day=day.isoformat(), account="5000****-01", hours=hours, positions=None, cash_krw=None, day_before=before,
        digest_before="", reconciled_before=True,
    )  # fmt: skip
    journal.append("run", [opened], by="run").result()
    if seal:
        closed = DayClosed(reconciled=agrees, positions=HELD, cash_krw=Krw(5))
        journal.append("run", [RunStopped(reason="day over"), closed], by="run").result()
    journal.close()
    return folder


def test_a_sealed_day_is_carried_over_and_an_unsealed_one_is_not_believed(tmp_path):
    write(tmp_path / "2026-11-18")
    whole = day_before(tmp_path, date(2026, 11, 19))
    assert (whole.folder, whole.positions, whole.cash_krw, whole.reconciled) == ("2026-11-18", HELD, 5, True)
    assert len(whole.digest) == 64
    write(tmp_path / "2026-11-19", before="2026-11-18", seal=False)
    cut = day_before(tmp_path, date(2026, 11, 20))
    assert (cut.folder, cut.positions, cut.cash_krw, cut.reconciled) == ("2026-11-19", None, None, False)
    assert day_before(tmp_path, date(2026, 11, 18)) is None


def test_a_day_that_does_not_reconcile_says_so_to_the_next_one(tmp_path):
    write(tmp_path / "2026-11-18", agrees=False)
    assert day_before(tmp_path, date(2026, 11, 19)).reconciled is False


def test_a_sealed_day_is_not_written_again(tmp_path):
    assert unsealed_folder(tmp_path, date(2026, 11, 18)).name == "2026-11-18"
    first = write(tmp_path / "2026-11-18")
    assert sealed(first) is not None
    assert unsealed_folder(tmp_path, date(2026, 11, 18)).name == "2026-11-18.2"
    second = write(tmp_path / "2026-11-18.2", seal=False)
    assert sealed(second) is None
    assert unsealed_folder(tmp_path, date(2026, 11, 18)) == second
    assert day_before(tmp_path, date(2026, 11, 19)).folder == "2026-11-18.2"


def test_an_empty_folder_is_no_day(tmp_path):
    (tmp_path / "2026-11-18").mkdir()
    assert not begun(tmp_path / "2026-11-18")
    assert day_before(tmp_path, date(2026, 11, 19)) is None


def test_a_chain_of_days_goes_on_where_it_was_left(tmp_path):
    new = chain_of(tmp_path, date(2026, 11, 18))
    assert (new.root, new.folder, new.before, new.done) == (tmp_path / "2026-11-18",) * 2 + (None, 0)
    write(tmp_path / "2026-11-18")
    write(tmp_path / "2026-11-19", before="2026-11-18", seal=False)
    chain = chain_of(tmp_path, date(2026, 11, 18))
    assert (chain.root.name, chain.folder.name, chain.done) == ("2026-11-18", "2026-11-19", 1)
    assert chain.before == ended(tmp_path / "2026-11-18")
    # A run that begins with another day has nothing to do with it.
    assert chain_of(tmp_path, date(2026, 11, 19)).folder.name == "2026-11-19"
    assert chain_of(tmp_path, date(2026, 11, 17)).folder.name == "2026-11-17"


@pytest.mark.parametrize(
    ("first", "opens"),
    [
        (date(2026, 11, 20), date(2026, 11, 20)),
        (date(2026, 11, 21), date(2026, 11, 23)),  # over a weekend
        (date(2026, 9, 24), date(2026, 9, 28)),  # over Chuseok
        (date(2026, 12, 31), date(2027, 1, 4)),  # over the turn of the year
    ],
)
def test_the_next_open_day_is_found_over_nights_weekends_and_holidays(first, opens):
    found, hours = next_open(first, hours_of, until, Micros(0))
    assert found == opens
    assert hours == day_hours(opens, SETTINGS.krx)


def test_a_day_that_is_over_is_not_the_next_one():
    friday = day_hours(date(2026, 11, 20), SETTINGS.krx)
    assert next_open(date(2026, 11, 20), hours_of, until, Micros(until(friday) - 1))[0] == date(2026, 11, 20)
    assert next_open(date(2026, 11, 20), hours_of, until, until(friday))[0] == date(2026, 11, 23)
    assert next_open(date(2026, 11, 2), hours_of, until, until(friday))[0] == date(2026, 11, 23)


def test_a_month_without_an_open_day_is_told():
    with pytest.raises(NoOpenDay, match="30 days from 2026-11-20"):
        next_open(date(2026, 11, 20), lambda _: None, until, Micros(0))
