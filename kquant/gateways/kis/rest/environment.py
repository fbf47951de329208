"""The two services of KIS, real and paper: hosts, page sizes, and whether keys, host and account belong together.

Sources: kis-protocol 1.1 (hosts), 1.9 (what a mix-up looks like), 4.1, 4.5, 4.6; `reliability` X4 and row 64.
"""

from __future__ import annotations

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from kquant.gateways.kis.rest.endpoints import Environment
from kquant.gateways.kis.rest.errors import KisError, KisRefused, StartError


class Service(Struct, frozen=True, kw_only=True):
    """One of the two services. balance_rows, execution_rows: of a page.   branch: what its samples name.

    venues: EXCG_ID_DVSN_CD that lists all of the account's orders.   success: msg_cd of an order taken (a hint only).
    """

    rest_url: str
    ws_url: str
    balance_rows: int
    execution_rows: int
    branch: str
    venues: str
    success: frozenset[str]


SERVICES: dict[Environment, Service] = {
    "real": Service(
        rest_url="https://openapi.koreainvestment.com:9443",
        ws_url="ws://ops.koreainvestment.com:21000",
        balance_rows=50,
        execution_rows=100,
        branch="06010",
        venues="ALL",
        success=frozenset({"APBK0013"}),
    ),
    "paper": Service(
        rest_url="https://openapivts.koreainvestment.com:29443",
        ws_url="ws://ops.koreainvestment.com:31000",
        balance_rows=20,
        execution_rows=15,
        branch="00950",
        venues="KRX",
        success=frozenset({"40600000", "40590000"}),
    ),
}
MASTER_URL = "https://new.real.download.dws.co.kr"
"""Where the stock master files lie; they need no key and are the same for both services (kis-protocol 4.8)."""


def service_of(url: str) -> Environment | Literal["loopback"]:
    """Return whose host a REST or feed address is. Raises StartError for one that is nobody's."""
    try:
        parts = urlsplit(url)
        # The scheme counts: over plain HTTP the app secret would travel in the clear.
        where = (parts.scheme, parts.hostname or "", parts.port)
    except ValueError:
        raise StartError(f"{url!r} is no address: write scheme://host:port") from None
    if parts.username is not None or parts.password is not None:
        raise StartError(f"the address of {where[1]} holds a user name or password: write scheme://host:port")
    for environment, service in SERVICES.items():
        known = [urlsplit(each) for each in (service.rest_url, service.ws_url)]
        if where in {(each.scheme, each.hostname, each.port) for each in known}:
            return environment
    if where[1] == "localhost" or _is_loopback(where[1]):
        return "loopback"
    expected = ", ".join(service.rest_url for service in SERVICES.values())
    raise StartError(f"{url!r} is no host of KIS: use {expected}, or a look-alike on this machine")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_belonging(
    environment: Environment, *, urls: tuple[str, ...], key: Environment, account: Environment | None
) -> None:
    """Refuse any mix of real and paper. environment: whose TR ids are sent.   account: None for a key that only reads.

    A look-alike on loopback plays either service. Raises StartError naming what does not fit and what to do.
    """
    for url in urls:
        host = service_of(url)
        if host not in {environment, "loopback"}:
            raise StartError(
                f"the {environment} service is spoken to, but {url} is the {host} one: choose the profile that fits, "
                "or leave broker.rest_url and broker.ws_url as the profile has them"
            )
    if len({service_of(url) for url in urls}) > 1:
        raise StartError(
            f"{' and '.join(urls)} are not the same service: prices of one must never lead to orders at the other"
        )
    if key != environment:
        raise StartError(
            f"a {key} app key does not open the {environment} service: give the {environment} one, "
            f"or choose the profile of the {key} service"
        )
    if account is not None and account != environment:
        raise StartError(
            f"a {account} account cannot be traded on the {environment} service: give the {environment} account number, "
            f"or choose the profile of the {account} service"
        )


_MIXED_UP = {
    "EGW02004": "the real service was called with a paper key: put the real app key and secret there",
    "EGW00310": "the service does not know the calls of the profile: broker.rest_url is that of the other service",
    "EGW02006": "the paper service was sent the real one's calls: broker.rest_url is that of the other service",
    "EGW02007": "the paper service was called with a real key: put the paper app key and secret there",
    "EGW00003": "KIS denies this key access: look at its state at KIS Developers",
    "EGW00004": "KIS has not authorised this key: look at its state at KIS Developers",
    "EGW00102": "no app key was sent: set it",
    "EGW00103": "KIS does not know the app key: copy it again from KIS Developers, or renew it (a key lives a year)",
    "EGW00104": "no app secret was sent: set it",
    "EGW00105": "the app secret does not belong to the app key: copy both again from KIS Developers",
    "EGW00128": "the account number is malformed: write 12345678-01",
    "EGW00206": "this key has no permission for the API: apply for it at KIS Developers",
    "EGW00304": "the app secret is not valid: copy it again from KIS Developers",
    "OPSQ2000": "the account number does not belong to this key: look at the number and its two last digits (01 for stocks)",
    "IGW00002": "the account does not match the key, or is not registered for the service: look at both",
}
"""What KIS says when keys, host and account do not belong together, and what a person has to do."""


def start_error(error: KisError, who: str) -> StartError | None:
    """Return the error to stop a start with, None if *error* says nothing against keys, host and account.

    who: which keys were used, in words ("the paper keys").
    """
    if not isinstance(error, KisRefused):
        return error if isinstance(error, StartError) else None
    advice = _MIXED_UP.get(error.code)
    return None if advice is None else StartError(f"{who}: {advice} (KIS says {error})")
