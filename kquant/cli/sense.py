"""Settings that are each in range and make no sense together: refused, or said before a day is lost to them."""

from __future__ import annotations

from kquant.settings import RiskSettings, Settings

AMOUNTS = ("max_order_krw", "max_stock_krw", "max_day_buy_krw", "max_exposure_krw")
"""Limits in won that every buy has to fit in."""

NEEDED = (
    *AMOUNTS, "max_positions", "max_orders_per_minute", "max_orders_per_day", "max_day_loss_krw", "max_buys_per_stock",
    "volume_share_bp",
)  # fmt: skip
"""Limits of `risk` that no buy passes where they are 0: a limit of 0 is reached at once, it does not mean without one."""


def contradiction(settings: Settings) -> str | None:
    """Return which two settings leave no buy possible, and what to do; None where they agree."""
    risk = settings.risk
    for key in (*AMOUNTS, *_sized_by(risk, "fixed_amount_krw")):
        most = getattr(risk, key)
        if 0 < most < risk.min_order_krw:
            return (
                f"risk.{key} is {most:,} and risk.min_order_krw {risk.min_order_krw:,}: every buy would be too small. "
                "Raise the first or lower the second"
            )
    return None


def warnings(settings: Settings) -> tuple[str, ...]:
    """Return what a person may not have meant: nothing is bought or sold, or a setting has no effect."""
    risk, exits = settings.risk, settings.exits
    zeros = [
        key for key in (*NEEDED, *_sized_by(risk, "fixed_amount_krw", "position_share_bp")) if not getattr(risk, key)
    ]
    said = [f"nothing will be bought: risk.{key} is 0, and that is a limit like any other" for key in zeros]
    if risk.unfilled == "replace" and (risk.entry_kind == "market" or risk.max_replaces == 0):
        why = "risk.entry_kind is market" if risk.entry_kind == "market" else "risk.max_replaces is 0"
        said.append(f"risk.unfilled = replace has no effect, as {why}: a buy that does not fill is cancelled")
    if not (exits.stop_loss_bp or exits.trailing_bp or exits.hold_minutes or exits.flat_at_close):
        said.append("no loss is ever cut: set exits.stop_loss_bp, trailing_bp, hold_minutes or flat_at_close")
    return tuple(said)


def _sized_by(risk: RiskSettings, *keys: str) -> list[str]:
    used = {"fixed_amount": "fixed_amount_krw", "equal_share": "position_share_bp"}[risk.sizing]
    return [key for key in keys if key == used]
