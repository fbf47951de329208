"""The owner of intents, limits, exits and the halt. Events and recovery follow C0: written first, sent at most once."""

from __future__ import annotations

from kquant.domain.orders.decide import decide
from kquant.domain.orders.seen import Seen, observe
from kquant.domain.orders.state import Own, evolve
from kquant.domain.owner import Owner
from kquant.events.analyzer import ListingAnswered
from kquant.events.day import (
    AlarmRang,
    ArmOrdered,
    DayOpened,
    DisarmOrdered,
    FlattenOrdered,
    HaltOrdered,
    JobDue,
    OwnerParked,
    ResumeOrdered,
)
from kquant.events.feed import ClockSkewed, FeedConnected, NoticeReceived, NoticesConnected, NoticeUnreadable
from kquant.events.market import BarsClosed, MarketStatusChanged, SnapshotTaken, TriggerFired
from kquant.events.orders import (
    CancelAccepted,
    CancelRefused,
    CancelUnknown,
    ExecutionsListed,
    OrderAccepted,
    OrderBlocked,
    OrderExpired,
    OrderRefused,
    OrderSendStarted,
    OrderUnknown,
    QuoteAnswered,
    QuoteFailed,
)
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import (
    BalanceAnswered,
    CashMoved,
    PortfolioAdjusted,
    PortfolioOpened,
    PortfolioSynchronised,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.events.scanner import ReadExpired, ReadFailed

STREAM = "orders"

ORDERS: Owner[Own, Seen] = Owner(
    stream=STREAM,
    reacts=(
        BuySignalled,
        TriggerFired,
        MarketStatusChanged,
        PortfolioOpened,
        PortfolioSynchronised,
        PositionOpened,
        PositionChanged,
        PositionClosed,
        OrderAccepted,
        OrderRefused,
        OrderUnknown,
        OrderExpired,
        OrderBlocked,
        CancelAccepted,
        CancelRefused,
        CancelUnknown,
        ExecutionsListed,
        QuoteAnswered,
        QuoteFailed,
        BalanceAnswered,
        ReadFailed,
        ReadExpired,
        NoticeReceived,
        NoticeUnreadable,
        FeedConnected,
        NoticesConnected,
        AlarmRang,
        DayOpened,
        JobDue,
        HaltOrdered,
        ResumeOrdered,
        FlattenOrdered,
        ArmOrdered,
        DisarmOrdered,
        OwnerParked,
    ),
    observes=(
        ClockSkewed,
        ListingAnswered,
        OrderSendStarted,
        BalanceAnswered,
        CashMoved,
        PortfolioAdjusted,
        BarsClosed,
        SnapshotTaken,
    ),
    own=Own(),
    seen=Seen(),
    decide=decide,
    evolve=evolve,
    observe=observe,
)

__all__ = ["ORDERS", "STREAM", "Own", "Seen"]
