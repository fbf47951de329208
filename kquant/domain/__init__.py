"""Pure decisions: one module an owner, plus what they share (`owner.py`)."""

from __future__ import annotations

from typing import Any

from kquant.domain.analyzer import ANALYZER
from kquant.domain.orders import ORDERS
from kquant.domain.owner import Owner
from kquant.domain.pipeline import PIPELINE
from kquant.domain.portfolio import PORTFOLIO
from kquant.domain.scanner import SCANNER
from kquant.domain.scheduler import SCHEDULER
from kquant.domain.slots import SLOTS

OWNERS: tuple[Owner[Any, Any], ...] = (SCHEDULER, PORTFOLIO, ORDERS, SLOTS, SCANNER, ANALYZER, PIPELINE)
"""Every owner, in the order the one-thread runtime gives turns."""

__all__ = ["OWNERS"]
