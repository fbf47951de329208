"""The encoders of the real-time channels: one record of text each, in the widest layout.

Written from kis-protocol.md 2.4 and 3.1-3.6; nothing is shared with a client.
"""

import base64
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from kquant.exchange.core.layouts import FIELDS as FIELDS  # noqa: PLC0414 -- part of what the wire offers
from kquant.exchange.core.rules import hhmmss, percent, ratio, sign_of
from kquant.exchange.market.model import (
    AUCTION,
    Book,
    DayStats,
    Indicative,
    Midpoint,
    Phase,
    Print,
    Program,
    Quote,
    Segment,
    Status,
    Stock,
)

RECORDS_MAX: Final = 999
"""The three-digit count of a data frame."""


def data_frame(tr_id: str, records: Sequence[str], *, encrypted: bool = False) -> str:
    """Return one data frame `flag|tr_id|count|records`, 1 to 999 records."""
    if not 0 < len(records) <= RECORDS_MAX:
        raise ValueError(f"a {tr_id} frame carries 1 to {RECORDS_MAX} records, not {len(records)}")
    return f"{'1' if encrypted else '0'}|{tr_id}|{len(records):03d}|{'^'.join(records)}"


def fold_print(stats: DayStats, trade: Print) -> DayStats:
    """Return the day's figures after one more trade."""
    first = stats.volume == 0
    higher, lower = first or trade.price > stats.high, first or trade.price < stats.low
    buy, sell = trade.side == 1, trade.side == 5
    return DayStats(
        trade.price if first else stats.open,
        trade.price if higher else stats.high,
        trade.price if lower else stats.low,
        trade.price,
        stats.volume + trade.qty,
        stats.value + trade.price * trade.qty,
        trade.second if first else stats.open_second,
        trade.second if higher else stats.high_second,
        trade.second if lower else stats.low_second,
        stats.buy_volume + (trade.qty if buy else 0),
        stats.sell_volume + (trade.qty if sell else 0),
        stats.buy_count + buy,
        stats.sell_count + sell,
    )


class Moment(NamedTuple):
    """What a trade frame says of its time: the day, the stock's status, the segment, yesterday's volume by now."""

    date_text: str
    status: Status
    segment: Segment
    hour_class: str
    volume_before: int


def _against(price: int, reference: int) -> tuple[str, int]:
    difference = price - reference if reference else 0  # before the first trade there is nothing to compare with
    return ("2" if difference > 0 else "5" if difference < 0 else "3"), difference


def trade_record(
    stock: Stock, trade: Print, stats: DayStats, quote: Quote, totals: tuple[int, int], moment: Moment
) -> str:
    """Return one H0STCNT0 record of 47 fields.

    stats: the day after this trade.   totals: visible ask and bid sizes.
    """
    price = trade.price
    change = price - stock.base
    open_sign, open_change = _against(price, stats.open)
    high_sign, high_change = _against(price, stats.high)
    low_sign, low_change = _against(price, stats.low)
    sides = stats.buy_volume + stats.sell_volume
    session = f"{moment.segment.session_code[0]}7" if stock.liquidation else moment.segment.session_code
    before = moment.volume_before
    return (
        f"{stock.code}^{hhmmss(trade.second)}^{price}^{sign_of(change, price, stock.upper, stock.lower)}^{change}"
        f"^{percent(change, stock.base)}^{ratio(stats.value, stats.volume, 2)}^{stats.open}^{stats.high}^{stats.low}"
        f"^{quote.ask}^{quote.bid}^{trade.qty}^{stats.volume}^{stats.value}^{stats.sell_count}^{stats.buy_count}"
        f"^{stats.buy_count - stats.sell_count}^{percent(stats.buy_volume, stats.sell_volume)}^{stats.sell_volume}"
        f"^{stats.buy_volume}^{trade.side}^{ratio(stats.buy_volume, sides, 2)}"
        f"^{percent(stats.volume, stock.prev_volume)}^{hhmmss(stats.open_second)}^{open_sign}^{open_change}"
        f"^{hhmmss(stats.high_second)}^{high_sign}^{high_change}^{hhmmss(stats.low_second)}^{low_sign}^{low_change}"
        f"^{moment.date_text}^{session}^{'Y' if moment.status.phase == 'halted' else 'N'}^{quote.ask_qty}"
        f"^{quote.bid_qty}^{totals[0]}^{totals[1]}^{percent(stats.volume, stock.listed_shares)}"
        f"^{before}^{percent(stats.volume, before)}^{moment.hour_class}^^{moment.status.reference}"
        f"^{moment.segment.market_code}"
    )


def expected_record(
    stock: Stock,
    second: int,
    expected: Indicative,
    stats: DayStats,
    quote: Quote,
    totals: tuple[int, int],
    moment: Moment,
) -> str:
    """Return one H0STANC0 record in a trade's fields: [2] the expected price, [12] the expected quantity."""
    return trade_record(stock, Print(second, expected.price, expected.qty, AUCTION), stats, quote, totals, moment)


def book_record(
    stock: Stock,
    second: int,
    book: Book,
    before: Book | None,
    volume: int,
    expected: tuple[int, int],
    hour_class: str,
    midpoint: Midpoint,
    segment: Segment,
) -> str:
    """Return one H0STASP0 record of 63 fields.

    before: the book of the last frame, for the changes of the totals.   expected: auction price and quantity.
    """
    price, qty = expected
    change = price - stock.base
    ask_before, bid_before = (before.ask_qty_total, before.bid_qty_total) if before else (0, 0)
    asks, bids = book.asks, book.bids
    return "^".join(
        (
            stock.code,
            hhmmss(second),
            hour_class,
            *(str(level.price) for level in asks),
            *(str(level.price) for level in bids),
            *(str(level.qty) for level in asks),
            *(str(level.qty) for level in bids),
            f"{book.ask_qty_total}^{book.bid_qty_total}^0^0^{price}^{qty}^{qty}^{change}",
            f"{sign_of(change, price, stock.upper, stock.lower)}^{percent(change, stock.base)}^{volume}",
            f"{book.ask_qty_total - ask_before}^{book.bid_qty_total - bid_before}^0^0^0",
            f"{midpoint.price}^{midpoint.qty}^{midpoint.side}^{segment.market_code}",
        )
    )


def unified_book_record(record: str) -> str:
    """Return a KRX book of 63 fields as the unified one of 66: nothing rests at NXT, and KRX holds the auction."""
    return f"{record.rsplit('^', 1)[0]}^0^0^0^1"


_PHASE_CODES: Final[dict[Phase, tuple[str, str]]] = {
    "opening": ("110", "112"),
    "continuous": ("112", ""),
    "closing": ("121", "121"),
    "closed": ("129", ""),
    "post_close": ("140", ""),
    "after": ("", ""),
    "vi": ("", "311"),
    "halted": ("", ""),
}
"""MKOP_CLS_CODE and ANTC_MKOP_CLS_CODE with which a phase begins; the document knows none for the after-market."""


def status_record(stock: Stock, before: Status, now: Status, reason: str) -> str:
    """Return one H0STMKO0 record of 11 fields: *now* follows *before*. reason: why the stock is halted, or blank."""
    operation, expected = _PHASE_CODES[now.phase]
    if now.phase == "continuous" and before.phase != "opening":
        operation = ""  # trading goes on after an interruption: the market did not open again
    halted, interrupted = now.phase == "halted", now.phase == "vi" and now.vi != ""
    return (
        f"{stock.code}^{'Y' if halted else 'N'}^{reason or '(null)'}^{operation}^{expected}^^^{_state(stock, halted)}"
        f"^{'Y' if interrupted else 'N'}^N^1"
    )


def _state(stock: Stock, halted: bool) -> str:
    if halted:
        return "58"
    if stock.administrative:
        return "51"
    if stock.warning:
        return ("54", "53", "52")[stock.warning - 1]
    return "59" if stock.overheated else "55"


def program_record(code: str, second: int, program: Program) -> str:
    """Return one H0STPGM0 record of 11 fields: shares and won, cumulative, and what rests."""
    p = program
    return (
        f"{code}^{hhmmss(second)}^{p.sell_qty}^{p.sell_value}^{p.buy_qty}^{p.buy_value}^{p.buy_qty - p.sell_qty}"
        f"^{p.buy_value - p.sell_value}^{p.ask_rest}^{p.bid_rest}^{p.bid_rest - p.ask_rest}"
    )


def notice_record(
    *,
    hts_id: str,
    account: str,
    order_no: int,
    origin: int,
    is_sell: bool,
    request: str,
    division: str,
    code: str,
    qty: int,
    price: int,
    second: int,
    rejected: bool,
    is_fill: bool,
    accepted: str,
    branch: str,
    order_qty: int,
    holder: str,
    name: str,
    order_price: int,
    condition: str = "0",
    stop_price: int = 0,
    exchange: str = "1",
) -> str:
    """Return one H0STCNI0 record of 26 fields in plain text.

    qty and price: of this fill, or of the order in an acknowledgement.   request: 0 new, 1 revise, 2 cancel.
    accepted: ACPT_YN, 1 received, 2 confirmed, 3 IOC/FOK remainder cancelled.   account: ten digits without a dash.
    condition: 0 none, 1 IOC, 2 FOK.   exchange: 1 KRX, 2 NXT, 3 SOR routed to KRX.
    """
    return (
        f"{hts_id}^{account}^{order_no:010d}^{f'{origin:010d}' if origin else ''}^{'01' if is_sell else '02'}"
        f"^{request}^{division}^{condition}^{code}^{qty:010d}^{price:09d}^{hhmmss(second)}^{int(rejected)}"
        f"^{'2' if is_fill else '1'}^{accepted}^{branch}^{order_qty:09d}^{holder}^{stop_price:09d}^{exchange}^Y^^10^^{name}"
        f"^{order_price:09d}"
    )


def encrypt(text: str, key: str, iv: str) -> str:
    """Return *text* as base64 of AES-256-CBC with PKCS7 padding; key 32 and iv 16 ASCII characters."""
    padder = padding.PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key.encode("ascii")), modes.CBC(iv.encode("ascii"))).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode("ascii")
