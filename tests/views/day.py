"""A synthetic day that looks like one: carried positions, picks, scans, an eviction, buys in parts, a stop, the close."""

from __future__ import annotations

from random import Random

from kquant.events import analyzer, feed, market, orders, pipeline, portfolio, scanner, slots
from kquant.events.base import Recorded
from kquant.events.day import DayClosed
from kquant.testing.facts import FactLog, clock
from kquant.values import MINUTE_US, Channel, Epoch, IntentId, Krw, Micros, Score, Seq, Shares, Symbol, TriggerId

EPOCH = Epoch(1)
SAMSUNG, HYNIX, NAVER, KAKAO = Symbol("005930"), Symbol("000660"), Symbol("035420"), Symbol("035720")
PICKED = [SAMSUNG, NAVER, Symbol("051910"), Symbol("006400"), Symbol("068270"), Symbol("105560")]
SURGING = [KAKAO, Symbol("247540"), Symbol("196170"), Symbol("277810")]
NAMES = {
    SAMSUNG: "삼성전자", HYNIX: "SK하이닉스", NAVER: "NAVER", KAKAO: "카카오", Symbol("051910"): "LG화학",
    Symbol("006400"): "삼성SDI", Symbol("068270"): "셀트리온", Symbol("105560"): "KB금융", Symbol("247540"): "에코프로비엠",
    Symbol("196170"): "알테오젠", Symbol("277810"): "레인보우로보틱스", Symbol("123450"): "어떤스팩",
}  # fmt: skip
BASES = {code: 40_000 + 13_700 * place for place, code in enumerate(NAMES)}
CASH = 100_000_000


class Day:
    """Writes the day into a FactLog; `path` is each stock's price minute by minute."""

    def __init__(self, seed: int = 3) -> None:
        self.log = FactLog()
        self.random = Random(seed)
        self.price = dict(BASES)
        self.cash = CASH

    def live(self, code: Symbol, priority: int, cause: Recorded, channel: Channel = "trades") -> None:
        valid = Micros(cause.at + 3_000_000)
        asked = self.log.add(
            "slots",
            slots.RegisterWanted(code=code, channel=channel, priority=priority, epoch=EPOCH, valid_until=valid),  # type: ignore[arg-type]
            caused_by=cause,
            first_index=1,
        )
        self.log.add("feed", feed.Registered(epoch=EPOCH, code=code, channel=channel, already=False), caused_by=asked)
        self.log.add("feed", feed.FirstTick(epoch=EPOCH, code=code, channel=channel, place=1))

    def claim(self, code: Symbol, reason: slots.Reason, cause: Recorded, rank: int = 0) -> Recorded:
        event = slots.SlotClaimed(code=code, name=NAMES[code], reason=reason, rank=rank, since=cause.at)
        place = sum(f.stream == "slots" and f.caused_by == cause.seq for f in self.log.facts)
        return self.log.add("slots", event, caused_by=cause, first_index=place)

    def morning(self) -> None:
        log = self.log
        log.start()
        opened = log.open_day()
        log.add("feed", feed.FeedConnected(epoch=EPOCH), at="07:15:00")
        wanted = log.add(
            "portfolio", portfolio.BalanceWanted(reason="opening", valid_until=clock("07:20:00")), caused_by=opened
        )
        held = portfolio.Holding(
            code=HYNIX, name=NAMES[HYNIX], qty=Shares(60), sellable=Shares(60), cost_krw=Krw(60 * 52_000)
        )
        balance = log.add(
            "rest",
            portfolio.BalanceAnswered(holdings=(held,), cash_krw=Krw(CASH), cash_today_krw=Krw(CASH)),
            caused_by=wanted,
        )
        position = log.add(
            "portfolio",
            portfolio.PortfolioOpened(cash_krw=Krw(CASH)),
            portfolio.PositionOpened(
                code=HYNIX, name=NAMES[HYNIX], qty=Shares(60), cost_krw=Krw(60 * 52_000), carried=True
            ),
            caused_by=balance,
        )
        self.live(HYNIX, 1, self.claim(HYNIX, "held", position))
        log.add("analyzer", analyzer.AnalysisStarted(stocks=2_700, batches=54), at="07:20:00")
        rows = tuple(
            analyzer.AnalysisScore(code=code, total=Score(90 - 3 * place), points=100)
            for place, code in enumerate(PICKED)
        )
        log.add("analyzer", analyzer.BatchJudged(batch=1, scores=rows))
        picks = tuple(
            analyzer.Pick(rank=place, code=row.code, name=NAMES[row.code], score=Score(row.total or 0), points=100)
            for place, row in enumerate(rows, 1)
        )
        chosen = log.add(
            "analyzer",
            analyzer.PicksChosen(picks=picks, subscribed=5, analysed=2_700, unscored=12, failed_batches=0),
            at="07:31:00",
        )
        for pick in picks[:5]:
            self.live(pick.code, 2, self.claim(pick.code, "picked", chosen, pick.rank))
        self.live(HYNIX, 4, chosen, "book")

    def minute(self, start: Micros) -> None:
        bars = []
        for code in NAMES:
            before = self.price[code]
            path = [max(before + before * self.random.randint(-30, 31) // 10_000 // 50 * 50, 1_000) for _ in range(3)]
            self.price[code] = path[-1]
            bars.append(
                market.Bar(
                    code=code, open=Krw(before), high=Krw(max(before, *path)), low=Krw(min(before, *path)), close=Krw(path[-1]),
                    volume=Shares(900), value=Krw(900 * path[-1]), covered_seconds=60, day_high=Krw(max(before, *path)),
                )
            )  # fmt: skip
        self.log.add("market", market.BarsClosed(start=start, bars=tuple(bars), place=1), at=Micros(start + MINUTE_US))

    def scan(self, cycle: int) -> None:
        log = self.log
        due = log.facts[-1].at
        begun = log.add("scanner", scanner.ScanStarted(cycle=cycle, due=due))
        scored = []
        for code in SURGING:
            total = Score(58 + self.random.randint(0, 24))
            parts = scanner.ScanParts(persistence=total - 40, volume=14, momentum=16, risk=10)
            log.add(
                "scorer",
                scanner.ScoreGiven(
                    cycle=cycle, code=code, parts=parts, reasons=("3 cycles in both rankings",), model="heuristic-1",
                    prompt="", answer="", tokens=0, cost_krw=Krw(0), latency_ms=0,
                ),
                caused_by=begun,
                first_index=len(scored),
            )  # fmt: skip
            scored.append(scanner.ScanScore(code=code, name=NAMES[code], total=total))
        scored.sort(key=lambda row: -(row.total or 0))
        good = tuple(row for row in scored if row.total is not None and row.total >= 70)
        left = (scanner.Left(code=Symbol("123450"), name="어떤스팩", filter="spac"),)
        done = log.add(
            "scanner",
            scanner.ScanCompleted(cycle=cycle, scored=tuple(scored), qualified=good, left=left),
            caused_by=begun,
        )
        view = {f.event.code for f in log.facts if isinstance(f.event, slots.SlotClaimed)}
        for row in good:
            if row.code not in view:
                self.live(row.code, 3, self.claim(row.code, "surging", done))

    def fill(
        self, intent: int, code: Symbol, side: str, qty: int, leaves: int, done: int, amount: int, order: Recorded
    ) -> None:
        price = self.price[code] * qty
        event = orders.OrderFilled(
            intent=IntentId(intent), order_no=str(100 + intent), code=code, name=NAMES[code], side=side, qty=Shares(qty),  # type: ignore[arg-type]
            amount_krw=Krw(price), filled_qty=Shares(done), filled_amount_krw=Krw(amount), leaves_qty=Shares(leaves),
        )  # fmt: skip
        filled = self.log.add("orders", event, caused_by=order, first_index=done)
        fee, tax = price * 140 // 1_000_000, 0 if side == "buy" else price * 2_000 // 1_000_000
        signed = -price if side == "buy" else price
        self.cash += signed - fee - tax
        moved = portfolio.CashMoved(
            intent=IntentId(intent), order_no=str(100 + intent), amount_krw=Krw(signed), fee_krw=Krw(fee), tax_krw=Krw(tax),
            cash_krw=Krw(self.cash),
        )  # fmt: skip
        self.log.add("portfolio", moved, caused_by=filled)
        self.held(code, side, qty, price, filled)

    def held(self, code: Symbol, side: str, qty: int, amount: int, cause: Recorded) -> None:
        from kquant.views.portfolio import portfolio_view

        known = {p.code: p for p in portfolio_view(self.log.facts).positions}.get(code)
        event: portfolio.PositionOpened | portfolio.PositionChanged | portfolio.PositionClosed
        if known is None:
            event = portfolio.PositionOpened(
                code=code, name=NAMES[code], qty=Shares(qty), cost_krw=Krw(amount), carried=False
            )
        elif side == "buy":
            event = portfolio.PositionChanged(
                code=code, qty=Shares(known.qty + qty), cost_krw=Krw(known.cost_krw + amount), realised_krw=Krw(0)
            )
        elif known.qty == qty:
            event = portfolio.PositionClosed(code=code, realised_krw=Krw(amount - known.cost_krw))
        else:
            part = known.cost_krw * qty // known.qty
            event = portfolio.PositionChanged(
                code=code,
                qty=Shares(known.qty - qty),
                cost_krw=Krw(known.cost_krw - part),
                realised_krw=Krw(amount - part),
            )
        place = sum(f.stream == "portfolio" and f.caused_by == cause.seq for f in self.log.facts)
        self.log.add("portfolio", event, caused_by=cause, first_index=place)

    def order(
        self, intent: int, code: Symbol, side: str, qty: int, reason: str, cause: Recorded, parts: int = 1
    ) -> None:
        limit = Krw(self.price[code] if side == "buy" else 0)
        wanted = orders.OrderIntended(
            intent=IntentId(intent), code=code, name=NAMES[code], side=side, qty=Shares(qty),  # type: ignore[arg-type]
            kind="limit" if side == "buy" else "market", price=limit, reason=reason, decision=Seq(cause.seq),  # type: ignore[arg-type]
            reserved_krw=Krw(0), valid_until=Micros(cause.at + 5_000_000),
        )  # fmt: skip
        intended = self.log.add("orders", wanted, caused_by=cause)
        self.log.add("broker", orders.OrderSendStarted(intent=IntentId(intent)), caused_by=intended)
        accepted = self.log.add(
            "broker",
            orders.OrderAccepted(intent=IntentId(intent), order_no=str(100 + intent), branch="91252", time="090100"),
            caused_by=intended,
            first_index=1,
        )
        bound = orders.OrderBound(intent=IntentId(intent), order_no=str(100 + intent), branch="91252")
        self.log.add("orders", bound, caused_by=accepted)
        size, done, amount = qty // parts, 0, 0
        for part in range(parts):
            this = size if part < parts - 1 else qty - done
            done, amount = done + this, amount + this * self.price[code]
            self.fill(intent, code, side, this, qty - done, done, amount, intended)
        finish = orders.OrderFinished(
            intent=IntentId(intent),
            code=code,
            side=side,
            outcome="filled",
            filled_qty=Shares(qty),  # type: ignore[arg-type]
        )
        self.log.add("orders", finish, caused_by=intended, first_index=90)

    def run(self, number: int, code: Symbol, qty: int) -> None:
        log = self.log
        begun = log.add(
            "pipeline", pipeline.PipelineStarted(run=number, due=log.facts[-1].at, sync_deadline=log.facts[-1].at)
        )
        parts = pipeline.BrainParts(
            pick=Score(84), scan=None, momentum=Score(71), volume=Score(66), program=None, book=None
        )
        final = pipeline.FinalScore(code=code, name=NAMES[code], total=Score(76), parts=parts, why="")
        low = pipeline.FinalScore(code=Symbol("105560"), name="KB금융", total=Score(55), parts=parts, why="")
        price = Krw(self.price[code])
        signal = log.add(
            "pipeline",
            pipeline.BuySignalled(
                run=number,
                code=code,
                name=NAMES[code],
                score=Score(76),
                last=price,
                bid=price,
                ask=price,
                snapshot=begun.seq,
            ),
            pipeline.PipelineCompleted(run=number, scores=(final, low), left=(), signals=1),
            caused_by=begun,
        )
        cause = log.facts[signal.seq - 2]
        self.order(number, code, "buy", qty, "signal", cause, parts=3)
        armed = orders.TriggerArmed(
            trigger=TriggerId(number),
            code=code,
            kind="stop",
            price=Krw(price * 97 // 100),
            trail_bp=0,
            high=price,  # type: ignore[arg-type]
        )
        log.add("orders", armed, caused_by=log.facts[-1])
        self.claim(code, "held", log.facts[-1])

    def whole(self) -> list[Recorded]:
        self.morning()
        open_at, close_at = clock("09:00:00"), clock("15:30:00")
        buys = {10: (1, SAMSUNG, 120), 40: (2, NAVER, 90), 130: (3, KAKAO, 80)}
        for place in range((close_at - open_at) // MINUTE_US):
            self.minute(Micros(open_at + place * MINUTE_US))
            if place >= 5 and place % 3 == 0:
                self.scan(place)
            if place in buys:
                self.run(*buys[place])
            if place == 60:
                self.log.add(
                    "slots",
                    slots.SlotEvicted(
                        code=Symbol("247540"), channel="trades", priority=3, for_code=NAVER, for_channel="trades", for_priority=1,
                        rule="lower priority", next_code=KAKAO,
                    ),
                    slots.DropWanted(code=Symbol("247540"), channel="trades", epoch=EPOCH, valid_until=clock("15:30:00"), why="evicted"),
                )  # fmt: skip
                self.log.add("feed", feed.Dropped(epoch=EPOCH, code=Symbol("247540"), channel="trades", already=False))
            if place == 220:
                fired = market.TriggerFired(
                    trigger=TriggerId(1), code=SAMSUNG, price=Krw(self.price[SAMSUNG]), bid=Krw(self.price[SAMSUNG]),
                    ask=Krw(self.price[SAMSUNG]), exchange_time="124000", volume=Shares(1), place=9,
                )  # fmt: skip
                self.order(9, SAMSUNG, "sell", 120, "stop", self.log.add("market", fired), parts=2)
            if place == 250:
                denied = orders.OrderDenied(
                    code=Symbol("051910"), side="buy", rule="MAX_POSITIONS", value=12, limit=12, decision=Seq(1)
                )
                self.log.add("orders", denied)
        self.log.add("portfolio", portfolio.DayReconciled(agrees=True, differences=()), at="15:45:00")
        self.log.add("run", DayClosed(reconciled=True, positions=(), cash_krw=Krw(self.cash)))
        return self.log.facts
