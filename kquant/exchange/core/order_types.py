"""ORD_DVSN: what each order type is, where and when it is taken. Source: kis-protocol.md 4.9, 5.1."""

from typing import Final, Literal

from msgspec import Struct

from kquant.exchange.core.books import Environment, Venue

Pricing = Literal["limit", "market", "conditional", "best", "priority", "closing", "midpoint", "stop"]
"""How an order gets its price: `best` from the opposite side, `priority` from its own, `closing` a fixed close."""
Session = Literal["pre_open", "regular", "post_close", "after"]
Condition = Literal["", "IOC", "FOK"]


class OrderType(Struct, frozen=True, kw_only=True):
    """One ORD_DVSN code."""

    code: str
    name: str
    """ord_dvsn_name."""
    pricing: Pricing
    condition: Condition = ""
    session: Session = "regular"
    venues: tuple[Venue, ...] = ("KRX",)
    in_auction: bool = False
    """Whether a single-price call auction takes it: KRX takes limit, market and conditional orders there."""
    paper: bool = False

    @property
    def priced(self) -> bool:
        """Whether the order carries a limit price of its own (ORD_UNPR)."""
        return self.pricing in ("limit", "conditional", "stop")

    @property
    def condition_code(self) -> str:
        """ODER_COND of a notice: 0 none, 1 IOC, 2 FOK."""
        return {"": "0", "IOC": "1", "FOK": "2"}[self.condition]


_ALL: Final = ("KRX", "NXT", "SOR")
_DIRECT: Final = ("KRX", "NXT")


def _type(
    code: str,
    name: str,
    pricing: Pricing,
    venues: tuple[Venue, ...],
    condition: Condition = "",
    session: Session = "regular",
    *,
    in_auction: bool = False,
) -> OrderType:
    return OrderType(
        code=code,
        name=name,
        pricing=pricing,
        condition=condition,
        session=session,
        venues=venues,
        in_auction=in_auction,
        paper=code in ("00", "01", "02", "03", "04"),
    )


TYPES: Final = {
    row.code: row
    for row in (
        _type("00", "지정가", "limit", _ALL, in_auction=True),
        _type("01", "시장가", "market", ("KRX", "SOR"), in_auction=True),
        _type("02", "조건부지정가", "conditional", ("KRX",), in_auction=True),
        _type("03", "최유리지정가", "best", _ALL),
        _type("04", "최우선지정가", "priority", _ALL),
        _type("05", "장전 시간외", "closing", ("KRX",), session="pre_open"),
        _type("06", "장후 시간외", "closing", ("KRX",), session="post_close"),
        _type("11", "IOC지정가", "limit", _ALL, "IOC"),
        _type("12", "FOK지정가", "limit", _ALL, "FOK"),
        _type("13", "IOC시장가", "market", ("KRX", "SOR"), "IOC"),
        _type("14", "FOK시장가", "market", ("KRX", "SOR"), "FOK"),
        _type("15", "IOC최유리", "best", _ALL, "IOC"),
        _type("16", "FOK최유리", "best", _ALL, "FOK"),
        _type("21", "중간가", "midpoint", _DIRECT),
        _type("22", "스톱지정가", "stop", _DIRECT),
        _type("23", "중간가IOC", "midpoint", _DIRECT, "IOC"),
        _type("24", "중간가FOK", "midpoint", _DIRECT, "FOK"),
        _type("41", "애프터마켓 지정가", "limit", ("KRX",), session="after"),
        _type("42", "애프터마켓 지정가IOC", "limit", ("KRX",), "IOC", "after"),
        _type("43", "애프터마켓 지정가FOK", "limit", ("KRX",), "FOK", "after"),
        _type("44", "애프터마켓 최유리", "best", ("KRX",), session="after"),
        _type("45", "애프터마켓 최유리IOC", "best", ("KRX",), "IOC", "after"),
        _type("46", "애프터마켓 최유리FOK", "best", ("KRX",), "FOK", "after"),
        _type("47", "애프터마켓 최우선", "priority", ("KRX",), session="after"),
    )
}
"""Types taken here. 07 ended on 2026-09-14 and is not played before it; 27-29 belong to NXT's pre-market, which has
no book here."""


def type_of(division: str, venue: Venue, environment: Environment) -> OrderType | None:
    """Return the order type when *environment* and *venue* take it, else None."""
    found = TYPES.get(division)
    if found is None or venue not in found.venues or (environment == "paper" and not found.paper):
        return None
    return found
