"""Daily, weekly, monthly and yearly bars of a stock. Source: kis-protocol.md 4.4, 6 (#20).

FID_ORG_ADJ_PRC means the opposite in the two charts: in inquire-daily-itemchartprice 0 is adjusted and 1 raw, in
inquire-daily-price 0 is raw and 1 adjusted. A period's bar is dated by its last session.
"""

from collections.abc import Sequence
from typing import Final

from kquant.exchange.core.quotations.figures import FigureBook
from kquant.exchange.core.quotations.flows import FlowBook
from kquant.exchange.core.quotations.forms import Row, cents, percent_of, rounded, said
from kquant.exchange.core.quotations.past import DailyBar, Past, Period, Split, merged, raw
from kquant.exchange.core.quotations.source import Source, date_of, direction, expect, step_sign, ymd
from kquant.exchange.core.rest import Answer, Request
from kquant.exchange.core.rules import sign_of
from kquant.exchange.market.model import Stock

CHART_ROWS: Final = 100
RECENT_ROWS: Final = 30
_PERIODS: Final[dict[str, Period]] = {"D": "D", "W": "W", "M": "M", "Y": "Y"}


class Dailies:
    """Answers inquire-daily-price, inquire-daily-itemchartprice and inquire-daily-overtimeprice."""

    def __init__(self, source: Source, past: Past, figures: FigureBook, flows: FlowBook) -> None:
        self._source = source
        self._past = past
        self._figures = figures
        self._flows = flows

    def recent(self, request: Request) -> Answer:
        """inquire-daily-price FHKST01010400: the last 30 days, weeks or months; FID_ORG_ADJ_PRC 0 raw, 1 adjusted."""
        stock, fields = self._source.stock(request, "FID_PERIOD_DIV_CODE", "FID_ORG_ADJ_PRC")
        period = _PERIODS[expect(fields, "FID_PERIOD_DIV_CODE", "D", "W", "M")]
        adjusted = expect(fields, "FID_ORG_ADJ_PRC", "0", "1") == "1"
        bars = self._bars(stock, period, adjusted=adjusted)[: RECENT_ROWS + 1]
        nets = self._foreign_nets(stock) if period == "D" else {}
        rate = cents(percent_of(self._figures.of(stock).foreign_shares, stock.listed_shares))
        split = self._past.split(stock)
        rows = []
        for at, bar in enumerate(bars[:RECENT_ROWS]):
            before = bars[at + 1] if at + 1 < len(bars) else None
            change, sign = self._moved(stock, bar, before, period)
            rows.append(
                {
                    "stck_bsop_date": ymd(bar.day),
                    "stck_oprc": str(bar.open),
                    "stck_hgpr": str(bar.high),
                    "stck_lwpr": str(bar.low),
                    "stck_clpr": str(bar.close),
                    "acml_vol": said(bar.volume),
                    "prdy_vrss_vol_rate": _volume_rate(bar, before),
                    "prdy_vrss": str(change),
                    "prdy_vrss_sign": sign,
                    "prdy_ctrt": cents(percent_of(change, bar.close - change)),
                    "hts_frgn_ehrt": rate,
                    "frgn_ntby_qty": nets.get(ymd(bar.day), "0"),
                    "flng_cls_code": "00",
                    "acml_prtt_rate": _split_rate(split, bar),
                }
            )
        return Answer(outputs={"output": rows})

    def chart(self, request: Request) -> Answer:
        """inquire-daily-itemchartprice FHKST03010100: at most 100 bars between two dates, newest first.

        FID_ORG_ADJ_PRC 0 adjusted, 1 raw. An empty row may follow the last bar (kis-protocol 4.4).
        """
        names = ("FID_INPUT_DATE_1", "FID_INPUT_DATE_2", "FID_PERIOD_DIV_CODE", "FID_ORG_ADJ_PRC")
        stock, fields = self._source.stock(request, *names)
        first = date_of("FID_INPUT_DATE_1", fields["FID_INPUT_DATE_1"])
        until = date_of("FID_INPUT_DATE_2", fields["FID_INPUT_DATE_2"])
        period = _PERIODS[expect(fields, "FID_PERIOD_DIV_CODE", "D", "W", "M", "Y")]
        adjusted = expect(fields, "FID_ORG_ADJ_PRC", "0", "1") == "0"
        bars = self._bars(stock, period, adjusted=adjusted)
        split = self._past.split(stock)
        rows: list[Row] = []
        for at, bar in enumerate(bars):
            if not first <= bar.day <= until:
                continue
            if len(rows) == CHART_ROWS:
                break
            before = bars[at + 1] if at + 1 < len(bars) else None
            change, sign = self._moved(stock, bar, before, period)
            modified = adjusted and split is not None and bar.day < split.day
            rows.append(
                {
                    "stck_bsop_date": ymd(bar.day),
                    "stck_clpr": str(bar.close),
                    "stck_oprc": str(bar.open),
                    "stck_hgpr": str(bar.high),
                    "stck_lwpr": str(bar.low),
                    "acml_vol": said(bar.volume),
                    "acml_tr_pbmn": said(bar.value),
                    "flng_cls_code": "00",
                    "prtt_rate": _split_rate(split, bar),
                    "mod_yn": "Y" if modified else "N",
                    "prdy_vrss_sign": sign,
                    "prdy_vrss": str(change),
                    "revl_issu_reas": "",
                }
            )
        if len(rows) < CHART_ROWS and (not bars or first < bars[-1].day):
            rows.append({})  # where the stock's history ends inside the range, an empty row pads the array
        return Answer(outputs={"output1": self._head(stock), "output2": rows})

    def overtime(self, request: Request) -> Answer:
        """inquire-daily-overtimeprice FHPST02320000: after-hours single prices by day.

        That session ended on 2026-09-14 and a market day records none before, so its figures are zeros.
        """
        stock, _ = self._source.stock(request, venues=("J",))
        none = dict.fromkeys(_OVERTIME, "0") | {
            "ovtm_untp_prdy_vrss_sign": "3",
            "ovtm_untp_antc_cntg_vrss_sign": "3",
            "ovtm_untp_prdy_ctrt": "0.00",
            "ovtm_untp_antc_cntg_ctrt": "0.00",
        }
        bars = self._bars(stock, "D", adjusted=True)[: RECENT_ROWS + 1]
        rows = []
        for at, bar in enumerate(bars[:RECENT_ROWS]):
            before = bars[at + 1] if at + 1 < len(bars) else None
            change, sign = self._moved(stock, bar, before, "D")
            rows.append(
                {
                    "stck_bsop_date": ymd(bar.day),
                    **{name: none[name] for name in _OVERTIME[:6]},
                    "stck_clpr": str(bar.close),
                    "prdy_vrss": str(change),
                    "prdy_vrss_sign": sign,
                    "prdy_ctrt": cents(percent_of(change, bar.close - change)),
                    "acml_vol": said(bar.volume),
                }
            )
        return Answer(outputs={"output1": none, "output2": rows})

    # -- helpers --------------------------------------------------------------------------------------------

    def _bars(self, stock: Stock, period: Period, *, adjusted: bool) -> list[DailyBar]:
        """Return the stock's bars, newest first, the day so far included."""
        bars: Sequence[DailyBar] = self._past.with_today(stock)
        if not adjusted:
            split = self._past.split(stock)
            bars = [raw(bar, split) for bar in bars]
        return merged(bars, period)[::-1]

    def _moved(self, stock: Stock, bar: DailyBar, before: DailyBar | None, period: Period) -> tuple[int, str]:
        """Return a bar's change and sign: the day's against the base price, others' against the bar before."""
        if period == "D" and bar.day == self._source.market.day:
            change = bar.close - stock.base
            return change, sign_of(change, bar.close, stock.upper, stock.lower)
        change = bar.close - before.close if before is not None else 0
        return change, step_sign(change)

    def _foreign_nets(self, stock: Stock) -> dict[str, str]:
        bars = self._past.bars(stock)[::-1]
        nets = {
            ymd(bar.day): str(flow.foreigners.net) for bar, flow in zip(bars, self._flows.past(stock), strict=False)
        }
        today = self._flows.today(stock)
        return nets | {ymd(self._source.market.day): str(today.foreigners.net) if today else "0"}

    def _head(self, stock: Stock) -> Row:
        """Return output1: the day, the session before, and the company."""
        source, figures = self._source, self._figures.of(stock)
        stats, quote = source.stats(stock), source.market.quote(stock.code, source.last())
        price = stats.last or stock.base
        change, sign = direction(stock, price)
        previous = self._past.previous(stock)
        eps = figures.eps_x100
        return {
            "prdy_vrss": str(change),
            "prdy_vrss_sign": sign,
            "prdy_ctrt": cents(percent_of(change, stock.base)),
            "stck_prdy_clpr": str(stock.prev_close),
            "acml_vol": str(stats.volume),
            "acml_tr_pbmn": str(stats.value),
            "hts_kor_isnm": stock.name,
            "stck_prpr": str(price),
            "stck_shrn_iscd": stock.code,
            "prdy_vol": str(stock.prev_volume),
            "stck_mxpr": str(stock.upper),
            "stck_llam": str(stock.lower),
            "stck_oprc": str(stats.open),
            "stck_hgpr": str(stats.high),
            "stck_lwpr": str(stats.low),
            "stck_prdy_oprc": str(previous.open),
            "stck_prdy_hgpr": str(previous.high),
            "stck_prdy_lwpr": str(previous.low),
            "askp": str(quote.ask),
            "bidp": str(quote.bid),
            "prdy_vrss_vol": str(stats.volume - stock.prev_volume),
            "vol_tnrt": cents(percent_of(stats.volume, stock.listed_shares)),
            "stck_fcam": str(figures.face),
            "lstn_stcn": str(stock.listed_shares),
            "cpfn": str(rounded(figures.capital, 100_000_000)),
            "hts_avls": str(rounded(stock.listed_shares * price, 100_000_000)),
            "per": cents(rounded(price * 10_000, abs(eps)) * (1 if eps >= 0 else -1)),
            "eps": cents(eps),
            "pbr": cents(rounded(price * 10_000, figures.bps_x100)),
            "itewhol_loan_rmnd_ratem": cents(figures.loan_bp),
        }


_OVERTIME: Final[Sequence[str]] = (
    "ovtm_untp_prpr",
    "ovtm_untp_prdy_vrss",
    "ovtm_untp_prdy_vrss_sign",
    "ovtm_untp_prdy_ctrt",
    "ovtm_untp_vol",
    "ovtm_untp_tr_pbmn",
    "ovtm_untp_mxpr",
    "ovtm_untp_llam",
    "ovtm_untp_oprc",
    "ovtm_untp_hgpr",
    "ovtm_untp_lwpr",
    "ovtm_untp_antc_cnpr",
    "ovtm_untp_antc_cntg_vrss",
    "ovtm_untp_antc_cntg_vrss_sign",
    "ovtm_untp_antc_cntg_ctrt",
    "ovtm_untp_antc_vol",
)
"""The session's fields; a day's row has the first six."""


def _split_rate(split: Split | None, bar: DailyBar) -> str:
    """Return how many shares one became on the bar's day, 0.00 on every other."""
    return cents(100 * split.up // split.down) if split is not None and split.day == bar.day else "0.00"


def _volume_rate(bar: DailyBar, before: DailyBar | None) -> str:
    """Return the volume against the bar before in percent, 0.00 when either is not known."""
    if bar.volume is None or before is None or before.volume is None:
        return "0.00"
    return cents(percent_of(bar.volume, before.volume))
