"""`kquant config check` tells of a calendar that ends soon."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from kquant.cli.app import main
from kquant.values import KST


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["config", "check", *arguments]) == 0
    return capsys.readouterr().out


def day(days: int) -> str:
    return (datetime.now(KST).date() + timedelta(days=days)).isoformat()


def test_a_calendar_that_ends_soon_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    said = check(capsys, "--set", f'krx.calendar.last_day="{day(20)}"')
    assert f"warning: the calendar ends on {day(20)}" in said


def test_the_warnings_are_in_the_json_answer(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(check(capsys, "--json", "--set", f'krx.calendar.last_day="{day(20)}"'))
    assert answer["ok"] is True
    assert [text.partition(":")[0] for text in answer["warnings"]] == [f"the calendar ends on {day(20)}"]


def test_a_calendar_that_lasts_is_not_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    said = check(
        capsys,
        "--set",
        f'krx.calendar.last_day="{day(60)}"',
        "--set",
        f'krx.calendar.announced_until="{day(60)}"',
    )
    assert "warning" not in said
