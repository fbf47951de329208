"""The REST gateway: answers recorded read requests, each with exactly one outcome, and polls prices where asked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kquant.events.analyzer import Listed, ListingAnswered, ListingWanted, MarketName
from kquant.events.base import Event, Recorded
from kquant.events.orders import ExecutionsListed, ExecutionsWanted, QuoteAnswered, QuoteFailed, QuoteWanted
from kquant.events.pipeline import NewsAnswered, NewsWanted
from kquant.events.portfolio import BalanceAnswered, BalanceWanted
from kquant.events.scanner import RankingsAnswered, RankingsWanted, ReadExpired, ReadFailed
from kquant.events.slots import PollingEnded, PollingStarted
from kquant.gateways.clock import Clock
from kquant.gateways.follow import FollowingGateway, waiting_until
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.calls.reference import MasterFile
from kquant.gateways.kis.rest.candidates import BOTH_RANKINGS, Candidates
from kquant.gateways.kis.rest.errors import KisError, KisUnreadable
from kquant.gateways.kis.rest.master import parse
from kquant.gateways.kis.rest.quotes import confirm
from kquant.journal.attachments import Attachments
from kquant.journal.port import Journal
from kquant.krx import TickBand
from kquant.market.records import RestPrice
from kquant.values import SECOND_US, Micros, Seq, Symbol, to_kst

Read = ListingWanted | RankingsWanted | NewsWanted | BalanceWanted | ExecutionsWanted
SCANNED: tuple[tuple[MasterFile, MarketName], ...] = (("kospi", "KOSPI"), ("kosdaq", "KOSDAQ"))
"""The markets whose stocks are analysed and scanned; KONEX is for professionals."""
ORDERABLE_US = 5 * SECOND_US
ORDERABLE_SPARE_US = 2 * SECOND_US
"""What may be ordered for is asked with a balance: for so long at most, and never into its last seconds."""
OUTCOMES = (
    ListingAnswered,
    RankingsAnswered,
    NewsAnswered,
    BalanceAnswered,
    ExecutionsListed,
    QuoteAnswered,
    QuoteFailed,
    ReadFailed,
    ReadExpired,
)


class RestGateway(FollowingGateway):
    """Reads for the owners. price: where polled prices go, on any thread.   sources: `scanner.sources`."""

    stream = "rest"
    by = "rest"

    def __init__(
        self,
        journal: Journal,
        calls: KisCalls,
        clock: Clock,
        attachments: Attachments,
        bands: tuple[TickBand, ...],
        *,
        price: Callable[[RestPrice], None],
        changed: Callable[[], None],
        on_fatal: Callable[[str], None],
        sources: Sequence[str] = BOTH_RANKINGS,
    ) -> None:
        super().__init__(journal, clock, changed=changed, on_fatal=on_fatal)
        self._calls = calls
        self._candidates = Candidates(calls, sources)
        self._attachments = attachments
        self._bands = bands
        self._price = price
        self.poll_failures = 0
        """Polls that brought no price."""
        self._polls: dict[Symbol, int] = {}
        self._polling = False

    def fold(self, facts: list[Recorded]) -> None:
        """Ask again what is still open, and go on polling."""
        waiting: dict[Seq, Recorded] = {}
        for fact in facts:
            if isinstance(fact.event, Read | QuoteWanted):
                waiting[fact.seq] = fact
            elif isinstance(fact.event, OUTCOMES) and fact.caused_by is not None:
                waiting.pop(fact.caused_by, None)
            else:
                self._poll(fact)
        for fact in waiting.values():
            self.take(fact)

    def take(self, fact: Recorded) -> None:
        """Start one read, or begin or end polling."""
        if isinstance(fact.event, Read):
            self.spawn(self._read(fact, fact.event))
        elif isinstance(fact.event, QuoteWanted):
            self.spawn(self._confirm(fact.seq, fact.event))
        else:
            self._poll(fact)

    async def _read(self, fact: Recorded, request: Read) -> None:
        if self._clock.now() > request.valid_until:
            await self.append(ReadExpired(what=fact.name), fact.seq)
            return
        try:
            outcome = await self._answer(request)
        except KisError as error:
            outcome = ReadFailed(what=fact.name, reason=str(error))
        if self._clock.now() > request.valid_until:
            outcome = ReadExpired(what=fact.name)
        await self.append(outcome, fact.seq)

    async def _confirm(self, seq: Seq, request: QuoteWanted) -> None:
        await self.append(await confirm(self._calls, self._clock, request), seq)

    async def _answer(self, request: Read) -> Event:
        match request:
            case RankingsWanted(cycle=cycle, limit=limit):
                return await self._candidates.fetch(cycle, limit)
            case NewsWanted(run=run):
                return NewsAnswered(run=run, items=await self._calls.news())
            case BalanceWanted(valid_until=until):
                soon = min(self._clock.now() + ORDERABLE_US, until - ORDERABLE_SPARE_US)
                return await self._calls.balance(orderable_until=Micros(soon))
            case ExecutionsWanted():
                return ExecutionsListed(rows=await self._calls.executions(f"{to_kst(self._clock.now()):%Y%m%d}"))
            case ListingWanted():
                return await self._listing()

    async def _listing(self) -> ListingAnswered:
        stocks: dict[str, Listed] = {}
        source = ""
        for file, market in SCANNED:
            zipped = await self._calls.master(file)
            source = f"{source} {self._attachments.put(zipped)}".strip()
            for stock in parse(zipped, market, self._bands):
                stocks[stock.code] = stock
        return ListingAnswered(stocks=tuple(stocks[code] for code in sorted(stocks)), source=source)

    def _poll(self, fact: Recorded) -> None:
        match fact.event:
            case PollingStarted(code=code, every_seconds=every):
                self._polls[code] = every
                if not self._polling:
                    self._polling = True
                    self.spawn(self._keep_polling())
            case PollingEnded(code=code):
                self._polls.pop(code, None)
            case _:
                pass

    async def _keep_polling(self) -> None:
        """Ask each polled stock's price every so many seconds; a failed call waits for the next turn."""
        due: dict[Symbol, Micros] = {}
        while self._polls:
            now = self._clock.now()
            wanted = [code for code in sorted(self._polls) if due.get(code, Micros(0)) <= now]
            for code in wanted:
                due[code] = Micros(now + self._polls[code] * SECOND_US)
            await self._poll_prices(wanted)
            at = Micros(self._clock.now() + SECOND_US)
            with waiting_until(at):
                self._changed()
                await self._clock.sleep_until(at)
        self._polling = False

    async def _poll_prices(self, codes: list[Symbol]) -> None:
        """Ask the prices of stocks that are due: all in one call where the service offers that, else one by one."""
        if len(codes) > 1 and self._calls.prices_at_once():
            try:
                prices = await self._calls.prices(codes)
            except KisUnreadable:
                pass  # one stock's row may be broken: each is asked by itself
            except KisError:
                self.poll_failures += len(codes)
                return
            else:
                for price in prices:
                    self._price(price)
                self.poll_failures += len(codes) - len(prices)
                return
        for code in codes:
            if code not in self._polls:
                continue
            try:
                self._price(await self._calls.price(code))
            except KisError:
                self.poll_failures += 1
