"""The execution notices of one account: which are written when. Source: kis-protocol.md 3.4."""

from collections.abc import Callable
from typing import Final

from kquant.exchange.core.books import Environment, Fill, Order
from kquant.exchange.core.order_types import TYPES
from kquant.exchange.core.wire import notice_record

BRANCHES: Final[dict[Environment, str]] = {"real": "06010", "paper": "00950"}
RECEIVED, CONFIRMED, REMAINDER_CANCELLED = "1", "2", "3"
"""ACPT_YN."""


class Notices:
    """Writes the notices of one HTS id's account; `notify` gets each in plain text."""

    def __init__(
        self, environment: Environment, notify: Callable[[str], None], *, hts_id: str, account: str, holder: str
    ) -> None:
        self.branch = BRANCHES[environment]
        self._notify = notify
        self._hts_id = hts_id
        self._account = account
        self._holder = holder

    def taken(self, order: Order) -> None:
        """The exchange took a new order, or the broker a revise or cancel request."""
        self._write(order, order.qty, order.price, order.second, RECEIVED)

    def confirmed(self, request: Order, second: int) -> None:
        """A revise or cancel took effect at *second*."""
        self._write(request, request.qty, request.price, second, CONFIRMED)

    def refused(self, order: Order, second: int) -> None:
        """The exchange refused an order, or a revise or cancel: then the order it meant lives on."""
        self._write(order, order.qty, order.price, second, RECEIVED, rejected=True)

    def dropped(self, order: Order, qty: int, second: int) -> None:
        """What an IOC or FOK order could not fill is cancelled: *qty* shares."""
        self._write(order, qty, order.price, second, REMAINDER_CANCELLED)

    def filled(self, order: Order, fill: Fill) -> None:
        """*order* was executed in part or whole."""
        self._write(order, fill.qty, fill.price, fill.second, CONFIRMED, is_fill=True)

    def _write(
        self,
        order: Order,
        qty: int,
        price: int,
        second: int,
        accepted: str,
        *,
        is_fill: bool = False,
        rejected: bool = False,
    ) -> None:
        self._notify(
            notice_record(
                hts_id=self._hts_id,
                account=self._account,
                order_no=order.no,
                origin=order.origin,
                is_sell=order.side == "sell",
                request={"new": "0", "revise": "1", "cancel": "2"}[order.request],
                division=order.division,
                condition=TYPES[order.division].condition_code,
                code=order.code,
                qty=qty,
                price=price,
                second=second,
                rejected=rejected,
                is_fill=is_fill,
                accepted=accepted,
                branch=self.branch,
                order_qty=order.qty,
                holder=self._holder,
                stop_price=order.stop_price,
                exchange={"KRX": "1", "NXT": "2", "SOR": "3"}[order.venue],
                name=order.name,
                order_price=order.price,
            )
        )
