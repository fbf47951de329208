"""Days follow days: what a midnight changes, and what lives through it."""

import datetime as dt
import json
from pathlib import Path

import pytest

from kquant.exchange.core.exchange import US, Exchange, ExchangeOptions
from kquant.exchange.core.registrations import WsSession
from kquant.exchange.core.rest import Request
from kquant.exchange.core.state import Restored
from kquant.exchange.market.model import Print
from kquant.exchange.servers.days import Dated, DayError, GeneratedDays, RecordedDays, next_open_day, nth_day
from kquant.exchange.servers.store import SqliteStore
from tests.exchange.fake_market import CLOSE, OPEN, FakeMarket, stock
from tests.exchange.helpers import DAILY, OPTIONS, PAPER, PREFIX, WALL

FRIDAY, MONDAY, TUESDAY = dt.date(2026, 1, 16), dt.date(2026, 1, 19), dt.date(2026, 1, 20)


def market(day: dt.date, *, code: str = "000010") -> FakeMarket:
    prints = [Print(OPEN + at, 10_000, 1_000, 1) for at in range(1, 30)]
    found = FakeMarket([stock(code), stock("000020")], {code: prints})
    found.day = day
    return found


class Week:
    """Friday, Monday and Tuesday, and which markets were asked for."""

    def __init__(self, *days: dt.date, code: str = "000010") -> None:
        self.days = days or (FRIDAY, MONDAY, TUESDAY)
        self.asked: list[dt.date] = []
        self.code = code

    def after(self, day: dt.date) -> dt.date | None:
        return min((other for other in self.days if other > day), default=None)

    def market(self, day: dt.date) -> FakeMarket:
        self.asked.append(day)
        return market(day, code=self.code)


def exchange(week: Week, **changes: object) -> Exchange:
    options = ExchangeOptions(real=OPTIONS, paper=PAPER)
    return Exchange(market(FRIDAY), options, days=week, **changes)  # type: ignore[arg-type]


def at(day: dt.date, second: int) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.timezone(dt.timedelta(hours=9))).timestamp() + second) * US


def play(found: Exchange, until_us: int) -> list[int]:
    times = []
    while found.now_us < until_us:
        times.append(found.step(until_us))
    return times


def register(found: Exchange, *tr_ids: str) -> WsSession:
    key = found.real.office.approval(WALL)
    session = found.real.ws_connect()
    for tr_id in tr_ids:
        frame = {
            "header": {"approval_key": key, "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
            "body": {"input": {"tr_id": tr_id, "tr_key": "000010"}},
        }
        assert "OPSP0000" in found.real.ws_receive(session, json.dumps(frame), WALL)[0]
    return session


def test_stepped_time_leaps_over_the_weekend_to_midnight_and_on_to_the_next_open() -> None:
    week = Week()
    found = exchange(week)
    play(found, at(FRIDAY, CLOSE + 60))
    assert play(found, at(MONDAY, OPEN))[:2] == [at(MONDAY, 0), at(MONDAY, OPEN - 10)]
    assert (found.market.day, found.second, week.asked) == (MONDAY, OPEN, [MONDAY])


def test_until_the_next_day_begins_the_night_belongs_to_the_day_before() -> None:
    found = exchange(Week())
    play(found, at(FRIDAY, CLOSE + 60))
    play(found, at(dt.date(2026, 1, 18), 12 * 3_600))
    assert found.market.day == FRIDAY
    assert found.is_over
    assert found.next_day == MONDAY
    token, _ = found.real.office.issue(WALL) or ("", 0.0)
    headers = {"authorization": f"Bearer {token}", "appkey": OPTIONS.app_key, "appsecret": OPTIONS.app_secret}
    params = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "000010"}
    path = PREFIX + "/quotations/inquire-price"
    request = Request(method="GET", path=path, headers=headers | {"tr_id": "FHKST01010100"}, params=params, body={})
    assert json.loads(found.real.rest(request, WALL).content)["output"]["stck_prpr"] == "10000"


def test_a_session_keeps_its_registrations_and_a_token_its_life_over_the_night() -> None:
    found = exchange(Week())
    play(found, at(FRIDAY, OPEN + 100))
    session = register(found, "H0STCNT0")
    token, _ = found.real.office.issue(WALL) or ("", 0.0)
    play(found, at(MONDAY, OPEN + 5))
    dates = {text.split("^")[33] for of, text in found.take_outbox() if of is session and "H0STCNT0" in text[:10]}
    assert dates == {"20260119"}
    assert found.real.office.fault(token, WALL + 3_600) is None
    assert session.registered == {("H0STCNT0", "000010"): None}


def test_day_orders_expire_shares_are_carried_and_the_list_of_the_day_is_empty() -> None:
    found = exchange(Week())
    play(found, at(FRIDAY, OPEN + 10))
    desk, ledger = found.real.desk, found.real.ledger
    desk.place("buy", "000010", 5, 10_010, "00", found.second)
    desk.place("buy", "000020", 7, 9_000, "00", found.second)
    play(found, at(MONDAY, OPEN + 1))
    assert ledger.positions["000010"].qty == 5
    assert ledger.orders == {}
    assert sorted((row.code, row.filled, row.expired) for row in ledger.past) == [("000010", 5, 0), ("000020", 0, 7)]
    assert ledger.cash.unsettled < 0
    assert ledger.cash.settled == OPTIONS.cash
    play(found, at(TUESDAY, OPEN))
    assert ledger.cash.settled < OPTIONS.cash  # Friday's purchase settles on Tuesday
    token, _ = found.real.office.issue(WALL) or ("", 0.0)
    headers = {"authorization": f"Bearer {token}", "appkey": OPTIONS.app_key, "appsecret": OPTIONS.app_secret}
    request = Request(
        method="GET",
        path=PREFIX + "/trading/inquire-daily-ccld",
        headers=headers | {"tr_id": "TTTC0081R"},
        params=DAILY | {"INQR_STRT_DT": "20260120", "INQR_END_DT": "20260120"},
        body={},
    )
    assert json.loads(found.real.rest(request, WALL).content)["output1"] == []


def test_a_registered_stock_that_is_listed_no_more_is_silent() -> None:
    found = exchange(Week(code="000011"))
    play(found, at(FRIDAY, OPEN + 100))
    register(found, "H0STCNT0", "H0STASP0", "H0STMKO0", "H0STPGM0")
    play(found, at(FRIDAY, CLOSE + 60))
    found.take_outbox()
    play(found, at(MONDAY, OPEN + 40))
    assert [text for _, text in found.take_outbox() if "PINGPONG" not in text] == []


def test_after_the_last_day_nothing_follows() -> None:
    found = exchange(Week(FRIDAY))
    play(found, at(FRIDAY, CLOSE + 60))
    assert play(found, at(TUESDAY, OPEN)) == [at(TUESDAY, OPEN)]
    assert (found.market.day, found.next_day) == (FRIDAY, None)


def test_a_crash_between_the_services_midnights_is_made_good_at_the_next_start(tmp_path: Path) -> None:
    stores = {"real": SqliteStore(tmp_path, "real"), "paper": SqliteStore(tmp_path, "paper")}
    for store in stores.values():
        store.claim(FRIDAY, "m")
    found = exchange(Week(), stores=stores)
    play(found, at(FRIDAY, CLOSE + 60))
    found.real.next_day(market(MONDAY))  # and the process dies
    restored: dict[str, Restored] = {}
    for name, store in stores.items():
        kept = store.load()
        if kept is None:  # nothing was ever bought: the opening is still to be written
            store.save_opening(found.services[name].ledger.state)  # type: ignore[index]
            kept = store.load()
        assert kept is not None
        restored[name] = kept
    assert (restored["real"].day, restored["paper"].day) == (MONDAY, FRIDAY)
    again = Exchange(
        market(MONDAY),
        found.options,
        stores=stores,  # type: ignore[arg-type]
        restored=restored,  # type: ignore[arg-type]
        now_us=at(FRIDAY, CLOSE + 60),
        days=Week(),
    )
    assert again.now_us == at(MONDAY, 0)
    assert again.real.ledger.day == again.paper.ledger.day == MONDAY
    assert stores["paper"].day == MONDAY
    for store in stores.values():
        store.close()


def test_trading_days_skip_weekends_and_holidays() -> None:
    assert next_open_day(dt.date(2026, 1, 17)) == MONDAY
    assert next_open_day(dt.date(2026, 2, 14)) == dt.date(2026, 2, 19)  # the lunar new year's days
    assert nth_day(FRIDAY, 3) == TUESDAY
    days = GeneratedDays(1, 10, MONDAY)
    assert (days.after(FRIDAY), days.after(MONDAY)) == (MONDAY, None)


def test_recorded_days_play_at_their_own_dates_or_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kquant.exchange import market as days

    folders = {tmp_path / "a": FRIDAY, tmp_path / "b": TUESDAY}
    monkeypatch.setattr(days, "load", lambda folder: market(folders[folder]))
    own = RecordedDays(list(folders))
    assert (own.first, own.after(FRIDAY), own.after(TUESDAY)) == (FRIDAY, TUESDAY, None)
    assert own.market(TUESDAY).day == TUESDAY
    with pytest.raises(DayError, match="no --market folder is played on 2026-01-19, but on 2026-01-16, 2026-01-20"):
        own.market(MONDAY)
    with pytest.raises(DayError, match="of 2026-01-16, not after 2026-01-20"):
        RecordedDays(list(reversed(folders)))
    today = RecordedDays(list(folders), dt.date(2026, 11, 20))
    assert today.after(dt.date(2026, 11, 20)) == dt.date(2026, 11, 23)
    assert today.market(dt.date(2026, 11, 23)).day == dt.date(2026, 11, 23)


def test_a_day_played_as_today_has_todays_dates_and_the_recorded_days_prices() -> None:
    recorded = market(FRIDAY)
    dated = Dated(recorded, dt.date(2026, 11, 23))
    assert (dated.day, dated.prev_day) == (dt.date(2026, 11, 23), dt.date(2026, 11, 20))
    (title,) = dated.news(9 * 3_600)
    assert title.date == recorded.news(9 * 3_600)[0].date + (dated.day - FRIDAY)
    assert dated.stats("000010", OPEN + 20) == recorded.stats("000010", OPEN + 20)
