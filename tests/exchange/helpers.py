"""Calls and sessions against an in-memory exchange, written from the protocol document like any client's."""

import json
from typing import Any

from kquant.exchange.core.books import Environment
from kquant.exchange.core.exchange import Exchange, ExchangeOptions
from kquant.exchange.core.ledger import Ledger
from kquant.exchange.core.ports import Market
from kquant.exchange.core.registrations import WsSession
from kquant.exchange.core.rest import Request, Response
from kquant.exchange.core.state import Restored, ServiceOptions, Store

WALL = 1_800_000_000.0
OPTIONS = ServiceOptions(app_key="K" * 36, app_secret="S" * 180, holdings=0)
PAPER = ServiceOptions(
    app_key="P" * 36, app_secret="s" * 180, holdings=0, account=("50009876", "01"), calls_per_second=1
)
PREFIX = "/uapi/domestic-stock/v1"
CANO = {"CANO": "50001234", "ACNT_PRDT_CD": "01"}
BALANCE = CANO | {
    "AFHR_FLPR_YN": "N",
    "OFL_YN": "",
    "INQR_DVSN": "02",
    "UNPR_DVSN": "01",
    "FUND_STTL_ICLD_YN": "N",
    "FNCG_AMT_AUTO_RDPT_YN": "N",
    "PRCS_DVSN": "00",
    "CTX_AREA_FK100": "",
    "CTX_AREA_NK100": "",
}
DAILY = CANO | {
    "INQR_STRT_DT": "20260115",
    "INQR_END_DT": "20260115",
    "SLL_BUY_DVSN_CD": "00",
    "INQR_DVSN": "00",
    "PDNO": "",
    "CCLD_DVSN": "00",
    "ORD_GNO_BRNO": "",
    "ODNO": "",
    "INQR_DVSN_3": "00",
    "INQR_DVSN_1": "",
    "CTX_AREA_FK100": "",
    "CTX_AREA_NK100": "",
}


class OneService(Exchange):
    """An exchange seen through one of its services, as that service's clients see it."""

    seen: Environment = "real"

    @property
    def ledger(self) -> Ledger:
        return self.services[self.seen].ledger

    def rest(self, request: Request, wall: float) -> Response:
        return self.services[self.seen].rest(request, wall)

    def ws_connect(self) -> WsSession:
        return self.services[self.seen].ws_connect()

    def ws_receive(self, session: WsSession, text: str, wall: float = WALL) -> list[str]:
        return self.services[self.seen].ws_receive(session, text, wall)

    def ws_disconnect(self, session: WsSession, *, orderly: bool = False) -> None:
        self.services[self.seen].ws_disconnect(session, orderly=orderly)


class Client:
    """Calls one service; the wall clock moves a second a call so that the call limit stays out of the way."""

    def __init__(
        self,
        market: Market,
        options: ServiceOptions = OPTIONS,
        store: Store | None = None,
        restored: Restored | None = None,
        *,
        environment: Environment = "real",
        now_us: int | None = None,
    ) -> None:
        self.exchange = OneService(
            market,
            ExchangeOptions(real=options, paper=PAPER),
            stores={} if store is None else {"real": store},
            restored={} if restored is None else {"real": restored},
            now_us=now_us,
        )
        self.see(environment)

    def see(self, environment: Environment) -> None:
        """Go on as a client of the other service, without a token."""
        self.exchange.seen = environment
        self.options = self.exchange.services[environment].options
        self.wall = WALL
        self.token = ""

    @property
    def cano(self) -> dict[str, str]:
        return {"CANO": self.options.account[0], "ACNT_PRDT_CD": self.options.account[1]}

    def tr(self, tr_id: str) -> str:
        """Return the id a trading TR has on this service."""
        return f"V{tr_id[1:]}" if self.exchange.seen == "paper" and tr_id[0] in "TJC" else tr_id

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[int, Any]:
        headers = {"content-type": "application/json; charset=utf-8"} | (headers or {})
        request = Request(method="POST", path=path, headers=headers, params={}, body=body)
        answer = self.exchange.rest(request, self.wall)
        return answer.status, json.loads(answer.content)

    def login(self) -> str:
        keys = {"appkey": self.options.app_key, "appsecret": self.options.app_secret}
        _, body = self.post("/oauth2/tokenP", {"grant_type": "client_credentials"} | keys)
        self.token = body["access_token"]
        return self.token

    def headers(self, tr_id: str) -> dict[str, str]:
        if not self.token:
            self.login()
        return {
            "authorization": f"Bearer {self.token}",
            "appkey": self.options.app_key,
            "appsecret": self.options.app_secret,
            "tr_id": tr_id,
            "custtype": "P",
        }

    def call(self, path: str, tr_id: str, params: dict[str, str], tr_cont: str = "") -> tuple[dict[str, str], Any]:
        headers = self.headers(tr_id) | {"tr_cont": tr_cont}
        self.wall += 1
        request = Request(method="GET", path=PREFIX + path, headers=headers, params=params, body={})
        answer = self.exchange.rest(request, self.wall)
        return answer.headers, json.loads(answer.content)

    def order(self, side: str, code: str, qty: int, price: int = 0) -> Any:
        self.wall += 1
        body = self.cano | {
            "PDNO": code,
            "ORD_DVSN": "00" if price else "01",
            "ORD_QTY": str(qty),
            "ORD_UNPR": str(price),
        }
        tr_id = "TTTC0012U" if side == "buy" else "TTTC0011U"
        return self.post(PREFIX + "/trading/order-cash", body, self.headers(self.tr(tr_id)))[1]

    def change(self, odno: str, kind: str, qty: int = 0, price: int = 0) -> Any:
        self.wall += 1
        body = self.cano | {
            "KRX_FWDG_ORD_ORGNO": "06010",
            "ORGN_ODNO": odno,
            "ORD_DVSN": "00",
            "RVSE_CNCL_DVSN_CD": kind,
            "ORD_QTY": str(qty),
            "ORD_UNPR": str(price),
            "QTY_ALL_ORD_YN": "N" if qty else "Y",
        }
        return self.post(PREFIX + "/trading/order-rvsecncl", body, self.headers(self.tr("TTTC0013U")))[1]

    def daily(self) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = self.call("/trading/inquire-daily-ccld", self.tr("TTTC0081R"), DAILY | self.cano)[
            1
        ]["output1"]
        return rows

    def connect(self) -> WsSession:
        return self.exchange.ws_connect()

    def approval(self) -> str:
        body = {
            "grant_type": "client_credentials",
            "appkey": self.options.app_key,
            "secretkey": self.options.app_secret,
        }
        key: str = self.post("/oauth2/Approval", body)[1]["approval_key"]
        return key

    def register(self, session: WsSession, key: str, tr_id: str, tr_key: str, tr_type: str = "1") -> Any:
        frame = {
            "header": {"approval_key": key, "custtype": "P", "tr_type": tr_type, "content-type": "utf-8"},
            "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}},
        }
        answers = self.exchange.ws_receive(session, json.dumps(frame))
        assert len(answers) == 1
        return json.loads(answers[0])
