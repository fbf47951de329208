from datetime import date
from pathlib import Path

import pytest

from kquant.config import ConfigError, load
from kquant.hours import ClosedDay, day_hours
from kquant.values import kst_clock


@pytest.mark.parametrize("profile", ["demo", "paper", "live"])
def test_every_profile_loads(profile: str) -> None:
    assert load(profile, environ={}).settings.profile == profile


def test_every_profile_places_orders_and_only_the_real_account_is_live() -> None:
    """What `kquant arm` guards is `exchange = "live"`: no other profile may name it."""
    brokers = {profile: load(profile, environ={}).settings.broker for profile in ("demo", "paper", "live")}
    assert {profile: broker.orders for profile, broker in brokers.items()} == dict.fromkeys(brokers, True)
    assert [profile for profile, broker in brokers.items() if broker.exchange == "live"] == ["live"]


def test_an_unknown_key_is_refused_by_name_with_the_nearest_known_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[risk]\nmax_position = 3\n")
    with pytest.raises(ConfigError, match=r"unknown setting risk\.max_position in .*did you mean risk\.max_positions"):
        load("demo", file=mine, environ={})


def test_a_mistyped_value_is_refused_with_its_key_and_origin() -> None:
    with pytest.raises(ConfigError, match=r"slots\.capacity.*KQUANT_SLOTS__CAPACITY"):
        load("demo", environ={"KQUANT_SLOTS__CAPACITY": '"many"'})


def test_a_variable_with_one_underscore_is_refused_instead_of_ignored() -> None:
    with pytest.raises(ConfigError, match="KQUANT_RISK_MAX_POSITIONS names no setting"):
        load("demo", environ={"KQUANT_RISK_MAX_POSITIONS": "3"})


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"slots\.capacity"):
        load("demo", environ={"KQUANT_SLOTS__CAPACITY": "42"})


def test_later_layers_win_and_say_so(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[risk]\nmax_positions = 3\n")
    loaded = load("demo", file=mine, environ={"KQUANT_RISK__MAX_ORDERS_PER_DAY": "7"}, overrides={"demo.seed": 9})
    assert loaded.settings.risk.max_positions == 3
    assert loaded.settings.risk.max_orders_per_day == 7
    assert loaded.settings.demo.seed == 9
    assert loaded.origins["risk.max_positions"] == str(mine)
    assert loaded.origins["risk.max_orders_per_day"] == "KQUANT_RISK__MAX_ORDERS_PER_DAY"
    assert loaded.origins["demo.seed"] == "--seed"
    assert loaded.origins["slots.capacity"] == "default.toml"


def test_an_unreadable_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read settings file"):
        load("demo", file=tmp_path / "absent.toml", environ={})


@pytest.mark.parametrize(
    ("day", "opens", "closes", "shift"),
    [
        ("2026-11-20", "09:00:00", "15:30:00", 0),
        ("2025-11-13", "10:00:00", "16:30:00", 60),
        ("2026-01-02", "10:00:00", "15:30:00", 0),
    ],
)
def test_session_hours_follow_the_calendar(day: str, opens: str, closes: str, shift: int) -> None:
    hours = day_hours(date.fromisoformat(day), load("demo", environ={}).settings.krx)
    assert (kst_clock(hours.open_at), kst_clock(hours.close_at), hours.shift_minutes) == (opens, closes, shift)


@pytest.mark.parametrize("day", ["2026-11-21", "2026-10-09", "2028-01-04", "2023-11-30"])
def test_a_closed_or_unknown_day_is_refused(day: str) -> None:
    with pytest.raises(ClosedDay, match=day):
        day_hours(date.fromisoformat(day), load("demo", environ={}).settings.krx)
