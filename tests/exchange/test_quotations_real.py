"""The look-alike's inquire-price against 292 real answers: same fields, order, formats and arithmetic."""

import datetime as dt
import gzip
import json
import os
import re
from pathlib import Path

import pytest

from kquant.exchange.core.quotations.forms import Form, percent_of, rounded, say
from kquant.exchange.core.quotations.price import PRICE_FORMS
from kquant.exchange.market import generate
from tests.exchange.helpers import Client

SHARED = Path(os.environ.get("KQUANT_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
FRAMES = sorted(SHARED.glob("frames/kis_inquire_price_*.jsonl.gz"))
needs_data = pytest.mark.skipif(not FRAMES, reason=f"no real inquire-price answers under {SHARED}")


@pytest.fixture(scope="module")
def real() -> list[dict[str, str]]:
    return [json.loads(line)["output"] for path in FRAMES for line in gzip.open(path, "rt", encoding="utf-8")]


@pytest.fixture(scope="module")
def ours() -> list[dict[str, str]]:
    market = generate(dt.date(2026, 11, 20), 11, stocks=250)
    client = Client(market)
    client.exchange.now_us = client.exchange.midnight_us + 40_000 * 1_000_000
    answers = []
    for stock in market.stocks:
        params = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": stock.code}
        answers.append(client.call("/quotations/inquire-price", "FHKST01010100", params)[1]["output"])
    return answers


def read(form: Form, text: str) -> int | str:
    match form:
        case "text":
            return text
        case "whole":
            return int(text)
        case "grouped":
            return int(text.replace(",", ""))
        case "hundredths":
            assert re.fullmatch(r"-?\d+\.\d\d", text)
            return int(text.replace(".", ""))


def shape(text: str) -> str:
    return re.sub(r"\d+", "9", text)


@needs_data
def test_every_real_answer_is_read_and_written_back_letter_by_letter(real: list[dict[str, str]]) -> None:
    assert len(real) == 292
    for answer in real:
        assert [name for name in PRICE_FORMS if name in answer] == list(answer)
        for name, text in answer.items():
            assert say(PRICE_FORMS[name], read(PRICE_FORMS[name], text)) == text, name


@needs_data
def test_every_field_of_real_answers_is_here_in_the_same_format(
    real: list[dict[str, str]], ours: list[dict[str, str]]
) -> None:
    words = {"rprs_mrkt_kor_name", "bstp_kor_isnm", "new_hgpr_lwpr_cls_code", "stck_shrn_iscd"}
    shapes: dict[str, set[str]] = {}
    for answer in real:
        for name, text in answer.items():
            shapes.setdefault(name, set()).add(shape(text))
    for answer in ours:
        assert set(shapes) <= set(answer)
        for name in shapes.keys() - words:
            text = shape(answer[name])
            known = shapes[name] | ({"Y", "N"} if name.endswith("_yn") or shapes[name] == {"N"} else set())
            assert text in known or text.lstrip("-") in known, (name, answer[name], known)


@needs_data
def test_flags_take_no_value_that_real_answers_do_not_have(
    real: list[dict[str, str]], ours: list[dict[str, str]]
) -> None:
    for name in (name for name, form in PRICE_FORMS.items() if form == "text" and name.endswith("_yn")):
        assert {answer[name] for answer in real} <= {"Y", "N"}
        assert {answer[name] for answer in ours} <= {"Y", "N"}, name
    for name in ("prdy_vrss_sign", "grmn_rate_cls_code", "stac_month"):
        extra = {answer[name] for answer in ours} - {answer[name] for answer in real}
        assert extra <= ({"1", "2", "3", "4", "5"} if name == "prdy_vrss_sign" else set()), name


@needs_data
def test_ratios_of_real_answers_follow_the_look_alikes_arithmetic(real: list[dict[str, str]]) -> None:
    for answer in real:
        number = {name: int(text) for name, text in answer.items() if PRICE_FORMS[name] == "whole"}
        shares, price = number["lstn_stcn"], number["stck_prpr"]
        assert answer["hts_avls"] == str(rounded(shares * price, 100_000_000))
        assert answer["vol_tnrt"] == say("hundredths", percent_of(number["acml_vol"], shares))
        assert answer["hts_frgn_ehrt"] == say("hundredths", percent_of(number["frgn_hldn_qty"], shares))
        assert number["rstc_wdth_prc"] == number["stck_mxpr"] - number["stck_sdpr"]
        for level, rate in (
            ("w52_hgpr", "w52_hgpr_vrss_prpr_ctrt"),
            ("w52_lwpr", "w52_lwpr_vrss_prpr_ctrt"),
            ("d250_hgpr", "d250_hgpr_vrss_prpr_rate"),
            ("stck_dryy_lwpr", "dryy_lwpr_vrss_prpr_rate"),
        ):
            distance = percent_of(price - number[level], number[level])
            assert answer[rate] == say("hundredths", distance), level


def test_an_answer_has_the_82_fields_in_kis_order(ours: list[dict[str, str]]) -> None:
    assert all(list(answer) == list(PRICE_FORMS) for answer in ours)
    assert len(PRICE_FORMS) == 82


def test_an_answer_agrees_with_itself(ours: list[dict[str, str]]) -> None:
    traded = [answer for answer in ours if answer["acml_vol"] != "0"]
    assert len(traded) > 200
    for answer in traded:
        number = {name: int(text) for name, text in answer.items() if PRICE_FORMS[name] == "whole"}
        assert number["stck_lwpr"] <= number["stck_prpr"] <= number["stck_hgpr"] <= number["stck_mxpr"]
        assert number["w52_lwpr"] <= number["stck_lwpr"]
        assert number["w52_hgpr"] >= number["stck_hgpr"]
        assert number["d250_hgpr"] >= number["stck_dryy_hgpr"]
        assert number["stck_prpr"] - number["stck_sdpr"] == number["prdy_vrss"]
        assert (answer["new_hgpr_lwpr_cls_code"] == "신고가") == (number["stck_hgpr"] == number["d250_hgpr"])
