"""Ask KIS whether keys work: a token, and one balance or one question about the calendar. Never an order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kquant.cli.days import account_name
from kquant.cli.keys import Keys, Purpose
from kquant.cli.lines import Hosts, Lines
from kquant.gateways.clock import WallClock
from kquant.gateways.kis.rest.auth import Secrets
from kquant.gateways.kis.rest.calls import DataCalls
from kquant.gateways.kis.rest.client import RestClient
from kquant.gateways.kis.rest.endpoints import Environment
from kquant.gateways.kis.rest.environment import check_belonging, start_error
from kquant.gateways.kis.rest.errors import KisError, StartError
from kquant.settings import BrokerSettings, Settings
from kquant.values import to_kst


async def probe(purpose: Purpose, keys: Keys, settings: Settings) -> list[str]:
    """Return what KIS said, a line each. Raises StartError in one line if the keys do not work or KIS does not answer.

    An account's token is kept where its runs look for it, because KIS gives one a minute.
    """
    broker = settings.broker
    try:
        if purpose == "data":
            with tempfile.TemporaryDirectory(prefix="kquant-init-") as folder:
                return await _data(keys, broker, Path(folder))
        tokens = Path(settings.journal.data) / account_name(keys.account)
        tokens.mkdir(parents=True, exist_ok=True)
        return await _account(purpose, keys, broker, tokens)
    except OSError as error:
        raise StartError(f"cannot write beside the days: {error.strerror or error}") from None
    except KisError as error:
        raise (start_error(error, f"the {purpose} keys") or StartError(_unanswered(purpose, error))) from None


async def _account(purpose: Purpose, keys: Keys, broker: BrokerSettings, tokens: Path) -> list[str]:
    clock = WallClock()
    hosts = Hosts(rest_url=broker.rest_url, ws_url=broker.ws_url)
    environment: Environment = "paper" if purpose == "paper" else "real"
    async with Lines(broker, environment, hosts, keys, clock, tokens=tokens, today=to_kst(clock.now()).date()) as lines:
        balance = await lines.calls.balance()
    held = len(balance.holdings)
    return [f"{purpose}: KIS answers · cash D+2 {balance.cash_krw:,}원 · {held} holding{'' if held == 1 else 's'}"]


async def _data(keys: Keys, broker: BrokerSettings, folder: Path) -> list[str]:
    clock = WallClock()
    check_belonging("real", urls=(broker.data_rest_url, broker.data_ws_url), key="real", account=None)
    client = RestClient(
        broker.data_rest_url,
        Secrets(keys.app_key, keys.app_secret),
        clock,
        per_second=1,
        timeout_seconds=broker.rest_timeout_seconds,
        token_file=folder / "token.json",
    )
    await client.start()
    try:
        day = to_kst(clock.now())
        opens = await DataCalls(client).is_open_day(f"{day:%Y%m%d}")
    finally:
        await client.close()
    return [f"data: KIS answers · the exchange {'opens' if opens else 'is closed'} on {day:%Y-%m-%d}"]


def _unanswered(purpose: Purpose, error: KisError) -> str:
    return f"the {purpose} keys could not be tried: {error}. Try again later, or write them unchecked with --no-check"
