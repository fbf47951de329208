"""Part 9: research and scoring without a model: a year of the whole market, its analysis, and one scan cycle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import date, time, timedelta
from pathlib import Path
from time import perf_counter

from bench.figures import Goal, Options, Result, Row
from kquant.config import load
from kquant.domain.owner import Mind
from kquant.domain.scanner import SCANNER
from kquant.events.alarms import AlarmBook
from kquant.events.analyzer import BatchScored, BatchWanted, Listed, ListingAnswered, ResearchAnswered, ResearchWanted
from kquant.events.day import DayOpened, JobDue, RunStarted
from kquant.events.scanner import RankingsAnswered, RankRow, ScanCompleted
from kquant.gateways.follow import Answering
from kquant.gateways.research import AnalysisGateway, history
from kquant.gateways.research.compose import Gathered, compose
from kquant.gateways.research.sources.port import FinancialRow, FlowRow, PriceRow, Stock, TitleRow, Wanted
from kquant.gateways.scoring.gateway import ScorerGateway
from kquant.gateways.scoring.heuristic import HeuristicScorer
from kquant.hours import day_hours
from kquant.journal import Attachments, SqliteJournal, open_day
from kquant.values import MINUTE_US, BasisPoints, Krw, Micros, Seq, Shares, Symbol, from_kst

TITLE = "9. Research and scores without a model"
STOCKS, SESSIONS, BATCH, CANDIDATES = 2_800, 250, 50, 30
DAY = date(2026, 11, 20)
MORNING = from_kst(DAY, time(7, 20))


def run(options: Options, work: Path) -> Result:
    """Make a year of the whole market, then measure the table, the analysis and the scan on it."""
    folder = work / "history"
    sessions = _write_history(folder)
    gathered = _gathered(sessions)
    technicals, tables, analyses, scans = [], [], [], []
    for number in range(options.count(5)):
        technicals.append(_seconds(lambda: history.prices(folder, sessions)))
        out = work / "research.parquet"
        tables.append(_seconds(lambda out=out: compose(folder, gathered, out)))
        analyses.append(asyncio.run(_analysis(_new(work / f"analysis-{number}"), out)))
        scans += asyncio.run(_scans(_new(work / f"scans-{number}"), 5))
    return Result(
        setup=f"{STOCKS:,} stocks, {SESSIONS} sessions of made-up prices and 20 of flows in a file a session, as KRX gives "
        "them; every stock with a statement and three titles. The analysis runs through gateway, journal (SQLite) and "
        f"helper process in batches of {BATCH}; a scan cycle through owner, journal and gateway with {CANDIDATES} candidates, "
        "the rankings given at once.",
        rows=[
            Row("technicals of the whole market, from files", technicals, "s", Goal("<=", 20)),
            Row("the whole table, checked for look-ahead and written", tables, "s", Goal("<=", 30)),
            Row("analysis: request to last batch, table read by a new helper", analyses, "s", Goal("<=", 60)),
            Row("scan cycle, our own time", scans, "s", Goal("<=", 1)),
        ],
        notes=("Gathering is the services' time: it is paced by what they allow, and not measured here.",),
    )


def _seconds(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _codes() -> list[str]:
    return [f"{number:06}" for number in range(STOCKS)]


def _write_history(folder: Path) -> tuple[date, ...]:
    """Write a file a session; return the sessions, newest first."""
    rng = random.Random(9)
    sessions = tuple(DAY - timedelta(days=back) for back in range(1, SESSIONS + 1))
    closes = dict.fromkeys(_codes(), 10_000)
    for back, session in enumerate(reversed(sessions), 1):
        rows = []
        for code, close in closes.items():
            moved = max(100, close + rng.randint(-300, 305))
            high, low = max(close, moved) + 50, min(close, moved) - 50
            rows.append(PriceRow(code=code, session=session, open=close, high=high, low=low, close=moved,
                                 volume=rng.randint(1_000, 900_000), base=close, shares=1_000_000))  # fmt: skip
            closes[code] = moved
        history.keep(folder, "prices", f"krx-{session}", "krx", Micros(back), rows)
        if back > SESSIONS - 20:
            nets = [FlowRow(code=code, session=session, foreign_net=rng.randint(-9_000, 9_000), institution_net=1)
                    for code in closes]  # fmt: skip
            history.keep(folder, "flows", f"krx-{session}", "krx", Micros(back), nets)
    return sessions


def _listed(code: str) -> Listed:
    return Listed(
        code=Symbol(code), name=f"Stock {code}", market="KOSPI", kind="common", base=Krw(10_000), upper=Krw(13_000),
        lower=Krw(7_000), halted=False, administrative=False, liquidation=False, overheated=False, warning=0,
        prev_volume=Shares(500_000),
    )  # fmt: skip


def _gathered(sessions: tuple[date, ...]) -> Gathered:
    stocks = tuple(Stock(listed=_listed(code), shares=Shares(1_000_000)) for code in _codes())
    known_at = Micros(MORNING - 1)
    return Gathered(
        wanted=Wanted(day=DAY, decision=MORNING, sessions=sessions, stocks=stocks),
        listed_at=known_at,
        listed_from="kis",
        financials=tuple(
            ("dart", FinancialRow(code=code, known_at=known_at, filed="2026-03-10", roe_bp=900, op_margin_bp=700,
                                  debt_ratio_bp=8_000, net_krw=900_000_000, equity_krw=9_000_000_000))
            for code in _codes()
        ),
        news=tuple(
            ("naver", TitleRow(code=code, known_at=known_at, published_at=known_at, title=f"Stock {code} 수주 {n}", key=str(n)))
            for code in _codes() for n in range(3)
        ),
    )  # fmt: skip


class _Still:
    """A clock that stands, and what gateways call when they may have become idle."""

    def __init__(self, now: Micros) -> None:
        self._now = now
        self._changed = asyncio.Event()
        self.fatal = ""

    def now(self) -> Micros:
        return self._now

    async def sleep_until(self, at: Micros) -> None:
        if at > self._now:
            await asyncio.Event().wait()

    def changed(self) -> None:
        self._changed.set()

    def on_fatal(self, reason: str) -> None:
        self.fatal = reason
        self._changed.set()

    async def idle(self, gateway: Answering) -> None:
        while not gateway.idle() and not self.fatal:
            self._changed.clear()
            if not gateway.idle():
                await self._changed.wait()
        if self.fatal:
            raise RuntimeError(self.fatal)


async def _analysis(folder: Path, table: Path) -> float:
    clock = _Still(MORNING)
    journal = open_day(folder, clock.now)
    try:
        gateway = AnalysisGateway(
            journal, clock, Attachments(folder), table, changed=clock.changed, on_fatal=clock.on_fatal
        )
        await gateway.start()
        begun = perf_counter()
        until = Micros(MORNING + 90 * MINUTE_US)
        journal.append("analyzer", [ResearchWanted(day=DAY.isoformat(), valid_until=until)], by="analyzer").result()
        await clock.idle(gateway)
        (answered,) = [fact.event for fact in journal.read(Seq(0)) if isinstance(fact.event, ResearchAnswered)]
        codes = _codes()
        wanted = [
            BatchWanted(batch=start // BATCH + 1, attempt=1, codes=tuple(map(Symbol, codes[start : start + BATCH])),
                        table=answered.table, valid_until=until)
            for start in range(0, len(codes), BATCH)
        ]  # fmt: skip
        journal.append("analyzer", wanted, by="analyzer").result()
        await clock.idle(gateway)
        seconds = perf_counter() - begun
        await gateway.close()
        scored = [fact.event for fact in journal.read(Seq(0), 10_000) if isinstance(fact.event, BatchScored)]
        if sum(len(each.rows) for each in scored) != STOCKS:
            raise RuntimeError("not every stock was scored")
        return seconds
    finally:
        journal.close()


async def _scans(folder: Path, count: int) -> list[float]:
    clock = _Still(from_kst(DAY, time(9, 5)))
    journal = open_day(folder, clock.now)
    settings = load("demo", environ={}).settings
    host = _Host(journal)
    try:
        gateway = ScorerGateway(journal, clock, HeuristicScorer(), changed=clock.changed, on_fatal=clock.on_fatal)
        await gateway.start()
        listing = ListingAnswered(stocks=tuple(map(_listed, _codes())), source="")
        host.tell("run", RunStarted(settings=settings, profile="demo", code_hash="", seed=1, versions={}))
        host.tell("run", DayOpened(day=DAY.isoformat(), account="", hours=day_hours(DAY, settings.krx), positions=None,
                                   cash_krw=None, day_before="", digest_before="", reconciled_before=True))  # fmt: skip
        host.tell("rest", listing)
        found = []
        for cycle in range(1, count + 1):
            begun = perf_counter()
            host.tell("scheduler", JobDue(job="scan", due=clock.now()))
            ranks = tuple(_rank(code, place) for place, code in enumerate(_codes()[: CANDIDATES + 10]))
            host.tell("rest", RankingsAnswered(cycle=cycle, gainers=ranks[:20], volumes=ranks[20:]))
            await clock.idle(gateway)
            host.go_on()
            found.append(perf_counter() - begun)
        completed = [fact.event for fact in journal.read(Seq(0), 10_000) if isinstance(fact.event, ScanCompleted)]
        if [len(each.scored) for each in completed] != [CANDIDATES] * count:
            raise RuntimeError("a scan did not score its candidates")
        await gateway.close()
        return found
    finally:
        journal.close()


class _Host:
    """The scanner on a journal, in this thread."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._mind = Mind(SCANNER)
        self._alarms = AlarmBook()
        self._cursor = Seq(0)

    def tell(self, stream: str, event: object) -> None:
        self._journal.append(stream, [event], by=stream).result()  # type: ignore[list-item]
        self.go_on()

    def go_on(self) -> None:
        """Let the owner answer what is new."""
        while facts := self._journal.read(self._cursor):
            for fact in facts:
                self._cursor = fact.seq
                self._alarms.apply(fact)
                if self._mind.concerns(fact) and self._mind.perceive(fact) and (events := self._mind.decide(fact)):
                    told = self._journal.append(SCANNER.stream, events, by=SCANNER.stream, caused_by=fact.seq).result()
                    for each in told:
                        self._mind.learn(each.event)


def _rank(code: str, place: int) -> RankRow:
    return RankRow(
        code=Symbol(code), name=f"Stock {code}", rank=place % 20 + 1, price=Krw(11_000), change_bp=BasisPoints(1_000),
        volume=Shares(900_000), turnover=Krw(9_900_000_000), high=Krw(11_200), low=Krw(10_000), open=Krw(10_100),
        prev_volume=Shares(500_000),
    )  # fmt: skip
