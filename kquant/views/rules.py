"""What keeps a buy from being intended or a sell from being sent, in words: a phrase for each rule's code.

The figures beside it are those of the rule (docs/guide.md), and only where they mean something: a halt is no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from kquant.domain.orders.stock_rules import AGE_UNKNOWN
from kquant.views.words import percent, won


class Phrase(Struct, frozen=True):
    """A rule that was broken, in English and Korean. figures: how {value} and {limit} are said, empty if not at all."""

    english: str
    korean: str
    figures: str = ""
    unit: Callable[[int], str] = "{:,}".format


def _of(english: str, korean: str) -> Phrase:
    return Phrase(english, korean, "{value} of {limit}")


def _won(english: str, korean: str, figures: str) -> Phrase:
    return Phrase(english, korean, figures, won)


def _distance(bp: int) -> str:
    return percent(bp).removeprefix("+")


PHRASES: Mapping[str, Phrase] = {
    "HALTED": Phrase("entries are halted", "매수 중지"),
    "NOT_ARMED": Phrase("the account is not armed for today", "실전 주문 미허용"),
    "CLOCK_SKEW": Phrase("the broker's clock differs from ours", "시계 차이", "{value} s, at most {limit} s"),
    "SESSION_CLOSED": Phrase("no regular trading now", "정규장 아님"),
    "FLATTENING": Phrase("it is being sold out", "청산 중"),
    "NOT_READY": Phrase("the portfolio is not ready, or an order is unknown", "미확인 주문"),
    "FROZEN": Phrase("the stock is frozen", "종목 동결"),
    "ALREADY_HELD": Phrase("it is held", "보유 중", "{value}주"),
    "OPEN_ORDER": Phrase("an order of it is open", "미체결 주문"),
    "COOLDOWN": Phrase("it was sold just now", "재매수 대기", "{value} s ago, wanted {limit} s"),
    "REPEAT": Phrase("a buy of it was intended just now", "반복 매수 대기", "{value} s ago, wanted {limit} s"),
    "MAX_BUYS_STOCK": _of("it was bought often enough today", "종목당 매수 횟수"),
    "UNLISTED": Phrase("nothing is known of the stock", "종목 정보 없음"),
    "STOCK_HALTED": Phrase("its trading is halted", "거래정지"),
    "VI": Phrase("a volatility interruption is on", "VI 발동"),
    "AUCTION": Phrase("orders are gathered for a single price", "단일가"),
    "LIQUIDATION": Phrase("it is in liquidation trading", "정리매매"),
    "ADMINISTRATIVE": Phrase("it is an administrative issue", "관리종목"),
    "WARNING": Phrase("the exchange warns of it", "투자경고·위험", "level {value}"),
    "OVERHEATED": Phrase("it is overheated", "단기과열"),
    "MAX_POSITIONS": _of("enough stocks are held or being bought", "보유 종목 수"),
    "ORDERS_PER_MINUTE": _of("enough orders in a minute", "분당 주문"),
    "ORDERS_PER_DAY": _of("enough orders today", "일일 주문"),
    "DAY_LOSS": _won("the day's loss is at its limit", "일일 손실", "{value}, limit {limit}"),
    "STALE": Phrase("the signal's price is too old", "오래된 시세", "{value} s, at most {limit} s"),
    "QUOTE_MISSING": Phrase("no price came in time", "현재가 미확인"),
    "PRICE_MOVED": Phrase("the price moved away", "가격 이탈", "by {value}, at most {limit}", _distance),
    "UPPER_LOCKED": _won("nothing is offered at the upper limit", "상한가 잠김", "{value}"),
    "PRICE_BAND": _won("the ask is out of bounds", "호가 범위", "ask {value}, bound {limit}"),
    "NEAR_UPPER": _won("it is too near the upper limit", "상한가 근접", "{value}, too near from {limit}"),
    "ORDER_AMOUNT": _won("one share costs more than an order may", "1회 주문 한도", "{value}, limit {limit}"),
    "DAY_BUY_AMOUNT": _won(
        "the day's buys are used up", "일일 매수 한도", "{value} with one more share, limit {limit}"
    ),
    "MAX_STOCK": _won("enough of this stock", "종목당 한도", "{value} with one more share, limit {limit}"),
    "MAX_EXPOSURE": _won("enough is in the market", "총 투자 한도", "{value} with one more share, limit {limit}"),
    "CASH": _won("no free cash for a share", "예수금 부족", "a share is {value}, free {limit}"),
    "ORDERABLE": _won(
        "the broker would give credit only", "주문가능금액 부족", "a share is {value}, orderable {limit}"
    ),
    "VOLUME": Phrase("hardly any of it was traded today", "거래량 비중"),
    "QTY_ZERO": Phrase("the limits leave not one share", "주문 수량 없음"),
    "ORDER_SMALL": _won("what the limits leave is too little", "최소 주문", "{value}, at least {limit}"),
    "UNBOOKED": Phrase("fills are not booked yet", "체결 반영 대기", "{value}"),
    "TIED_OUTSIDE": Phrase("an order elsewhere offers its shares", "HTS·MTS 매도 주문", "all {limit}주"),
    "SELL_UNPROVEN": Phrase("a lost sell may be at work", "매도 가능 수량 미확인", "{value} of {limit}주 proven free"),
    "LOWER_LOCKED": Phrase("nobody bids at the lower limit", "하한가 잠김"),
}
"""Every rule on a buy and on a sell, by the code that the log keeps."""


def phrase(rule: str) -> str:
    """Return a rule's phrase with its code: entries are halted 매수 중지 (HALTED). A code of another version stays alone."""
    known = PHRASES.get(rule)
    return rule if known is None else f"{known.english} {known.korean} ({rule})"


def figures(rule: str, value: int, limit: int) -> str:
    """Return a denial's numbers as they are said, empty if they mean nothing."""
    known = PHRASES.get(rule)
    if known is None:
        return f"{value:,} against a limit of {limit:,}"
    if rule == "STALE" and value == AGE_UNKNOWN:
        return "its age is unknown"
    return known.figures.format(value=known.unit(value), limit=known.unit(limit))


def broken(rule: str, value: int, limit: int) -> str:
    """Return phrase and numbers: enough stocks are held or being bought 보유 종목 수 (MAX_POSITIONS), 12 of 12."""
    said = figures(rule, value, limit)
    return f"{phrase(rule)}, {said}" if said else phrase(rule)
