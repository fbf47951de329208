"""The exchange's own wire tables: field orders of the real-time channels, and their encoders.

Written from kis-protocol.md 2.4 and 3.1-3.4; nothing is shared with a client's tables.
"""

import base64
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from kquant.exchange.core.rules import hhmmss, percent, ratio, sign_of
from kquant.exchange.market.model import Book, DayStats, Print, Program, Quote, Stock


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TRADE_FIELDS: Final = _names(
    """
    MKSC_SHRN_ISCD STCK_CNTG_HOUR STCK_PRPR PRDY_VRSS_SIGN PRDY_VRSS PRDY_CTRT WGHN_AVRG_STCK_PRC STCK_OPRC
    STCK_HGPR STCK_LWPR ASKP1 BIDP1 CNTG_VOL ACML_VOL ACML_TR_PBMN SELN_CNTG_CSNU SHNU_CNTG_CSNU
    NTBY_CNTG_CSNU CTTR SELN_CNTG_SMTN SHNU_CNTG_SMTN CCLD_DVSN SHNU_RATE PRDY_VOL_VRSS_ACML_VOL_RATE
    OPRC_HOUR OPRC_VRSS_PRPR_SIGN OPRC_VRSS_PRPR HGPR_HOUR HGPR_VRSS_PRPR_SIGN HGPR_VRSS_PRPR LWPR_HOUR
    LWPR_VRSS_PRPR_SIGN LWPR_VRSS_PRPR BSOP_DATE NEW_MKOP_CLS_CODE TRHT_YN ASKP_RSQN1 BIDP_RSQN1
    TOTAL_ASKP_RSQN TOTAL_BIDP_RSQN VOL_TNRT PRDY_SMNS_HOUR_ACML_VOL PRDY_SMNS_HOUR_ACML_VOL_RATE
    HOUR_CLS_CODE MRKT_TRTM_CLS_CODE VI_STND_PRC MARKET_CLS_CODE
    """
)
_LEVELS = range(1, 11)
BOOK_FIELDS: Final = (
    "MKSC_SHRN_ISCD",
    "BSOP_HOUR",
    "HOUR_CLS_CODE",
    *(f"ASKP{n}" for n in _LEVELS),
    *(f"BIDP{n}" for n in _LEVELS),
    *(f"ASKP_RSQN{n}" for n in _LEVELS),
    *(f"BIDP_RSQN{n}" for n in _LEVELS),
    *_names(
        """
    TOTAL_ASKP_RSQN TOTAL_BIDP_RSQN OVTM_TOTAL_ASKP_RSQN OVTM_TOTAL_BIDP_RSQN ANTC_CNPR ANTC_CNQN ANTC_VOL
    ANTC_CNTG_VRSS ANTC_CNTG_VRSS_SIGN ANTC_CNTG_PRDY_CTRT ACML_VOL TOTAL_ASKP_RSQN_ICDC TOTAL_BIDP_RSQN_ICDC
    OVTM_TOTAL_ASKP_ICDC OVTM_TOTAL_BIDP_ICDC STCK_DEAL_CLS_CODE MID_PRC MIDP_TOTAL_RSQN MIDP_CLS_CODE
    """
    ),
)
PROGRAM_FIELDS: Final = _names(
    """
    MKSC_SHRN_ISCD STCK_CNTG_HOUR SELN_CNQN SELN_TR_PBMN SHNU_CNQN SHNU_TR_PBMN NTBY_CNQN NTBY_TR_PBMN
    SELN_RSQN SHNU_RSQN WHOL_NTBY_QTY
    """
)
NOTICE_FIELDS: Final = _names(
    """
    CUST_ID ACNT_NO ODER_NO OODER_NO SELN_BYOV_CLS RCTF_CLS ODER_KIND ODER_COND STCK_SHRN_ISCD CNTG_QTY
    CNTG_UNPR STCK_CNTG_HOUR RFUS_YN CNTG_YN ACPT_YN BRNC_NO ODER_QTY ACNT_NAME ORD_COND_PRC ORD_EXG_GB
    POPUP_YN FILLER CRDT_CLS CRDT_LOAN_DATE CNTG_ISNM40 ODER_PRC
    """
)
FIELDS: Final = {
    "H0STCNT0": TRADE_FIELDS,
    "H0STASP0": BOOK_FIELDS,
    "H0STPGM0": PROGRAM_FIELDS,
    "H0STCNI0": NOTICE_FIELDS,
}
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


def _against(price: int, reference: int) -> tuple[str, int]:
    difference = price - reference
    return ("2" if difference > 0 else "5" if difference < 0 else "3"), difference


def trade_record(
    stock: Stock, trade: Print, stats: DayStats, quote: Quote, totals: tuple[int, int], date_text: str
) -> str:
    """Return one H0STCNT0 record of 47 fields.

    stats: the day after this trade.   totals: visible ask and bid sizes.   date_text: YYYYMMDD.
    The previous day's volume by time of day is not part of a market day: [41] and [42] are 0.
    """
    price = trade.price
    change = price - stock.base
    open_sign, open_change = _against(price, stats.open)
    high_sign, high_change = _against(price, stats.high)
    low_sign, low_change = _against(price, stats.low)
    sides = stats.buy_volume + stats.sell_volume
    return (
        f"{stock.code}^{hhmmss(trade.second)}^{price}^{sign_of(change, price, stock.upper, stock.lower)}^{change}"
        f"^{percent(change, stock.base)}^{ratio(stats.value, stats.volume, 2)}^{stats.open}^{stats.high}^{stats.low}"
        f"^{quote.ask}^{quote.bid}^{trade.qty}^{stats.volume}^{stats.value}^{stats.sell_count}^{stats.buy_count}"
        f"^{stats.buy_count - stats.sell_count}^{percent(stats.buy_volume, stats.sell_volume)}^{stats.sell_volume}"
        f"^{stats.buy_volume}^{trade.side}^{ratio(stats.buy_volume, sides, 2)}"
        f"^{percent(stats.volume, stock.prev_volume)}^{hhmmss(stats.open_second)}^{open_sign}^{open_change}"
        f"^{hhmmss(stats.high_second)}^{high_sign}^{high_change}^{hhmmss(stats.low_second)}^{low_sign}^{low_change}"
        f"^{date_text}^20^{'Y' if stock.halted else 'N'}^{quote.ask_qty}^{quote.bid_qty}^{totals[0]}^{totals[1]}"
        f"^{percent(stats.volume, stock.listed_shares)}^0^0.00^0^^{stock.base}^2"
    )


def book_record(
    stock: Stock,
    second: int,
    book: Book,
    before: Book | None,
    volume: int,
    expected: tuple[int, int],
    hour_class: str,
) -> str:
    """Return one H0STASP0 record of 62 fields.

    before: the book of the last frame, for the changes of the totals.   expected: auction price and quantity.
    """
    price, qty = expected
    change = price - stock.base
    ask_before, bid_before = (before.ask_qty_total, before.bid_qty_total) if before else (0, 0)
    asks, bids = book.asks, book.bids
    mid = (asks[0].price + bids[0].price) // 2 if asks[0].price and bids[0].price else 0
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
            f"{book.ask_qty_total - ask_before}^{book.bid_qty_total - bid_before}^0^0^0^{mid}^0^0",
        )
    )


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
) -> str:
    """Return one H0STCNI0 record of 26 fields in plain text.

    qty and price: of this fill, or of the order in an acknowledgement.   request: 0 new, 1 revise, 2 cancel.
    accepted: ACPT_YN, 1 received, 2 confirmed.   account: ten digits without a dash.
    """
    return (
        f"{hts_id}^{account}^{order_no:010d}^{f'{origin:010d}' if origin else ''}^{'01' if is_sell else '02'}"
        f"^{request}^{division}^0^{code}^{qty:010d}^{price:09d}^{hhmmss(second)}^{int(rejected)}"
        f"^{'2' if is_fill else '1'}^{accepted}^{branch}^{order_qty:09d}^{holder}^000000000^1^Y^^10^^{name}"
        f"^{order_price:09d}"
    )


def encrypt(text: str, key: str, iv: str) -> str:
    """Return *text* as base64 of AES-256-CBC with PKCS7 padding; key 32 and iv 16 ASCII characters."""
    padder = padding.PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key.encode("ascii")), modes.CBC(iv.encode("ascii"))).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode("ascii")
