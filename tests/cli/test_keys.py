"""Keys come from the environment or an owner-only file, are checked by form, and are never shown."""

import os
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.cli.keys import (
    Keys,
    KeysError,
    KeysFile,
    check_keys,
    data_keys,
    expiry_warning,
    read_keys,
    trading_keys,
    write_keys,
)
from kquant.config import load

KEY, SECRET = "PK" + "k" * 34, "s" * 180
PAPER = Keys(account="50001234-01", hts_id="me", app_key=KEY, app_secret=SECRET, issued="2026-01-05")
BROKER = load("paper", environ={}).settings.broker
ENVIRONMENT = {"KIS_ACCOUNT": "50001234-01", "KIS_HTS_ID": "me", "KIS_APP_KEY": KEY, "KIS_APP_SECRET": SECRET}


def broker(path):
    return load("paper", environ={}, sets={"broker.keys_file": str(path)}).settings.broker


def test_the_file_gives_back_what_was_written_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "deep" / "keys.toml"
    written = KeysFile(paper=PAPER, data=Keys(app_key=KEY, app_secret='quo"te\\' + "s" * 173))
    write_keys(path, written)
    assert read_keys(path) == written
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o640)
        with pytest.raises(KeysError, match="can be read by others: chmod 600"):
            read_keys(path)


@given(st.text(min_size=1, max_size=40).filter(str.isprintable))
def test_any_text_survives_the_file(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("keys") / "keys.toml"
    write_keys(path, KeysFile(live=Keys(hts_id=text, app_key=KEY, app_secret=SECRET)))
    assert read_keys(path).live.hts_id == text


def test_the_environment_comes_before_the_file_and_is_all_or_nothing(tmp_path):
    write_keys(tmp_path / "keys.toml", KeysFile(paper=PAPER))
    here = broker(tmp_path / "keys.toml")
    assert trading_keys("paper", here, {}).issued == "2026-01-05"
    assert trading_keys("paper", here, ENVIRONMENT).issued == ""
    with pytest.raises(KeysError, match="not KIS_APP_SECRET: set all of them, or none"):
        trading_keys("paper", here, {name: value for name, value in ENVIRONMENT.items() if name != "KIS_APP_SECRET"})


def test_no_keys_at_all_says_how_to_give_them(tmp_path):
    with pytest.raises(KeysError, match="run `kquant init --profile live`, or set KIS_ACCOUNT, KIS_HTS_ID"):
        trading_keys("live", broker(tmp_path / "none.toml"), {})
    assert data_keys(broker(tmp_path / "none.toml"), {}) is None
    assert data_keys(BROKER, {"KIS_DATA_APP_KEY": KEY, "KIS_DATA_APP_SECRET": SECRET}) is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"account": "5000123401"}, "12345678-01"),
        ({"hts_id": "me@home"}, "HTS id"),
        ({"hts_id": ""}, "HTS id"),
        ({"app_key": KEY[:-1]}, "app key has 35 characters"),
        ({"app_secret": SECRET + "x"}, "app secret has 181 characters"),
        ({"issued": "soon"}, "'soon' is not a date"),
    ],
)
def test_keys_of_the_wrong_form_are_refused_without_being_shown(change, said):
    fields = {name: getattr(PAPER, name) for name in PAPER.__struct_fields__} | change
    with pytest.raises(KeysError, match=said) as raised:
        check_keys(Keys(**fields), "paper")
    assert KEY[:-1] not in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "text", ['[paper]\napp_key = "SECRET', '[paper]\napp_key = 5\napp_secret = "SECRET"', "[x]\na=1"]
)
def test_a_broken_file_is_one_line_without_its_contents(tmp_path, text):
    path = tmp_path / "keys.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeysError) as raised:
        read_keys(path)
    assert "SECRET" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_keys_are_not_shown_by_repr():
    assert KEY not in repr(PAPER)
    assert SECRET not in repr(PAPER)
    assert "1234" not in repr(PAPER)


def test_an_app_key_near_the_end_of_its_year_is_warned_about():
    assert expiry_warning(PAPER, date(2026, 12, 5)) is None
    assert "2027-01-05" in expiry_warning(PAPER, date(2026, 12, 6))
    assert expiry_warning(Keys(app_key=KEY, app_secret=SECRET), date(2030, 1, 1)) is None
