"""Bugs of orders: the rules before an intent, what is set aside, the broker's list, exits, and the halt."""

from __future__ import annotations

from functools import partial

from bench.mutants.mutant import Mutant

ROOM = "kquant/domain/orders"
WIDE = ("tests/portfolio", "tests/pipeline")


def _of(file: str) -> partial[Mutant]:
    return partial(Mutant, file=f"{ROOM}/{file}.py", near=("tests/orders",), wide=WIDE)


_listing, _decide, _draft, _exits = _of("listing"), _of("decide"), _of("draft"), _of("exits")
_limits, _rules, _stock, _case = _of("limits"), _of("risk"), _of("stock_rules"), _of("case")
_selling, _waits = _of("selling"), _of("exit_rules")
_settle, _sellable, _replace, _chain = _of("settle"), _of("sellable"), _of("replace"), _of("chain")
_sizing, _entry, _state, _life = _of("sizing"), _of("entry"), _of("state"), _of("lifecycle")

MUTANTS = (
    _listing(
        name="a cumulative quantity is taken for a new fill",
        breaks="O6 M2 cumulative figures",
        old="qty=Shares(row.filled_qty - order.filled_qty),",
        new="qty=row.filled_qty,",
    ),
    _listing(
        name="the older of two listings takes a fill back",
        breaks="O6 monotone",
        old="if row.filled_qty > order.filled_qty:",
        new="if row.filled_qty != order.filled_qty:",
    ),
    _listing(
        name="an intent that may be two orders is bound to the first",
        breaks="O7, C0 step 4: ambiguous freezes",
        old="if len(found) > 1:",
        new="if len(found) > 2:",
    ),
    _listing(
        name="an unknown order is given up after enough listings, however soon",
        breaks="O3 no ageing out, C0 step 5",
        old="if listings >= risk.unknown_listings and waited >= risk.unknown_seconds * SECOND_US:",
        new="if listings >= risk.unknown_listings:",
    ),
    _listing(
        name="an unknown order is given up after enough time, whatever was listed",
        breaks="V1 no order aged out, D21",
        old="if listings >= risk.unknown_listings and waited >= risk.unknown_seconds * SECOND_US:",
        new="if waited >= risk.unknown_seconds * SECOND_US:",
    ),
    _listing(
        name="an order like it of any time is taken for the unknown one",
        breaks="O7, C0 step 4: at the time of it",
        old="return first - BEFORE_SECONDS + early <= placed <= latest + late",
        new="return True",
    ),
    _listing(
        name="an order that appears late is left at work",
        breaks="C0 step 5: bound and cancelled",
        old="if row.leaves_qty:\n                    draft.cancel(",
        new="if not row.leaves_qty:\n                    draft.cancel(",
    ),
    _listing(
        name="an order that is not answered yet is called external",
        breaks="O7 ours or external, never both",
        old="elif not _may_be_ours(draft, row):",
        new="else:",
    ),
    _listing(
        name="fills of an order by hand are forgotten at its first sight",
        breaks="M2 counted in the position, D11",
        old="filled_qty=row.filled_qty if is_first else Shares(0),",
        new="filled_qty=row.filled_qty,",
    ),
    _listing(
        name="a filled order stays open",
        breaks="O4 terminal stages",
        old="if filled >= order.qty:",
        new="if filled > order.qty:",
    ),
    _decide(
        name="a refusal after a doubt ends an order that may be placed",
        breaks="O2 C0 step 3",
        old='if order is not None and order.state == "intended" and intent not in draft.seen.doubts:',
        new='if order is not None and order.state == "intended":',
    ),
    _decide(
        name="a parked owner does not halt entries",
        breaks="V2 D54",
        old="if owner in GUARDED:",
        new="if owner not in GUARDED:",
    ),
    _decide(
        name="an unreconciled day before does not stop this one",
        breaks="M3 tomorrow blocked",
        old="case DayOpened(reconciled_before=False, day_before=before) if before:",
        new="case DayOpened(reconciled_before=None, day_before=before) if before:",
    ),
    _decide(
        name="a quote that comes too late is believed",
        breaks="O8 stale quote",
        old="if isinstance(event, QuoteAnswered) and draft.at <= asked.valid_until else None",
        new="if isinstance(event, QuoteAnswered) else None",
    ),
    _draft(
        name="a cancel is asked for again before the first is answered",
        breaks="O4 one request at a time",
        old='if order.state != "working" or order.cancels > asked or not self.is_session_open():',
        new='if order.state != "working" or not self.is_session_open():',
    ),
    _draft(
        name="fills that are not booked yet do not count",
        breaks="O9 nothing sold twice",
        old="max(order.fills - seen.booked(order.order_no), 0)",
        new="min(order.fills - seen.booked(order.order_no), 0)",
    ),
    _selling(
        name="a second sell is placed beside the first",
        breaks="O3 one order a stock and side",
        old='and draft.own.live_order(code, "sell") is None and not is_over',
        new="and not is_over",
    ),
    *(
        _waits(name=name, breaks=breaks, old=line, new="")
        for name, breaks, line in (
            ("shares are sold whose fills are not booked", "O9 never more than is held", '("UNBOOKED", _unbooked),'),
            ("a stock that stands still is sold", "O8 D38", '("STOCK_HALTED", _halted),'),
            ("a stock in a VI is sold blindly", "O8 D37", '("VI", _interrupted),'),
            ("a stop is sold in the closing auction", "O8 D37", '("AUCTION", _auction),'),
            ("a stock without a bid is sold", "D38 lower limit lock", '("LOWER_LOCKED", _lower_locked),'),
        )
    ),
    _selling(
        name="a wait is said at every look",
        breaks="an exit that waits says so once",
        old="if waits is None or (waits.rule, waits.reason) != (breach.rule, reason):",
        new="if waits is None or breach is not None:",
    ),
    _exits(
        name="an exit without an answer waits for ever",
        breaks="protection beats certainty",
        old='if any(one.why == "exit" for one in quoting(draft.own, draft.seen.heard, code)):\n        return False',
        new='if any(one.why == "exit" for one in quoting(draft.own, draft.seen.heard, code)):\n        return True',
    ),
    _exits(
        name="a position held long enough stays",
        breaks="exits by time",
        old='return "time" if until is not None and draft.at >= until else None',
        new="return None",
    ),
    _limits(
        name="open losses are no losses",
        breaks="O11 the day's loss counts what is open",
        old="result += held.qty * price - held.cost_krw",
        new="result += 0",
    ),
    _exits(
        name="the stop lies above the cost",
        breaks="exits: stop below, target above",
        old="stop = Krw(cost * (BP - exits.stop_loss_bp)",
        new="stop = Krw(cost * (BP + exits.stop_loss_bp)",
    ),
    _exits(
        name="a firing of a trigger that is no longer armed sells",
        breaks="triggers are one-shot",
        old="if one.trigger == event.trigger:",
        new="if one.trigger:",
    ),
    _limits(
        name="one position too many",
        breaks="O10 number of positions",
        old="return (len(codes), limit) if len(codes) >= limit else None",
        new="return (len(codes), limit) if len(codes) > limit else None",
    ),
    _limits(
        name="one order a minute too many",
        breaks="O11 orders a minute",
        old="return (recent, limit) if recent >= limit else None",
        new="return (recent, limit) if recent > limit else None",
    ),
    _limits(
        name="one order a day too many",
        breaks="O11 orders a day",
        old="return (count, limit) if count >= limit else None",
        new="return (count, limit) if count > limit else None",
    ),
    _limits(
        name="entries go on when the day has lost its limit",
        breaks="O10 daily loss",
        old="return (loss, limit) if loss >= limit else None",
        new="return (loss, limit) if loss > 2 * limit else None",
    ),
    _limits(
        name="a buy is decided while an order may or may not have been placed",
        breaks="C0 step 7: nothing new until resolved",
        old="open_doubts = unresolved(case.own, case.seen) + fills_unbooked(case.own, case.seen, None)",
        new="open_doubts = fills_unbooked(case.own, case.seen, None)",
    ),
    _limits(
        name="buys are decided in the closing auction",
        breaks="O8 outside hours",
        old="hours.open_at <= case.at < hours.closing_auction_at",
        new="hours.open_at <= case.at < hours.close_at",
    ),
    *(
        _rules(name=name, breaks=breaks, old=line, new="")
        for name, breaks, line in (
            ("a stock that was just sold is bought again", "O11 cool-down", '("COOLDOWN", stock_rules.cooldown),'),
            ("a stock is bought again and again", "O11 repeat throttle", '("REPEAT", stock_rules.repeat),'),
            ("a frozen stock is bought", "C0 freeze on ambiguity", '("FROZEN", stock_rules.frozen),'),
            ("a halt stops no buy", "O8 halted", '("HALTED", limits.halted),'),
            ("an old price is ground for a buy", "O8 stale quote, D39", '("STALE", stock_rules.stale),'),
            (
                "a price that ran away is bought",
                "O10 price over HTTPS, D36",
                '("PRICE_MOVED", stock_rules.price_moved),',
            ),
            (
                "a stock is bought below its upper limit",
                "O10 near the limit",
                '("NEAR_UPPER", stock_rules.near_upper),',
            ),
            ("a stock in a VI is bought", "O8 D37", '("VI", stock_rules.interrupted),'),
            ("a stock that stands still is bought", "O8 D38", '("STOCK_HALTED", stock_rules.stock_halted),'),
            (
                "a second buy of a stock is placed",
                "O3 one order a stock and side",
                '("OPEN_ORDER", stock_rules.open_order),',
            ),
        )
    ),
    _case(
        name="cash that is set aside is spent again",
        breaks="M1 reservations, never margin",
        old="else 0) - reserved_krw(self.own, self.seen)",
        new="else 0)",
    ),
    _case(
        name="what was bought today is forgotten",
        breaks="O10 notional a day",
        old="return self.risk.max_day_buy_krw - bought_krw(self.own)",
        new="return self.risk.max_day_buy_krw",
    ),
    _case(
        name="the limit of one stock does not count what is held",
        breaks="O10 notional a stock",
        old="return (held.cost_krw if held is not None else 0) + buying",
        new="return buying",
    ),
    _sizing(
        name="a buy goes beyond its collar",
        breaks="O10 price collar",
        old="cap = Krw(last * (BP + risk.collar_bp) // BP)",
        new="cap = Krw(last * (BP + 2 * risk.collar_bp) // BP)",
    ),
    _sizing(
        name="the collar does not bound the limit price",
        breaks="O10 price collar",
        old="return min(ticks_up(round_to_tick(ask",
        new="return max(ticks_up(round_to_tick(ask",
    ),
    _sizing(
        name="commission is not set aside",
        breaks="M1 costs included",
        old="return Krw(amount + commission(amount, table))",
        new="return amount",
    ),
    _entry(
        name="the rules are not asked again once the price is confirmed",
        breaks="O10 O8 as of the intent",
        old="if _may_go(draft, case, asked.decision):",
        new="if case:",
    ),
    _entry(
        name="an intent sets nothing aside",
        breaks="M1 reservations",
        old="reserved_krw=with_costs(qty, case.price, case.costs),",
        new="reserved_krw=Krw(0),",
    ),
    _entry(
        name="a buy is intended on the feed's price alone",
        breaks="O10 price over HTTPS",
        old="if draft.settings.risk.confirm_price:",
        new="if not draft.settings.risk.confirm_price:",
    ),
    _state(
        name="fills are not counted",
        breaks="O9 nothing sold twice",
        old="fills=order.fills + 1,",
        new="fills=order.fills,",
    ),
    _life(
        name="a refusal after a doubt proves that nothing was placed",
        breaks="O4 transitions",
        old='("unknown", REFUSED): "unknown",',
        new='("unknown", REFUSED): "refused",',
    ),
    _life(
        name="an order given up can never be found late",
        breaks="O4 terminal left by evidence, C0 step 5",
        old='("not_placed", BOUND): "working",',
        new="",
    ),
    _sellable(
        name="shares that outside sells tie are offered again",
        breaks="O9 D11",
        old="Shares(max(held.qty - tied_outside(own, seen, code), 0))",
        new="Shares(max(held.qty, 0))",
    ),
    _sellable(
        name="a lost sell goes again without proof",
        breaks="O9 D13",
        old="return None if proven >= free else Withheld(",
        new="return None if free else Withheld(",
    ),
    _sellable(
        name="a balance from before proves that a lost sell may go again",
        breaks="O9 D13",
        old="if heard.balance_of > since else Shares(0)",
        new="if heard.balance_of else Shares(0)",
    ),
    _settle(
        name="an order of ours that the list lacks is no difference",
        breaks="M3 O7",
        old="if order.order_no and order.order_no not in listed",
        new="if order.order_no and order.order_no in own.externals",
    ),
    _settle(
        name="an order that nobody knows is no difference",
        breaks="M3 O7",
        old='return [f"order {row.order_no} ({row.code}) is neither ours nor known as placed elsewhere"]',
        new="return []",
    ),
    _settle(
        name="filled amounts are not compared",
        breaks="M3 fills to the won",
        old="if (qty, amount) == (row.filled_qty, row.filled_amount):",
        new="if qty == row.filled_qty:",
    ),
    _replace(
        name="a replacement is for the whole order again",
        breaks="O3 one exposure under two numbers",
        old="left = Shares(order.qty - order.filled_qty)",
        new="left = order.qty",
    ),
    _replace(
        name="an order is replaced once too often",
        breaks="O11 bounded replacements",
        old="draft.own.looks.get(order.decision, 0) < risk_settings.max_replaces",
        new="draft.own.looks.get(order.decision, 0) <= risk_settings.max_replaces",
    ),
    _replace(
        name="a replacement goes beyond the amount of an order",
        breaks="O10 notional an order",
        old="return chained + needed <= draft.settings.risk.max_order_krw and needed <= case.room_krw()",
        new="return needed <= case.room_krw()",
    ),
    _chain(
        name="an order whose replacement was refused has an heir",
        breaks="O4 the original rests on",
        old='found.order_no != "" and found.outcome != "refused"',
        new='found.outcome != "filled"',
    ),
    _chain(
        name="a replacement sets nothing aside beside its original",
        breaks="M1 reservations",
        old="return max(order.reserved_krw, _part(before, before.qty - before.filled_qty))",
        new="return Krw(0)",
    ),
)
