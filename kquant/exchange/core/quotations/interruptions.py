"""Who was interrupted by a VI today: inquire-vi-status. Source: kis-protocol.md 4.3."""

from typing import Final

from kquant.exchange.core.quotations.forms import Row, cents
from kquant.exchange.core.quotations.source import Source, date_of, expect, ymd
from kquant.exchange.core.rest import Answer, Request, required
from kquant.exchange.core.rules import hhmmss
from kquant.exchange.market.model import Interruption, Stock

_NAMES: Final = (
    "FID_DIV_CLS_CODE",
    "FID_COND_SCR_DIV_CODE",
    "FID_MRKT_CLS_CODE",
    "FID_INPUT_ISCD",
    "FID_RANK_SORT_CLS_CODE",
    "FID_INPUT_DATE_1",
    "FID_TRGT_CLS_CODE",
    "FID_TRGT_EXLS_CLS_CODE",
)
_KINDS: Final = {"static": "1", "dynamic": "2"}


class Interruptions:
    """Answers inquire-vi-status."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def status(self, request: Request) -> Answer:
        """inquire-vi-status FHPST01390000: the interruptions begun by now, newest first; another day has none."""
        fields = required(request.params, *_NAMES)
        expect(fields, "FID_COND_SCR_DIV_CODE", "20139")
        direction = expect(fields, "FID_DIV_CLS_CODE", "0", "1", "2")
        market_class = expect(fields, "FID_MRKT_CLS_CODE", "0", "K", "Q")
        kind = expect(fields, "FID_RANK_SORT_CLS_CODE", "0", "1", "2", "3")
        market = self._source.market
        if date_of("FID_INPUT_DATE_1", fields["FID_INPUT_DATE_1"]) != market.day:
            return Answer(outputs={"output": []})
        codes = market.interrupted()
        if fields["FID_INPUT_ISCD"]:
            self._source.listed(fields["FID_INPUT_ISCD"])
            codes = [code for code in codes if code == fields["FID_INPUT_ISCD"]]
        found: list[tuple[int, str, Row]] = []
        for code in codes:
            stock = market.by_code[code]
            if market_class != "0" and (stock.market == "KOSPI") != (market_class == "K"):
                continue
            count = 0
            for one in market.interruptions(code):
                if one.kind == "halt" or one.start > self._source.last():
                    continue
                count += 1
                if kind in "12" and _KINDS[one.kind] != kind:
                    continue
                if direction == "0" or (one.deviation_bp > 0) == (direction == "1"):
                    found.append((-one.start, code, self._row(stock, one, count)))
        found.sort(key=lambda item: item[:2])
        return Answer(outputs={"output": [row for _, _, row in found]})

    def _row(self, stock: Stock, one: Interruption, count: int) -> Row:
        active = one.end > self._source.last()
        static = one.kind == "static"
        deviation = cents(one.deviation_bp)
        return {
            "hts_kor_isnm": stock.name,
            "mksc_shrn_iscd": stock.code,
            "vi_cls_code": "Y" if active else "N",
            "bsop_date": ymd(self._source.market.day),
            "cntg_vi_hour": hhmmss(one.start),
            "vi_cncl_hour": "000000" if active else hhmmss(one.end),
            "vi_kind_code": "1" if static else "2",
            "vi_prc": str(one.trigger),
            "vi_stnd_prc": str(one.reference) if static else "0",
            "vi_dprt": deviation if static else "0.00",
            "vi_dmc_stnd_prc": "0" if static else str(one.reference),
            "vi_dmc_dprt": "0.00" if static else deviation,
            "vi_count": str(count),
        }
