"""The broker's order desk: checks a request by KRX's and KIS's rules, books it, executes it, writes the notices.

Refusals carry KIS's codes as far as kis-protocol.md 1.9 knows them; it says that several meanings are unverified and
that clients should read msg1, so each refusal has a text of its own.
"""

from collections.abc import Callable
from typing import Final, Literal

from kquant.exchange.core.ledger import Fill, Ledger, Order, Refusal, Side
from kquant.exchange.core.matching import Matcher
from kquant.exchange.core.ports import Market
from kquant.exchange.core.rules import phase_at, tick_size
from kquant.exchange.core.wire import notice_record

BRANCH: Final = "06010"
NO_LIMIT: Final = 100_000_000
"""An upper limit this high or higher means that none applies (liquidation trading)."""
QTY_MAX: Final = 999_999_999

OUT_OF_HOURS: Final = Refusal("7", "APBK0918", "장운영시간이 아닙니다.")
UNKNOWN_CODE: Final = Refusal("7", "APBK0656", "해당종목정보가 없습니다.")
HALTED: Final = Refusal("7", "APBK0918", "거래정지 종목으로 주문이 불가합니다.")
OFF_TICK: Final = Refusal("7", "APBK0506", "주문단가가 호가단위에 맞지 않습니다.")
OUT_OF_LIMITS: Final = Refusal("7", "APBK0507", "주문단가가 상하한가를 벗어났습니다.")
NO_MARKET_ORDER: Final = Refusal("7", "APBK0918", "시장가매매불가 종목입니다.")
BAD_QTY: Final = Refusal("7", "APBK0400", "주문수량을 확인하시기 바랍니다.")
UNKNOWN_ORDER: Final = Refusal("7", "APBK0344", "원주문번호를 확인하시기 바랍니다.")
NOTHING_OPEN: Final = Refusal("7", "APBK0400", "정정/취소 가능한 수량이 없습니다.")


class Desk:
    """Takes, changes and executes orders of the one account. `notify` gets each notice in plain text."""

    def __init__(
        self,
        market: Market,
        ledger: Ledger,
        matcher: Matcher,
        notify: Callable[[str], None],
        *,
        hts_id: str,
        account: str,
        holder: str,
    ) -> None:
        self._market = market
        self._ledger = ledger
        self._matcher = matcher
        self._notify = notify
        self._hts_id = hts_id
        self._account = account
        self._holder = holder
        self.reject_next = False
        """A test's fault: the exchange rejects the next accepted order, by notice only."""

    def place(
        self, side: Side, code: str, qty: int, price: int, division: Literal["00", "01"], second: int
    ) -> Order | Refusal:
        """Take a new order at *second* and execute what can be executed at once."""
        stock = self._market.by_code.get(code)
        if stock is None:
            return UNKNOWN_CODE
        refusal = self._refuse(code, qty, price, division, second)
        if refusal is not None:
            return refusal
        reserve = price if division == "00" else stock.upper
        refusal = self._ledger.check(side, code, qty, reserve)
        if refusal is not None:
            return refusal
        order = self._ledger.place(
            Order(
                no=0,
                side=side,
                code=code,
                name=stock.name,
                kind=stock.kind,
                division=division,
                qty=qty,
                price=price,
                reserve_price=reserve if side == "buy" else 0,
                second=second,
            )
        )
        if self.reject_next:
            self.reject_next = False
            self._ledger.reject(order)
            self._acknowledge(order, "1", rejected=True)
            return order
        self._acknowledge(order, "1")
        self._report(self._matcher.take(order, second))
        return order

    def cancel(self, no: int, qty: int | None, second: int) -> Order | Refusal:
        """Cancel *qty* open shares of order *no*, or all of them (None); return the request's own order row."""
        order = self._find(no, qty, second)
        if isinstance(order, Refusal):
            return order
        done = self._ledger.cancel(order, order.leaves if qty is None else qty, second)
        self._forget(order)
        self._acknowledge(done, "1")
        self._acknowledge(done, "2")
        return done

    def revise(
        self, no: int, qty: int | None, price: int, division: Literal["00", "01"], second: int
    ) -> Order | Refusal:
        """Move open shares of order *no* to a new order at *price*; return the new order."""
        order = self._find(no, qty, second)
        if isinstance(order, Refusal):
            return order
        moved = order.leaves if qty is None else qty
        refusal = self._refuse(order.code, moved, price, division, second)
        if refusal is not None:
            return refusal
        stock = self._market.by_code[order.code]
        reserve = (price if division == "00" else stock.upper) if order.side == "buy" else 0
        extra = moved * (reserve - order.reserve_price)
        if extra + self._ledger.rates.commission_on(max(extra, 0)) > self._ledger.available_cash() and extra > 0:
            return Refusal("7", "APBK0919", "주문가능금액을 초과했습니다.")
        done = self._ledger.revise(order, moved, price, division, reserve, second)
        self._forget(order)
        self._acknowledge(done, "1")
        self._acknowledge(done, "2")
        self._report(self._matcher.take(done, second))
        return done

    def play(self, second: int) -> int:
        """Execute what [second, second + 1) brings and return the number of fills."""
        if not self._ledger.open:
            return 0
        fills = self._matcher.play(second)
        self._report(fills)
        return len(fills)

    # -- helpers --------------------------------------------------------------------------------------------

    def _refuse(self, code: str, qty: int, price: int, division: str, second: int) -> Refusal | None:
        stock = self._market.by_code[code]
        if phase_at(second, self._market.open_second, self._market.close_second) == "closed":
            return OUT_OF_HOURS
        if stock.halted:
            return HALTED
        if not 0 < qty <= QTY_MAX:
            return BAD_QTY
        if division == "01":
            return NO_MARKET_ORDER if stock.upper >= NO_LIMIT else None
        if price <= 0 or price % tick_size(price, stock.kind):
            return OFF_TICK
        return None if stock.lower <= price <= stock.upper else OUT_OF_LIMITS

    def _find(self, no: int, qty: int | None, second: int) -> Order | Refusal:
        order = self._ledger.orders.get(no)
        if order is None:
            return UNKNOWN_ORDER
        if phase_at(second, self._market.open_second, self._market.close_second) == "closed":
            return OUT_OF_HOURS
        if order.request == "cancel" or order.leaves == 0:
            return NOTHING_OPEN
        if qty is not None and not 0 < qty <= order.leaves:
            return Refusal("7", "APBK0400", f"정정/취소 가능수량을 초과했습니다. (가능수량 {order.leaves})")
        return order

    def _forget(self, order: Order) -> None:
        if order.leaves == 0:
            self._matcher.forget(order)

    def _acknowledge(self, order: Order, accepted: str, *, rejected: bool = False) -> None:
        self._send(order, order.qty, order.price, order.second, accepted, is_fill=False, rejected=rejected)

    def _report(self, fills: list[Fill]) -> None:
        for fill in fills:
            order = self._ledger.orders[fill.order_no]
            self._send(order, fill.qty, fill.price, fill.second, "2", is_fill=True, rejected=False)

    def _send(
        self, order: Order, qty: int, price: int, second: int, accepted: str, *, is_fill: bool, rejected: bool
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
                code=order.code,
                qty=qty,
                price=price,
                second=second,
                rejected=rejected,
                is_fill=is_fill,
                accepted=accepted,
                branch=BRANCH,
                order_qty=order.qty,
                holder=self._holder,
                name=order.name,
                order_price=order.price,
            )
        )
