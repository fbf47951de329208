"""The real-time TR ids: which channel of which market each names, and how wide its records are.

Sources: kis-protocol 2.5 and 3.1 to 3.7. A record may be wider than known, because KIS appends fields; a width that no
table here knows is worth a word, a record that is too short is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kquant.values import Channel

Market = Literal["krx", "unified", "nxt"]
"""Whose trading a registration shows: KRX's, KRX's and NXT's in one, or NXT's. In the unified channels the day's open,
high, low and volume include the NXT pre-market and do not start anew at 09:00."""

TR_IDS: Mapping[Market, Mapping[Channel, str]] = {
    "krx": {"trades": "H0STCNT0", "book": "H0STASP0", "program": "H0STPGM0", "status": "H0STMKO0"},
    "unified": {"trades": "H0UNCNT0", "book": "H0UNASP0", "program": "H0UNPGM0", "status": "H0UNMKO0"},
    "nxt": {"trades": "H0NXCNT0", "book": "H0NXASP0", "program": "H0NXPGM0", "status": "H0NXMKO0"},
}
CHANNELS: Mapping[str, Channel] = {tr_id: channel for ids in TR_IDS.values() for channel, tr_id in ids.items()}
"""TR id to channel, of every market."""

ON_PAPER: frozenset[str] = frozenset({"H0STCNT0", "H0STASP0", "H0STCNI9"})
"""All the paper service offers: every other TR needs a real key."""

NOTICE_REAL, NOTICE_PAPER = "H0STCNI0", "H0STCNI9"
NOTICES: frozenset[str] = frozenset({NOTICE_REAL, NOTICE_PAPER})

LEAST_WIDTH: Mapping[Channel, int] = {"trades": 46, "book": 59, "program": 11, "status": 10}
"""Fewest fields a record may have."""

NOTICE_WIDTH = 23
"""Fewest fields of an execution notice: the older layout; the newer has 26."""

KNOWN_WIDTHS: Mapping[str, frozenset[int]] = {
    **dict.fromkeys(("H0STCNT0", "H0UNCNT0", "H0NXCNT0"), frozenset({46, 47})),
    "H0STASP0": frozenset({59, 62, 63}),
    "H0UNASP0": frozenset({65, 66}),
    "H0NXASP0": frozenset({62, 65}),
    **dict.fromkeys(("H0STPGM0", "H0UNPGM0", "H0NXPGM0"), frozenset({11})),
    **dict.fromkeys(("H0STMKO0", "H0UNMKO0", "H0NXMKO0"), frozenset({10, 11})),
    **dict.fromkeys(NOTICES, frozenset({23, 26})),
}
"""Widths the protocol's documents and live frames know."""
