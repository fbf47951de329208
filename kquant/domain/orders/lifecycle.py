"""The life of one intended order: one table, which step leads from which stage to which (O4).

                      ┌ order.expired, order.blocked ──────────────► expired, blocked
    orders.intended ► intended ─ order.send_started ► sent ┬ order.refused ► refused
                                                           ├ order.accepted ► accepted ─ orders.bound ┐
                                                           └ order.unknown ► unknown ┬ orders.bound ──┤
                       none of the lists shows it: orders.finished ► not_placed ◄────┘                │
                                               orders.bound, found late └───────────────► working ◄───┘
    working, partly_filled ─ orders.filled ► partly_filled, and filled with the last share
    working, partly_filled ─ orders.finished ► cancelled, replaced, refused, expired

`orders.*` are the owner's own steps, `order.*` the gateway's. A terminal stage is left by the broker's evidence alone: a
late binding, or a fill that was listed after the session. Own state is folded from own steps and cannot see the
gateway's: `next_stage` lets those pass in between. `follow` takes every step, for views and for the proof that a recorded
history is one of this table. Denied is our word and no stage: no order ever was. Refused is the broker's.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from kquant.events.orders import IntentReason
from kquant.values import IntentId, KquantError, Krw, Micros, OrderKind, Seq, Shares, Side, Symbol

State = Literal["intended", "working", "finished"]
Outcome = Literal["filled", "cancelled", "replaced", "refused", "expired", "blocked", "not_placed"]
Stage = Literal["intended", "sent", "accepted", "unknown", "working", "partly_filled"] | Outcome

BOUND: Final = "bound"
PART: Final = "filled in part"
WHOLE: Final = "filled whole"
RESIZED: Final = "resized"
CANCEL: Final = "cancel wanted"
SENT: Final = "sent"
ACCEPTED: Final = "accepted by the broker"
REFUSED: Final = "refused by the broker"
UNKNOWN: Final = "unknown to the gateway"
EXPIRED: Final = "expired at the gateway"
BLOCKED: Final = "blocked at the gateway"
GATEWAY: Final = frozenset({SENT, ACCEPTED, REFUSED, UNKNOWN, EXPIRED, BLOCKED})
"""Steps of the order gateway; all others are the owner's own. `orders.finished` is the step named by its outcome."""

TABLE: Final[dict[tuple[Stage, str], Stage]] = {
    ("intended", SENT): "sent",
    ("intended", EXPIRED): "expired",
    ("intended", BLOCKED): "blocked",
    ("sent", ACCEPTED): "accepted",
    ("sent", REFUSED): "refused",
    ("sent", UNKNOWN): "unknown",
    # The gate is asked once more in the instant of the POST.
    ("sent", EXPIRED): "expired",
    ("sent", BLOCKED): "blocked",
    ("accepted", BOUND): "working",
    ("unknown", BOUND): "working",
    ("unknown", "not_placed"): "not_placed",
    # Its number was another's, and no list shows it.
    ("accepted", "not_placed"): "not_placed",
    ("not_placed", BOUND): "working",
    # An answer after the doubt: an acceptance names the order, a refusal proves nothing any more.
    ("unknown", ACCEPTED): "accepted",
    ("unknown", REFUSED): "unknown",
    ("not_placed", ACCEPTED): "accepted",
    ("working", ACCEPTED): "working",
    ("refused", "refused"): "refused",
    ("expired", "expired"): "expired",
    ("blocked", "blocked"): "blocked",
    ("working", PART): "partly_filled",
    ("partly_filled", PART): "partly_filled",
    ("working", WHOLE): "filled",
    ("partly_filled", WHOLE): "filled",
    ("filled", "filled"): "filled",
    # It took over fewer shares than it was meant for, and those had filled.
    ("partly_filled", "filled"): "filled",
    ("working", "cancelled"): "cancelled",
    ("working", "replaced"): "replaced",
    ("working", "refused"): "refused",
    ("working", "expired"): "expired",
    ("partly_filled", "cancelled"): "cancelled",
    ("partly_filled", "replaced"): "replaced",
    ("partly_filled", "refused"): "refused",
    ("partly_filled", "expired"): "expired",
    ("working", RESIZED): "working",
    ("partly_filled", RESIZED): "partly_filled",
    ("working", CANCEL): "working",
    ("partly_filled", CANCEL): "partly_filled",
    # Listed late: what the broker filled is ours, whatever we took the order for.
    ("cancelled", PART): "cancelled",
    ("replaced", PART): "replaced",
    ("expired", PART): "expired",
    ("refused", PART): "refused",
    ("cancelled", WHOLE): "filled",
    ("replaced", WHOLE): "filled",
    ("expired", WHOLE): "filled",
    ("refused", WHOLE): "filled",
}
BEFORE: Final[frozenset[Stage]] = frozenset({"intended", "sent", "accepted", "unknown"})
"""It may still reach the broker, or have reached it: no number yet."""
AT_WORK: Final[frozenset[Stage]] = frozenset({"working", "partly_filled"})


class IllegalTransition(KquantError):
    """An event that the order's stage does not allow."""


class Order(Struct, frozen=True, kw_only=True):
    """One intent and what became of it. Quantities in shares, amounts in won, both cumulative.

    stage: as far as own events tell, so never one of the gateway's in between (`seen_stage` adds those).
    is_finished: `orders.finished` was said.   fills: how many `orders.filled` were said.   cancels: how many cancels were
    asked for.   is_late: it was given up as not placed and appeared afterwards.   replaces: the intent whose place it takes.
    """

    intent: IntentId
    code: Symbol
    name: str
    side: Side
    qty: Shares
    kind: OrderKind
    price: Krw
    reason: IntentReason
    decision: Seq
    reserved_krw: Krw
    valid_until: Micros
    stage: Stage = "intended"
    is_finished: bool = False
    order_no: str = ""
    branch: str = ""
    filled_qty: Shares = Shares(0)
    filled_amount: Krw = Krw(0)
    fills: int = 0
    cancels: int = 0
    is_late: bool = False
    replaces: IntentId | None = None

    @property
    def state(self) -> State:
        """Return where it stands in short. Filled, it works until its end is written down in the same breath."""
        if self.is_finished:
            return "finished"
        return "intended" if self.stage in BEFORE else "working"

    @property
    def outcome(self) -> Outcome | None:
        """Return how it ended, None while it has not."""
        if not self.is_finished or self.stage in BEFORE or self.stage in AT_WORK:
            return None
        return self.stage  # type: ignore[return-value]  # every other stage is an outcome

    @property
    def is_live(self) -> bool:
        """Tell whether it works, may work, or may still reach the broker."""
        return not self.is_finished


def follow(stage: Stage, step: str) -> Stage:
    """Return the stage after *step*, one of ours or of the gateway's. Raises IllegalTransition."""
    found = TABLE.get((stage, step))
    if found is None:
        raise IllegalTransition(f"an order that is {stage} cannot take the step {step!r}")
    return found


def _hidden(stage: Stage) -> tuple[Stage, ...]:
    """Return every stage that gateway steps alone lead to from *stage*, itself first."""
    found = [stage]
    for one in found:
        found += [
            after for (before, step), after in TABLE.items() if before == one and step in GATEWAY and after not in found
        ]
    return tuple(found)


_STAGES: Final = dict.fromkeys([*(before for before, _ in TABLE), *TABLE.values()])
_HIDDEN: Final[dict[Stage, tuple[Stage, ...]]] = {stage: _hidden(stage) for stage in _STAGES}
_AT_WORK_ONLY: Final = frozenset({PART, WHOLE, RESIZED, CANCEL})


def next_stage(order: Order, step: str) -> Stage:
    """Return the stage after an own *step*, with whatever the gateway may have done before it. Raises IllegalTransition.

    What happens to a number at the broker follows a binding, which is ours: nothing is hidden before it.
    """
    for stage in (order.stage,) if step in _AT_WORK_ONLY else _HIDDEN[order.stage]:
        found = TABLE.get((stage, step))
        if found is not None:
            return found
    raise IllegalTransition(f"intent {order.intent} is {order.stage}: {step!r} cannot follow")
