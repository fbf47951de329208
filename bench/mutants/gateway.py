"""Bugs of the order gateway: the last gate, the one POST, and what its answer proves."""

from __future__ import annotations

from functools import partial

from bench.mutants.mutant import Mutant

_gateway = partial(
    Mutant,
    file="kquant/gateways/kis/rest/orders.py",
    near=(
        "tests/gateways_kis/test_orders.py",
        "tests/gateways_kis/test_orders_on_the_wire.py",
        "tests/gateways_kis/test_orders_halt.py",
    ),
    wide=("tests/hours/test_order_gate.py", "tests/soak"),
)

MUTANTS = (
    _gateway(
        name="an order is posted twice",
        breaks="O2 one POST an intent",
        old="await self.append(self._last_gate(intent) or await self._post(intent), seq, 1)",
        new="await self._post(intent)\n        await self.append(self._last_gate(intent) or await self._post(intent), seq, 1)",
    ),
    _gateway(
        name="an order leaves before its send is durable",
        breaks="O1 durable before the first byte",
        old="lambda done: self._loop.call_soon_threadsafe(self._on_mark, seq, intent, mark, done.exception())\n        )",
        new="lambda done: None\n        )\n        self._loop.call_soon_threadsafe(self._on_mark, seq, intent, mark, None)",
    ),
    _gateway(
        name="a send that somebody began already is made again",
        breaks="O2 one POST an intent",
        old="return  # somebody began this send",
        new="pass  # somebody began this send",
    ),
    _gateway(
        name="a send whose mark was refused is made all the same",
        breaks="O2 one POST an intent",
        old="elif error is None and isinstance(mark, OrderSendStarted) and not self._closing:",
        new="elif isinstance(mark, OrderSendStarted) and not self._closing:",
    ),
    _gateway(
        name="an unknown order is posted again at the start",
        breaks="O2 one POST an intent, C0 step 7",
        old='self.spawn(self.append(OrderUnknown(intent=intent, why="the process ended during the send"), seq, 1))',
        new="self.spawn(self._post(facts[seq - 1].event))  # type: ignore[arg-type]",
    ),
    _gateway(
        name="an order whose send began is called never sent at the start",
        breaks="C0 step 7: unknown, not expired",
        old="if intent in started:",
        new="if intent not in intents:",
    ),
    _gateway(
        name="no answer in time is taken for not sent",
        breaks="C0 step 3: a timeout proves nothing",
        old="if not leaving:\n                return OrderRefused",
        new="if leaving:\n                return OrderRefused",
    ),
    _gateway(
        name="any refusal proves that nothing was placed",
        breaks="C0 step 3: a white list",
        old="if error.code in (PROVEN_REFUSALS if intent.replaces is None else PROVEN_UNCHANGED):",
        new="if error.status:",
    ),
    _gateway(
        name="a server error is on the white list",
        breaks="C0 step 3: a white list",
        old='"EGW00121", "EGW00122", "EGW00123",',
        new='"EGW00302", "EGW00121", "EGW00122", "EGW00123",',
    ),
    _gateway(
        name="a halt is not asked for at the last gate",
        breaks="O8 nothing new when halted",
        old='if intent.side == "buy" and self._gate.is_halted():',
        new='if intent.side == "none" and self._gate.is_halted():',  # never true
    ),
    _gateway(
        name="a halt stops exits too",
        breaks="exits always work",
        old='if intent.side == "buy" and self._gate.is_halted():',
        new="if self._gate.is_halted():",
    ),
    _gateway(
        name="an account that is not armed trades",
        breaks="X4 a second deliberate step",
        old="if not self._gate.is_armed():",
        new="if self._gate.is_armed() is None:",
    ),
    _gateway(
        name="a profile without orders trades",
        breaks="O8 the profile allows it",
        old='if not self._allowed:\n            return OrderBlocked(intent=intent.intent, why="profile")',
        new='if self._allowed is None:\n            return OrderBlocked(intent=intent.intent, why="profile")',
    ),
    _gateway(
        name="an intent that is too old leaves",
        breaks="O8 stale decisions",
        old="return OrderExpired(intent=intent.intent) if now > intent.valid_until else None",
        new="return None",
    ),
    _gateway(
        name="the gate is not asked again as the call leaves",
        breaks="O8, D65 under a full queue",
        old="nonlocal leaving\n            stopped = self._last_gate(intent)",
        new="nonlocal leaving\n            stopped = None",
    ),
    _gateway(
        name="orders leave outside the sessions",
        breaks="O8 outside hours",
        old="if not self._takes_orders(now, intent.kind):",
        new="if self._takes_orders(now, intent.kind) is None:",
    ),
    _gateway(
        name="market orders go to the after-market",
        breaks="O8 kis-protocol 4.9",
        old='return kind == "limit" and self._calls.has_after_market',
        new="return self._calls.has_after_market",
    ),
    _gateway(
        name="an order without a number is accepted",
        breaks="O7 a number an intent, D5",
        old='return number_field(output, "ODNO"), text_field',
        new='return text_field(output, "ODNO").lstrip("0"), text_field',
    ),
    _gateway(
        name="a cancel that is too old leaves",
        breaks="O8 stale decisions",
        old="if self._clock.now() > wanted.valid_until:",
        new="if self._clock.now() > wanted.valid_until + 10**15:",
    ),
    _gateway(
        name="a refused cancel is taken for a cancel",
        breaks="O4 cancel is not cancelled, D9",
        old="return CancelRefused(intent=number, message_code=error.code, message=error.message)",
        new="return CancelAccepted(intent=number, order_no=wanted.order_no)",
    ),
    _gateway(
        name="a replacement is placed beside the order it replaces",
        breaks="O3 one order a stock and side",
        old="if intent.replaces is None:\n            return await self._calls.place(",
        new="if intent:\n            return await self._calls.place(",
    ),
)
