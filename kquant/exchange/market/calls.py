"""The call auctions of a stock and their expected prices.

A call collects orders up to its nominal end and a little longer; what is expected closes in on the match as time goes.
"""

from __future__ import annotations

from typing import NamedTuple

from .grid import floor_price, step_price
from .mixing import mix
from .model import AUCTION, Indicative, Stock
from .phases import Phases
from .sessions import RANDOM_END_SECONDS, VI_SECONDS, Hours
from .tape import Tape

HALF_HOUR = 1_800
NOTHING_EXPECTED = Indicative(0, 0)


class Call(NamedTuple):
    """A call that collects orders from `start` on, nominally until `due` (KST seconds): its match in won and shares.

    begin: the price it sets out from. qty is 0 where nothing will match.
    """

    start: int
    due: int
    begin: int
    price: int
    qty: int


def call_at(phases: Phases, hours: Hours, tape: Tape, stock: Stock, second: int) -> Call | None:
    """Return the call *stock* is in during *second*; None in continuous trading and outside the session."""
    phase, kind, reference = phases.status(stock.code, second)
    if phase == "opening":
        opened = phases.auction_ends(stock.code)[0]
        held = phases.interruption(stock.code, opened)
        if held is not None and held.kind != "halt":
            return Call(hours.opening_from, hours.open, stock.base, held.trigger, _match(tape, held.end)[1])
        price, qty = tape.first()[1:] if tape.auction_open else (0, 0)
        return Call(hours.opening_from, hours.open, stock.base, price, qty)
    if phase == "closing":
        return Call(hours.closing_from, hours.close, _last(tape, second, stock), *_match_from(tape, hours.close))
    if phase != "vi":
        return None
    if not kind:
        due = hours.open + ((second - hours.open) // HALF_HOUR + 1) * HALF_HOUR
        start = due - HALF_HOUR
        if tape.row_at(second) == tape.row_at(start) == tape.row_at(start - 1) and second < start + RANDOM_END_SECONDS:
            start, due = start - HALF_HOUR, start  # its random end is still to come
        return Call(start, due, _last(tape, second, stock), *_match_from(tape, due, RANDOM_END_SECONDS))
    one = phases.interruption(stock.code, second)
    if one is None:
        raise ValueError(f"{stock.code} is interrupted at {second} by nothing that is listed")
    match = _match_from(tape, hours.close) if one.end == hours.closing_from else _match(tape, one.end)
    return Call(one.start, one.start + VI_SECONDS, one.trigger or reference, *match)


def _last(tape: Tape, second: int, stock: Stock) -> int:
    row = tape.row_at(second)
    return stock.base if row < 0 else tape.last(row)[0]


def _match(tape: Tape, second: int) -> tuple[int, int]:
    """(price, quantity) of the single-price match printed at *second*; zeros without one."""
    matched = [one for one in tape.prints(second) if one.side == AUCTION]
    return (matched[0].price, sum(one.qty for one in matched)) if matched else (0, 0)


def _match_from(tape: Tape, second: int, within: int = 600) -> tuple[int, int]:
    """The first match at *second* or in the seconds *within* which it must come."""
    row = tape.row_at(second - 1) + 1
    if row >= len(tape.seconds) or tape.seconds[row] >= second + within:
        return 0, 0
    return _match(tape, tape.seconds[row])


def expected(call: Call | None, stock: Stock, key: int, second: int) -> Indicative:
    """Return the expected price and quantity of *call* at the end of *second*.

    Price and quantity move from where the call began to near its match; which second ends it nobody can tell, so up to
    a tick of doubt remains until the match itself.
    """
    if call is None or not call.qty:
        return NOTHING_EXPECTED
    length = call.due - call.start
    done = min(max(second - call.start, 0), length)
    noise = mix(key ^ 0xA0C7 ^ (second // 5)) % 41 - 20  # twentieths of 1 % at the start
    price = call.begin + (call.price - call.begin) * done // length
    price = min(max(price + call.price * noise * (length - done) // (2_000 * length), stock.lower, 1), stock.upper)
    if length - done <= RANDOM_END_SECONDS:
        price = step_price(call.price, noise % 3 - 1, etp=stock.etp)
    price = min(max(floor_price(price, etp=stock.etp), stock.lower, 1), stock.upper)
    gathered = call.qty * (length + 9 * done) // (10 * length)
    return Indicative(price, max(1, gathered))
