"""The user acts in the broker's own program: orders placed and cancelled by hand, asked for through the admin port.

They show in the lists and in the notices of the HTS id like any other. Source: kis-protocol.md 3.4, 6 (row 19).
"""

from typing import Any

import msgspec
from msgspec import Struct

from kquant.exchange.core.books import Refusal, Side, Venue
from kquant.exchange.core.service import Service


class HandOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new order; price in won, 0 for types without one."""

    side: Side
    code: str
    qty: int
    price: int = 0
    division: str = "00"
    venue: Venue = "KRX"
    stop_price: int = 0


class HandCancel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cancel *qty* shares of order *no*, or all that is open."""

    no: int
    qty: int | None = None


def act_by_hand(service: Service, call: dict[str, Any]) -> dict[str, Any]:
    """Answer `{"op":"hand","order":{…}}` or `{"op":"hand","cancel":{…}}`: the order's row, or why it is refused."""
    try:
        if "order" in call:
            order = msgspec.convert(call["order"], HandOrder)
            result = service.by_hand(
                lambda desk, second: desk.place(
                    order.side,
                    order.code,
                    order.qty,
                    order.price,
                    order.division,
                    second,
                    venue=order.venue,
                    stop_price=order.stop_price,
                    channel="hand",
                )
            )
        else:
            cancel = msgspec.convert(call.get("cancel"), HandCancel)
            result = service.by_hand(lambda desk, second: desk.cancel(cancel.no, cancel.qty, second))
    except msgspec.ValidationError as error:
        return {"error": f"hand takes an order or a cancel: {error}"}
    if isinstance(result, Refusal):
        return {"error": f"{result.msg_cd} {result.msg1}"}
    return {"ok": True, **msgspec.to_builtins(result)}
