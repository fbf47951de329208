"""Every event as one readable line: names first, won and shares with their units, rates as signed percentages."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kquant.events import analyzer, day, feed, market, orders, pipeline, portfolio, scanner, slots
from kquant.events.base import Event, Recorded, name_of
from kquant.values import Score, Symbol, kst_clock
from kquant.views.rules import broken
from kquant.views.words import eok, named, percent, signed_won, won

NO_NAMES: Mapping[Symbol, str] = {}
CHANNELS = {"trades": "trades", "book": "order book", "program": "program trading", "status": "market status"}


def describe(event: Event, names: Mapping[Symbol, str] = NO_NAMES) -> str:
    """Return what the event says in one line. names: as `views.names.names_of` collects them."""
    for teller in (_day, _slots, _feed, _market, _scanner, _analyzer, _pipeline, _portfolio, _orders, _broker):
        text = teller(event, names)
        if text is not None:
            return " ".join(text.split())
    return _plain(event)


def line(fact: Recorded, names: Mapping[Symbol, str] = NO_NAMES) -> str:
    """Return seq, KST time, stream, cause and description."""
    cause = "" if fact.caused_by is None else f" ←{fact.caused_by}"
    return f"{fact.seq:>6} {kst_clock(fact.at)} {fact.name:<28} {describe(fact.event, names)}{cause}"


def score(total: Score | None) -> str:
    """Return the score, or that there is none: never a zero."""
    return "no score" if total is None else str(total)


def _plain(event: Event) -> str:
    fields = msgspec.to_builtins(event)
    fields.pop("type", None)
    return f"{name_of(event)} " + " ".join(f"{key}={value}" for key, value in fields.items())


def _day(event: Event, names: Mapping[Symbol, str]) -> str | None:
    match event:
        case day.RunStarted():
            version = event.versions.get("kquant", "?")
            return f"run started: profile {event.profile}, kquant {version}, code {event.code_hash[:12] or 'unknown'}"
        case day.DayOpened():
            cash = "cash unknown" if event.cash_krw is None else f"cash {won(event.cash_krw)}"
            hours = f"{kst_clock(event.hours.open_at)}–{kst_clock(event.hours.close_at)} KST"
            carried = "first day" if event.positions is None else f"{len(event.positions)} positions carried"
            return f"day {event.day} opened for account {event.account}: session {hours}, {cash}, {carried}"
        case day.DayClosed():
            state = "reconciled" if event.reconciled else "NOT reconciled"
            cash = "" if event.cash_krw is None else f", cash {won(event.cash_krw)}"
            return f"day closed, {state}: {len(event.positions)} positions{cash}"
        case day.RunStopped(reason=reason):
            return f"run stopped: {reason}"
        case day.OwnerParked():
            return f"{event.owner} could not answer seq {event.seq}: {event.error}"
        case day.AlertRaised():
            return f"{event.level} alert: {event.text}"
        case day.AlarmSet():
            return f"alarm {event.alarm} set for {kst_clock(event.due)}"
        case day.AlarmCancelled():
            return f"alarm {event.alarm} cancelled"
        case day.AlarmRang():
            return f"alarm {event.alarm} of {event.owner} rang, due {kst_clock(event.due)}"
        case day.HaltOrdered():
            return f"{event.who} halted new entries: {event.reason}"
        case day.ResumeOrdered():
            return f"{event.who} resumed new entries: {event.reason}"
        case day.FlattenOrdered():
            what = "everything" if event.code is None else named(event.code, names)
            return f"{event.who} orders {what} sold: {event.reason}"
        case day.ArmOrdered():
            return f"{event.who} armed the account for {event.day}: real orders may leave"
        case day.DisarmOrdered():
            return f"{event.who} disarmed the account: {event.reason}"
        case day.JobDue():
            return f"{event.job} is due ({kst_clock(event.due)})"
        case day.JobSkipped():
            return f"{event.job} of {kst_clock(event.due)} skipped: {event.reason}"
        case _:
            return None


def _slots(event: Event, names: Mapping[Symbol, str]) -> str | None:
    match event:
        case slots.SlotClaimed():
            rank = f", rank {event.rank}" if event.rank else ""
            return f"{named(event.code, {event.code: event.name, **names})} wants a slot: {event.reason}{rank}"
        case slots.SlotClaimRenewed():
            rank = f", rank {event.rank}" if event.rank else ""
            return f"{named(event.code, names)} still wants its slot: {event.reason}{rank}"
        case slots.SlotClaimEnded():
            return f"{named(event.code, names)} is no longer {event.reason}: {event.why}"
        case slots.SlotEvicted():
            then = "" if event.next_code is None else f"; next would have been {named(event.next_code, names)}"
            winner = f"{named(event.for_code, names)} {CHANNELS[event.for_channel]} (priority {event.for_priority})"
            loser = f"{named(event.code, names)} {CHANNELS[event.channel]} (priority {event.priority})"
            return f"{loser} gives way to {winner} by rule {event.rule}{then}"
        case slots.RegisterWanted():
            return f"register {named(event.code, names)} {CHANNELS[event.channel]}, priority {event.priority}"
        case slots.DropWanted():
            return f"drop {named(event.code, names)} {CHANNELS[event.channel]}: {event.why}"
        case slots.SlotSuspected():
            return f"{named(event.code, names)} {CHANNELS[event.channel]} is acknowledged but silent: renew it"
        case slots.CapacityLearned():
            return f"the broker takes only {event.capacity} registrations in epoch {event.epoch}"
        case slots.PollingStarted():
            return f"ask the price of {named(event.code, names)} every {event.every_seconds} s: {event.why}"
        case slots.PollingEnded():
            return f"stop asking the price of {named(event.code, names)}: {event.why}"
        case _:
            return None


def _feed(event: Event, names: Mapping[Symbol, str]) -> str | None:
    match event:
        case feed.FeedConnected():
            return f"feed connected, epoch {event.epoch}: nothing is registered yet"
        case feed.FeedLost():
            return f"feed of epoch {event.epoch} lost with all registrations: {event.reason}"
        case feed.FeedUnreachable():
            return f"feed unreachable, attempt {event.attempt}: {event.reason}"
        case feed.FeedStopped():
            return f"no connection is tried before {kst_clock(event.until)}: {event.reason}"
        case feed.ClockSkewed(seconds=seconds):
            way = "ahead of" if seconds > 0 else "behind"
            return f"the broker's clock is {abs(seconds)} s {way} ours" if seconds else "both clocks agree again"
        case feed.NoticesConnected():
            return f"the line for execution notices is up, number {event.line}"
        case feed.NoticesLost():
            return f"the line for execution notices is down: {event.reason}"
        case feed.Registered():
            already = " (it held it already)" if event.already else ""
            return f"broker registered {named(event.code, names)} {CHANNELS[event.channel]}{already}"
        case feed.Dropped():
            already = " (it held none)" if event.already else ""
            return f"broker dropped {named(event.code, names)} {CHANNELS[event.channel]}{already}"
        case feed.RegistrationRefused():
            what = f"{event.action} {named(event.code, names)} {CHANNELS[event.channel]}"
            return f"broker refused to {what}: {event.message_code} {event.message} ({event.kind})"
        case feed.RegistrationUnanswered():
            return f"no answer in time: {event.action} {named(event.code, names)} {CHANNELS[event.channel]}"
        case feed.RegistrationExpired():
            return f"too old to send: {event.action} {named(event.code, names)} {CHANNELS[event.channel]}"
        case feed.RegistrationVoid():
            return f"void with its connection: {event.action} {named(event.code, names)} {CHANNELS[event.channel]}"
        case feed.FirstTick():
            return f"first data of {named(event.code, names)} {CHANNELS[event.channel]}"
        case feed.NoticeReceived():
            stock = named(event.code, names)
            price = won(event.price)
            return f"notice: order {event.order_no} {event.side} {stock} {event.kind}, {event.qty:,}주 at {price}"
        case feed.NoticeUnreadable():
            return f"a notice could not be read: {event.reason}"
        case _:
            return None


def _market(event: Event, names: Mapping[Symbol, str]) -> str | None:
    match event:
        case market.TriggerFired():
            stock = named(event.code, names)
            return f"trigger {event.trigger} fired: {stock} traded at {won(event.price)} (bid {event.bid:,}, ask {event.ask:,})"
        case market.BarsClosed():
            return f"minute {kst_clock(event.start)[:5]} closed: {len(event.bars)} stocks traded"
        case market.SnapshotTaken():
            seen = sum(quote.last is not None for quote in event.quotes)
            return f"snapshot for run {event.run}: {seen} of {len(event.quotes)} stocks have a price"
        case market.MarketStatusChanged():
            said = ["trading halted"] if event.halted else []
            said += ["volatility interruption"] if event.vi or event.overtime_vi else []
            said += [f"operation {event.operation}"] if event.operation else []
            return f"{named(event.code, names)}: {', '.join(said) or 'trades as usual'}"
        case _:
            return None


def _scanner(event: Event, names: Mapping[Symbol, str]) -> str | None:
    match event:
        case scanner.ScanStarted():
            return f"scan {event.cycle} starts, due {kst_clock(event.due)}"
        case scanner.RankingsWanted():
            return f"scan {event.cycle} asks for the top {event.limit} by rise and by volume"
        case scanner.RankingsAnswered():
            further = "".join(f", {len(one.rows)} from {one.source}" for one in event.further)
            missing = f"; missing: {'; '.join(event.missing)}" if event.missing else ""
            return (
                f"rankings for scan {event.cycle}: {len(event.gainers)} risers, {len(event.volumes)} by volume"
                f"{further}{missing}"
            )
        case scanner.ReadFailed():
            return f"{event.what} failed: {event.reason}"
        case scanner.ReadExpired():
            return f"{event.what} expired before its turn"
        case scanner.ScoreWanted():
            at = f"{won(event.facts.price)} {percent(event.facts.change_bp)}"
            return f"score {named(event.code, {event.code: event.name, **names})} at {at}, {eok(event.facts.turnover)} traded"
        case scanner.ScoreGiven(parts=parts):
            total = parts.persistence + parts.volume + parts.momentum + parts.risk
            rubric = (
                f"persistence {parts.persistence}/30, volume {parts.volume}/20, "
                f"momentum {parts.momentum}/30, risk {parts.risk}/20"
            )
            stood_in = f" (in place of a model: {event.fallback})" if event.fallback else ""
            return f"{named(event.code, names)} scored {total} by {event.model}{stood_in}: {rubric}"
        case scanner.ScoreAbstained() | scanner.ScoreFailed():
            return f"{named(event.code, names)} got no score: {event.why}"
        case scanner.ScanCompleted():
            who = ", ".join(f"{named(row.code, {row.code: row.name})} {score(row.total)}" for row in event.qualified)
            left = f"{len(event.left)} left out by filters"
            return f"scan {event.cycle}: {len(event.scored)} scored, {left}, qualified: {who or 'nobody'}"
        case scanner.ScanFailed():
            return f"scan {event.cycle} has no result: {event.reason}"
        case scanner.ModelAsked():
            return f"ask {event.model} of {event.provider} ({event.job}, attempt {event.attempt})"
        case scanner.ModelAnswered():
            said = event.why or f"{event.tokens_in:,} tokens in, {event.tokens_out:,} out"
            return f"a model's answer, {event.outcome} after {event.latency_ms:,} ms: {said}"
        case _:
            return None


def _analyzer(event: Event, _names: Mapping[Symbol, str]) -> str | None:
    match event:
        case analyzer.ListingWanted():
            return "ask for every listed stock"
        case analyzer.ListingAnswered():
            return f"{len(event.stocks):,} stocks are listed"
        case analyzer.AnalysisStarted():
            return f"analysis of {event.stocks:,} stocks in {event.batches} batches starts"
        case analyzer.ResearchWanted():
            return f"gather what was known before {event.day}"
        case analyzer.ResearchAnswered():
            cover = ", ".join(f"{c.part} {c.stocks:,}" for c in event.coverage)
            lacks = f"; {'; '.join(event.notes)}" if event.notes else ""
            return f"research table of {event.stocks:,} stocks: {cover}{lacks}"
        case analyzer.BatchWanted():
            return f"score batch {event.batch} of {len(event.codes)} stocks, attempt {event.attempt}"
        case analyzer.BatchScored():
            stood_in = f" (in place of a model: {event.fallback})" if event.fallback else ""
            left = f", {len(event.left)} without a usable row" if event.left else ""
            return f"batch {event.batch}: parts of {len(event.rows)} stocks by {event.model}{stood_in}{left}"
        case analyzer.BatchFailed():
            return f"batch {event.batch} failed: {event.why}"
        case analyzer.BatchJudged():
            known = sum(row.total is not None for row in event.scores)
            return f"batch {event.batch} judged: {known} of {len(event.scores)} stocks have a score"
        case analyzer.PicksChosen():
            best = ", ".join(f"{named(p.code, {p.code: p.name})} {p.score}" for p in event.picks[:3])
            partly = sum(bool(pick.missing) for pick in event.picks)
            scaled = f"; {partly} scaled from the parts they have" if partly else ""
            return f"{len(event.picks)} picks of {event.analysed:,} stocks, {event.subscribed} subscribed; best {best or 'none'}{scaled}"
        case analyzer.AnalysisSkipped():
            return f"no analysis today: {event.reason}"
        case _:
            return None


def _pipeline(event: Event, names: Mapping[Symbol, str]) -> str | None:
    match event:
        case pipeline.PipelineStarted():
            return f"run {event.run} starts, due {kst_clock(event.due)}"
        case pipeline.NewsWanted():
            return f"run {event.run} asks for breaking news"
        case pipeline.NewsAnswered():
            return f"{len(event.items)} news titles for run {event.run}"
        case pipeline.PipelineCommitted():
            news = "no news" if event.news is None else f"news {event.news}"
            return f"run {event.run} is fixed on portfolio {event.portfolio}, {news}"
        case pipeline.SnapshotWanted():
            return f"run {event.run} asks the market about {len(event.codes)} candidates"
        case pipeline.BuySignalled():
            quote = f"last {event.last:,}, bid {event.bid:,}, ask {event.ask:,}"
            return f"buy {named(event.code, {event.code: event.name, **names})}: final score {event.score} ({quote})"
        case pipeline.PipelineCompleted():
            best = (
                f", best {named(event.scores[0].code, {event.scores[0].code: event.scores[0].name})}"
                if event.scores
                else ""
            )
            first = f" {score(event.scores[0].total)}" if event.scores else ""
            return f"run {event.run}: {len(event.scores)} candidates{best}{first}, {event.signals} buy signals"
        case pipeline.PipelineAborted():
            return f"run {event.run} aborted, no buys: {event.reason}"
        case pipeline.PipelineSkipped():
            return f"run due {kst_clock(event.due)} skipped: {event.reason}"
        case _:
            return None


def _portfolio(event: Event, names: Mapping[Symbol, str]) -> str | None:
    match event:
        case portfolio.BalanceWanted():
            return f"ask for the balance ({event.reason})"
        case portfolio.BalanceAnswered():
            return f"balance: {len(event.holdings)} holdings, cash {won(event.cash_krw)}"
        case portfolio.PortfolioOpened():
            return f"portfolio opened with cash {won(event.cash_krw)}"
        case portfolio.PositionOpened():
            how = "carried over" if event.carried else "new"
            stock = named(event.code, {event.code: event.name, **names})
            return f"position {stock}: {event.qty:,}주 for {won(event.cost_krw)} ({how})"
        case portfolio.PositionChanged():
            stock = named(event.code, names)
            return f"position {stock}: now {event.qty:,}주 for {won(event.cost_krw)}, realised {signed_won(event.realised_krw)}"
        case portfolio.PositionClosed():
            return f"position {named(event.code, names)} closed, realised {signed_won(event.realised_krw)}"
        case portfolio.CashMoved():
            costs = f"fee {won(event.fee_krw)}, tax {won(event.tax_krw)}"
            return f"cash {signed_won(event.amount_krw)}, {costs}: now {won(event.cash_krw)}"
        case portfolio.PortfolioSynchronised():
            again = f", read {event.agreeing} that says so" if event.agreeing else ""
            return f"synchronised ({event.reason}): {differences(event.differences, names)}{again}"
        case portfolio.PortfolioAdjusted():
            why = f" ({event.why})" if event.why else ""
            return f"taken over from the broker: {differences(event.differences, names)}{why}"
        case portfolio.DayReconciled():
            return verdict(event, names)
        case _:
            return None


def verdict(event: portfolio.DayReconciled, names: Mapping[Symbol, str] = NO_NAMES) -> str:
    """Return how the day ended: what agrees, or what differs, order by order."""
    if event.agrees:
        return "orders, fills, positions and cash: the day agrees with the broker to the won"
    said = [event.why or "the closing balance differs", *event.orders]
    if event.differences:
        said.append(differences(event.differences, names))
    return f"not reconciled: {'; '.join(said)}"


def differences(found: tuple[portfolio.Difference, ...], names: Mapping[Symbol, str] = NO_NAMES) -> str:
    """Return what the broker and we disagree on, or that we agree."""
    if not found:
        return "agrees with the broker to the won"
    said = (
        f"cash ours {won(d.ours)}, theirs {won(d.theirs)}"
        if d.what == "cash"
        else f"{named(Symbol(d.what), names)} ours {d.ours:,}, theirs {d.theirs:,}"
        for d in found
    )
    return f"differs: {'; '.join(said)}"


def _orders(event: Event, names: Mapping[Symbol, str]) -> str | None:
    match event:
        case orders.OrderIntended():
            at = "market" if event.kind == "market" else won(event.price)
            stock = named(event.code, {event.code: event.name, **names})
            why = event.reason if event.replaces is None else f"in place of intent {event.replaces}"
            return f"intent {event.intent}: {event.side} {stock} {event.qty:,}주 at {at} ({why})"
        case orders.QuoteWanted():
            return f"ask the price of {named(event.code, names)} over HTTPS ({event.why})"
        case orders.QuoteAnswered():
            return f"{named(event.code, names)} at {won(event.last)}, {_best(event)}{_flags(event)}"
        case orders.QuoteFailed():
            return f"no price of {named(event.code, names)} over HTTPS: {event.reason}"
        case orders.OrderResized():
            return f"intent {event.intent} is for {event.qty:,}주 only: the others had filled"
        case orders.OrdersSettled():
            found = "agree with the broker's final list" if event.agrees else f"differ: {'; '.join(event.differences)}"
            return f"the day's orders and fills {found}"
        case orders.OrderDenied():
            return f"{event.side} {named(event.code, names)} denied: {broken(event.rule, event.value, event.limit)}"
        case orders.ProofWanted():
            return f"only a balance can tell what became of intent {event.intent}, {named(event.code, names)}"
        case orders.OrderFrozen():
            return f"{named(event.code, names)} frozen: {event.why}"
        case orders.OrderUnfrozen():
            return f"{named(event.code, names)} free again: {event.why}"
        case orders.ExecutionsWanted():
            return f"ask for the day's executions: {event.why}"
        case orders.ExecutionsListed():
            return f"{len(event.rows)} orders of the day listed"
        case orders.OrderBound():
            return f"intent {event.intent} is order {event.order_no}"
        case orders.OrderFilled():
            stock = named(event.code, {event.code: event.name, **names})
            rest = "complete" if event.leaves_qty == 0 else f"partial, {event.leaves_qty:,}주 left"
            price = won(event.amount_krw // event.qty) if event.qty else won(0)
            return f"{event.side} {stock} filled {event.qty:,}주 at {price} ({rest})"
        case orders.OrderFinished():
            return f"intent {event.intent}, {event.side} {named(event.code, names)}: {event.outcome}, {event.filled_qty:,}주 filled"
        case orders.ExternalOrderSeen():
            return f"order {event.order_no} is not ours: {event.side} {named(event.code, names)} {event.qty:,}주"
        case orders.TriggerArmed():
            at = (
                f"{percent(-event.trail_bp)} from {won(event.high)}"
                if event.kind == "trailing"
                else f"at {won(event.price)}"
            )
            return f"{event.kind} {at} armed for {named(event.code, names)} (trigger {event.trigger})"
        case orders.TriggerDisarmed():
            return f"trigger {event.trigger} of {named(event.code, names)} disarmed"
        case orders.ExitPostponed():
            stock, why = named(event.code, names), broken(event.rule, event.value, event.limit)
            return f"{event.reason} of {stock} waits: {why}, looked at again at {kst_clock(event.until)}"
        case orders.EntriesHalted():
            return f"no new buys: {event.reason}"
        case orders.EntriesResumed():
            return f"new buys allowed: {event.reason}"
        case _:
            return None


def _best(quote: orders.QuoteAnswered) -> str:
    """Return best bid and ask; a side without an order says so."""
    bid, ask = (won(price) if price else "none" for price in (quote.bid, quote.ask))
    return f"bid {bid}, ask {ask}"


def _flags(quote: orders.QuoteAnswered) -> str:
    """Return what keeps a stock from trading as usual."""
    flags = {
        "halted": quote.halted, "VI": quote.vi, "auction": quote.is_auction, "liquidation": quote.liquidation,
        "administrative": quote.administrative, "overheated": quote.overheated, f"warning {quote.warning}": quote.warning,
    }  # fmt: skip
    said = ", ".join(name for name, is_set in flags.items() if is_set)
    return f" ({said})" if said else ""


def _broker(event: Event, _names: Mapping[Symbol, str]) -> str | None:
    match event:
        case orders.OrderSendStarted():
            return f"intent {event.intent} is being sent"
        case orders.OrderAccepted():
            return f"intent {event.intent} accepted as order {event.order_no}"
        case orders.OrderRefused():
            return f"intent {event.intent} refused: {event.message_code} {event.message}"
        case orders.OrderUnknown():
            return f"intent {event.intent}: outcome unknown, {event.why}"
        case orders.OrderExpired():
            return f"intent {event.intent} expired unsent"
        case orders.OrderBlocked():
            return f"intent {event.intent} blocked at the last gate: {event.why}"
        case orders.CancelWanted():
            return f"cancel what is left of order {event.order_no} (intent {event.intent})"
        case orders.CancelAccepted():
            return f"cancel of order {event.order_no} accepted"
        case orders.CancelRefused():
            return f"cancel of intent {event.intent} refused: {event.message_code} {event.message}"
        case orders.CancelUnknown():
            return f"cancel of intent {event.intent}: outcome unknown, {event.why}"
        case _:
            return None
