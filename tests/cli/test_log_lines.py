"""What a run says on standard error beside its screen."""

from __future__ import annotations

import datetime as dt
from typing import Any

import structlog

from kquant.cli import app


def test_a_log_line_tells_the_time_in_korea_and_says_so(monkeypatch, capsys):
    class Morning(dt.datetime):
        """A minute to midnight on a machine that keeps UTC."""

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return dt.datetime(2026, 11, 19, 23, 59, 58, tzinfo=dt.UTC).astimezone(tz)

    monkeypatch.setattr(app, "datetime", Morning)
    before = structlog.get_config()
    try:
        app._configure_logs()
        structlog.get_logger("kquant.run").warning("the key ends soon")
    finally:
        structlog.configure(**before)
    assert capsys.readouterr().err.startswith("08:59:58 KST [warning")
