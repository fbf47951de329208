"""The field orders of every real-time channel, and how wide each was at which date.

Written from kis-protocol.md 0, 3.1-3.7 and 7.6; nothing is shared with a client's tables. KIS appends fields: encoders
write the widest record, a `Layout` cuts it to what was sent in its days.
"""

from typing import Final

from msgspec import Struct


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
_BOOK_COMMON: Final = (
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
    OVTM_TOTAL_ASKP_ICDC OVTM_TOTAL_BIDP_ICDC STCK_DEAL_CLS_CODE
    """
    ),
)
BOOK_FIELDS: Final = (*_BOOK_COMMON, "MID_PRC", "MIDP_TOTAL_RSQN", "MIDP_CLS_CODE", "MARKET_CLS_CODE")
NXT_BOOK_FIELDS: Final = (*_BOOK_COMMON, "NMID_PRC", "NMID_TOTAL_RSQN", "NMID_CLS_CODE")
UNIFIED_BOOK_FIELDS: Final = (
    *_BOOK_COMMON,
    *_names("KMID_PRC KMID_TOTAL_RSQN KMID_CLS_CODE NMID_PRC NMID_TOTAL_RSQN NMID_CLS_CODE ANTC_EXCH_CLS_CODE"),
)
PROGRAM_FIELDS: Final = _names(
    """
    MKSC_SHRN_ISCD STCK_CNTG_HOUR SELN_CNQN SELN_TR_PBMN SHNU_CNQN SHNU_TR_PBMN NTBY_CNQN NTBY_TR_PBMN
    SELN_RSQN SHNU_RSQN WHOL_NTBY_QTY
    """
)
STATUS_FIELDS: Final = _names(
    """
    MKSC_SHRN_ISCD TRHT_YN TR_SUSP_REAS_CNTT MKOP_CLS_CODE ANTC_MKOP_CLS_CODE MRKT_TRTM_CLS_CODE
    DIVI_APP_CLS_CODE ISCD_STAT_CLS_CODE VI_CLS_CODE OVTM_VI_CLS_CODE EXCH_CLS_CODE
    """
)
NOTICE_FIELDS: Final = _names(
    """
    CUST_ID ACNT_NO ODER_NO OODER_NO SELN_BYOV_CLS RCTF_CLS ODER_KIND ODER_COND STCK_SHRN_ISCD CNTG_QTY
    CNTG_UNPR STCK_CNTG_HOUR RFUS_YN CNTG_YN ACPT_YN BRNC_NO ODER_QTY ACNT_NAME ORD_COND_PRC ORD_EXG_GB
    POPUP_YN FILLER CRDT_CLS CRDT_LOAN_DATE CNTG_ISNM40 ODER_PRC
    """
)
OLD_NOTICE_FIELDS: Final = (
    *NOTICE_FIELDS[:18],
    *_names("CNTG_ISNM CRDT_CLS CRDT_LOAN_DATE CNTG_ISNM40 ODER_PRC"),
)
_EXPECTED: Final = tuple("CNTG_CLS_CODE" if name == "CCLD_DVSN" else name for name in TRADE_FIELDS)

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    **{f"H0{venue}CNT0": TRADE_FIELDS for venue in ("ST", "UN", "NX")},
    "H0STASP0": BOOK_FIELDS,
    "H0UNASP0": UNIFIED_BOOK_FIELDS,
    "H0NXASP0": NXT_BOOK_FIELDS,
    **{f"H0{venue}PGM0": PROGRAM_FIELDS for venue in ("ST", "UN", "NX")},
    **{f"H0{venue}MKO0": STATUS_FIELDS for venue in ("ST", "UN", "NX")},
    "H0STANC0": _EXPECTED[:45],
    **{f"H0{venue}ANC0": _EXPECTED[:46] for venue in ("UN", "NX")},
    **{f"H0STCNI{n}": NOTICE_FIELDS for n in (0, 9)},
}
"""The widest record of each channel."""


class Layout(Struct, frozen=True, kw_only=True):
    """How many fields KIS sent at a date. calls: REST calls a second of the real and the paper service in its days."""

    name: str
    trade: int
    book: int
    unified_book: int
    status: int
    notice: int
    calls: tuple[int, int]

    def fields(self, tr_id: str) -> tuple[str, ...]:
        """Return the fields of a record of *tr_id*, in order."""
        names = FIELDS[tr_id]
        if names is NOTICE_FIELDS:
            return OLD_NOTICE_FIELDS if self.notice == len(OLD_NOTICE_FIELDS) else names
        width = {
            "CNT0": self.trade,
            "MKO0": self.status,
            "ASP0": {"ST": self.book, "UN": self.unified_book, "NX": len(names)}[tr_id[2:4]],
        }.get(tr_id[4:], len(names))
        return names[:width]

    def fit(self, tr_id: str, record: str) -> str:
        """Return a widest *record* of *tr_id* as this layout sends it."""
        names = FIELDS[tr_id]
        if names is NOTICE_FIELDS:
            return _old_notice(record) if self.notice == len(OLD_NOTICE_FIELDS) else record
        spare = record.count("^") + 1 - len(self.fields(tr_id))
        return record.rsplit("^", spare)[0] if spare > 0 else record


def _old_notice(record: str) -> str:
    """Return a notice of 26 fields as the 23 of before: the stock's name twice, no condition, venue and popup."""
    cells = record.split("^")
    return "^".join((*cells[:18], cells[24], *cells[22:26]))


LAYOUTS: Final = {
    layout.name: layout
    for layout in (
        # Notices grew from 23 to 26 fields at a date nobody wrote down; the clients of 2025 take 23 alone (7.6).
        Layout(name="2025", trade=46, book=59, unified_book=65, status=10, notice=23, calls=(20, 2)),
        Layout(name="2025-wide", trade=46, book=59, unified_book=65, status=10, notice=26, calls=(20, 2)),
        Layout(name="2026-09", trade=47, book=62, unified_book=66, status=11, notice=26, calls=(18, 1)),
        # Book index 62 was announced and is not confirmed by a live frame.
        Layout(name="2026-09-wide", trade=47, book=63, unified_book=66, status=11, notice=26, calls=(18, 1)),
    )
}
NEWEST: Final = LAYOUTS["2026-09"]
