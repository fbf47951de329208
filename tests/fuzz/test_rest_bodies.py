"""Mutated REST bodies over every typed call: `reliability` D17, D18, D19 and target F4.

Bodies are the look-alike's. Each is damaged in a seeded way and read by the call that asked for it. What may come out is
a KisError, or an answer whose required fields, looked up in the damaged body by a second reader with rules of its own,
are all well formed. 5,000 bodies by default, 100,000 with KQUANT_FUZZ=full.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from kquant.exchange.core.exchange import Exchange, ExchangeOptions
from kquant.exchange.core.rest import Request
from kquant.exchange.core.state import ServiceOptions
from kquant.gateways.kis.rest.calls import DataCalls, TradingCalls
from kquant.gateways.kis.rest.calls.reference import FIGURES
from kquant.gateways.kis.rest.endpoints import Endpoint
from kquant.gateways.kis.rest.envelope import Answer, read_answer
from kquant.gateways.kis.rest.errors import KisError, KisUnreadable
from kquant.values import SECOND_US, Krw, Shares, Symbol
from tests.gateways_kis.look_alike import ACCOUNTS, PAPER, REAL, market
from tests.gateways_kis.scripted import DAY, Scripted

SEED = 20261120
BODIES = 100_000 if os.environ.get("KQUANT_FUZZ") == "full" else 5_000
ROWS = 3
"""Rows of an answer that are kept: more of the same would only be slower to damage."""

KINDS = {
    "text": re.compile(r".*\S.*", re.DOTALL),
    "int": re.compile(r"\s*[+-]?[0-9]{1,18}(\.0*)?\s*"),
    "count": re.compile(r"\s*(\+?[0-9]{1,18}|-0{1,18})(\.0*)?\s*"),
    "price": re.compile(r"\s*\+?(?=[0-9]*[1-9])[0-9]{1,18}(\.0*)?\s*"),
    "rate": re.compile(r"\s*-?[0-9]{1,9}(\.[0-9]*)?\s*"),
    "code": re.compile(r"\s*[0-9A-Z]{6,7}\s*"),
    "day": re.compile(r"\s*[12][0-9]{3}[01][0-9][0-3][0-9]\s*"),
    "time": re.compile(r"\s*[0-2][0-9][0-5][0-9][0-5][0-9]\s*"),
    "flag": re.compile(r"\s*[YN]\s*"),
    "number": re.compile(r"\s*0*[1-9][0-9]{0,11}\s*"),
    "side": re.compile(r"\s*0[12]\s*"),
}
"""The second reader: what a field of each kind must look like to be believed."""
BROKEN: dict[str, list[Any]] = {
    kind: [None, "", "   ", 7, 1.5, True, [], {}, ["1"]]
    + (
        []
        if kind == "text"
        else ["NaN", "1e9", "1_0", "１２", "9" * 30, "--1", "0x1f", "nan", "null", "(null)", "\x00"]
    )
    for kind in KINDS
}
"""Values that no field of a kind may have."""
BROKEN["price"] += ["0", "-71000", "0.0000"]
BROKEN["count"] += ["-1"]
BROKEN["number"] += ["0000000000", "-1", "12a"]


@dataclass(frozen=True)
class Case:
    """One typed call. required: container -> field -> kind.   skipped: rows the call leaves out on purpose."""

    name: str
    make: Callable[[Any], Coroutine[Any, Any, Any]]
    required: Mapping[str, Mapping[str, str]]
    skipped: Callable[[Mapping[str, Any]], bool] = field(default=lambda row: False)


def kinds(**by_kind: str) -> dict[str, str]:
    return {name: kind for kind, names in by_kind.items() for name in names.split()}


def data(use: Callable[[DataCalls], Coroutine[Any, Any, Any]]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    return lambda client: use(DataCalls(client, "DEMO01"))


def account(use: Callable[[TradingCalls], Coroutine[Any, Any, Any]]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    return lambda client: use(TradingCalls(client, "-".join(ACCOUNTS["real"])))


@cache
def code() -> Symbol:
    return Symbol(next(stock.code for stock in market().stocks if stock.kind == "common" and not stock.halted))


@cache
def held() -> Symbol:
    return Symbol(min(exchange().services["real"].ledger.positions))


def dateless(row: Mapping[str, Any]) -> bool:
    return row.get("stck_bsop_date") in (None, "")


def sold(row: Mapping[str, Any]) -> bool:
    return "pdno" in row and not str(row.get("hldg_qty", "x")).partition(".")[0].strip(" +-0")


def padding(row: Mapping[str, Any]) -> bool:
    return not any(isinstance(value, str) and value.strip(" 0") for value in row.values())


ORDER_ROW = kinds(
    number="odno", code="pdno", side="sll_buy_dvsn_cd", count="ord_qty ord_unpr tot_ccld_qty", time="ord_tmd",
    text="ord_dvsn_cd",
)  # fmt: skip
QUOTE = kinds(
    price="stck_prpr", count="stck_oprc stck_hgpr stck_lwpr acml_vol acml_tr_pbmn", rate="prdy_ctrt"
)  # fmt: skip
CASES = [
    Case("gainers", data(lambda c: c.gainers(20)), {"output": kinds(
        code="stck_shrn_iscd", text="hts_kor_isnm", price="stck_prpr", rate="prdy_ctrt", count="acml_vol stck_hgpr stck_lwpr"
    )}),
    Case("volumes", data(lambda c: c.volumes(20)), {"output": kinds(
        code="mksc_shrn_iscd", text="hts_kor_isnm", price="stck_prpr", rate="prdy_ctrt", count="acml_vol acml_tr_pbmn prdy_vol"
    )}),
    Case("conditions", data(lambda c: c.conditions()), {"output2": kinds(text="seq condition_nm")}),
    Case("hits", data(lambda c: c.condition_hits("1")), {"output2": kinds(
        code="code", text="name", price="price", rate="chgrate", count="acml_vol open high low"
    )}),
    Case("groups", data(lambda c: c.watch_groups()), {"output2": kinds(text="inter_grp_code inter_grp_name")}),
    Case("watch list", data(lambda c: c.watch_list("001")), {"output2": kinds(code="jong_code", text="hts_kor_isnm")}),
    Case("price", data(lambda c: c.price(code())), {"output": QUOTE}),
    Case("quote", data(lambda c: c.quote(code())), {"output": QUOTE | kinds(
        count="stck_mxpr stck_llam", price="stck_sdpr aspr_unit", text="iscd_stat_cls_code vi_cls_code",
        flag="temp_stop_yn sltr_yn short_over_yn",
    )}),
    Case("prices", data(lambda c: c.prices(codes())), {"output": kinds(
        code="inter_shrn_iscd", price="inter2_prpr", count="inter2_oprc inter2_hgpr inter2_lwpr acml_vol acml_tr_pbmn",
        rate="prdy_ctrt",
    )}, padding),
    Case("book", data(lambda c: c.book(code())), {
        "output1": kinds(time="aspr_acpt_hour", count="askp1 askp10 bidp1 askp_rsqn1 bidp_rsqn10 total_askp_rsqn total_bidp_rsqn"),
        "output2": kinds(count="antc_cnpr antc_vol"),
    }),
    Case("investors", data(lambda c: c.investors(code())), {"output": kinds(day="stck_bsop_date", price="stck_clpr")}),
    Case("interruptions", data(lambda c: c.interruptions()), {"output": kinds(
        code="mksc_shrn_iscd", text="hts_kor_isnm vi_kind_code", time="cntg_vi_hour", price="vi_prc", count="vi_count"
    )}),
    Case("minutes", data(lambda c: c.minutes(code())), {"output2": kinds(
        day="stck_bsop_date", time="stck_cntg_hour", price="stck_prpr stck_oprc stck_hgpr stck_lwpr",
        count="cntg_vol acml_tr_pbmn",
    )}, dateless),
    Case("daily", data(lambda c: c.daily(code(), DAY.replace(month=9), DAY, adjusted=True)), {"output2": kinds(
        day="stck_bsop_date", price="stck_clpr", count="stck_oprc stck_hgpr stck_lwpr acml_vol acml_tr_pbmn"
    )}, dateless),
    Case("recent days", data(lambda c: c.recent_days(code(), adjusted=True)), {"output": kinds(
        day="stck_bsop_date", price="stck_clpr", count="stck_oprc stck_hgpr stck_lwpr acml_vol"
    )}, dateless),
    Case("news", data(lambda c: c.news()), {"output": kinds(
        text="cntt_usiq_srno hts_pbnt_titl_cntt", day="data_dt", time="data_tm"
    )}),
    Case("holidays", data(lambda c: c.holidays("20261120")), {"output": kinds(
        day="bass_dt", flag="opnd_yn bzdy_yn sttl_day_yn"
    )}),
    Case("stock info", data(lambda c: c.stock_info(code())), {"output": kinds(
        text="prdt_abrv_name mket_id_cd", count="lstg_stqt", flag="tr_stop_yn admn_item_yn kospi200_item_yn"
    )}),
    *[
        Case(f"finance {table}", data(lambda c, table=table: c.finance(table, code(), quarterly=False)), {
            "output": {"stac_yymm": "text"}
        })
        for table in FIGURES
    ],
    Case("balance", account(lambda c: c.balance()), {
        "output1": kinds(code="pdno", text="prdt_name", count="hldg_qty ord_psbl_qty pchs_amt"),
        "output2": kinds(int="prvs_rcdl_excc_amt nxdy_excc_amt dnca_tot_amt"),
    }, sold),
    Case("orderable", account(lambda c: c.orderable(code(), "market", Krw(0))), {"output": kinds(
        int="ord_psbl_cash", count="nrcvb_buy_amt nrcvb_buy_qty psbl_qty_calc_unpr"
    )}),
    Case("sellable", account(lambda c: c.sellable(held())), {"output": kinds(code="pdno", count="cblc_qty ord_psbl_qty")}),
    Case("open orders", account(lambda c: c.open_orders()), {"output": ORDER_ROW | kinds(count="psbl_qty")}),
    Case("executions", account(lambda c: c.executions("20261120")), {"output1": ORDER_ROW | kinds(
        count="tot_ccld_amt rmn_qty cnc_cfrm_qty rjct_qty"
    )}),
]  # fmt: skip


def codes() -> list[Symbol]:
    return [Symbol(stock.code) for stock in market().stocks if stock.kind == "common"][:ROWS]


@cache
def exchange() -> Exchange:
    """The look-alike at 10:30:20 with holdings and orders."""
    real = ServiceOptions(
        app_key=REAL[0], app_secret=REAL[1], account=ACCOUNTS["real"], holdings=3, calls_per_second=10**6
    )
    paper = ServiceOptions(app_key=PAPER[0], app_secret=PAPER[1], account=ACCOUNTS["paper"], holdings=0)
    made = Exchange(market(), ExchangeOptions(real=real, paper=paper, start_second=8 * 3600))
    until = made.midnight_us + (10 * 3600 + 30 * 60 + 20) * SECOND_US
    while made.now_us < until:
        made.step(until)
    return made


class Direct(Scripted):
    """Asks the look-alike without a socket and keeps what it said."""

    WALL = 1_800_000_000.0

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []
        service = exchange().services["real"]
        body = {"grant_type": "client_credentials", "appkey": REAL[0], "appsecret": REAL[1]}
        kind = {"content-type": "application/json"}
        asked = Request(method="POST", path="/oauth2/tokenP", headers=kind, params={}, body=body)
        self.token = json.loads(service.rest(asked, self.WALL).content)["access_token"]

    async def get(self, endpoint: Endpoint, params: Mapping[str, str], *, lane: int, following: bool = False) -> Answer:
        raw = self.call("GET", endpoint, params={name.upper(): value for name, value in params.items()}, body={})
        answer = read_answer(raw, endpoint.real, 200, "D")
        self.kept.append(answer.body)
        return answer

    async def post_once(self, endpoint: Endpoint, body: Mapping[str, str], **_: Any) -> Answer:
        return read_answer(self.call("POST", endpoint, params={}, body=dict(body)), endpoint.real, 200, "D")

    def call(self, method: str, endpoint: Endpoint, *, params: dict[str, str], body: dict[str, str]) -> bytes:
        headers = {
            "content-type": "application/json; charset=utf-8", "authorization": f"Bearer {self.token}", "appkey": REAL[0],
            "appsecret": REAL[1], "tr_id": endpoint.real, "tr_cont": "", "custtype": "P",
        }  # fmt: skip
        request = Request(method=method, path=endpoint.path, headers=headers, params=params, body=body)
        return exchange().services["real"].rest(request, self.WALL).content


class Endless(Scripted):
    """Gives the same answer to every call, marked as it was told."""

    def __init__(self, raw: bytes, status: int, tr_cont: str) -> None:
        super().__init__()
        self.one = (status, raw, tr_cont)

    async def get(self, endpoint: Endpoint, params: Mapping[str, str], *, lane: int, following: bool = False) -> Answer:
        status, raw, tr_cont = self.one
        return read_answer(raw, endpoint.real, status, tr_cont)


def done(call: Coroutine[Any, Any, Any]) -> Any:
    """Run a call that has nothing to wait for."""
    try:
        call.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the call waits for something")


@cache
def bodies() -> dict[str, dict[str, Any]]:
    """One good body a case, of a few rows."""
    client = Direct()
    trading = TradingCalls(client, "-".join(ACCOUNTS["real"]))  # type: ignore[arg-type]
    lower = next(stock.lower for stock in market().stocks if stock.code == code())
    for _ in range(ROWS):
        done(trading.place(code(), "buy", "limit", Shares(1), Krw(lower), timeout_seconds=5, gate=lambda: None))
    found = {}
    for case in CASES:
        client.kept.clear()
        done(case.make(client))
        body = client.kept[0]
        found[case.name] = {name: value[:ROWS] if isinstance(value, list) else value for name, value in body.items()}
    return found


def rows_in(body: Mapping[str, Any], container: str) -> list[dict[str, Any]]:
    rows = body[container]
    return rows if isinstance(rows, list) else [rows]


def break_a_field(case: Case, body: dict[str, Any], rng: random.Random) -> str:
    container = rng.choice(sorted(case.required))
    name = rng.choice(sorted(case.required[container]))
    row = rng.choice(rows_in(body, container))
    if rng.random() < 0.2:
        del row[name]
    else:
        row[name] = rng.choice(BROKEN[case.required[container][name]])
    return f"{container}.{name}"


def break_the_structure(case: Case, body: dict[str, Any], rng: random.Random) -> None:
    container = rng.choice(sorted(case.required))
    what = rng.randrange(6)
    if what == 0:
        body[container] = rng.choice([None, "", 7, [], {}, [[]], [None], "[]", [{}], {"a": {}}])
    elif what == 1:
        del body[container]
    elif what == 2:
        body["rt_cd"] = rng.choice(["1", "", None, 0, "00", []])
    elif what == 3:
        body[container] = [body[container], body[container]]
    elif what == 4:
        rows = rows_in(body, container)
        row = rng.choice(rows)
        name = rng.choice(sorted(row))
        row[f"{name} "] = row.pop(name)
    else:
        row = rng.choice(rows_in(body, container))
        first, second = rng.sample(sorted(row), 2) if len(row) > 1 else (*row, *row)
        row[first], row[second] = row[second], row[first]


def break_the_bytes(raw: bytes, rng: random.Random) -> bytes:
    text = bytearray(raw)
    if rng.random() < 0.15:
        return bytes(text[: rng.randrange(len(text))])
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(text))
        match rng.randrange(4):
            case 0:
                text[place] = rng.randrange(256)
            case 1:
                text[place] = rng.choice(b'0123456789"-.,:{}[]eE_ ')
            case 2:
                del text[place]
            case _:
                text.insert(place, rng.choice(b'0123456789"-.,:{}[]eE_ \x00\xff'))
    return bytes(text)


def faults(case: Case, raw: bytes) -> list[str]:
    """Return required fields of an accepted body that the second reader does not believe."""
    try:
        body = json.loads(raw)
    except (ValueError, UnicodeDecodeError):
        return ["no JSON"]
    found = []
    if body.get("rt_cd") != "0":
        found.append("rt_cd")
    for container, fields in case.required.items():
        where = container if container in body else {"output": "output1", "output2": "output"}.get(container, container)
        for row in rows_in(body, where):
            if case.skipped(row):
                continue
            found += [
                f"{container}.{name}={row.get(name)!r}"
                for name, kind in fields.items()
                if not isinstance(row.get(name), str) or KINDS[kind].fullmatch(row[name]) is None
            ]
    return found


def outcome(case: Case, raw: bytes, status: int, tr_cont: str) -> KisError | None:
    """Return what a call ends in, None if it took the body. Anything else than a KisError goes through."""
    try:
        done(case.make(Endless(raw, status, tr_cont)))
    except KisError as error:
        return error
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_undamaged_body_is_read_and_believed_by_both_readers(case: Case) -> None:
    raw = json.dumps(bodies()[case.name], ensure_ascii=False).encode()
    assert done(case.make(Endless(raw, 200, "D"))) is not None
    assert faults(case, raw) == []
    assert any(rows_in(bodies()[case.name], container) for container in case.required)


@pytest.mark.timeout(1_200)
def test_no_damaged_body_gets_through_and_every_rejection_is_counted() -> None:
    rng = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    for number in range(BODIES):
        case = CASES[number % len(CASES)]
        body = json.loads(json.dumps(bodies()[case.name]))
        status, tr_cont, broken = 200, "D", ""
        damage = rng.random()
        if damage < 0.45:
            broken = break_a_field(case, body, rng)
        elif damage < 0.65:
            break_the_structure(case, body, rng)
        raw = json.dumps(body, ensure_ascii=False).encode()
        if damage >= 0.65:
            raw = break_the_bytes(raw, rng)
            status, tr_cont = rng.choice([200, 200, 200, 200, 500, 403]), rng.choice(["D", "D", "D", "M", "F", "?"])
        told = f"body {number} of seed {SEED} ({case.name}, {broken}): {raw!r}"
        error = outcome(case, raw, status, tr_cont)
        if error is not None:
            assert type(error) is not KisError, told
            assert not broken or isinstance(error, KisUnreadable), told
            assert 0 < len(str(error)) < 600, told
            outcomes[type(error).__name__] += 1
        else:
            skipped = broken and any(map(case.skipped, (row for each in case.required for row in rows_in(body, each))))
            assert not broken or skipped, told
            assert faults(case, raw) == [], told
            outcomes["read"] += 1
    assert outcomes.total() == BODIES
    print(dict(outcomes))
    assert outcomes["KisUnreadable"] > BODIES // 2
    assert outcomes["KisRefused"] > 0
    assert outcomes["read"] > 0
