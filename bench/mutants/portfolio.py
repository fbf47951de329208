"""Bugs of the portfolio: won and shares of a fill, and when a balance of the broker is believed."""

from __future__ import annotations

from functools import partial

from bench.mutants.mutant import Mutant

ROOM = "kquant/domain/portfolio"
WIDE = ("tests/orders", "tests/pipeline")


def _of(file: str) -> partial[Mutant]:
    return partial(Mutant, file=f"{ROOM}/{file}.py", near=("tests/portfolio",), wide=WIDE)


_booking, _reconcile, _seen, _asking, _state, _closing, _verdict = (
    _of(file) for file in ("booking", "reconcile", "seen", "asking", "state", "closing", "verdict")
)

MUTANTS = (
    _booking(
        name="a sell is not taxed",
        breaks="M1 exact won",
        old="cash_krw=Krw(own.cash_krw + signed - fee - tax),",
        new="cash_krw=Krw(own.cash_krw + signed - fee),",
    ),
    _booking(
        name="tax is rounded fill by fill",
        breaks="M1 on an order's cumulative amount",
        old="tax = sell_tax(now, table, fund=is_fund) - sell_tax(before, table, fund=is_fund)",
        new="tax = sell_tax(fill.amount_krw, table, fund=is_fund)",
    ),
    _booking(
        name="commission is rounded fill by fill",
        breaks="M1 on an order's cumulative amount",
        old="fee = commission(now, table) - commission(before, table)",
        new="fee = commission(fill.amount_krw, table)",
    ),
    _booking(
        name="funds are taxed and stocks are not",
        breaks="M1 dated tables",
        old="is_fund = fill.code in seen.funds",
        new="is_fund = fill.code not in seen.funds",
    ),
    _booking(
        name="buys are taxed instead of sells",
        breaks="M1 exact won",
        old='tax, signed = 0, -fill.amount_krw\n    if fill.side == "sell":',
        new='tax, signed = 0, -fill.amount_krw\n    if fill.side == "buy":',
    ),
    _booking(
        name="shares bought on top cost nothing",
        breaks="M2 average cost",
        old="Krw(held.cost_krw + fill.amount_krw)",
        new="held.cost_krw",
    ),
    _booking(
        name="a sale takes its proceeds off the cost",
        breaks="M2 cost in proportion",
        old="removed = held.cost_krw * fill.qty // owned",
        new="removed = fill.amount_krw",
    ),
    _booking(
        name="a sale leaves the shares where they were",
        breaks="M2 bought less sold",
        old="qty=Shares(owned - fill.qty),",
        new="qty=Shares(owned),",
    ),
    _booking(
        name="a late fill is booked beside the balance that held it",
        breaks="M2 counted once",
        old="covered = is_covered(own, seen, fill)",
        new="covered = is_covered(own, seen, fill) and not seen.day",
    ),
    _reconcile(
        name="one read is enough to take the broker's figures over",
        breaks="M2 D19: two agreeing reads",
        old="AGREEING = 2\n",
        new="AGREEING = 1\n",
    ),
    _reconcile(
        name="an empty list is believed like any other",
        breaks="C1 empty is not zero, D19",
        old="AGREEING_IF_GONE = 5",
        new="AGREEING_IF_GONE = 2",
    ),
    _reconcile(
        name="cash is not compared",
        breaks="M3 cash equals the broker's",
        old="if cash is not None and cash != their_cash:",
        new="if cash is None and cash != their_cash:",
    ),
    _verdict(
        name="a day whose positions or cash differ is called reconciled",
        breaks="M3 else unreconciled",
        old="if differences:",
        new="if why and differences:",
    ),
    _verdict(
        name="a day whose orders were never compared is called reconciled",
        breaks="M3 orders and fills too",
        old="reasons.append(NOT_SETTLED)",
        new="pass",
    ),
    _verdict(
        name="a day whose orders or fills differ is called reconciled",
        breaks="M3 orders and fills too",
        old="elif not settled.agrees:",
        new="elif settled is None:",
    ),
    _closing(
        name="the closing balance does not wait for open orders",
        breaks="M3 at quiescence",
        old="is_settled = seen.settled is not None and not seen.working",
        new="is_settled = True",
    ),
    _closing(
        name="a verdict stands whatever comes after it",
        breaks="M3 a fill listed late",
        old="if not own.reconciled or not seen.is_closed:\n        return []\n    return [AlarmSet",
        new="if own.reconciled or not seen.is_closed:\n        return []\n    return [AlarmSet",
    ),
    _reconcile(
        name="a balance from before a fill overwrites it",
        breaks="M2 D20: after all fills",
        old="fact.caused_by is not None and seen.filled_seq(what) < fact.caused_by",
        new="fact.caused_by is not None",
    ),
    _seen(
        name="a balance is believed while an order works",
        breaks="M2 D20: a quiet period",
        old="return not any(code in codes for code in self.working.values()) and all(",
        new="return all(",
    ),
    _seen(
        name="a balance is believed right after a fill",
        breaks="M2 D20: a quiet period",
        old="at - filled_at > QUIET_US for",
        new="at - filled_at >= 0 for",
    ),
    _asking(
        name="a second balance is asked for while the first is under way",
        breaks="V3 bounded reads",
        old="if own.requests > seen.outcomes or own.reconciled:",
        new="if own.reconciled:",
    ),
    _asking(
        name="a closing balance that cannot be read is asked for for ever",
        breaks="V3 bounded reads, M3",
        old="if own.attempts.get(reason, 0) < TRIES[reason]:",
        new="if TRIES[reason]:",
    ),
    _state(
        name="only the last sale's gain is kept",
        breaks="M1 realised gains add up",
        old="return structs.replace(own, positions=rest, realised_krw=own.realised_krw + realised)",
        new="return structs.replace(own, positions=rest, realised_krw=realised)",
    ),
)
