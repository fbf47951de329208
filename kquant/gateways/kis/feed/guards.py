"""What a tick must pass before it is believed: the feed is plain text without a checksum (reliability A0 6 and 7, D36).

Pure: facts of the journal and decoded frames in, verdicts out. A verdict is recorded on the tape (a frame that is not
believed lies there as `rejected`), so a replay follows it without asking again, whatever the guards of that day knew.

A guard that contradicts everything a stock says is itself what is wrong: after PERSISTS frames in a row over at least
PERSISTS_US, none of them believed, limits that were broken are forgotten and a volume that fell is started anew, with an
alert. Single wrong frames, even many, never come that far: any good frame between them ends the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Recorded
from kquant.events.day import DayOpened, RunStarted
from kquant.events.feed import Dropped, FirstTick, Registered, RegistrationRefused, RegistrationVoid
from kquant.events.slots import RegisterWanted
from kquant.krx import TickBand, tick_size
from kquant.market.records import Book, MarketStatus, ProgramTrade, Record, Trade
from kquant.values import SECOND_US, Channel, Epoch, Krw, Micros, Shares, Symbol, kst_clock

Reason = Literal["format", "control", "code", "dropped", "figures", "band", "grid", "volume", "time", "sum"]
"""format: no frame at all.   control: a control frame that cannot be read.   code: nobody asked for that stock.   dropped: nobody does any more.   figures: a price of 0,
or a print larger than the day.   band: outside the day's limits.   grid: a quote off the tick grid, or a trade that is
not even halfway between two ticks.   volume: the day's shares fell.   time: no time of day, or ahead of the clock.
sum: program trading that does not add up."""

AHEAD_US = 120 * SECOND_US
"""A time further ahead of our clock than this is not believed."""
PERSISTS = 5
PERSISTS_US = 2 * SECOND_US
NO_LIMIT = Krw(1 << 62)
MIDNIGHT = "999999"


class Verdict(Struct, frozen=True):
    """What is to be done with a frame.

    reason: why it is not believed, None if it is.   refloor: the stock whose day's volume starts anew with it.
    alert: what a person should know, or "".
    """

    reason: Reason | None
    refloor: Symbol | None = None
    alert: str = ""


class _Row(Struct, gc=False):
    """One stock. fine: its grid is that of funds, or unknown.   wrong: reason of a row of `count` frames since `since`."""

    code: Symbol
    low: Krw = Krw(1)
    high: Krw = NO_LIMIT
    fine: bool = True
    floor: int = 0
    last: Krw = Krw(0)
    wrong: str = ""
    count: int = 0
    since: Micros = Micros(0)


class Guards:
    """Judges frames. counts: how many were not believed, by reason."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._rows: dict[str, _Row] = {}
        self._asked: dict[Channel, dict[str, _Row]] = {"trades": {}, "book": {}, "program": {}, "status": {}}
        self._dropped: set[tuple[str, Channel]] = set()
        self._epoch = Epoch(0)
        self._close_at: Micros | None = None
        self._second = -1
        self._latest = MIDNIGHT
        self._time = ""
        self._grid = _Grid(())

    def epoch(self, epoch: Epoch) -> None:
        """A connection begins, or the last one ended (0): nothing is asked for in it."""
        self._epoch = epoch
        self._dropped.clear()
        for rows in self._asked.values():
            rows.clear()

    def learn(self, fact: Recorded) -> None:
        """Take one fact of the journal: what is registered, what is listed, when the session closes."""
        match fact.event:
            case (
                RegisterWanted(epoch=epoch, code=code, channel=channel)
                | Registered(epoch=epoch, code=code, channel=channel)
                | FirstTick(epoch=epoch, code=code, channel=channel)
            ):
                if epoch == self._epoch:
                    self._asked[channel][code] = self._row(code)
            case (
                Dropped(epoch=epoch, code=code, channel=channel)
                | RegistrationVoid(epoch=epoch, code=code, channel=channel)
            ):
                self._let_go(epoch, code, channel)
            case RegistrationRefused(action="register", epoch=epoch, code=code, channel=channel):
                self._let_go(epoch, code, channel)
            case ListingAnswered(stocks=stocks):
                for stock in stocks:
                    self._listed(stock)
            case RunStarted(settings=settings):
                self._grid = _Grid(settings.krx.ticks)
            case DayOpened(hours=hours):
                self._close_at = hours.close_at
            case _:
                pass

    def limits(self, code: Symbol, lower: Krw, upper: Krw) -> None:
        """Take a stock's limits of the day as the broker tells them (won); 0 for none."""
        row = self._row(code)
        row.low, row.high = Krw(max(lower, 1)), upper if upper > 0 else NO_LIMIT

    def floors(self, volumes: Mapping[Symbol, Shares]) -> None:
        """Take the day's shares so far, as an earlier process believed them."""
        for code, volume in volumes.items():
            self._row(code).floor = volume

    def check(self, records: Sequence[Record], at: Micros) -> Verdict | None:
        """Judge one frame at an instant; None if it is believed and nothing else is to be said.

        A frame is believed whole or not at all.
        """
        second = at // SECOND_US
        if second != self._second:
            self._turn(second, at)
        kind = type(records[0])
        if kind is Trade:
            reason = self._trades(records)  # type: ignore[arg-type]
        elif kind is Book:
            reason = self._books(records)  # type: ignore[arg-type]
        elif kind is ProgramTrade:
            reason = self._programs(records)  # type: ignore[arg-type]
        else:
            reason = self._statuses(records)  # type: ignore[arg-type]
        return None if reason is None else self._refused(reason, records, at)

    def reject(self, reason: Reason) -> None:
        """Count a frame that was refused elsewhere."""
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def _trades(self, trades: Sequence[Trade]) -> Reason | None:
        rows, latest, known = self._asked["trades"], self._latest, self._time
        on_grid, quoted = self._grid.trade, self._grid.quote
        code, volume = "", 0
        for trade in trades:
            row = rows.get(trade.code)
            if row is None:
                return self._unknown(trade.code, "trades")
            price = trade.last_price
            if price <= 0 or trade.volume < trade.last_qty:
                return "figures"
            if trade.volume < (volume if trade.code == code else row.floor):
                return "volume"
            if trade.time != known:
                if not _is_time(trade.time) or trade.time > latest:
                    return "time"
                known = trade.time
            if not row.low <= price <= row.high:
                return "band"
            bid, ask = trade.bid, trade.ask
            if (bid and not row.low <= bid <= row.high) or (ask and not row.low <= ask <= row.high):
                return "band"
            fine = row.fine
            if not (on_grid(price, fine) and quoted(bid, fine) and quoted(ask, fine)):
                return "grid"
            code, volume = trade.code, trade.volume
        self._time = known
        for trade in trades:
            row = rows[trade.code]
            row.floor, row.last, row.wrong = trade.volume, trade.last_price, ""
        return None

    def _books(self, books: Sequence[Book]) -> Reason | None:
        rows = self._asked["book"]
        for book in books:
            row = rows.get(book.code)
            if row is None:
                return self._unknown(book.code, "book")
            if not _is_time(book.time) or book.time > self._latest:
                return "time"
            for price in (book.bid, book.ask):
                if price and not row.low <= price <= row.high:
                    return "band"
                if not self._grid.quote(price, row.fine):
                    return "grid"
        for book in books:
            if rows[book.code].wrong == "band":
                rows[book.code].wrong = ""
        return None

    def _programs(self, programs: Sequence[ProgramTrade]) -> Reason | None:
        rows = self._asked["program"]
        for program in programs:
            if program.code not in rows:
                return self._unknown(program.code, "program")
            if not _is_time(program.time) or program.time > self._latest:
                return "time"
            if program.net != program.bought - program.sold:
                return "sum"
        return None

    def _statuses(self, statuses: Sequence[MarketStatus]) -> Reason | None:
        rows = self._asked["status"]
        for status in statuses:
            if status.code not in rows:
                return self._unknown(status.code, "status")
        return None

    def _unknown(self, code: str, channel: Channel) -> Reason:
        return "dropped" if (code, channel) in self._dropped else "code"

    def _refused(self, reason: Reason, records: Sequence[Record], at: Micros) -> Verdict:
        first = records[0]
        codes = {record.code for record in records}
        row = self._rows.get(first.code)
        if reason in {"band", "volume"} and row is not None and len(codes) == 1:
            if row.wrong != reason:
                row.wrong, row.count, row.since = reason, 0, at
            row.count += 1
            if row.count >= PERSISTS and at - row.since >= PERSISTS_US:
                return self._persists(reason, row, records, at)
        self.reject(reason)
        return Verdict(reason)

    def _persists(self, reason: Reason, row: _Row, records: Sequence[Record], at: Micros) -> Verdict:
        """Give way to a stock that says the same again and again; whatever else is wrong with the frame still counts."""
        row.wrong = ""
        said = f"{row.count} frames of {row.code} in a row"
        if reason == "band":
            text = (
                f"{said} are outside its limits {row.low:,} to {row.high:,}: the limits are wrong and no longer asked"
            )
            row.low, row.high = Krw(1), NO_LIMIT
            again = self.check(records, at)
            return Verdict(again.reason if again else None, again.refloor if again else None, text)
        text = f"{said} tell of fewer shares than {row.floor:,}: that figure was wrong, the day's volume starts anew"
        row.floor = 0
        again = self.check(records, at)
        return Verdict(again.reason if again else None, row.code, text)

    def _row(self, code: Symbol) -> _Row:
        row = self._rows.get(code)
        if row is None:
            row = self._rows[code] = _Row(code=code)
        return row

    def _listed(self, stock: Listed) -> None:
        row = self._row(stock.code)
        row.fine = stock.kind in {"fund", "other"}
        # Leveraged funds may move by more than 30 %, and so may a stock on its first day.
        if stock.lower is not None and stock.upper is not None and not row.fine and stock.prev_volume > 0:
            # The rounding of the limits is not told anywhere: a tick more does no harm.
            tick = self._grid.tick
            row.low = Krw(max(1, stock.lower - tick(stock.lower, fine=False)))
            row.high = Krw(stock.upper + tick(stock.upper, fine=False))

    def _let_go(self, epoch: Epoch, code: Symbol, channel: Channel) -> None:
        if epoch == self._epoch and self._asked[channel].pop(code, None) is not None:
            self._dropped.add((code, channel))

    def _turn(self, second: int, at: Micros) -> None:
        """A second passed: the latest believable time moves, and at the close the after-market's limits begin."""
        self._second, self._time = second, ""
        today, ahead = kst_clock(at), kst_clock(Micros(at + AHEAD_US))
        self._latest = ahead.replace(":", "") if ahead > today else MIDNIGHT
        if self._close_at is not None and at >= self._close_at:
            self._close_at = None
            for row in self._rows.values():
                # Limits of 30 % around the regular close; those of the day still hold for what trades at the close.
                if row.high != NO_LIMIT and row.last > 0:
                    row.low = min(row.low, Krw(row.last * 7 // 10))
                    row.high = max(row.high, Krw(row.last * 13 // 10 + 1))


class Quarantine:
    """Decides when frames that were not believed are worth a person's time: rarely, and with all the counts."""

    FROM = 5
    WITHIN_US = 60 * SECOND_US
    EVERY_US = 600 * SECOND_US

    def __init__(self) -> None:
        self._recent: list[Micros] = []
        self._quiet_until = Micros(0)

    def note(self, reason: Reason, counts: Mapping[str, int], at: Micros) -> str:
        """Take one refusal; return the alert it brings, or "". What trails behind a drop is no news."""
        if reason == "dropped" or at < self._quiet_until:
            return ""
        self._recent = [one for one in self._recent if at - one < self.WITHIN_US]
        self._recent.append(at)
        if len(self._recent) < self.FROM:
            return ""
        self._recent, self._quiet_until = [], Micros(at + self.EVERY_US)
        told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        return f"frames of the feed are not believed: {told} so far; they are on the tape as rejected"


@lru_cache(maxsize=4_096)
def _is_time(text: str) -> bool:
    return len(text) == 6 and text.isdigit() and text[:2] < "24" and text[2:4] < "60" and text[4:] < "60"


def _fine_tick(price: int) -> int:
    """Return the finest tick anything listed has at *price*: that of ETF, ETN and ELW (kis-protocol 5.2)."""
    return 1 if price < 2_000 else 5


class _Grid:
    """The tick grid, remembered by price. bands: the tick table in force, empty while it is not known."""

    def __init__(self, bands: tuple[TickBand, ...]) -> None:
        self._bands = bands
        self.quote = lru_cache(maxsize=65_536)(self._quote)
        self.trade = lru_cache(maxsize=65_536)(self._trade)

    def tick(self, price: int, fine: bool) -> int:
        """Return the step at *price* (won)."""
        return _fine_tick(price) if fine or not self._bands else tick_size(Krw(price), self._bands)

    def _quote(self, price: int, fine: bool) -> bool:
        """Tell whether a quote of *price* can be; 0 is an empty side."""
        return price == 0 or price % self.tick(price, fine) == 0

    def _trade(self, price: int, fine: bool) -> bool:
        """Tell whether something can trade there: on a tick, or halfway between two (a midpoint print, cut to the won)."""
        tick = self.tick(price, fine)
        return price % tick in (0, tick // 2)
