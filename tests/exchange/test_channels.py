"""What each channel says of a day: auctions, interruptions, the unified venue, layouts. kis-protocol 2.4, 3."""

import pytest

from kquant.exchange.core.exchange import Exchange, ExchangeOptions
from kquant.exchange.core.layouts import LAYOUTS
from kquant.exchange.market.model import Interruption, Print
from tests.exchange.fake_market import CLOSE, OPEN, FakeMarket, stock
from tests.exchange.helpers import OPTIONS, PAPER, WALL, Client

PAUSE = Interruption("static", OPEN + 20, OPEN + 140, 11_000, 10_000, 1_000, 11_000, "")


def market() -> FakeMarket:
    prints = [Print(OPEN + at, 10_000 + at, 100, 1) for at in (1, 2, 15, 140, 141)]
    return FakeMarket([stock("000010"), stock("000020")], {"000010": prints}, paused={"000010": [PAUSE]})


def listen(client: Client, *tr_ids: str) -> None:
    session, key = client.connect(), client.approval()
    for tr_id in tr_ids:
        assert client.register(session, key, tr_id, "000010")["body"]["msg_cd"] == "OPSP0000"


def said(client: Client) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for _, text in client.exchange.take_outbox():
        if "PINGPONG" not in text:
            _, tr_id, count, payload = text.split("|", 3)
            cells = payload.split("^")
            width = len(cells) // int(count)
            found.setdefault(tr_id, []).extend(cells[at : at + width] for at in range(0, len(cells), width))
    return found


def test_an_interruption_is_told_at_its_start_and_at_its_end() -> None:
    """kis-protocol 3.5, 5.4: vi_cls_code Y then N."""
    client = Client(market())
    client.exchange.advance(OPEN + 10)
    listen(client, "H0STMKO0", "H0STCNT0")
    client.exchange.advance(OPEN + 150)
    frames = said(client)
    assert [(row[4], row[8]) for row in frames["H0STMKO0"]] == [("311", "Y"), ("", "N")]
    assert [row[1] for row in frames["H0STCNT0"]] == ["090015", "090220", "090221"]


def test_the_book_of_an_auction_carries_the_expected_price_and_its_class() -> None:
    """kis-protocol 3.2: [2] A at the close, [47] the expected price, [48] the expected quantity."""
    client = Client(market())
    client.exchange.advance(OPEN + 200)
    listen(client, "H0STASP0")
    client.exchange.advance(CLOSE - 590)
    first, auction = said(client)["H0STASP0"]
    assert (first[1], first[2], first[47], first[48]) == ("090320", "0", "0", "0")
    assert (auction[1], auction[2], auction[47], auction[48]) == ("152000", "A", "10000", "500")


def test_the_expected_price_is_told_in_auctions_alone_and_only_when_it_changes() -> None:
    """kis-protocol 3.6: 45 fields, [2] the expected price, [12] the expected quantity, [43] A at the close."""
    client = Client(market())
    client.exchange.advance(OPEN + 10)
    listen(client, "H0STANC0", "H0UNANC0")
    client.exchange.advance(CLOSE + 50)
    frames = said(client)
    (row,) = frames["H0STANC0"]
    assert (len(row), row[1], row[2], row[12], row[21], row[43]) == (45, "152000", "10000", "500", "3", "A")
    assert [len(row) for row in frames["H0UNANC0"]] == [46]


def test_the_unified_venue_says_what_krx_says_and_nxt_tells_of_interruptions_alone() -> None:
    """kis-protocol 3.7; NXT is not played."""
    client = Client(market())
    client.exchange.advance(OPEN + 10)
    listen(client, *(f"H0{venue}{kind}" for venue in ("ST", "UN", "NX") for kind in ("CNT0", "ASP0", "PGM0", "MKO0")))
    client.exchange.advance(OPEN + 150)
    frames = said(client)
    for kind in ("CNT0", "PGM0", "MKO0"):
        assert frames[f"H0ST{kind}"]
        assert frames[f"H0UN{kind}"] == frames[f"H0ST{kind}"]
    assert {tr_id for tr_id in frames if tr_id.startswith("H0NX")} == {"H0NXMKO0"}
    assert {len(row) for row in frames["H0UNASP0"]} == {66}


@pytest.mark.parametrize(("name", "trade", "book"), [("2025", 46, 59), ("2026-09", 47, 62), ("2026-09-wide", 47, 63)])
def test_a_layout_decides_how_wide_the_frames_are(name: str, trade: int, book: int) -> None:
    exchange = Exchange(market(), ExchangeOptions(real=OPTIONS, paper=PAPER, layout=LAYOUTS[name]))
    exchange.advance(OPEN)
    session = exchange.real.ws_connect()
    key = exchange.real.office.approval(WALL)
    for tr_id in ("H0STCNT0", "H0STASP0"):
        frame = (
            f'{{"header":{{"approval_key":"{key}","custtype":"P","tr_type":"1","content-type":"utf-8"}},'
            f'"body":{{"input":{{"tr_id":"{tr_id}","tr_key":"000010"}}}}}}'
        )
        assert "OPSP0000" in exchange.real.ws_receive(session, frame, WALL)[0]
    exchange.advance(OPEN + 16)
    widths = {}
    for _, text in exchange.take_outbox():
        if text[0] == "0":
            _, tr_id, count, payload = text.split("|", 3)
            widths.setdefault(tr_id, set()).add((payload.count("^") + 1) / int(count))
    assert widths == {"H0STCNT0": {trade}, "H0STASP0": {book}}
