"""Settings that contradict each other are refused by name; those that trade nothing are said before the day."""

import pytest

from kquant.cli import main
from kquant.cli.sense import contradiction, warnings
from kquant.config import load


def settings(**sets):
    return load("demo", environ={}, sets={key.replace("__", "."): value for key, value in sets.items()}).settings


@pytest.mark.parametrize("profile", ["demo", "paper", "live"])
def test_the_profiles_contradict_and_warn_of_nothing(profile):
    found = load(profile, environ={}).settings
    assert contradiction(found) is None
    assert warnings(found) == ()


@pytest.mark.parametrize("key", ["max_order_krw", "max_stock_krw", "max_day_buy_krw", "max_exposure_krw"])
def test_a_limit_below_the_least_order_is_refused_with_both_names(key, capsys):
    assert contradiction(settings(**{f"risk.{key}": 300_000})) is None
    assert main(["config", "check", "--set", f"risk.{key}=299999"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert f"risk.{key} is 299,999 and risk.min_order_krw 300,000" in said


def test_a_fixed_amount_counts_only_where_it_is_the_sizing():
    small = {"risk.fixed_amount_krw": 1_000}
    assert contradiction(settings(**small)) is None
    assert "risk.fixed_amount_krw" in (contradiction(settings(**small, risk__sizing="fixed_amount")) or "")


@pytest.mark.parametrize(
    "key",
    [
        "max_order_krw", "max_stock_krw", "max_day_buy_krw", "max_exposure_krw", "max_positions", "max_orders_per_minute",
        "max_orders_per_day", "max_day_loss_krw", "max_buys_per_stock", "volume_share_bp", "position_share_bp",
    ],
)  # fmt: skip
def test_a_limit_of_zero_is_told_to_buy_nothing_and_is_allowed(key, capsys):
    assert main(["config", "check", "--set", f"risk.{key}=0"]) == 0
    assert f"warning: nothing will be bought: risk.{key} is 0" in capsys.readouterr().out


def test_replacing_that_has_no_effect_is_told_with_the_reason():
    [never] = warnings(settings(risk__unfilled="replace", risk__max_replaces=0))
    assert "risk.max_replaces is 0" in never
    [market] = warnings(settings(risk__unfilled="replace", risk__entry_kind="market"))
    assert "risk.entry_kind is market" in market
    assert warnings(settings(risk__unfilled="replace")) == ()


def test_a_day_without_an_exit_that_cuts_a_loss_is_told():
    off = {"exits.stop_loss_bp": 0, "exits.trailing_bp": 0}
    assert ["no loss is ever cut" in said for said in warnings(settings(**off))] == [True]
    assert warnings(settings(**off, exits__hold_minutes=1)) == ()
