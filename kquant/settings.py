"""Every setting as a type: what it means, its unit, its allowed range. `config/default.toml` holds the values.

Settings are recorded whole in `run.started`, so a decision can be taken again under the settings of its day.
Secrets are never settings: they come from the environment and stay in memory.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from kquant.krx import CostTable, SessionKind, TickBand, Venue
from kquant.values import BasisPoints, Krw, OrderKind, Score

Count = Annotated[int, Meta(ge=0, le=100_000)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
Bp = Annotated[int, Meta(ge=0, le=10_000)]
Won = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Points = Annotated[int, Meta(ge=0, le=100)]
ClockTime = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
ClockSecond = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$")]
Follow = Literal["regular", "krx", "all"]
"""Which sessions the run is up for: KRX's regular ones, all of KRX, or NXT's as well."""
Source = Annotated[str, Meta(pattern=r"^(gainers|volumes|(condition|watchlist):.*\S.*)$")]
"""Where candidates come from: a ranking, or a condition search or watch list of the user's HTS by its name."""
Anchor = Literal["open", "close", "never"]
"""What an edge of a session moves with on a day of other hours."""


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the settings: an unknown key is refused by name."""


class SlotSettings(Table, frozen=True, kw_only=True):
    """The slot table (`architecture.md`, "The slot table, exactly")."""

    capacity: Annotated[int, Meta(ge=1, le=41)]
    picks_cap: Count
    surges_cap: Count
    surge_ttl_seconds: Seconds
    ack_seconds: Seconds
    silent_seconds: Seconds
    min_dwell_seconds: Seconds
    changes_per_minute: Count
    low_changes_per_minute: Count
    extra_channels: tuple[Literal["book", "program", "status"], ...]
    extra_headroom: Count
    poll_after_seconds: Seconds
    poll_every_seconds: Seconds


class ScannerSettings(Table, frozen=True, kw_only=True):
    """The minute scan (layer 2)."""

    rank_limit: Annotated[int, Meta(ge=1, le=50)]
    max_scored: Annotated[int, Meta(ge=1, le=100)]
    threshold: Points
    subscribed: Count
    deadline_seconds: Seconds
    sources: tuple[Source, ...] = ("gainers", "volumes")
    """Where candidates come from; logs written before this setting existed had both rankings."""
    titles: Annotated[int, Meta(ge=0, le=20)] = 0
    """Headlines of a stock that go to the scorer with its numbers; logs written before this setting existed had none."""


class AnalyzerSettings(Table, frozen=True, kw_only=True):
    """The daily analysis (layer 3)."""

    batch_size: Annotated[int, Meta(ge=1, le=500)]
    stored: Count
    subscribed: Count
    late_until: ClockTime
    deadline: ClockTime
    batch_attempts: Annotated[int, Meta(ge=1, le=5)]
    min_coverage: Points
    """A stock whose available rubric parts add to less than this many of the 100 points is left unscored."""


class BrainWeights(Table, frozen=True, kw_only=True):
    """Relative weights of the final score's parts; a missing part is left out and the rest is scaled."""

    pick: Points
    scan: Points
    momentum: Points
    volume: Points
    program: Points
    book: Points


class PipelineSettings(Table, frozen=True, kw_only=True):
    """The intraday run: fetch, commit, brain, order."""

    threshold: Points
    sync_deadline_seconds: Seconds
    news_deadline_seconds: Seconds
    stale_after_seconds: Seconds
    momentum_minutes: Annotated[int, Meta(ge=1, le=60)]
    weights: BrainWeights


class FilterSettings(Table, frozen=True, kw_only=True):
    """What is never scored or bought, as data. Each filter names what it dropped."""

    min_price_krw: Won
    min_turnover_krw: Won
    upper_limit_ticks: Count
    administrative: bool
    halted: bool
    liquidation: bool
    warning: bool
    overheated: bool
    spac: bool
    preferred: bool
    fund: bool


class ExitSettings(Table, frozen=True, kw_only=True):
    """Exits as armed triggers. A rate of 0 leaves that exit out."""

    stop_loss_bp: Bp
    take_profit_bp: Bp
    trailing_bp: Bp
    flat_at_close: bool
    flat_before_close_minutes: Annotated[int, Meta(ge=1, le=60)]
    hold_minutes: Annotated[int, Meta(ge=0, le=390)] = 0
    """A position bought today is sold after so many minutes; 0: no exit by time."""
    valid_seconds: Annotated[int, Meta(ge=0, le=600)] = 0
    """A sell is sent within so long: it waits for its turn behind the others. 0, as in old logs: as long as a buy."""


class RiskSettings(Table, frozen=True, kw_only=True):
    """Limits checked inside `orders`, before an intent exists."""

    position_share_bp: Bp
    """Part of equity one new position may take, in basis points."""
    max_positions: Count
    max_order_krw: Won
    min_order_krw: Won = 0
    """A buy of less is not worth its costs and its place. 0 in a log written before this limit existed."""
    max_day_buy_krw: Won
    max_orders_per_minute: Count
    max_orders_per_day: Count
    max_day_loss_krw: Won
    collar_bp: Bp
    cooldown_seconds: Seconds
    order_valid_seconds: Seconds
    resting_seconds: Seconds
    limit_ticks_above_ask: Count
    executions_every_seconds: Seconds
    unknown_listings: Annotated[int, Meta(ge=1, le=50)]
    unknown_seconds: Seconds
    # What follows has the values of logs written before it existed: each limit out of reach, each step left out.
    max_stock_krw: Won = 1_000_000_000_000
    """One stock: what is held of it at cost, and what a buy would add."""
    max_exposure_krw: Won = 1_000_000_000_000
    """All positions at cost and all buys under way."""
    max_buys_per_stock: Count = 100_000
    """Buys of one stock a day, whatever signals it."""
    repeat_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 0
    """A stock whose last buy was intended more recently than this is not bought again, filled or not."""
    stale_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 0
    """A signal's price older than this is no ground for a buy. 0: not asked."""
    upper_limit_ticks: Count = 0
    """A buy this near to the day's upper limit is denied: it could not be sold again on the way up, only down."""
    sizing: Literal["equal_share", "fixed_amount"] = "equal_share"
    """How much one buy is for, before the limits: `position_share_bp` of equity, or `fixed_amount_krw`."""
    fixed_amount_krw: Won = 0
    volume_share_bp: Bp = 10_000
    """A buy takes at most this part of the day's volume so far, in basis points."""
    entry_kind: OrderKind = "limit"
    unfilled: Literal["cancel", "replace"] = "cancel"
    """What becomes of a buy that did not fill within `resting_seconds`: cancelled, or given today's price."""
    max_replaces: Annotated[int, Meta(ge=0, le=10)] = 0
    """A buy replaced so often is cancelled."""
    confirm_price: bool = False
    """Ask the price over HTTPS before a buy, and go by that."""
    confirm_seconds: Seconds = 10
    moved_bp: Bp = 10_000
    """A confirmed price this far from the signal's: no buy."""


class PipelineWindow(Table, frozen=True, kw_only=True):
    """Runs from `start` (included) to `end` (excluded), KST, every `every_minutes`."""

    start: ClockTime
    end: ClockTime
    every_minutes: Annotated[int, Meta(ge=1, le=240)]


class ScheduleSettings(Table, frozen=True, kw_only=True):
    """The "10-60-30" timetable, KST on a normal day; it moves with the session's shift."""

    analysis: ClockTime
    scan_from: ClockTime
    scan_every_seconds: Seconds
    late_seconds: Seconds
    day_end_after_close_seconds: Seconds
    """The day ends this long after the last followed session."""
    pipeline: tuple[PipelineWindow, ...]
    follow: Follow = "regular"
    """Logs written before this setting existed followed the regular session."""
    up_before_seconds: Seconds = 600
    """A run that stays up over nights wakes this long before its first session or job of the day."""


class LimitTable(Table, frozen=True, kw_only=True):
    """How often one key may call a service over REST from `since` on (ISO date). gap_ms: least time between two calls.

    new_key_per_second: of a key's first three days.
    """

    since: str
    environment: Literal["real", "paper"]
    per_second: Annotated[int, Meta(ge=1, le=100)]
    new_key_per_second: Annotated[int, Meta(ge=1, le=100)]
    gap_ms: Annotated[int, Meta(ge=0, le=10_000)]


class BrokerSettings(Table, frozen=True, kw_only=True):
    """The broker's doors and limits. `{embedded}` hosts are the simulated exchange started by the demo."""

    exchange: Literal["embedded", "paper", "live"]
    orders: bool
    rest_url: str
    ws_url: str
    account_env: str
    app_key_env: str
    app_secret_env: str
    hts_id_env: str
    data_app_key_env: str = "KIS_DATA_APP_KEY"
    data_app_secret_env: str = "KIS_DATA_APP_SECRET"  # noqa: S105  the variable's name
    """A real key that only reads: rankings, news and holidays, which the paper service lacks."""
    data_rest_url: str = "https://openapi.koreainvestment.com:9443"
    data_ws_url: str = "ws://ops.koreainvestment.com:21000"
    keys_file: str = "~/.kquant/keys.toml"
    clock_offset_seconds: Annotated[int, Meta(ge=-86_400, le=86_400)] = 0
    """Seconds a look-alike's clock is ahead of the wall: 0 unless the hosts are on this machine."""
    rest_per_second: Annotated[int, Meta(ge=1, le=20)]
    rest_timeout_seconds: Seconds
    order_timeout_seconds: Seconds
    register_gap_ms: Annotated[int, Meta(ge=0, le=5_000)]
    order_calls_per_second: Annotated[int, Meta(ge=0, le=20)] = 2
    """Calls of each second that only orders may use, where there is more than one."""
    key_since: str = ""
    """ISO date of the app key's issue, where the keys file does not say it; KIS holds a new key to less for three days."""
    limits: tuple[LimitTable, ...] = (
        LimitTable(since="2000-01-01", environment="real", per_second=20, new_key_per_second=20, gap_ms=80),
        LimitTable(since="2000-01-01", environment="paper", per_second=2, new_key_per_second=2, gap_ms=550),
        LimitTable(since="2026-04-20", environment="real", per_second=18, new_key_per_second=3, gap_ms=80),
        LimitTable(since="2026-04-20", environment="paper", per_second=1, new_key_per_second=1, gap_ms=1_050),
    )
    """`config/limits.toml`; logs written before it existed had these."""
    channels: Literal["krx", "unified", "nxt"] = "krx"
    """Whose market the feed shows: KRX, KRX and NXT in one, or NXT alone."""


class FeedSettings(Table, frozen=True, kw_only=True):
    """How the feed connects, and when it takes silence for a fault. KIS blocks keys that connect in a loop."""

    connects_per_hour: Annotated[int, Meta(ge=1, le=1_000)] = 60
    connects_per_day: Annotated[int, Meta(ge=1, le=10_000)] = 300
    breaker_failures: Annotated[int, Meta(ge=1, le=100)] = 10
    """So many connections in a row that fail or do not last a minute: trying stops for `breaker_pause_seconds`."""
    breaker_pause_seconds: Seconds = 1_800
    half_open_seconds: Seconds = 15
    """Silence on a line that had its PINGPONG about every 12 s: it is dead."""
    quiet_seconds: Seconds = 20
    """All stocks together silent for at least this long in a session, and longer than their pace explains: asked over REST."""
    forced_gap_seconds: Seconds = 300
    skew_seconds: Seconds = 5
    """The broker's clock and ours may differ by this much before entries wait and a person is told."""
    """At most one reconnection in this time because data stay out."""


class DemoSettings(Table, frozen=True, kw_only=True):
    """The embedded exchange's market and first account."""

    day: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    stocks: Annotated[int, Meta(ge=1, le=5_000)]
    start: ClockTime
    cash_krw: Won
    holdings: Count
    faults: tuple[str, ...] = ()
    """What goes wrong at the embedded exchange: as `kquant exchange --faults`, each in a text of its own."""


class JournalSettings(Table, frozen=True, kw_only=True):
    """Where days are kept, and how the tape is written."""

    data: str
    tape_block_frames: Annotated[int, Meta(ge=1, le=100_000)]


class SessionRow(Table, frozen=True, kw_only=True):
    """One session of a normal day, KST, from `start` (included) to `end` (excluded).

    On a day of other hours each edge moves by as much as what it is tied to (`start_moves`, `end_moves`) moves.
    """

    venue: Venue
    name: str
    korean: str
    kind: SessionKind
    start: ClockSecond
    end: ClockSecond
    start_moves: Anchor
    end_moves: Anchor


class SessionTable(Table, frozen=True, kw_only=True):
    """Every session of both venues from `since` on (ISO date)."""

    since: str
    note: str
    rows: tuple[SessionRow, ...]


class SessionRule(Table, frozen=True, kw_only=True):
    """A day whose hours differ from the normal ones, by ISO date.

    `without` names sessions that do not take place that day, as VENUE.name.
    """

    day: str
    open: ClockTime
    close: ClockTime
    shift_minutes: Annotated[int, Meta(ge=0, le=180)]
    note: str
    without: tuple[str, ...] = ()


class CalendarTable(Table, frozen=True, kw_only=True):
    """Normal hours, dated exceptions, closed days. Covers `first_day` to `last_day`; outside it is closed by default.

    Days after `announced_until` follow from the holiday law; the exchange has not announced them yet. "" in old logs.
    """

    first_day: str
    last_day: str
    announced_until: str = ""
    open: ClockTime
    close: ClockTime
    closing_auction_minutes: Annotated[int, Meta(ge=1, le=60)]
    closed: tuple[str, ...]
    special: tuple[SessionRule, ...]


class KrxTables(Table, frozen=True, kw_only=True):
    """The dated rule tables of `config/`."""

    ticks: tuple[TickBand, ...]
    costs: tuple[CostTable, ...]
    calendar: CalendarTable
    sessions: tuple[SessionTable, ...] = ()
    """Ascending by `since`; empty in logs written before the sessions were data."""
    fund_ticks: tuple[TickBand, ...] = ()
    """Tick sizes of ETF and ETN; empty in logs written before they were told apart from stocks."""


LlmProvider = Literal["heuristic", "gemini", "deepseek", "other"]
"""Who does a job: nobody but the numbers, or one of the services under `[llm]`."""


class LlmServiceSettings(Table, frozen=True, kw_only=True):
    """A service of language models, and what it allows one key."""

    base_url: str
    key_env: str
    """The environment variable that holds the key; "" for a service that asks for none."""
    requests_per_minute: Annotated[int, Meta(ge=1, le=100_000)]
    tokens_per_minute: Annotated[int, Meta(ge=1_000, le=1_000_000_000)]
    concurrency: Annotated[int, Meta(ge=1, le=500)]
    gap_ms: Annotated[int, Meta(ge=0, le=60_000)]
    """Least time between the beginnings of two requests."""


class LlmJobSettings(Table, frozen=True, kw_only=True):
    """What one job asks, of whom, and how. effort: "" leaves it to the model."""

    provider: LlmProvider = "heuristic"
    model: str = ""
    prompt: Annotated[str, Meta(pattern=r"^[a-z]+-[0-9]+$")]
    thinking: Literal["default", "on", "off"] = "default"
    effort: Literal["", "minimal", "low", "medium", "high", "max"] = ""
    max_output_tokens: Annotated[int, Meta(ge=64, le=400_000)]
    timeout_seconds: Seconds


class LlmPrice(Table, frozen=True, kw_only=True):
    """What a model costs from `since` on (ISO date), in won per million tokens."""

    model: str
    since: str
    input_krw: Won
    output_krw: Won


class LlmRetirement(Table, frozen=True, kw_only=True):
    """A model that its provider no longer serves from `since` on (ISO date), and what does its job now."""

    model: str
    since: str
    successors: tuple[str, ...]


class LlmSettings(Table, frozen=True, kw_only=True):
    """Language models as scorers (`docs/scoring.md`). Logs written before these existed had the heuristic only."""

    text_points: Points = 20
    """Most points that text, or a model's taste, may move a score: half of it to either side of what the numbers give."""
    day_budget_krw: Won = 0
    fallback: Literal["heuristic", "none"] = "heuristic"
    """Who scores when the budget is spent or the service is down: the heuristic, or nobody (the request has failed)."""
    reserve_seconds: Annotated[int, Meta(ge=0, le=600)] = 3
    """An answer that is not here so long before a request's deadline is no longer waited for."""
    down_after: Annotated[int, Meta(ge=1, le=1_000)] = 5
    """So many calls failed in a row: the service is left alone for `down_pause_seconds`."""
    down_pause_seconds: Seconds = 60
    gemini: LlmServiceSettings = LlmServiceSettings(
        base_url="https://generativelanguage.googleapis.com",
        key_env="GEMINI_API_KEY",
        requests_per_minute=60,
        tokens_per_minute=1_000_000,
        concurrency=8,
        gap_ms=500,
    )
    deepseek: LlmServiceSettings = LlmServiceSettings(
        base_url="https://api.deepseek.com",
        key_env="DEEPSEEK_API_KEY",
        requests_per_minute=60,
        tokens_per_minute=2_000_000,
        concurrency=8,
        gap_ms=0,
    )
    other: LlmServiceSettings = LlmServiceSettings(
        base_url="", key_env="", requests_per_minute=60, tokens_per_minute=1_000_000, concurrency=2, gap_ms=0
    )
    """Any endpoint that speaks OpenAI's chat completions, a local server too."""
    scan: LlmJobSettings = LlmJobSettings(prompt="scan-1", max_output_tokens=1_024, timeout_seconds=15)
    analysis: LlmJobSettings = LlmJobSettings(prompt="analysis-1", max_output_tokens=32_768, timeout_seconds=600)
    prices: tuple[LlmPrice, ...] = ()
    """`config/models.toml`, ascending by `since`; a model without a price is not asked."""
    retired: tuple[LlmRetirement, ...] = ()


class ResearchServiceSettings(Table, frozen=True, kw_only=True):
    """A source of research and what it allows. gap_ms: least time between the beginnings of two requests."""

    base_url: str
    gap_ms: Annotated[int, Meta(ge=0, le=60_000)]
    day_requests: Annotated[int, Meta(ge=0, le=1_000_000)]
    timeout_seconds: Seconds = 30
    id_env: str = ""
    secret_env: str = ""
    """The environment variables that hold the user's id and secret (a key, a password); "" for what it does not ask for."""


ResearchSource = Literal["krx", "kis", "dart", "naver"]
"""pykrx with the user's KRX login, KIS's own figures, DART, Naver news."""


class ResearchSettings(Table, frozen=True, kw_only=True):
    """Where the day's research table comes from (`docs/research.md`). A source without its keys is left out and named.

    Of each part the first source that gives something is taken, the next for what is missing; news are of all of them.
    """

    prices: tuple[ResearchSource, ...] = ("krx", "kis")
    flows: tuple[ResearchSource, ...] = ("krx", "kis")
    valuation: tuple[ResearchSource, ...] = ("krx",)
    """Without it PER and PBR are reckoned from the statements and the price."""
    financials: tuple[ResearchSource, ...] = ("dart", "kis")
    news: tuple[ResearchSource, ...] = ("naver", "dart", "kis")
    history_sessions: Annotated[int, Meta(ge=20, le=1_000)] = 250
    """Sessions of prices kept and asked for; 240 of them make a year for the 52-week high."""
    flow_sessions: Annotated[int, Meta(ge=5, le=30)] = 20
    news_days: Annotated[int, Meta(ge=1, le=14)] = 3
    time_share_percent: Annotated[int, Meta(ge=1, le=90)] = 33
    """Of the time left to the analysis's deadline, how much gathering may take; the rest is for the scoring."""
    krx: ResearchServiceSettings = ResearchServiceSettings(
        base_url="https://data.krx.co.kr",
        gap_ms=1_000,
        day_requests=2_000,
        id_env="KRX_ID",
        secret_env="KRX_PW",  # noqa: S106
    )
    dart: ResearchServiceSettings = ResearchServiceSettings(
        base_url="https://opendart.fss.or.kr/api",
        gap_ms=200,
        day_requests=10_000,
        secret_env="DART_API_KEY",  # noqa: S106
    )
    naver_host: Literal["hub", "legacy"] = "hub"
    """Which of Naver's two services the keys are of: NAVER API HUB, or the Developers Center that ends on 2027-06-30."""
    naver: ResearchServiceSettings = ResearchServiceSettings(
        base_url="",
        gap_ms=120,
        day_requests=25_000,
        timeout_seconds=10,
        id_env="NAVER_CLIENT_ID",
        secret_env="NAVER_CLIENT_SECRET",  # noqa: S106
    )
    """base_url: "" is the service's own address."""


class Settings(Table, frozen=True, kw_only=True):
    """All settings of a run."""

    profile: str
    broker: BrokerSettings
    demo: DemoSettings
    journal: JournalSettings
    schedule: ScheduleSettings
    slots: SlotSettings
    scanner: ScannerSettings
    analyzer: AnalyzerSettings
    pipeline: PipelineSettings
    filters: FilterSettings
    exits: ExitSettings
    risk: RiskSettings
    krx: KrxTables
    feed: FeedSettings = FeedSettings()
    llm: LlmSettings = LlmSettings()
    research: ResearchSettings = ResearchSettings()


__all__ = [name for name in dir() if not name.startswith("_") and name[0].isupper()] + ["BasisPoints", "Krw", "Score"]
