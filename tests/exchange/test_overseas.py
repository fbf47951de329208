"""The overseas half of an account: empty, and never a reason to refuse the whole. kis-protocol 7.6."""

import json
from typing import Any

import pytest

from kquant.exchange.core.rest import Request
from tests.exchange.fake_market import FakeMarket, stock
from tests.exchange.helpers import Client

PATH = "/uapi/overseas-stock/v1/trading"
PAGES = {"CTX_AREA_FK200": "", "CTX_AREA_NK200": ""}
INQUIRIES = [
    ("inquire-balance", "TTTS3012R", PAGES, {"output1": [], "output2": dict}),
    ("inquire-present-balance", "CTRP6504R", {}, {"output1": [], "output2": [], "output3": dict}),
    ("inquire-ccnl", "TTTS3035R", PAGES, {"output": []}),
    ("inquire-nccs", "TTTS3018R", PAGES, {"output": []}),
]


def get(client: Client, name: str, tr_id: str, params: dict[str, str]) -> tuple[dict[str, str], Any]:
    client.wall += 1
    headers = client.headers(client.tr(tr_id))
    request = Request(method="GET", path=f"{PATH}/{name}", headers=headers, params=params, body={})
    answer = client.exchange.rest(request, client.wall)
    return answer.headers, json.loads(answer.content)


@pytest.mark.parametrize("environment", ["real", "paper"])
@pytest.mark.parametrize(("name", "tr_id", "params", "outputs"), INQUIRIES, ids=[row[0] for row in INQUIRIES])
def test_an_inquiry_of_the_overseas_half_is_answered_empty(environment, name, tr_id, params, outputs) -> None:
    client = Client(FakeMarket([stock("000010")], {}), environment=environment)
    headers, body = get(client, name, tr_id, client.cano | params)
    assert body["rt_cd"] == "0"
    for output, kind in outputs.items():
        assert body[output] == kind if isinstance(kind, list) else isinstance(body[output], kind)
    assert headers["tr_cont"] == ("D" if params else "")
    _, body = get(client, name, tr_id, client.cano | params | {"CANO": "11111111"})
    assert body["msg_cd"] == "OPSQ2000"
    for missing in params:
        left = {key: value for key, value in params.items() if key != missing}
        assert get(client, name, tr_id, client.cano | left)[1]["rt_cd"] == "2"
