"""Two parsers written apart must agree: records named by the exchange's field tables, read by ours."""

from __future__ import annotations

import pytest

from kquant.exchange.core import wire as theirs
from kquant.gateways.kis.feed import wire as ours
from kquant.gateways.kis.feed.executions import Keys, decode_notices
from kquant.market.records import Book, MarketStatus, ProgramTrade, Trade

KEYS = Keys("k" * 32, "i" * 16)
TRADE = {
    "code": "MKSC_SHRN_ISCD", "time": "STCK_CNTG_HOUR", "last_price": "STCK_PRPR", "last_qty": "CNTG_VOL",
    "side": "CCLD_DVSN", "bid": "BIDP1", "ask": "ASKP1",
    "open": "STCK_OPRC", "high": "STCK_HGPR", "low": "STCK_LWPR", "volume": "ACML_VOL", "value": "ACML_TR_PBMN",
    "change_bp": "PRDY_CTRT", "session": "NEW_MKOP_CLS_CODE", "phase": "HOUR_CLS_CODE", "halted": "TRHT_YN",
    "segment": "MARKET_CLS_CODE",
}  # fmt: skip
BOOK = {
    "code": "MKSC_SHRN_ISCD", "time": "BSOP_HOUR", "bid": "BIDP1", "ask": "ASKP1", "bid_qty": "BIDP_RSQN1",
    "ask_qty": "ASKP_RSQN1", "total_bid_qty": "TOTAL_BIDP_RSQN", "total_ask_qty": "TOTAL_ASKP_RSQN",
    "phase": "HOUR_CLS_CODE",
}  # fmt: skip
PROGRAM = {
    "code": "MKSC_SHRN_ISCD", "time": "STCK_CNTG_HOUR", "sold": "SELN_CNQN", "bought": "SHNU_CNQN", "net": "NTBY_CNQN",
}  # fmt: skip


STATUS = {
    "code": "MKSC_SHRN_ISCD", "halted": "TRHT_YN", "halt_reason": "TR_SUSP_REAS_CNTT", "operation": "MKOP_CLS_CODE",
    "expected": "ANTC_MKOP_CLS_CODE", "extension": "MRKT_TRTM_CLS_CODE", "stock_status": "ISCD_STAT_CLS_CODE",
    "vi": "VI_CLS_CODE", "overtime_vi": "OVTM_VI_CLS_CODE", "venue": "EXCH_CLS_CODE",
}  # fmt: skip
TEXTS = {"code", "time", "session", "phase", "segment", *STATUS} - {"halted", "vi", "overtime_vi"}


def distinct(fields: tuple[str, ...]) -> dict[str, str]:
    values = {name: str(1_000 + place) for place, name in enumerate(fields)}
    for name in values:
        if name in {"STCK_CNTG_HOUR", "BSOP_HOUR"}:
            values[name] = "101112"
    if "PRDY_CTRT" in values:
        values.update(PRDY_CTRT="-12.34", TRHT_YN="Y")
    if "VI_CLS_CODE" in values:
        values.update(MKSC_SHRN_ISCD="005930", TRHT_YN="Y", VI_CLS_CODE="Y", OVTM_VI_CLS_CODE="N")
    return values


def meaning(name: str, text: str) -> object:
    if name == "change_bp":
        return int(text.replace(".", ""))
    if name in {"halted", "vi", "overtime_vi"}:
        return text == "Y"
    return text if name in TEXTS else int(text)


@pytest.mark.parametrize("market", ["H0ST", "H0UN", "H0NX"])
@pytest.mark.parametrize(
    ("kind", "names", "record"),
    [("CNT0", TRADE, Trade), ("ASP0", BOOK, Book), ("PGM0", PROGRAM, ProgramTrade), ("MKO0", STATUS, MarketStatus)],
)
def test_each_field_we_read_is_the_one_the_exchange_writes_there(market, kind, names, record):
    tr_id = market + kind
    assert set(names) == set(record.__struct_fields__)
    values = distinct(theirs.FIELDS[tr_id])
    frame = theirs.data_frame(tr_id, ["^".join(values.values())] * 2)
    for read in ours.decode(frame):
        assert isinstance(read, record)
        assert {name: getattr(read, name) for name in names} == {
            name: meaning(name, values[field]) for name, field in names.items()
        }


@pytest.mark.parametrize("is_sell", [True, False])
@pytest.mark.parametrize(("request_", "word"), [("0", "new"), ("1", "revise"), ("2", "cancel")])
def test_a_notice_of_the_exchange_reads_back_as_it_was_meant(is_sell, request_, word):
    plain = theirs.notice_record(
        hts_id="DEMO01", account="5000123401", order_no=41, origin=17, is_sell=is_sell, request=request_, division="00",
        code="000660", qty=7, price=123_400, second=36_000, rejected=False, is_fill=True, accepted="2", branch="06010",
        order_qty=19, holder="holder", name="name", order_price=123_500,
    )  # fmt: skip
    frame = theirs.data_frame("H0STCNI0", [theirs.encrypt(plain, KEYS.key, KEYS.iv)], encrypted=True)
    (notice,) = decode_notices(frame, KEYS)
    assert (notice.account, notice.order_no, notice.original_order_no) == ("5000123401", "41", "17")
    assert (notice.side, notice.request, notice.kind) == ("sell" if is_sell else "buy", word, "filled")
    assert (notice.code, notice.qty, notice.price, notice.order_qty, notice.time) == (
        "000660", 7, 123_400, 19, "100000",
    )  # fmt: skip
