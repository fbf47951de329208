"""What the order desk answers: KIS's codes and texts of success and refusal, in real and in paper dress.

Codes as far as kis-protocol.md 1.9 knows them; it says that several meanings are unverified and that clients should
read msg1, so each refusal has a text of its own. Paper codes the document lacks (4003…, 4007…, 4024…, 4025…, 4032…,
4033…, 4062…, 4063…) are those that public logs of paper accounts show.
"""

from typing import Final, Literal

from kquant.exchange.core.books import Environment, Refusal

Reason = Literal[
    "not_open_yet",
    "closed",
    "unknown_code",
    "halted",
    "off_tick",
    "out_of_limits",
    "no_market_order",
    "bad_qty",
    "cash",
    "shares",
    "unknown_order",
    "filled_already",
    "cancelled_already",
    "nothing_open",
    "too_many",
    "order_type",
    "order_type_now",
    "venue",
    "stop_price",
    "after_market_code",
    "other_session",
]


def _real(code: str, text: str) -> Refusal:
    return Refusal("7", code, text)


def _paper(code: str, text: str) -> Refusal:
    return Refusal("1", code, f"모의투자 {text}")


_NOT_OFFERED: Final = Refusal("1", "90000000", "모의투자에서는 해당업무가 제공되지 않습니다.")
_NOTHING: Final = _paper("40330000", "정정/취소할 수량이 없습니다.")

_REFUSALS: Final[dict[Reason, tuple[Refusal, Refusal]]] = {
    "not_open_yet": (_real("APBK0918", "장운영시간이 아닙니다."), _paper("40570000", "장시작전 입니다.")),
    "closed": (_real("APBK0918", "장운영시간이 아닙니다."), _paper("40580000", "장종료 입니다.")),
    "unknown_code": (
        _real("APBK0656", "해당종목정보가 없습니다."),
        _paper("40070000", "주문처리가 안되었습니다(매매불가 종목)"),
    ),
    "halted": (
        _real("APBK0918", "거래정지 종목으로 주문이 불가합니다."),
        _paper("40070000", "주문처리가 안되었습니다(거래정지 종목)"),
    ),
    "off_tick": (
        _real("APBK0506", "주문단가가 호가단위에 맞지 않습니다."),
        _paper("40030000", "주문처리가 안되었습니다(호가단위 오류)"),
    ),
    "out_of_limits": (
        _real("APBK0507", "주문단가가 상하한가를 벗어났습니다."),
        _paper("40030000", "주문처리가 안되었습니다(상하한가 오류)"),
    ),
    "no_market_order": (
        _real("APBK0918", "시장가매매불가 종목입니다."),
        _paper("40070000", "주문처리가 안되었습니다(시장가매매불가)"),
    ),
    "bad_qty": (
        _real("APBK0400", "주문수량을 확인하시기 바랍니다."),
        _paper("40030000", "주문처리가 안되었습니다(주문수량 오류)"),
    ),
    "cash": (
        _real("APBK0919", "주문가능금액을 초과했습니다. (주문가능금액 {available})"),
        _paper("40250000", "주문가능금액이 부족합니다."),
    ),
    "shares": (
        _real("APBK0400", "주문 가능한 수량을 초과했습니다. (가능수량 {available})"),
        _paper("40240000", "잔고내역이 없습니다."),
    ),
    "unknown_order": (
        _real("APBK0344", "원주문번호를 확인하시기 바랍니다."),
        _paper("40320000", "원주문번호가 존재하지 않습니다."),
    ),
    "filled_already": (_real("APBK0400", "이미 체결되어 정정/취소 가능한 수량이 없습니다."), _NOTHING),
    "cancelled_already": (_real("APBK0400", "이미 취소되어 정정/취소 가능한 수량이 없습니다."), _NOTHING),
    "nothing_open": (_real("APBK0400", "정정/취소 가능한 수량이 없습니다."), _NOTHING),
    "too_many": (
        _real("APBK0400", "정정/취소 가능수량을 초과했습니다. (가능수량 {available})"),
        _NOTHING,
    ),
    "order_type": (_real("APBK0400", "지원하지 않는 주문구분입니다."), _NOT_OFFERED),
    "order_type_now": (
        _real("APBK0918", "현재 시간에 주문할 수 없는 주문구분입니다."),
        _paper("40580000", "주문가능한 시간이 아닙니다."),
    ),
    "venue": (_real("APBK0400", "해당 거래소에서 지원하지 않는 주문입니다."), _NOT_OFFERED),
    "stop_price": (_real("APBK0400", "스톱가격을 확인하시기 바랍니다."), _NOT_OFFERED),
    "after_market_code": (_real("APBK0918", "애프터마켓 매매불가 종목입니다."), _NOT_OFFERED),
    "other_session": (_real("APBK0400", "원주문과 다른 시장의 주문구분입니다."), _NOT_OFFERED),
}


def refusal_of(reason: Reason, environment: Environment, *, available: int = 0) -> Refusal:
    """Return the refusal in *environment*'s words. available: the won or shares that are there."""
    found = _REFUSALS[reason][0 if environment == "real" else 1]
    return found._replace(msg1=found.msg1.format(available=available))


def sent_as(environment: Environment, what: Literal["buy", "sell", "revise", "cancel"]) -> tuple[str, str]:
    """Return msg_cd and msg1 of an order or a change that was taken: sent, not accepted by the exchange yet."""
    if environment == "real":
        return "APBK0013", "주문 전송 완료 되었습니다."
    return {
        "buy": ("40600000", "모의투자 매수주문이 완료 되었습니다."),
        "sell": ("40590000", "모의투자 매도주문이 완료 되었습니다."),
        "revise": ("40620000", "모의투자 정정주문이 완료 되었습니다."),
        "cancel": ("40630000", "모의투자 취소주문이 완료 되었습니다."),
    }[what]


def found_as(environment: Environment, *, more: bool = False) -> tuple[str, str]:
    """Return msg_cd and msg1 of an answered inquiry; more: another page follows."""
    if environment == "paper":
        return "20310000", "모의투자 조회가 완료되었습니다."
    return ("KIOK0500", "조회가 계속됩니다.") if more else ("KIOK0510", "조회가 완료되었습니다.")
