"""The published python-kis against the look-alike on the layout of its days: unchanged but for its hosts. kis-protocol 7.6."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.standing import Standing, started
from tests.strangers.look import busiest

CLIENT = Path(__file__).with_name("python_kis.py")
CODES = 3
LIVELY = ("--generate", "3", "--stocks", "1000", "--holdings", "3")
"""A market whose busiest stocks trade nearly every second from its open on."""


@pytest.fixture(scope="module")
def exchange() -> Iterator[Standing]:
    with started(*LIVELY, "--clock", "wall", "--open-now", "--layout", "2025") as running:
        yield running


def day_with_it(exchange: Standing, service: str) -> tuple[list[str], dict[str, Any]]:
    """Let the package live through its day in a process of its own, where its warnings are its own affair."""
    codes = busiest(exchange, CODES)
    done = subprocess.run(
        [sys.executable, str(CLIENT), json.dumps(exchange.info), ",".join(codes), service],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | {"PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    for trouble in ("failed to", "Failed to", "Traceback", "Unexpected error", "No encryption key"):
        assert trouble not in done.stderr + done.stdout, done.stderr[-2_000:]
    return codes, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("service", ["paper", "real"])
def test_it_logs_in_reads_subscribes_trades_and_survives_a_throttle(exchange: Standing, service: str) -> None:
    codes, seen = day_with_it(exchange, service)
    first = codes[0]
    assert len(seen["stocks"]) == 3
    assert seen["cash"] == 100_000_000
    assert seen["orders_before"] == 0
    assert (seen["quote"]["symbol"], seen["asks"]) == (first, 10)
    assert 0 < seen["quote"]["low_limit"] < seen["quote"]["price"]
    assert seen["bars"] > 15

    assert set(seen["wanted"]) <= set(seen["registered"])
    assert len(seen["trades"]) >= 3
    assert {code for code, *_ in seen["trades"]} <= set(codes)
    assert all(price > 0 and volume > 0 for _, price, volume, _ in seen["trades"])
    assert {tuple(row) for row in seen["books"]} == {(first, 10, 10)}

    traded, branch = seen["traded"], "00950" if service == "paper" else "06010"
    assert seen["branch"] == branch
    assert seen["of_order"]
    for one in seen["of_order"]:
        assert (one["number"], one["branch"], one["symbol"]) == (seen["bought"][-1], branch, traded)
        assert (one["side"], one["rejected"]) == ("buy", False)
    fills = [one for one in seen["notices"] if not one["receipt"] and one["number"] in seen["bought"]]
    assert sum(one["executed"] for one in fills) == 2 * len(seen["bought"])
    assert all(one["price"] > 0 and one["qty"] == 2 for one in fills)
    receipts = {one["number"] for one in seen["notices"] if one["receipt"]}
    assert {*seen["bought"], seen["resting"], seen["cancelled"]} <= receipts
    assert {int(number): count for number, count in seen["listed"].items()}.items() >= {
        (seen["bought"][-1], 2),
        (seen["resting"], 0),
        (seen["cancelled"], 0),
    }
    assert seen["after"][traded] == seen["stocks"].get(traded, 0) + 2 * len(seen["bought"])
    assert len(seen["prices"]) == 50
