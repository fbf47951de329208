"""How much of a holding may be offered: what outside sells leave of it, and after a lost sell what the broker proves (O9).

Orders placed elsewhere (HTS, MTS) are counted and never touched: shares they have on offer are not ours to offer. A sell
whose send is unknown and which no list shows goes again only on proof (C0.6, D13): a balance asked for after it was given
up says how many shares are free, and shares tied in an open sell are not. Buys have no such bound.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kquant.domain.orders.draft import Draft
from kquant.domain.orders.seen import Seen
from kquant.domain.orders.state import Own
from kquant.events.orders import ProofWanted
from kquant.values import SECOND_US, IntentId, Seq, Shares, Symbol

TIED_OUTSIDE: Final = "TIED_OUTSIDE"
SELL_UNPROVEN: Final = "SELL_UNPROVEN"
PARKED: Final = "parked"
"""The alarm for another balance of a stock of which a fill could not be booked."""
PARKED_AGAIN_US: Final = 20 * SECOND_US


class Withheld(Struct, frozen=True, kw_only=True):
    """Why a sell waits: its code, shares that may be sold, shares that were to be."""

    rule: str
    value: int
    limit: int


def tied_outside(own: Own, seen: Seen, code: Symbol) -> Shares:
    """Return the shares of a stock that orders placed elsewhere have on offer, by the last list."""
    leaves = seen.heard.sell_leaves
    return Shares(
        sum(leaves.get(number, 0) for number, one in own.externals.items() if (one.code, one.side) == (code, "sell"))
    )


def on_offer(own: Own, seen: Seen, code: Symbol) -> Shares:
    """Return how many shares of a holding we may offer, 0 without one."""
    held = seen.positions.get(code)
    if held is None:
        return Shares(0)
    free = Shares(max(held.qty - tied_outside(own, seen, code), 0))
    # Where a fill could not be booked, ours is off by it: the broker's word counts.
    return min(free, _proven(seen, code, seen.parked[code])) if code in seen.parked else free


def _proven(seen: Seen, code: Symbol, since: Seq) -> Shares:
    """Return what a balance asked for after that place says may be sold, 0 before one."""
    heard = seen.heard
    return heard.sellable.get(code, Shares(0)) if heard.balance_of > since else Shares(0)


def withheld(own: Own, seen: Seen, code: Symbol) -> Withheld | None:
    """Return why nothing of a holding may be offered now, None if `on_offer` may go."""
    held, free = seen.positions.get(code), on_offer(own, seen, code)
    if held is not None and free == 0:
        return Withheld(rule=SELL_UNPROVEN if code in seen.parked else TIED_OUTSIDE, value=0, limit=held.qty)
    given_up = own.unproven.get(code)
    if given_up is None:
        return None
    proven = _proven(seen, code, given_up)
    return None if proven >= free else Withheld(rule=SELL_UNPROVEN, value=proven, limit=free)


def prove_again(draft: Draft, code: Symbol) -> None:
    """Ask for a newer balance if the last one proved nothing, and tell a person the first time."""
    waits = withheld(draft.own, draft.seen, code)
    if waits is None or code in draft.seen.parked or draft.seen.heard.balance_of <= draft.own.unproven[code]:
        return
    lost = max(
        order.intent for order in draft.own.orders.values() if (order.code, order.side) == (code, "sell")
    )  # fmt: skip
    draft.alert(f"{code} is to be sold, but the broker lets go of {waits.value} of {waits.limit} shares: it waits")
    draft.emit(ProofWanted(intent=lost, code=code, decision=draft.fact.seq))


def prove_parked(draft: Draft, code: Symbol) -> None:
    """Have the balance tell what is held of a stock of which a fill could not be booked, until ours is the broker's.

    What may be sold of it is known at once; `portfolio` takes the position over when the stock is quiet.
    """
    if code not in draft.seen.parked or draft.seen.is_closed:
        return
    mine = [order.intent for order in draft.own.orders.values() if order.code == code]
    if not any(order.code == code for order in draft.own.live_orders()):
        intent = max(mine, default=IntentId(0))
        draft.emit(ProofWanted(intent=intent, code=code, decision=draft.fact.seq))
    draft.wake(f"{PARKED}.{code}", draft.at + PARKED_AGAIN_US)


def proved(draft: Draft) -> None:
    """Look at once at the exits that waited for a balance, now that one has come."""
    for code in sorted(draft.own.unproven):
        if draft.held(code) is not None and withheld(draft.own, draft.seen, code) is None:
            draft.wake_exit(code, draft.at)
