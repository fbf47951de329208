"""The limits of a run as a person reads them, and the red banner over a real account (실전 주문)."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kquant.gateways.kis.rest.environment import service_of
from kquant.settings import Settings
from kquant.views.words import percent, won

Unit = Literal["won", "bp", "s", "min", "count", "ticks", "word", "flag"]

LABELS: dict[str, tuple[str, Unit]] = {
    "risk.max_order_krw": ("한 주문 최대 · most per order", "won"),
    "risk.min_order_krw": ("한 주문 최소 · least per order", "won"),
    "risk.max_stock_krw": ("종목당 최대 · most per stock", "won"),
    "risk.max_day_buy_krw": ("하루 매수 최대 · bought a day", "won"),
    "risk.max_exposure_krw": ("총 보유 최대 · held in all", "won"),
    "risk.max_day_loss_krw": ("하루 손실 한도 · loss a day", "won"),
    "risk.sizing": ("종목당 금액 · sizing", "word"),
    "risk.fixed_amount_krw": ("  정액 · fixed amount", "won"),
    "risk.position_share_bp": ("  비중 · share of equity", "bp"),
    "risk.volume_share_bp": ("거래량 대비 · of the day's volume", "bp"),
    "risk.max_positions": ("보유 종목 · positions", "count"),
    "risk.max_buys_per_stock": ("종목당 매수 · buys of a stock a day", "count"),
    "risk.max_orders_per_minute": ("분당 주문 · orders a minute", "count"),
    "risk.max_orders_per_day": ("하루 주문 · orders a day", "count"),
    "risk.entry_kind": ("매수 주문 · entry order", "word"),
    "risk.collar_bp": ("지정가 상한 · collar above last", "bp"),
    "risk.limit_ticks_above_ask": ("지정가 · above the best ask", "ticks"),
    "risk.upper_limit_ticks": ("상한가 여유 · from the upper limit", "ticks"),
    "risk.confirm_price": ("주문 전 가격 확인 · price asked before", "flag"),
    "risk.confirm_seconds": ("  대기 · waits for it", "s"),
    "risk.moved_bp": ("  허용 변동 · may have moved", "bp"),
    "risk.stale_seconds": ("시세 유효 · price no older than", "s"),
    "risk.cooldown_seconds": ("재매수 대기 · after a sale", "s"),
    "risk.repeat_seconds": ("반복 매수 대기 · after a buy", "s"),
    "risk.order_valid_seconds": ("주문 유효 · a buy is sent within", "s"),
    "risk.resting_seconds": ("미체결 대기 · an unfilled buy rests", "s"),
    "risk.unfilled": ("  그 뒤 · and then", "word"),
    "risk.max_replaces": ("  정정 횟수 · replaced at most", "count"),
    "risk.executions_every_seconds": ("체결 조회 · executions asked every", "s"),
    "risk.unknown_listings": ("미확인 주문: 조회 · unknown: lists", "count"),
    "risk.unknown_seconds": ("  시간 · and at least", "s"),
    "exits.stop_loss_bp": ("손절 · stop loss", "bp"),
    "exits.take_profit_bp": ("익절 · take profit", "bp"),
    "exits.trailing_bp": ("추적 손절 · trailing stop", "bp"),
    "exits.hold_minutes": ("보유 시간 · held no longer than", "min"),
    "exits.valid_seconds": ("매도 유효 · a sell is sent within (0: as a buy)", "s"),
    "exits.flat_at_close": ("장 마감 전 청산 · flat at the close", "flag"),
    "exits.flat_before_close_minutes": ("  마감 전 · before the close", "min"),
}
"""Every setting of risk and exits, in the order a person asks about them: (what it bounds, its unit)."""

BRIEF = frozenset(
    {
        *(key for key, (_, unit) in LABELS.items() if key.startswith("risk.max_") and unit == "won"),
        "risk.max_positions",
        "risk.max_orders_per_day",
        "exits.stop_loss_bp",
        "exits.take_profit_bp",
        "exits.trailing_bp",
        "exits.hold_minutes",
        "exits.flat_at_close",
    }
)
"""What a run shows at its start; `kquant arm` shows all."""

OFF_AT_ZERO = frozenset(
    {
        "risk.stale_seconds",
        "risk.repeat_seconds",
        "risk.upper_limit_ticks",
        "exits.hold_minutes",
        "exits.stop_loss_bp",
        "exits.take_profit_bp",
        "exits.trailing_bp",
    }
)


def limit_rows(settings: Settings, *, brief: bool = False) -> list[tuple[str, str]]:
    """Return label and value of every limit. A setting without a label has its own name for one: none is left out.

    brief: those in won, and when holdings are sold.
    """
    rows = []
    found = {
        f"{section}.{key}": value
        for section in ("risk", "exits")
        for key, value in msgspec.to_builtins(getattr(settings, section)).items()
    }
    for key in (*LABELS, *(key for key in found if key not in LABELS)):
        if key in found and (not brief or key in BRIEF):
            label, unit = LABELS.get(key, (key, "word"))
            rows.append((label, "off" if found[key] == 0 and key in OFF_AT_ZERO else _shown(found[key], unit)))
    return rows


def _shown(value: object, unit: Unit) -> str:
    if unit == "flag":
        return "yes" if value else "no"
    if not isinstance(value, int):
        return str(value)
    match unit:
        case "won":
            return won(value)
        case "bp":
            return percent(value).removeprefix("+")
        case "count" | "word":
            return f"{value:,}"
        case _:
            return f"{value:,} {unit.removesuffix('s') if value == 1 and unit == 'ticks' else unit}"


def host_of(url: str) -> str:
    """Return host and port as a person compares them, a look-alike named as one."""
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port}"
    return f"{where} (a look-alike on this machine, no real money)" if service_of(url) == "loopback" else where


def real_money(settings: Settings, account: str, day: str, state: str, *, brief: bool = False) -> Panel:
    """Return the red banner. account: masked.   day: ISO date.   state: whether it is armed, in words."""
    head = Table.grid(padding=(0, 2))
    head.add_column(no_wrap=True)
    head.add_column(overflow="fold")
    for label, value in (
        ("계좌 · account", account),
        ("서버 · host", host_of(settings.broker.rest_url)),
        ("날짜 · day", f"{day} (KST)"),
        ("상태 · state", state),
    ):
        head.add_row(label, Text(value, style="bold"))
    limits = Table.grid(padding=(0, 2))
    limits.add_column(no_wrap=True)
    limits.add_column(justify="right", no_wrap=True)
    for label, value in limit_rows(settings, brief=brief):
        limits.add_row(label, value)
    return Panel(
        Group(head, Text(""), limits),
        title="실전 주문 · REAL MONEY",
        title_align="left",
        border_style="bold red",
        style="red",
        expand=False,
    )


def armed_words(live: dict[str, Any]) -> str:
    """Return whether a real account's orders leave, in words. live: as `kquant status` tells it."""
    if not live["orders"]:
        return "watched only: broker.orders is off"
    return "ARMED for today: kquant disarm" if live["armed"] else f"no order leaves ({live['why']}): kquant arm"
