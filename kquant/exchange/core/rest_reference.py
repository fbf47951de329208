"""Reference data: holidays, news titles, stock master files. Source: kis-protocol.md 4.7, 4.8."""

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from typing import Final

from kquant.exchange.core.ports import Market
from kquant.exchange.core.rest import Answer, Request, Route, Routes, required, value_error
from kquant.exchange.core.rules import is_bank_day, is_open_day
from kquant.exchange.market.model import MarketName, Stock

HOLIDAY_ROWS: Final = 25
NEWS_ROWS: Final = 40


class Reference:
    """Answers chk-holiday and news-title; `last` gives the last finished second."""

    def __init__(self, market: Market, last: Callable[[], int]) -> None:
        self._market = market
        self._last = last

    def routes(self) -> Routes:
        """Return the paths answered here."""
        return {
            "/quotations/chk-holiday": Route(method="GET", real=("CTCA0903R",), handle=self.holidays),
            "/quotations/news-title": Route(method="GET", real=("FHKST01011800",), handle=self.news),
        }

    def holidays(self, request: Request) -> Answer:
        """chk-holiday CTCA0903R: 25 days from BASS_DT on."""
        text = required(request.params, "BASS_DT", "CTX_AREA_FK", "CTX_AREA_NK")["BASS_DT"]
        try:
            first = dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC).date()
        except ValueError:
            raise value_error("BASS_DT", text) from None
        rows = [self._day(first + dt.timedelta(days=offset)) for offset in range(HOLIDAY_ROWS)]
        outputs = {"ctx_area_nk": "".ljust(20), "ctx_area_fk": "".ljust(20), "output": rows}
        return Answer(outputs=outputs, msg_cd="KIOK0500", msg1="조회가 계속됩니다.")

    def news(self, request: Request) -> Answer:
        """news-title FHKST01011800: newest first, only what is published by now; FID_INPUT_ISCD filters."""
        fields = required(
            request.params,
            *[
                "FID_NEWS_OFER_ENTP_CODE",
                "FID_COND_MRKT_CLS_CODE",
                "FID_INPUT_ISCD",
                "FID_TITL_CNTT",
                "FID_INPUT_DATE_1",
            ],
            *["FID_INPUT_HOUR_1", "FID_RANK_SORT_CLS_CODE", "FID_INPUT_SRNO"],
        )
        rows = []
        for title in self._market.news(self._last(), fields["FID_INPUT_ISCD"] or None)[:NEWS_ROWS]:
            codes = (*title.codes, "", "", "", "", "")
            rows.append(
                {
                    "cntt_usiq_srno": title.id,
                    "news_ofer_entp_code": "2",
                    "data_dt": f"{title.date:%Y%m%d}",
                    "data_tm": f"{title.time:%H%M%S}",
                    "hts_pbnt_titl_cntt": title.title,
                    "news_lrdv_code": "",
                    "dorg": title.source,
                    **{f"iscd{number}": codes[number - 1] for number in range(1, 6)},
                }
            )
        return Answer(outputs={"output": rows})

    def _day(self, day: dt.date) -> dict[str, str]:
        is_open = is_open_day(day) or day == self._market.day
        return {
            "bass_dt": f"{day:%Y%m%d}",
            "wday_dvsn_cd": f"{day.isoweekday() % 7 + 1:02d}",
            "bzdy_yn": "Y" if is_bank_day(day) else "N",
            "tr_day_yn": "Y" if is_bank_day(day) else "N",
            "opnd_yn": "Y" if is_open else "N",
            "sttl_day_yn": "Y" if is_open else "N",
        }


_GROUPS: Final = {"common": "ST", "preferred": "ST", "spac": "ST", "etf": "EF", "etn": "EN", "reit": "RT"}


def _isin(code: str) -> str:
    """Return the ISIN of a six-character code with its check digit (Luhn over letters as two digits)."""
    body = f"KR7{code}00"
    digits = "".join(str(int(char, 36)) for char in body)
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return f"{body}{-total % 10}"


def _row(stock: Stock, market: MarketName) -> bytes:
    """Return one fixed-width row: head of 61 bytes, tail of 227 (KOSPI) or 221 (KOSDAQ), kis-protocol.md 4.8."""
    is_kospi = market == "KOSPI"
    tail = bytearray(b" " * (227 if is_kospi else 221))

    def put(offsets: tuple[int, int], text: str) -> None:
        at = offsets[0] if is_kospi else offsets[1]
        tail[at : at + len(text)] = text.encode("ascii")

    def flag(value: bool) -> str:
        return "Y" if value else "N"

    put((0, 0), _GROUPS[stock.kind])
    put((2, 2), "0000000000000")
    put((16, 16), "N")
    if is_kospi:
        put((18, 18), "1" if stock.kospi200 else "0")
    else:
        put((35, 35), "N")
        put((30, 30), "N")
    put((22, 18), {"etf": "1", "etn": "3"}.get(stock.kind, "0"))
    put((29, 24), flag(stock.kind == "spac"))
    put((32, 27), "2" if stock.overheated else "0")
    put((41, 36), f"{stock.base:09d}")
    put((50, 45), "0000100001")
    put((60, 55), flag(stock.halted))
    put((61, 56), flag(stock.liquidation))
    put((62, 57), flag(stock.administrative))
    put((63, 58), f"{stock.warning:02d}")
    put((65, 60), "NNN000000")
    put((74, 69), "100" if stock.warning or stock.administrative else "040")
    put((77, 72), flag(not (stock.warning or stock.administrative or stock.liquidation)))
    put((78, 73), "000")
    put((81, 76), f"{stock.prev_volume:012d}")
    put((93, 88), "000000000000")
    put((105, 100), "20000101")
    put((113, 108), f"{stock.listed_shares // 1000:015d}")
    put((128, 123), f"{0:021d}")
    put((149, 144), "12")
    put((158, 153), "1" if stock.kind == "preferred" else "0")
    put((159, 154), "NNN")
    put((163, 157), "0" * 32)
    put((195, 189), f"{0:09.2f}")
    put((204, 198), "00000000")
    put((212, 206), f"{stock.listed_shares * stock.base // 100_000_000:09d}")
    put((221, 215), "   NNN")
    name = stock.name.encode("cp949", errors="replace")[:40].ljust(40)
    return stock.code.encode("ascii").ljust(9) + _isin(stock.code).encode("ascii") + name + bytes(tail) + b"\n"


def master_zip(market: Market, which: MarketName) -> bytes:
    """Return the zipped cp949 master file of one market; the bytes are the same on every call."""
    name = "kospi_code.mst" if which == "KOSPI" else "kosdaq_code.mst"
    rows = b"".join(_row(stock, which) for stock in market.stocks if stock.market == which)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(zipfile.ZipInfo(name, (market.day.year, market.day.month, market.day.day, 0, 0, 0)), rows)
    return buffer.getvalue()
