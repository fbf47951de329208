"""From a signal to a buy: the rules on what is known, the price over HTTPS, the rules again, then the intent.

Nothing is promised in between: cash is set aside by the intent alone, so that of two buys whose prices are asked for at
once the second meets what the first has taken. A restart answers the quote's outcome as it would have been: an answer
with a reaction is never answered again, one without is, and a request without an outcome gets one from the gateway.
"""

from __future__ import annotations

from msgspec import structs

from kquant.domain.orders import risk
from kquant.domain.orders.draft import Draft
from kquant.domain.orders.risk import Breach, Case
from kquant.domain.orders.sizing import with_costs
from kquant.domain.orders.state import Asked, Own
from kquant.events.orders import OrderDenied, OrderIntended, QuoteAnswered
from kquant.events.pipeline import BuySignalled
from kquant.krx import costs_on
from kquant.values import SECOND_US, IntentId, Krw, Micros, OrderKind, Seq, to_kst

ORDERED_OUT = Breach(rule="FLATTENING", value=1, limit=0)
"""A person ordered the stock sold since it was signalled."""


def case_now(
    draft: Draft,
    signal: BuySignalled,
    quote: QuoteAnswered | None,
    own: Own | None = None,
    kind: OrderKind | None = None,
) -> Case:
    """Return the case of a signal at the instant of the input. own, kind: others than those of now and of the settings."""
    settings = draft.settings
    costs = costs_on(to_kst(draft.at).date().isoformat(), settings.krx.costs)
    if kind is not None:
        settings = structs.replace(settings, risk=structs.replace(settings.risk, entry_kind=kind))
    return risk.case_of(draft.own if own is None else own, draft.seen, settings, costs, signal, draft.at, quote)


def signalled(draft: Draft, signal: BuySignalled) -> None:
    """Deny a buy by the first limit it meets, ask for its price, or write the intent down where none is asked for."""
    case = case_now(draft, signal, None)
    if not _may_go(draft, case, draft.fact.seq):
        return
    if draft.settings.risk.confirm_price:
        draft.quote(signal.code, "entry", draft.fact.seq)
    else:
        _intend(draft, case, draft.fact.seq, None)


def quoted(draft: Draft, asked: Asked, quote: QuoteAnswered | None) -> None:
    """Go on with a signal whose price was asked for. quote: None where there was no answer in time."""
    signal = draft.seen.heard.signals[asked.decision]
    if quote is None:
        _deny(draft, signal, risk.QUOTE_MISSING, asked.decision)
        return
    case = case_now(draft, signal, quote)
    if _may_go(draft, case, asked.decision):
        _intend(draft, case, asked.decision, draft.fact.seq)


def _may_go(draft: Draft, case: Case, decision: Seq) -> bool:
    breach = risk.breach_of(case)
    out = draft.seen.out_of(case.signal.code)
    if breach is None and out is not None and decision < out.at:
        breach = ORDERED_OUT
    if breach is not None:
        _deny(draft, case.signal, breach, decision)
    return breach is None


def _deny(draft: Draft, signal: BuySignalled, breach: Breach, decision: Seq) -> None:
    draft.emit(
        OrderDenied(
            code=signal.code, side="buy", rule=breach.rule, value=breach.value, limit=breach.limit, decision=decision
        )
    )  # fmt: skip


def _intend(draft: Draft, case: Case, decision: Seq, quote: Seq | None) -> None:
    qty, kind = risk.size(case), draft.settings.risk.entry_kind
    draft.emit(
        OrderIntended(
            intent=IntentId(draft.own.last_intent + 1),
            code=case.signal.code,
            name=case.signal.name,
            side="buy",
            qty=qty,
            kind=kind,
            price=case.price if kind == "limit" else Krw(0),
            reason="signal",
            decision=decision,
            # A market order's price in the case is the upper limit: so much the broker sets aside (kis-protocol 4.5).
            reserved_krw=with_costs(qty, case.price, case.costs),
            valid_until=Micros(draft.at + draft.settings.risk.order_valid_seconds * SECOND_US),
            quote=quote,
        )
    )
