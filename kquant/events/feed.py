"""What the real-time feed reports: stream `feed`. Prices are not here; they are on the tape."""

from __future__ import annotations

from typing import Literal

from kquant.events.base import Event
from kquant.values import Channel, Epoch, Krw, Micros, Shares, Side, Symbol

Action = Literal["register", "drop"]


class FeedConnected(Event, frozen=True, kw_only=True, tag="feed.connected"):
    """A new epoch begins; the execution notice is registered and the broker holds nothing else."""

    epoch: Epoch


class FeedLost(Event, frozen=True, kw_only=True, tag="feed.lost"):
    """The connection of `epoch` ended, and every registration with it."""

    epoch: Epoch
    reason: str


class FeedUnreachable(Event, frozen=True, kw_only=True, tag="feed.unreachable"):
    """A connection attempt failed; the next one follows after a back-off."""

    attempt: int
    reason: str


class FeedStopped(Event, frozen=True, kw_only=True, tag="feed.stopped"):
    """No connection is tried before `until`: too many failed, the budget is spent, or the broker said stop.

    fatal: the broker refused the key itself; only a new process tries again before `until`.
    """

    until: Micros
    fatal: bool
    reason: str


class ClockSkewed(Event, frozen=True, kw_only=True, tag="feed.clock_skewed"):
    """The broker's clock, as its PINGPONG tells it, is `seconds` ahead of ours (negative: behind), 0 once both agree."""

    seconds: int


class NoticesConnected(Event, frozen=True, kw_only=True, tag="feed.notices_connected"):
    """The line of its own for execution notices is up. What was executed while it was down must be read over REST.

    line: number of that connection within the day, from 1; it is no epoch, and slots have nothing to do with it.
    """

    line: Epoch


class NoticesLost(Event, frozen=True, kw_only=True, tag="feed.notices_lost"):
    """The line for execution notices is down: until it is up again only REST tells of executions."""

    line: Epoch
    reason: str


class Registered(Event, frozen=True, kw_only=True, tag="feed.registered"):
    """Outcome of slots.register_wanted: the broker holds it. already: it held it before."""

    epoch: Epoch
    code: Symbol
    channel: Channel
    already: bool


class Dropped(Event, frozen=True, kw_only=True, tag="feed.dropped"):
    """Outcome of slots.drop_wanted: the broker no longer holds it. already: it did not hold it before."""

    epoch: Epoch
    code: Symbol
    channel: Channel
    already: bool


class RegistrationRefused(Event, frozen=True, kw_only=True, tag="feed.refused"):
    """Outcome: the broker refused. kind: "invalid_key", "resource" (later), "over_capacity", "fatal" (stop), "other"."""

    epoch: Epoch
    code: Symbol
    channel: Channel
    action: Action
    kind: Literal["invalid_key", "resource", "over_capacity", "fatal", "other"]
    message_code: str
    message: str


class RegistrationUnanswered(Event, frozen=True, kw_only=True, tag="feed.unanswered"):
    """Outcome: no acknowledgement in time; whether the broker holds it is uncertain."""

    epoch: Epoch
    code: Symbol
    channel: Channel
    action: Action


class RegistrationExpired(Event, frozen=True, kw_only=True, tag="feed.expired"):
    """Outcome: the request was too old when it reached the feed; nothing was sent."""

    epoch: Epoch
    code: Symbol
    channel: Channel
    action: Action


class RegistrationVoid(Event, frozen=True, kw_only=True, tag="feed.void"):
    """Outcome: the request belongs to another epoch, or its connection ended; the broker holds nothing of it."""

    epoch: Epoch
    code: Symbol
    channel: Channel
    action: Action


class FirstTick(Event, frozen=True, kw_only=True, tag="feed.ticked"):
    """First data of a registration in this epoch; counts as its acknowledgement. place: in the tape."""

    epoch: Epoch
    code: Symbol
    channel: Channel
    place: int


class NoticeReceived(Event, frozen=True, kw_only=True, tag="feed.notice"):
    """An execution notice of the account: a hint, never truth. order_no without leading zeros.

    kind: accepted (order, revise or cancel), rejected, cancelled (remainder), filled.
    qty, price: of this fill (shares, won), or of the order for the other kinds.   time: HHMMSS KST.
    """

    epoch: Epoch
    kind: Literal["accepted", "rejected", "cancelled", "filled"]
    request: Literal["new", "revise", "cancel"]
    order_no: str
    original_order_no: str
    code: Symbol
    side: Side
    qty: Shares
    price: Krw
    order_qty: Shares
    time: str


class NoticeUnreadable(Event, frozen=True, kw_only=True, tag="feed.notice_unreadable"):
    """A notice could not be decrypted or parsed: the executions must be read over REST."""

    epoch: Epoch
    reason: str
