"""Real payloads: read by our client to the documented values, and written back by the look-alike, letter by letter.

Twelve WebSocket frames of 2022 to 2026 and 292 inquire-price answers; kis-protocol 2.4, 3.1, 3.2, 4.3. The data are no
part of this repository.
"""

import gzip
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kquant.exchange.core import wire as theirs
from kquant.exchange.core.layouts import FIELDS, LAYOUTS, Layout
from kquant.exchange.core.quotations.forms import Form, say
from kquant.exchange.core.quotations.price import PRICE_FORMS
from kquant.exchange.core.rules import percent
from kquant.exchange.market.model import (
    Book,
    DayStats,
    Level,
    Midpoint,
    Print,
    Quote,
    Segment,
    Status,
    Stock,
)
from kquant.gateways.kis.feed import wire
from kquant.gateways.kis.rest import fields as ours
from kquant.market.records import Book as SeenBook
from kquant.market.records import Trade

SHARED = Path(os.environ.get("KQUANT_SHARED_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
REGULAR = Segment("regular", "2", "20")
NOT_REPRODUCIBLE = {"SHNU_RATE", "WGHN_AVRG_STCK_PRC"}
"""SHNU_RATE has no known formula (kis-protocol 3.1); the average leaves out trades that the day's turnover has."""


def needed(pattern: str) -> Path:
    found = sorted(SHARED.glob(f"frames/{pattern}"))
    if not found:
        if os.environ.get("KQUANT_REQUIRE_SHARED_DATA") == "1":
            pytest.fail(f"frames/{pattern} is missing, and KQUANT_REQUIRE_SHARED_DATA asks for it")
        pytest.skip("the recorded payloads are not here: set KQUANT_SHARED_DATA to their folder")
    return found[0]


def frames() -> list[str]:
    text = needed("kis_ws_frames_real.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def answers() -> list[dict[str, str]]:
    with gzip.open(needed("kis_inquire_price_*.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return [json.loads(line)["output"] for line in lines]


def records(frame: str) -> tuple[str, Layout, list[dict[str, str]]]:
    """Return a frame's TR id, the look-alike's layout of its width, and its records by the look-alike's names."""
    _, tr_id, count, payload = frame.split("|", 3)
    cells = payload.split("^")
    width, rest = divmod(len(cells), int(count))
    assert rest == 0
    layout = next(one for one in LAYOUTS.values() if len(one.fields(tr_id)) == width)
    names = layout.fields(tr_id)
    rows = [cells[start : start + width] for start in range(0, len(cells), width)]
    return tr_id, layout, [dict(zip(names, row, strict=True)) for row in rows]


# -- frames ---------------------------------------------------------------------------------------------------


def test_every_frame_goes_through_the_look_alikes_tables_and_comes_out_as_it_was() -> None:
    seen = frames()
    assert len(seen) == 12
    for frame in seen:
        tr_id, layout, rows = records(frame)
        widest = ["^".join(row.get(name, "") for name in FIELDS[tr_id]) for row in rows]
        assert theirs.data_frame(tr_id, [layout.fit(tr_id, one) for one in widest]) == frame


def test_every_frame_is_read_by_our_client_as_its_documented_fields() -> None:
    """Each figure that the client takes is the field of that name in the look-alike's table."""
    trades = 0
    for frame in frames():
        _, _, rows = records(frame)
        read = wire.decode(frame)
        assert len(read) == len(rows)
        for one, row in zip(read, rows, strict=True):
            assert one.code == row["MKSC_SHRN_ISCD"]
            match one:
                case Trade():
                    trades += 1
                    figures = (
                        "STCK_PRPR CNTG_VOL BIDP1 ASKP1 STCK_OPRC STCK_HGPR STCK_LWPR ACML_VOL ACML_TR_PBMN CCLD_DVSN"
                    )
                    assert [
                        *(one.last_price, one.last_qty, one.bid, one.ask, one.open, one.high, one.low),
                        *(one.volume, one.value, one.side),
                    ] == [int(row[name]) for name in figures.split()]
                    assert (one.time, one.session, one.phase) == (
                        row["STCK_CNTG_HOUR"],
                        row["NEW_MKOP_CLS_CODE"],
                        row["HOUR_CLS_CODE"],
                    )
                    assert one.change_bp == Decimal(row["PRDY_CTRT"]) * 100
                    assert one.halted == (row["TRHT_YN"] == "Y")
                case SeenBook():
                    figures = "BIDP1 ASKP1 BIDP_RSQN1 ASKP_RSQN1 TOTAL_BIDP_RSQN TOTAL_ASKP_RSQN"
                    assert [*(one.bid, one.ask, one.bid_qty, one.ask_qty, one.total_bid_qty, one.total_ask_qty)] == [
                        int(row[name]) for name in figures.split()
                    ]
                    assert (one.time, one.phase) == (row["BSOP_HOUR"], row["HOUR_CLS_CODE"])
                case _:
                    pytest.fail(f"{one} is neither a trade nor a book")
    assert trades == 10


def stock(code: str, base: int, volume: int = 1, shares: int = 1) -> Stock:
    return Stock(
        code=code, name="", market="KOSPI", kind="common", base=base, upper=base * 13 // 10, lower=base * 7 // 10,
        halted=False, administrative=False, liquidation=False, warning=0, overheated=False, prev_close=base,
        prev_volume=volume, listed_shares=shares, sector="", kospi200=False, drawn=False, single_price=False,
    )  # fmt: skip


def second(text: str) -> int:
    return int(text[:2]) * 3_600 + int(text[2:4]) * 60 + int(text[4:])


def whole_behind(part: int, text: str) -> int:
    """Return a number that *part* is so many percent of."""
    guess = int(part * 100 / Decimal(text))
    return next(one for one in range(guess - 10**6, guess + 10**6, 97) if percent(part, one) == text)


def said_again(row: dict[str, str]) -> str:
    """Return the trade as the look-alike says it of a day with these figures."""
    number = {name: int(text) for name, text in row.items() if text.lstrip("-").isdigit()}
    volume = number["ACML_VOL"]
    base = number["STCK_PRPR"] - number["PRDY_VRSS"]
    stats = DayStats(
        *(number[name] for name in ("STCK_OPRC", "STCK_HGPR", "STCK_LWPR", "STCK_PRPR", "ACML_VOL", "ACML_TR_PBMN")),
        *(second(row[name]) for name in ("OPRC_HOUR", "HGPR_HOUR", "LWPR_HOUR")),
        *(number[name] for name in ("SHNU_CNTG_SMTN", "SELN_CNTG_SMTN", "SHNU_CNTG_CSNU", "SELN_CNTG_CSNU")),
    )
    return theirs.trade_record(
        stock(
            row["MKSC_SHRN_ISCD"],
            base,
            whole_behind(volume, row["PRDY_VOL_VRSS_ACML_VOL_RATE"]),
            whole_behind(volume, row["VOL_TNRT"]),
        ),
        Print(second(row["STCK_CNTG_HOUR"]), number["STCK_PRPR"], number["CNTG_VOL"], number["CCLD_DVSN"]),
        stats,
        Quote(number["BIDP1"], number["ASKP1"], number["BIDP_RSQN1"], number["ASKP_RSQN1"]),
        (number["TOTAL_ASKP_RSQN"], number["TOTAL_BIDP_RSQN"]),
        theirs.Moment(
            row["BSOP_DATE"],
            Status("continuous", "", number["VI_STND_PRC"]),
            REGULAR,
            row["HOUR_CLS_CODE"],
            number["PRDY_SMNS_HOUR_ACML_VOL"],
        ),
    )


def test_the_look_alike_says_every_real_trade_in_the_same_words() -> None:
    """Changes, signs, rates, averages and strengths follow from the figures as they do at KIS (kis-protocol 3.1)."""
    for frame in (one for one in frames() if "H0STCNT0" in one):
        tr_id, layout, rows = records(frame)
        for row in rows:
            again = dict(zip(layout.fields(tr_id), layout.fit(tr_id, said_again(row)).split("^"), strict=True))
            assert abs(Decimal(again["WGHN_AVRG_STCK_PRC"]) - Decimal(row["WGHN_AVRG_STCK_PRC"])) < Decimal("0.2")
            assert {name: text for name, text in again.items() if name not in NOT_REPRODUCIBLE} == {
                name: text for name, text in row.items() if name not in NOT_REPRODUCIBLE
            }


def test_the_look_alike_says_every_real_book_in_the_same_words() -> None:
    """Levels, totals, their changes and the junk outside auctions, of which ANTC_VOL is stale (kis-protocol 3.2)."""
    for frame in (one for one in frames() if "H0STASP0" in one):
        tr_id, layout, (row,) = records(frame)
        number = {name: int(text) for name, text in row.items() if text.lstrip("-").isdigit()}
        sides = [
            tuple(Level(number[f"{side}{n}"], number[f"{side}_RSQN{n}"]) for n in range(1, 11))
            for side in ("ASKP", "BIDP")
        ]
        totals = (number["TOTAL_ASKP_RSQN"], number["TOTAL_BIDP_RSQN"])
        before = (totals[0] - number["TOTAL_ASKP_RSQN_ICDC"], totals[1] - number["TOTAL_BIDP_RSQN_ICDC"])
        again = theirs.book_record(
            stock(row["MKSC_SHRN_ISCD"], number["ANTC_CNPR"] - number["ANTC_CNTG_VRSS"]),
            second(row["BSOP_HOUR"]),
            Book(sides[0], sides[1], *totals),
            Book(sides[0], sides[1], *before),
            number["ACML_VOL"],
            (number["ANTC_CNPR"], number["ANTC_CNQN"]),
            row["HOUR_CLS_CODE"],
            Midpoint(number.get("MID_PRC", 0), number.get("MIDP_TOTAL_RSQN", 0), number.get("MIDP_CLS_CODE", 0)),
            REGULAR,
        )
        said = dict(zip(layout.fields(tr_id), layout.fit(tr_id, again).split("^"), strict=True))
        unlike = {name for name in row if said[name] != row[name]}
        assert unlike <= ({"ANTC_VOL"} if row["HOUR_CLS_CODE"] == "0" else set()), frame[:40]


# -- answers --------------------------------------------------------------------------------------------------


def read(form: Form, row: dict[str, str], name: str) -> Any:
    """Return a field as our client reads it, in the unit that the look-alike writes it from."""
    match form:
        case "text":
            return ours.any_text(row, name)
        case "whole":
            return ours.int_field(row, name)
        case "grouped":
            return ours.int_field({name: row[name].replace(",", "")}, name)
        case "hundredths":
            return ours.rate_field(row, name)


def test_every_answer_is_read_by_our_client_and_written_back_with_the_same_keys_and_forms() -> None:
    """kis-protocol 4.3: our strict readers on one side, the look-alike's forms on the other."""
    seen = answers()
    assert len(seen) == 292
    for answer in seen:
        assert [name for name in PRICE_FORMS if name in answer] == list(answer)
        again = {name: say(PRICE_FORMS[name], read(PRICE_FORMS[name], answer, name)) for name in answer}
        assert {name: text.strip() for name, text in again.items()} == {
            name: text.strip() for name, text in answer.items()
        }
