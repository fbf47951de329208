"""The seven finance endpoints. Source: kis-protocol.md 4.7.

Newest first, keyed by stac_yymm; quarter rows are cumulative within the year. Amounts are in 100 million won with two
decimals (gross profit without), 99.99 stands for an item that is not given. Rates are percent.
"""

from collections.abc import Callable, Sequence
from typing import Final

from kquant.exchange.core.quotations.figures import FigureBook
from kquant.exchange.core.quotations.forms import Row, cents, hundredths, percent_of
from kquant.exchange.core.quotations.source import Source, expect
from kquant.exchange.core.reference.statements import QUARTERS, Statement, Statements
from kquant.exchange.core.rest import Answer, Request
from kquant.exchange.market.model import Stock

FILLER: Final = "99.99"
_UNIT: Final = 100_000_000

RowOf = Callable[[Stock, Statement, Statement | None], Row]


class Finance:
    """Answers the finance endpoints."""

    def __init__(self, source: Source, figures: FigureBook, statements: Statements) -> None:
        self._source = source
        self._figures = figures
        self._statements = statements

    def balance_sheet(self, request: Request) -> Answer:
        """balance-sheet FHKST66430100."""
        return self._answer(request, _balance_sheet)

    def income_statement(self, request: Request) -> Answer:
        """income-statement FHKST66430200."""
        return self._answer(request, _income_statement)

    def financial_ratio(self, request: Request) -> Answer:
        """financial-ratio FHKST66430300: the newest year's growth, ROE and debt are the research table's."""
        return self._answer(request, self._financial_ratio, _KNOWN_RATIO)

    def profit_ratio(self, request: Request) -> Answer:
        """profit-ratio FHKST66430400."""
        return self._answer(request, _profit_ratio, _KNOWN_PROFIT)

    def other_ratios(self, request: Request) -> Answer:
        """other-major-ratios FHKST66430500."""
        return self._answer(request, self._other_ratios)

    def stability_ratio(self, request: Request) -> Answer:
        """stability-ratio FHKST66430600."""
        return self._answer(request, _stability_ratio, _KNOWN_STABILITY)

    def growth_ratio(self, request: Request) -> Answer:
        """growth-ratio FHKST66430800."""
        return self._answer(request, _growth_ratio, _KNOWN_GROWTH)

    def _answer(self, request: Request, row_of: RowOf, fallback: Row | None = None) -> Answer:
        stock, fields = self._source.stock(request, "FID_DIV_CLS_CODE", venues=("J",))
        yearly = expect(fields, "FID_DIV_CLS_CODE", "0", "1") == "0"
        statements = self._statements.years(stock) if yearly else self._statements.quarters(stock)
        if not statements:
            row = self._known_row(stock, fallback) if yearly and fallback is not None else None
            return Answer(outputs={"output": [row] if row else []})
        rows = []
        for at, statement in enumerate(statements if yearly else statements[:QUARTERS]):
            row = {"stac_yymm": statement.month, **row_of(stock, statement, _year_before(statements, at, statement))}
            if at == 0 and yearly and fallback is not None:
                row |= self._known_row(stock, row) or {}
            rows.append(row)
        return Answer(outputs={"output": rows})

    def _known_row(self, stock: Stock, row: Row) -> Row | None:
        """Return the newest year with what the research table knows of it; None when no statement was filed."""
        known = self._statements.known(stock)
        if known is None:
            return None
        values = {
            "grs": known.sales_growth_bp,
            "bsop_prfi_inrt": known.op_growth_bp,
            "roe_val": known.roe_bp,
            "self_cptl_ntin_inrt": known.roe_bp,
            "lblt_rate": known.debt_ratio_bp,
        }
        said = {name: cents(value) for name, value in values.items() if name in row and value is not None}
        return {"stac_yymm": f"{self._statements.newest_year()}12"} | row | said

    def _financial_ratio(self, stock: Stock, now: Statement, before: Statement | None) -> Row:
        figures = self._figures.of(stock)
        shares = max(stock.listed_shares, 1)
        newest = self._statements.years(stock)[:1]
        eps = figures.eps_x100 if newest and newest[0].month == now.month else now.net * 100 // shares
        return {
            **_growth(now, before),
            "ntin_inrt": _grown(now.net, before.net if before else 0),
            "roe_val": cents(percent_of(now.net, now.equity)),
            "eps": cents(eps // 100 * 100),
            "sps": cents(now.sales // shares * 100),
            "bps": cents(now.equity // shares * 100),
            "rsrv_rate": cents(percent_of(now.equity - now.capital, now.capital)),
            "lblt_rate": cents(percent_of(now.debt, now.equity)),
        }

    def _other_ratios(self, stock: Stock, now: Statement, before: Statement | None) -> Row:
        del before
        ebitda = now.operating + now.depreciation
        value = stock.prev_close * stock.listed_shares + now.debt // 2
        return {
            "payout_rate": cents(percent_of(now.dividend, now.net)) if now.net > 0 else "0.00",
            "eva": _amount(now.operating * 78 // 100 - now.equity * 8 // 100),
            "ebitda": _amount(ebitda),
            "ev_ebitda": cents(hundredths(value, ebitda)),
        }


_KNOWN_RATIO: Final = dict.fromkeys(
    ["grs", "bsop_prfi_inrt", "ntin_inrt", "roe_val", "eps", "sps", "bps", "rsrv_rate", "lblt_rate"], "0.00"
)
_KNOWN_PROFIT: Final = dict.fromkeys(
    ["cptl_ntin_rate", "self_cptl_ntin_inrt", "sale_ntin_rate", "sale_totl_rate"], "0.00"
)
_KNOWN_STABILITY: Final = dict.fromkeys(["lblt_rate", "bram_depn", "crnt_rate", "quck_rate"], "0.00")
_KNOWN_GROWTH: Final = dict.fromkeys(["grs", "bsop_prfi_inrt", "equt_inrt", "totl_aset_inrt"], "0.00")


def _year_before(statements: Sequence[Statement], at: int, now: Statement) -> Statement | None:
    """Return the same period a year earlier."""
    wanted = f"{int(now.month[:4]) - 1}{now.month[4:]}"
    return next((one for one in statements[at:] if one.month == wanted), None)


def _amount(won: int) -> str:
    """Return won as 100 million won with two (empty) decimals."""
    return cents(abs(won) // _UNIT * 100 * (1 if won >= 0 else -1))


def _grown(now: int, before: int) -> str:
    return cents(percent_of(now - before, abs(before)))


def _growth(now: Statement, before: Statement | None) -> Row:
    return {
        "grs": _grown(now.sales, before.sales if before else 0),
        "bsop_prfi_inrt": _grown(now.operating, before.operating if before else 0),
    }


def _balance_sheet(stock: Stock, now: Statement, before: Statement | None) -> Row:
    del stock, before
    return {
        "cras": _amount(now.current_assets),
        "fxas": _amount(now.assets - now.current_assets),
        "total_aset": _amount(now.assets),
        "flow_lblt": _amount(now.current_debt),
        "fix_lblt": _amount(now.debt - now.current_debt),
        "total_lblt": _amount(now.debt),
        "cpfn": _amount(now.capital),
        "cfp_surp": _amount(now.surplus),
        "prfi_surp": FILLER,
        "total_cptl": _amount(now.equity),
    }


def _income_statement(stock: Stock, now: Statement, before: Statement | None) -> Row:
    del stock, before
    return {
        "sale_account": _amount(now.sales),
        "sale_cost": _amount(now.cost),
        "sale_totl_prfi": str(now.gross // _UNIT),
        "depr_cost": FILLER,
        "sell_mang": FILLER,
        "bsop_prti": _amount(now.operating),
        "bsop_non_ernn": FILLER,
        "bsop_non_expn": FILLER,
        "op_prfi": _amount(now.ordinary),
        "spec_prfi": FILLER,
        "spec_loss": FILLER,
        "thtr_ntin": _amount(now.net),
    }


def _profit_ratio(stock: Stock, now: Statement, before: Statement | None) -> Row:
    del stock, before
    return {
        "cptl_ntin_rate": cents(percent_of(now.net, now.assets)),
        "self_cptl_ntin_inrt": cents(percent_of(now.net, now.equity)),
        "sale_ntin_rate": cents(percent_of(now.net, now.sales)),
        "sale_totl_rate": cents(percent_of(now.gross, now.sales)),
    }


def _stability_ratio(stock: Stock, now: Statement, before: Statement | None) -> Row:
    del stock, before
    return {
        "lblt_rate": cents(percent_of(now.debt, now.equity)),
        "bram_depn": cents(percent_of(now.debt // 2, now.assets)),
        "crnt_rate": cents(percent_of(now.current_assets, now.current_debt)),
        "quck_rate": cents(percent_of(now.current_assets * 7 // 10, now.current_debt)),
    }


def _growth_ratio(stock: Stock, now: Statement, before: Statement | None) -> Row:
    del stock
    return {
        **_growth(now, before),
        "equt_inrt": _grown(now.equity, before.equity if before else 0),
        "totl_aset_inrt": _grown(now.assets, before.assets if before else 0),
    }
