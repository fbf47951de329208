"""What every quotation reads: the market as of the last finished second, and the checks of its parameters."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kquant.exchange.core.ports import Market, MarketFilter
from kquant.exchange.core.rest import Request, RestError, required, value_error
from kquant.exchange.core.rules import RANDOM_END_S, sign_of
from kquant.exchange.market.model import DayStats, RankRow, Stock

VENUES: Final = ("J", "NX", "UN")
"""KRX, NXT, unified. The look-alike's market is KRX's alone and answers all three with it."""
SCOPES: Final[Mapping[str, MarketFilter]] = {"0000": "ALL", "0001": "KOSPI", "1001": "KOSDAQ"}


def unknown_code() -> RestError:
    """Return the refusal of a code that is not listed (kis-protocol 1.9: MCA05918)."""
    return RestError(200, "1", "MCA05918", "종목코드 오류입니다.")


def expect(fields: Mapping[str, str], name: str, *values: str) -> str:
    """Return a field that must have one of *values*; another market division is OPSQ2001, anything else OPSQ2002."""
    if fields[name] in values:
        return fields[name]
    if "MRKT_DIV_CODE" in name:
        raise RestError(200, "2", "OPSQ2001", f"ERROR INVALID {name}")
    raise value_error(name, fields[name])


def date_of(name: str, text: str) -> dt.date:
    """Return a date written YYYYMMDD; leading zeros before it (00YYYYMMDD) are allowed as KIS allows them."""
    digits = text[-8:]
    if not text.isascii() or not text.isdigit() or len(text) < 8 or text[:-8].strip("0"):
        raise value_error(name, text)
    if digits.startswith("0000"):  # clients ask "from the beginning" with 00000101
        return dt.date.min
    try:
        return dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise value_error(name, text) from None


def second_of(name: str, text: str) -> int:
    """Return a time written HHMMSS (or with leading zeros) as a second of the day."""
    digits = text[-6:]
    if not text.isascii() or not text.isdigit() or len(text) < 6 or text[:-6].strip("0"):
        raise value_error(name, text)
    hour, minute, second = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hour > 23 or minute > 59 or second > 59:
        raise value_error(name, text)
    return hour * 3_600 + minute * 60 + second


def ymd(day: dt.date) -> str:
    """Return a date as YYYYMMDD."""
    return f"{day:%Y%m%d}"


class Source:
    """The market and its clock; `last` gives the last finished second (KST second of the day)."""

    def __init__(self, market: Market, last: Callable[[], int]) -> None:
        self.market = market
        self.last = last

    def stock(self, request: Request, *names: str, venues: tuple[str, ...] = VENUES) -> tuple[Stock, dict[str, str]]:
        """Return the stock a call names, and its parameters, of which *names* must be present.

        Raises RestError: a missing parameter, a wrong market division, a code that is not listed.
        """
        fields = required(request.params, "FID_COND_MRKT_DIV_CODE", "FID_INPUT_ISCD", *names)
        expect(fields, "FID_COND_MRKT_DIV_CODE", *venues)
        return self.listed(fields["FID_INPUT_ISCD"]), fields

    def listed(self, code: str) -> Stock:
        """Return the stock of *code*. Raises RestError for a code that is not listed."""
        stock = self.market.by_code.get(code)
        if stock is None:
            raise unknown_code()
        return stock

    def stats(self, stock: Stock) -> DayStats:
        """Return the stock's day so far."""
        return self.market.stats(stock.code, self.last())

    def price(self, stock: Stock) -> int:
        """Return the last price in won, the base price before the first trade."""
        return self.stats(stock).last or stock.base

    def board(self) -> Sequence[RankRow]:
        """Return every stock that traded, as of the last finished minute."""
        return self.market.board(self.last())

    def in_vi(self, stock: Stock) -> bool:
        """Return whether a volatility interruption of the stock is on."""
        return bool(self.market.status(stock.code, self.last()).vi)

    def halted(self, stock: Stock) -> bool:
        """Return whether the stock's trading is suspended now."""
        return stock.halted or self.market.status(stock.code, self.last()).phase == "halted"

    @property
    def generated(self) -> bool:
        """Whether what the day does not hold may be derived from its seed."""
        return self.market.source == "generated"

    @property
    def after_close(self) -> bool:
        """Whether the regular session is over, its closing auction's random end included."""
        return self.last() >= self.market.close_second + RANDOM_END_S


def direction(stock: Stock, price: int) -> tuple[int, str]:
    """Return the change in won against the base price and KIS's sign for it."""
    change = price - stock.base
    return change, sign_of(change, price, stock.upper, stock.lower)


def step_sign(change: int) -> str:
    """Return KIS's sign of a change that knows no price limits: 2 up, 3 flat, 5 down."""
    return "2" if change > 0 else "5" if change < 0 else "3"


def resting(stock: Stock) -> RankRow:
    """Return the board row of a stock that has not traded yet."""
    return RankRow(stock.code, stock.base, 0, 0, 0, 0, 0, 0, 0, stock.prev_volume)
