"""Investors by stock, and the day's estimates over the market. Source: kis-protocol.md 4.2, 4.3, 6 (#21).

The day's row is blank until the session is over. Amounts are in million won. What is not known is blank.
"""

from typing import Final

from kquant.exchange.core.quotations.figures import market_name
from kquant.exchange.core.quotations.flows import (
    INSTITUTIONS,
    SESSIONS,
    DayFlow,
    FlowBook,
    Side,
    divided,
    million_won,
)
from kquant.exchange.core.quotations.forms import Row, cents, percent_of, said
from kquant.exchange.core.quotations.past import DailyBar, Past
from kquant.exchange.core.quotations.rankings import in_scope
from kquant.exchange.core.quotations.source import Source, date_of, direction, expect, step_sign, ymd
from kquant.exchange.core.rest import Answer, Request, required
from kquant.exchange.core.rules import sign_of
from kquant.exchange.market.model import RankRow, Stock

RANK_ROWS: Final = 30


class Investors:
    """Answers inquire-investor, investor-trade-by-stock-daily and foreign-institution-total."""

    def __init__(self, source: Source, past: Past, flows: FlowBook) -> None:
        self._source = source
        self._past = past
        self._flows = flows

    def investor(self, request: Request) -> Answer:
        """inquire-investor FHKST01010900: 30 sessions, newest first; the day's own figures come after its close."""
        stock, _ = self._source.stock(request, venues=("J", "NX"))
        rows = []
        for bar, flow, change, sign in self._sessions(stock):
            row = {
                "stck_bsop_date": ymd(bar.day),
                "stck_clpr": str(bar.close),
                "prdy_vrss": str(change),
                "prdy_vrss_sign": sign,
            }
            sides = _main_sides(flow)
            for field, pick in (
                ("ntby_qty", lambda side: side.net),
                ("ntby_tr_pbmn", lambda side, price=bar.close: million_won(side.net, price)),
                ("shnu_vol", lambda side: side.bought),
                ("shnu_tr_pbmn", lambda side, price=bar.close: million_won(side.bought, price)),
                ("seln_vol", lambda side: side.sold),
                ("seln_tr_pbmn", lambda side, price=bar.close: million_won(side.sold, price)),
            ):
                row |= {f"{who}_{field}": "" if side is None else str(pick(side)) for who, side in sides.items()}
            rows.append(row)
        return Answer(outputs={"output": rows[:SESSIONS]})

    def by_stock_daily(self, request: Request) -> Answer:
        """investor-trade-by-stock-daily FHPTJ04160001: about 30 sessions back from FID_INPUT_DATE_1, every kind."""
        stock, fields = self._source.stock(request, "FID_INPUT_DATE_1", "FID_ORG_ADJ_PRC", "FID_ETC_CLS_CODE")
        until = date_of("FID_INPUT_DATE_1", fields["FID_INPUT_DATE_1"])
        stats = self._source.stats(stock)
        price = stats.last or stock.base
        change, sign = direction(stock, price)
        output1 = {
            "stck_prpr": str(price),
            "prdy_vrss": str(change),
            "prdy_vrss_sign": sign,
            "prdy_ctrt": cents(percent_of(change, stock.base)),
            "acml_vol": str(stats.volume),
            "prdy_vol": str(stock.prev_volume),
            "rprs_mrkt_kor_name": market_name(stock),
        }
        rows = []
        for bar, flow, moved, moved_sign in self._sessions(stock):
            if bar.day > until:
                continue
            rows.append(
                {
                    "stck_bsop_date": ymd(bar.day),
                    "stck_clpr": str(bar.close),
                    "prdy_vrss": str(moved),
                    "prdy_vrss_sign": moved_sign,
                    "prdy_ctrt": cents(percent_of(moved, bar.close - moved)),
                    "acml_vol": said(bar.volume),
                    "acml_tr_pbmn": said(bar.value),
                    "stck_oprc": str(bar.open),
                    "stck_hgpr": str(bar.high),
                    "stck_lwpr": str(bar.low),
                    **_all_kinds(flow, bar.close),
                    "bold_yn": "N",
                }
            )
        return Answer(outputs={"output1": output1, "output2": rows[:SESSIONS]})

    def estimates(self, request: Request) -> Answer:
        """foreign-institution-total FHPTJ04400000: stocks by what members' staff entered of the day's net shares.

        Nothing is there before 09:30, nor on an imported day.
        """
        names = ("FID_COND_MRKT_DIV_CODE", "FID_COND_SCR_DIV_CODE", "FID_INPUT_ISCD")
        choices = ("FID_DIV_CLS_CODE", "FID_RANK_SORT_CLS_CODE", "FID_ETC_CLS_CODE")
        fields = required(request.params, *names, *choices)
        expect(fields, "FID_COND_MRKT_DIV_CODE", "V")
        expect(fields, "FID_COND_SCR_DIV_CODE", "16449")
        by_amount = expect(fields, "FID_DIV_CLS_CODE", "0", "1") == "1"
        selling = expect(fields, "FID_RANK_SORT_CLS_CODE", "0", "1") == "1"
        who = expect(fields, "FID_ETC_CLS_CODE", "0", "1", "2", "3")
        by_code = self._source.market.by_code
        found: list[tuple[int, str, RankRow, int, int]] = []
        for row in self._source.board():
            stock = by_code[row.code]
            if stock.etp or not in_scope(stock, fields["FID_INPUT_ISCD"]):
                continue
            entered = self._flows.estimate(stock)
            if entered is None:
                break
            foreign, institution = entered
            net = {"0": foreign + institution, "1": foreign, "2": institution, "3": 0}[who]
            key = net * row.last if by_amount else net
            if (key < 0) if selling else (key > 0):
                found.append((abs(key), row.code, row, foreign, institution))
        found.sort(key=lambda item: (-item[0], item[1]))
        rows = [_estimate_row(by_code[code], row, *nets) for _, code, row, *nets in found[:RANK_ROWS]]
        return Answer(outputs={"output": rows})

    def _sessions(self, stock: Stock) -> list[tuple[DailyBar, DayFlow | None, int, str]]:
        """Return (bar, flow or None, change, sign) of the day and the sessions before it, newest first."""
        bars = self._past.with_today(stock)[::-1]
        past = self._flows.past(stock)
        today = bars[:1] if bars and bars[0].day == self._source.market.day else ()
        flows: list[DayFlow | None] = [self._flows.today(stock)] if today else []
        flows += [past[at] if at < len(past) else None for at in range(len(bars) - len(flows))]
        found = []
        for at, (bar, flow) in enumerate(zip(bars, flows, strict=True)):
            if at == 0 and today:
                change = bar.close - stock.base
                sign = sign_of(change, bar.close, stock.upper, stock.lower)
            else:
                change = bar.close - bars[at + 1].close if at + 1 < len(bars) else 0
                sign = step_sign(change)
            found.append((bar, flow, change, sign))
            if len(found) > SESSIONS:
                break
        return found


def _main_sides(flow: DayFlow | None) -> dict[str, Side | None]:
    if flow is None:
        return {"prsn": None, "frgn": None, "orgn": None}
    return {"prsn": flow.persons, "frgn": flow.foreigners, "orgn": flow.institutions}


def _kinds(flow: DayFlow) -> dict[str, Side]:
    """Return every kind of investor of the daily table; registered foreigners are nearly all of them."""
    bought, sold = divided(flow.institutions.bought), divided(flow.institutions.sold)
    others = flow.others
    corporations = Side(others.bought * 9 // 10, others.sold * 9 // 10)
    return {
        "frgn": flow.foreigners,
        "prsn": flow.persons,
        "orgn": flow.institutions,
        **{name: Side(bought[name], sold[name]) for name, _ in INSTITUTIONS},
        "etc": others,
        "etc_corp": corporations,
        "etc_orgt": Side(others.bought - corporations.bought, others.sold - corporations.sold),
    }


_VOL_NETS: Final = frozenset({"pe_fund", "etc_corp", "etc_orgt"})
"""Kinds whose net shares are called ntby_vol, not ntby_qty."""
_KIND_NAMES: Final = ("frgn", "prsn", "orgn", *(name for name, _ in INSTITUTIONS), "etc", "etc_corp", "etc_orgt")


def _all_kinds(flow: DayFlow | None, price: int) -> Row:
    """Return every kind's fields, blank when the session's flows are not known."""
    kinds: dict[str, Side | None] = dict(_kinds(flow)) if flow is not None else dict.fromkeys(_KIND_NAMES)
    row: Row = {}

    def put(name: str, value: int | None) -> None:
        row[name] = "" if value is None else str(value)

    for name, side in kinds.items():
        put(f"{name}_{'ntby_vol' if name in _VOL_NETS else 'ntby_qty'}", None if side is None else side.net)
        put(f"{name}_ntby_tr_pbmn", None if side is None else million_won(side.net, price))
        put(f"{name}_seln_vol", None if side is None else side.sold)
        put(f"{name}_shnu_vol", None if side is None else side.bought)
        put(f"{name}_seln_tr_pbmn", None if side is None else million_won(side.sold, price))
        put(f"{name}_shnu_tr_pbmn", None if side is None else million_won(side.bought, price))
    foreign = kinds["frgn"]
    registered = None if foreign is None else Side(foreign.bought * 19 // 20, foreign.sold * 19 // 20)
    for name, side in (("frgn_reg", registered), ("frgn_nreg", _rest(foreign, registered))):
        put(f"{name}_ntby_qty", None if side is None else side.net)
        put(f"{name}_ntby_pbmn", None if side is None else million_won(side.net, price))
        put(f"{name}_askp_qty", None if side is None else side.sold)
        put(f"{name}_bidp_qty", None if side is None else side.bought)
        put(f"{name}_askp_pbmn", None if side is None else million_won(side.sold, price))
        put(f"{name}_bidp_pbmn", None if side is None else million_won(side.bought, price))
    return row


def _rest(whole: Side | None, part: Side | None) -> Side | None:
    return None if whole is None or part is None else Side(whole.bought - part.bought, whole.sold - part.sold)


def _estimate_row(stock: Stock, row: RankRow, foreign: int, institution: int) -> Row:
    parts = divided(institution)
    nets = {
        "frgn": foreign,
        "orgn": institution,
        **{name: parts[name] for name in ("ivtr", "bank", "insu", "mrbn", "fund")},
    }
    return {
        "hts_kor_isnm": stock.name,
        "mksc_shrn_iscd": stock.code,
        "ntby_qty": str(foreign + institution),
        "stck_prpr": str(row.last),
        "prdy_vrss_sign": sign_of(row.change, row.last, stock.upper, stock.lower),
        "prdy_vrss": str(row.change),
        "prdy_ctrt": cents(percent_of(row.change, stock.base)),
        "acml_vol": str(row.volume),
        **{f"{who}_ntby_qty": str(net) for who, net in nets.items()},
        "etc_orgt_ntby_vol": "0",
        "etc_corp_ntby_vol": "0",
        **{f"{who}_ntby_tr_pbmn": str(million_won(net, row.last)) for who, net in nets.items()},
        "etc_orgt_ntby_tr_pbmn": "0",
        "etc_corp_ntby_tr_pbmn": "0",
    }
