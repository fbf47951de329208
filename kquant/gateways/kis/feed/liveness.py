"""Whether the line is alive, and whether the market is: two timers, each the only owner of its decision. Pure.

`Pulse` asks whether anything arrives at all. Once a notice is registered the broker sends a PINGPONG about every 12 s
(11 to 14 seen, kis-protocol 2.3), so 15 s without any frame mean a half-open line. The documents do not say that KIS
answers protocol pings, so a ping is only ever a second chance: sent after 10 s of silence, an answer proves the line,
no answer proves nothing. A line that never had a PINGPONG (quotes only) is judged by pings alone, and only if this very
line has answered one before.

`Quiet` asks whether data come for the whole set in a session, with a pace learned for each stock, so that thin stocks,
a lull at noon and stocks in a volatility interruption or halt are not missed. Silence longer than the pace explains is
no verdict: the market may stand still (a circuit breaker, KRX on 2025-03-18). The price of a lively stock is asked over
REST, and only if it traded without us hearing is the line given up, at most once in five minutes. A single silent stock
is the slot table's affair ("suspect"), polling its price too.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kquant.events.base import Recorded
from kquant.events.day import DayOpened
from kquant.events.feed import ClockSkewed, Dropped, Registered, RegistrationVoid
from kquant.events.market import MarketStatusChanged
from kquant.krx import SessionHours, Venue, sessions_at
from kquant.market.records import Record, Trade
from kquant.settings import FeedSettings
from kquant.values import MINUTE_US, SECOND_US, Epoch, Micros, Shares, Symbol

NEVER = Micros(-1)
HOUR_US = 3_600 * SECOND_US


class Pulse:
    """One line's frames. Instants are the wall's: a market clock may run faster than the broker answers."""

    ASK_US = 30 * SECOND_US
    """Silence after which a line without PINGPONG is asked."""
    LOOK_US = 2 * SECOND_US
    """Longest time between two looks."""

    def __init__(self, rules: FeedSettings) -> None:
        self._dead_us = rules.half_open_seconds * SECOND_US
        self._open = False
        self._alive = Micros(0)
        self._asked = NEVER
        self._regular = False
        self._answers = False

    def opened(self, at: Micros) -> None:
        """A new line: nothing is known of its habits."""
        self._open, self._alive, self._asked = True, at, NEVER
        self._regular = self._answers = False

    def closed(self) -> None:
        """No line, nothing to watch."""
        self._open = False

    def frame(self, at: Micros) -> None:
        """Anything arrived."""
        self._alive, self._asked = at, NEVER

    def pingpong(self) -> None:
        """What arrived was a PINGPONG: from now on silence says something."""
        self._regular = True

    def pong(self, at: Micros) -> None:
        """A protocol ping was answered."""
        self._answers = True
        self.frame(at)

    def due(self) -> Micros | None:
        """Return when to look next, None while nothing can follow from silence."""
        if not self._open:
            return None
        if self._asked == NEVER:
            return Micros(self._alive + self._ask_after())
        dead = self._dead_after()
        return None if dead is None else Micros(self._alive + dead)

    def check(self, at: Micros) -> Literal["ping", "dead"] | None:
        """Say what to do now: send a protocol ping, or give the line up."""
        if not self._open:
            return None
        silent = at - self._alive
        dead = self._dead_after()
        if dead is not None and silent >= dead:
            return "dead"
        if self._asked == NEVER and silent >= self._ask_after():
            self._asked = at
            return "ping"
        return None

    def _ask_after(self) -> int:
        return self._dead_us * 2 // 3 if self._regular else self.ASK_US

    def _dead_after(self) -> int | None:
        if self._regular:
            return self._dead_us
        return self.ASK_US + self._dead_us if self._answers else None


class Skew:
    """How far the broker's clock is from ours (reliability D40). allowed_us: no skew up to this.

    One PINGPONG may come late, so two in a row have to agree. Only a day's open hours are looked at: while the demo's
    market sleeps its clock moves in leaps.
    """

    AGREE_SECONDS = 1

    def __init__(self, rules: FeedSettings) -> None:
        self._allowed = rules.skew_seconds
        self._hours: SessionHours | None = None
        self._last: int | None = None
        self._said = 0

    def learn(self, fact: Recorded) -> None:
        """Take one fact of the journal."""
        match fact.event:
            case DayOpened(hours=hours):
                self._hours = hours
            case ClockSkewed(seconds=seconds):
                self._said = seconds
            case _:
                pass

    def told(self, theirs: Micros, ours: Micros) -> int | None:
        """Take what a PINGPONG says and when it came; return how many seconds the broker is ahead if that is news."""
        if self._hours is None or not self._hours.open_at <= ours < self._hours.close_at:
            return None
        ahead = (theirs - ours) // SECOND_US
        before, self._last = self._last, ahead
        if before is None or abs(ahead - before) > self.AGREE_SECONDS:
            return None
        news = 0 if abs(ahead) <= self._allowed else ahead
        if news == self._said or (news and self._said and abs(news - self._said) <= self.AGREE_SECONDS):
            return None
        self._said = news
        return news


class _Pace(Struct, gc=False):
    """One stock's frames. since: watched from.   paused: in a volatility interruption or halted."""

    since: Micros
    frames: int = 0
    paused: bool = False
    volume: Shares = Shares(0)


class Quiet:
    """Data of the whole set. Instants are the run's clock. venues: whose sessions count."""

    EXPECTED = 12
    """So many frames the pace promises for a silence that is looked into: by chance once in e^12."""
    PRIOR_US = MINUTE_US
    """What is not known of a stock's pace counts as one frame in this time."""
    LULL = 4
    """A quiet hour may be this much slower than the day so far."""
    PROBE_US = MINUTE_US
    PROBE_MAX_US = 10 * MINUTE_US

    def __init__(self, rules: FeedSettings, venues: tuple[Venue, ...]) -> None:
        self._least_us = rules.quiet_seconds * SECOND_US
        self._forced_gap_us = rules.forced_gap_seconds * SECOND_US
        self._venues = venues
        self._hours: SessionHours | None = None
        self._epoch = Epoch(0)
        self._paces: dict[Symbol, _Pace] = {}
        self._last = Micros(0)
        self._session = NEVER
        self._probe_at = Micros(0)
        self._probe_gap = self.PROBE_US
        self._forced = Micros(-(1 << 62))

    def opened(self, epoch: Epoch, at: Micros) -> None:
        """A connection begins: nothing is watched in it yet."""
        self._epoch, self._last = epoch, at
        self._paces.clear()

    def learn(self, fact: Recorded) -> None:
        """Take one fact of the journal."""
        match fact.event:
            case DayOpened(hours=hours):
                self._hours = hours
            case Registered(epoch=epoch, code=code, channel="trades") if epoch == self._epoch:
                self._paces.setdefault(code, _Pace(fact.at))
                self._last = max(self._last, fact.at)
            case (
                Dropped(epoch=epoch, code=code, channel="trades")
                | RegistrationVoid(epoch=epoch, code=code, channel="trades")
            ) if epoch == self._epoch:
                self._paces.pop(code, None)
            case MarketStatusChanged(code=code, halted=halted, vi=vi):
                if code in self._paces:
                    self._paces[code].paused = halted or vi
            case _:
                pass

    def data(self, record: Record, at: Micros) -> None:
        """A believed data frame arrived; its last record stands for it."""
        self._last = at
        self._probe_gap = self.PROBE_US
        pace = self._paces.get(record.code)
        if pace is None:
            return
        pace.frames += 1
        if type(record) is Trade:
            pace.paused = record.halted or record.phase != "0"
            pace.volume = record.volume

    def check(self, at: Micros) -> Symbol | None:
        """Return the stock whose price is to be asked over REST, None while the silence needs no explanation."""
        if not self._in_session(at):
            self._session = NEVER
            return None
        if self._session == NEVER:
            self._session = at
            self._probe_gap = self.PROBE_US
        silent = at - max(self._last, self._session)
        if silent < self._least_us or at < self._probe_at:
            return None
        lively = {code: self._rate(pace) for code, pace in self._paces.items() if not pace.paused}
        if sum(lively.values()) * silent // self.LULL < self.EXPECTED * HOUR_US:
            return None
        self._probe_at = Micros(at + self._probe_gap)
        self._probe_gap = min(2 * self._probe_gap, self.PROBE_MAX_US)
        return max(lively, key=lambda code: (lively[code], code))

    def probed(self, code: Symbol, volume: Shares | None, at: Micros) -> str | None:
        """Take the day's shares of that stock over REST, None if they could not be had.

        Returns why the line is to be given up, or None: the market is as silent as the line, or it is too soon.
        """
        pace = self._paces.get(code)
        if volume is None or pace is None or volume <= pace.volume or at - self._last < self._least_us:
            return None
        if at - self._forced < self._forced_gap_us:
            return None
        self._forced = at
        silent = (at - self._last) // SECOND_US
        return f"no data for {silent} s while {code} traded {volume - pace.volume:,} shares unheard"

    def _rate(self, pace: _Pace) -> int:
        """Return frames an hour of this session, the silence under way left out."""
        since = max(pace.since, self._session)
        return (pace.frames + 1) * HOUR_US // (max(self._last, since) - since + self.PRIOR_US)

    def _in_session(self, at: Micros) -> bool:
        """Tell whether orders match at once somewhere: auctions and the hours between sessions say nothing."""
        hours = self._hours
        if hours is None:
            return False
        if not hours.sessions:
            return hours.open_at <= at < hours.closing_auction_at
        return any(one.kind == "continuous" for one in sessions_at(hours, at, self._venues))
