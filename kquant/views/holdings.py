"""Positions, gains and cash as lines of text, for the terminal."""

from __future__ import annotations

from kquant.values import SECOND_US, Krw, Micros, kst_clock
from kquant.views.cash import CashView
from kquant.views.portfolio import PortfolioView, PositionLine
from kquant.views.words import columns, counted, pad, percent, rate_bp, signed_won, won

UNKNOWN = "unknown"
LABEL = 34


def amount(krw: Krw | None) -> str:
    """Return an amount, or that nobody knows it."""
    return UNKNOWN if krw is None else won(krw)


def age(line: PositionLine, at: Micros) -> str:
    """Say how old a position's price is at *at*: "12 s", "base" for the day's base price, "" without a price."""
    if line.mark is None:
        return ""
    if line.mark_at is None:
        return "base"
    seconds = max(at - line.mark_at, 0) // SECOND_US
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def position_lines(view: PortfolioView, at: Micros) -> list[str]:
    """Return the positions as a table, with the age of each price at *at*."""
    if not view.positions:
        return ["No position is held."]
    rows = [
        [
            f"{p.name}({p.code})",
            f"{p.qty:,}주",
            won(p.average_krw),
            amount(p.mark),
            age(p, at),
            UNKNOWN if p.mark is None else won(p.value_krw),
            UNKNOWN if p.unrealised_krw is None else signed_won(p.unrealised_krw),
            "" if p.unrealised_krw is None else percent(rate_bp(p.unrealised_krw, p.cost_krw)),
            "carried" if p.carried else kst_clock(p.since),
        ]
        for p in view.positions
    ]
    head = [
        "stock 종목",
        "shares",
        "average 평균단가",
        "last 현재가",
        "age",
        "value 평가금액",
        "P&L 평가손익",
        "",
        "since",
    ]
    return columns(head, rows, right=(1, 2, 3, 4, 5, 6, 7))


def cash_lines(cash: CashView) -> list[str]:
    """Return every figure of the cash, each with what it is called at the broker's."""
    read = "no balance was read yet" if cash.read_at is None else f"balance of {kst_clock(cash.read_at)}"
    rows = [
        ("today (D+0 예수금)", amount(cash.today_krw), read),
        ("D+1 예수금", amount(cash.next_krw), read),
        ("D+2 예수금", amount(cash.settled_krw), "our books"),
        ("held back for buys (매수 주문 중)", won(cash.reserved_krw), "our books"),
        ("free: D+2 less held back", amount(cash.free_krw), "our books"),
        ("orderable, no credit (미수 없는 주문가능)", amount(cash.orderable_krw), read),
    ]
    return columns(["cash", "", "from"], rows, right=(1,), most=42)


def gain_lines(view: PortfolioView) -> list[str]:
    """Return realised and unrealised gains, costs, and what the day comes to."""
    unpriced = f", without {counted(view.unpriced, 'position')} of unknown price" if view.unpriced else ""
    total = UNKNOWN if view.opening_krw is None else signed_won(view.pnl_krw)
    rate = "" if view.opening_krw is None else f"  {percent(rate_bp(view.pnl_krw, view.opening_krw))}"
    return [
        f"{pad('realised today (실현손익)', LABEL)}{signed_won(view.realised_krw)}  before costs",
        f"{pad('unrealised (평가손익)', LABEL)}{signed_won(view.unrealised_krw)}{unpriced}",
        f"{pad('costs (수수료, 거래세)', LABEL)}fees {won(view.fees_krw)}, tax {won(view.taxes_krw)}",
        f"{pad('equity (평가 자산)', LABEL)}{amount(view.equity_krw)}",
        f"{pad('the day (당일 손익)', LABEL)}{total}{rate}",
    ]


def portfolio_lines(view: PortfolioView, at: Micros) -> list[str]:
    """Return the whole account as it is at *at*."""
    verdict = {
        None: "not compared with the broker's closing balance yet",
        True: "reconciled: orders, positions and cash equal the broker's",
        False: "NOT RECONCILED (미대사): see the report; the next day buys nothing until `kquant resume`",
    }[view.reconciled]
    return [*position_lines(view, at), "", *gain_lines(view), "", *cash_lines(view.cash), "", verdict]
