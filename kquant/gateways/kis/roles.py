"""A run's clients of KIS: a line for the key that trades, and one for the key that reads what the paper service lacks.

Nothing starts before keys, hosts and account are seen to belong together: by what is declared here (`check_belonging`),
then by KIS itself (`Roles.prove`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from msgspec import Struct

from kquant.gateways.clock import Clock
from kquant.gateways.kis.auth import Secrets
from kquant.gateways.kis.calls import DataCalls, KisCalls, TradingCalls
from kquant.gateways.kis.endpoints import Environment
from kquant.gateways.kis.environment import KEY_OF, SERVICES, Purpose, check_belonging, start_error
from kquant.gateways.kis.errors import KisError
from kquant.gateways.kis.limits import Limiter, limit_for
from kquant.gateways.kis.rest import Line, ReadOnlyClient, TradingClient, some_jitter
from kquant.settings import BrokerSettings

LACKING = (
    "rankings and the scan",
    "condition searches and watch lists",
    "news",
    "the broker's holidays",
    "program trading",
)
"""What a run on paper does without when there is no data key."""


class Key(Struct, frozen=True, kw_only=True):
    """One app key. purpose: what it was given for, which says whose it is.   since: the day of its issue, None unknown.

    account: "12345678-01", "" for a key that only reads.
    """

    purpose: Purpose
    secrets: Secrets
    account: str = ""
    hts_id: str = ""
    since: date | None = None


class Roles:
    """The clients of one run. calls: everything, answered by whichever client can.   data: a key of its own, or None."""

    def __init__(self, trading: Line, data: Line | None, key: Key, data_hts_id: str) -> None:
        self.trading_line = trading
        self.data_line = data
        # The same HTS id owns the conditions and watch lists of every key of a customer.
        self.data = None if data is None else DataCalls(ReadOnlyClient(data), data_hts_id)
        client = TradingClient(trading)
        self.trading = TradingCalls(client, key.account)
        self.calls = KisCalls(client, key.account, self.data, hts_id=key.hts_id)

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return each key's line once."""
        return (self.trading_line,) if self.data_line is None else (self.trading_line, self.data_line)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Return what this run does without, in words; empty when nothing is missing."""
        return LACKING if self.trading_line.environment == "paper" and self.data_line is None else ()

    async def start(self) -> None:
        """Open the connections. Nothing is sent."""
        for line in self.lines:
            await line.start()

    async def close(self) -> None:
        """Close the connections."""
        for line in self.lines:
            await line.close()

    async def prove(self) -> None:
        """Have KIS take both keys and the account: two calls, and a token each if none is kept.

        Raises StartError, which says what to do, if keys, host and account do not belong together; else KisError.
        """
        who = f"the {self.trading_line.environment} keys"
        try:
            await self.trading.balance()
            if self.data is not None:
                who = "the data key"
                await self.data.news()  # only a real key gets an answer to this
        except KisError as error:
            raise start_error(error, who) or error from None

    async def renew_if_due(self, before: float) -> None:
        """Renew the tokens that would end before *before* (seconds since 1970): called in the morning."""
        for line in self.lines:
            await line.auth.renew_if_due(before)

    async def approval_key(self, *, renew: bool = False) -> str:
        """Return the approval key of the account's line: for its execution notices."""
        return await self.trading_line.auth.approval_key(renew=renew)

    async def data_approval_key(self, *, renew: bool = False) -> str:
        """Return the approval key of the line that data come from."""
        return await self.lines[-1].auth.approval_key(renew=renew)


def open_roles(
    broker: BrokerSettings,
    clock: Clock,
    day: date,
    *,
    environment: Environment,
    key: Key,
    data_key: Key | None,
    rest_url: str,
    tokens: Path,
    ws_urls: tuple[str, ...] = (),
    data_rest_url: str = SERVICES["real"].rest_url,
    jitter: Callable[[], int] = some_jitter,
) -> Roles:
    """Build a run's clients; nothing is sent yet. tokens: folder of the owner-only token files.

    jitter: `no_jitter` on a stepped clock.   data_key: left aside on the real service, whose key can do all by itself.
    Raises StartError if what is given does not belong together.
    """
    kind = KEY_OF[key.purpose]
    check_belonging(environment, urls=(rest_url, *ws_urls), key=kind, account=kind if key.account else None)
    advice = f"set {broker.data_app_key_env} and {broker.data_app_secret_env} to those of a real key, which only reads"

    def line(of: Key, url: str, whose: Environment) -> Line:
        since = of.since
        if since is None and of is key and broker.key_since:
            since = date.fromisoformat(broker.key_since)
        limit = limit_for(broker, whose, day, since)
        limiter = Limiter(limit.per_second, clock, gap_us=limit.gap_us, reserved=limit.reserved if of is key else 0)
        return Line(
            url, of.secrets, clock, limiter, environment=whose, timeout_seconds=broker.rest_timeout_seconds,
            token_file=tokens / f"token-{of.purpose}.json", advice=advice, jitter=jitter,
        )  # fmt: skip

    trading = line(key, rest_url, environment)
    if data_key is None or environment == "real":
        return Roles(trading, None, key, key.hts_id)
    check_belonging("real", urls=(data_rest_url,), key=KEY_OF[data_key.purpose], account=None)
    return Roles(trading, line(data_key, data_rest_url, "real"), key, data_key.hts_id or key.hts_id)
