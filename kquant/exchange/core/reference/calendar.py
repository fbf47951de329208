"""chk-holiday and news-title. Source: kis-protocol.md 4.7."""

import datetime as dt
from typing import Final

from kquant.exchange.core.quotations.forms import Row
from kquant.exchange.core.quotations.source import Source, date_of, second_of, ymd
from kquant.exchange.core.rest import Answer, Request, required, value_error
from kquant.exchange.core.rules import is_bank_day, is_open_day

HOLIDAY_ROWS: Final = 25
KEY_WIDTH: Final = 20
CALENDAR_YEARS: Final = 1
"""The calendar ends with this many years after the market's day."""
NEWS_ROWS: Final = 40
_NEWS: Final = (
    "FID_NEWS_OFER_ENTP_CODE",
    "FID_COND_MRKT_CLS_CODE",
    "FID_INPUT_ISCD",
    "FID_TITL_CNTT",
    "FID_INPUT_DATE_1",
    "FID_INPUT_HOUR_1",
    "FID_RANK_SORT_CLS_CODE",
    "FID_INPUT_SRNO",
)


class Calendar:
    """Answers chk-holiday."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def holidays(self, request: Request) -> Answer:
        """chk-holiday CTCA0903R: 25 days from BASS_DT on; the keys of a page ask for the one after it."""
        fields = required(request.params, "BASS_DT", "CTX_AREA_FK", "CTX_AREA_NK")
        asked = date_of("BASS_DT", fields["BASS_DT"])
        first = asked
        if request.headers.get("tr_cont", "").strip() == "N" and fields["CTX_AREA_NK"]:
            if fields["CTX_AREA_FK"] != ymd(asked):
                raise value_error("CTX_AREA_FK", fields["CTX_AREA_FK"])
            first = date_of("CTX_AREA_NK", fields["CTX_AREA_NK"])
        end = dt.date(self._source.market.day.year + CALENDAR_YEARS, 12, 31)
        count = max(0, min(HOLIDAY_ROWS, (end - first).days + 1))
        rows = [self._day(first + dt.timedelta(days=offset)) for offset in range(count)]
        following = first + dt.timedelta(days=count)
        more = following <= end
        outputs = {
            "ctx_area_nk": (ymd(following) if more else "").ljust(KEY_WIDTH),
            "ctx_area_fk": ymd(asked).ljust(KEY_WIDTH),
            "output": rows,
        }
        code, text = (
            ("KIOK0500", "조회가 계속됩니다..다음버튼을 Click 하십시오.")
            if more
            else ("KIOK0510", "조회가 완료되었습니다")
        )
        begun = first != asked
        return Answer(
            outputs=outputs, msg_cd=code, msg1=text, tr_cont=("M" if begun else "F") if more else "E" if begun else "D"
        )

    def _day(self, day: dt.date) -> Row:
        is_open = is_open_day(day) or day == self._source.market.day
        bank = is_bank_day(day) or day == self._source.market.day
        return {
            "bass_dt": ymd(day),
            "wday_dvsn_cd": f"{day.isoweekday() % 7 + 1:02d}",
            "bzdy_yn": "Y" if bank else "N",
            "tr_day_yn": "Y" if bank else "N",
            "opnd_yn": "Y" if is_open else "N",
            "sttl_day_yn": "Y" if is_open else "N",
        }


class News:
    """Answers news-title."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def titles(self, request: Request) -> Answer:
        """news-title FHKST01011800: 40 titles, newest first, published by now.

        FID_INPUT_ISCD, FID_TITL_CNTT filter; FID_INPUT_DATE_1 and _HOUR_1 ask for those up to then, FID_INPUT_SRNO for
        those older than a title. All may be blank.
        """
        fields = required(request.params, *_NEWS)
        date, hour, serial = fields["FID_INPUT_DATE_1"], fields["FID_INPUT_HOUR_1"], fields["FID_INPUT_SRNO"]
        until_day = date_of("FID_INPUT_DATE_1", date) if date.strip("0") else dt.date.max
        until_second = second_of("FID_INPUT_HOUR_1", hour) if hour.strip("0") else 86_399
        found = []
        for title in self._source.market.news(self._source.last(), fields["FID_INPUT_ISCD"] or None):
            second = title.time.hour * 3_600 + title.time.minute * 60 + title.time.second
            if title.date > until_day or (title.date == until_day and second > until_second):
                continue
            if until_day == dt.date.max and second > until_second:
                continue
            if fields["FID_TITL_CNTT"] in title.title and (not serial.strip("0") or title.id < serial):
                found.append(title)
        rows = []
        for title in found[:NEWS_ROWS]:
            codes = (*title.codes, "", "", "", "", "")
            rows.append(
                {
                    "cntt_usiq_srno": title.id,
                    "news_ofer_entp_code": "2",
                    "data_dt": ymd(title.date),
                    "data_tm": f"{title.time:%H%M%S}",
                    "hts_pbnt_titl_cntt": title.title,
                    "news_lrdv_code": "",
                    "dorg": title.source,
                    **{f"iscd{number}": codes[number - 1] for number in range(1, 6)},
                }
            )
        more = len(found) > NEWS_ROWS
        return Answer(outputs={"output": rows}, tr_cont="F" if more else "")
