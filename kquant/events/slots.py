"""The slot table: stream `slots`. One slot is one real-time registration: a stock and a channel."""

from __future__ import annotations

from typing import Literal

from kquant.events.base import Event
from kquant.values import Channel, Epoch, Micros, Priority, Symbol

Reason = Literal["held", "picked", "surging"]


class SlotClaimed(Event, frozen=True, kw_only=True, tag="slots.claimed"):
    """A stock has a reason to be watched. rank: pick rank from 1, 0 otherwise. since: of the claim, orders ties."""

    code: Symbol
    name: str
    reason: Reason
    rank: int
    since: Micros


class SlotClaimRenewed(Event, frozen=True, kw_only=True, tag="slots.claim_renewed"):
    """A surging stock qualified again (age refreshed), or a pick changed rank. Nothing goes over the wire."""

    code: Symbol
    reason: Reason
    rank: int
    since: Micros


class SlotClaimEnded(Event, frozen=True, kw_only=True, tag="slots.claim_ended"):
    """A reason to be watched is gone. why: "sold", "new picks", "expired", "not renewed" or "unservable"."""

    code: Symbol
    reason: Reason
    why: str


class SlotEvicted(Event, frozen=True, kw_only=True, tag="slots.evicted"):
    """A registration gives way: who, for whom, by which rule, and who would have been next."""

    code: Symbol
    channel: Channel
    priority: Priority
    for_code: Symbol
    for_channel: Channel
    for_priority: Priority
    rule: str
    next_code: Symbol | None


class RegisterWanted(Event, frozen=True, kw_only=True, tag="slots.register_wanted"):
    """Request to the feed: register. Ends in one of registered, refused, unanswered, expired, void."""

    code: Symbol
    channel: Channel
    priority: Priority
    epoch: Epoch
    valid_until: Micros


class DropWanted(Event, frozen=True, kw_only=True, tag="slots.drop_wanted"):
    """Request to the feed: unregister. Ends in one of dropped, refused, unanswered, expired, void."""

    code: Symbol
    channel: Channel
    epoch: Epoch
    valid_until: Micros
    why: str


class SlotSuspected(Event, frozen=True, kw_only=True, tag="slots.suspected"):
    """Acknowledged but silent in an open session: renewed once this epoch."""

    code: Symbol
    channel: Channel
    epoch: Epoch


class CapacityLearned(Event, frozen=True, kw_only=True, tag="slots.capacity_learned"):
    """The broker refused at `capacity` registrations; holds for this epoch only."""

    epoch: Epoch
    capacity: int


class PollingStarted(Event, frozen=True, kw_only=True, tag="slots.polling_started"):
    """A holding without a live slot: ask its price over REST until polling_ended."""

    code: Symbol
    why: str
    every_seconds: int


class PollingEnded(Event, frozen=True, kw_only=True, tag="slots.polling_ended"):
    """The holding is live again, or no longer held."""

    code: Symbol
    why: str
