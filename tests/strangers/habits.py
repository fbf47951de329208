"""A client with a stranger's habits on the wire: bare sockets and `http.client`, so that every byte is ours to choose."""

import http.client
import json
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from websockets.sync.client import ClientConnection, connect

from tests.exchange.standing import Standing

DOMESTIC = "/uapi/domestic-stock/v1"


class Heard(Struct, frozen=True):
    """One answer as it came: header names keep their case."""

    status: int
    headers: dict[str, str]
    body: Any


class Caller:
    """Calls one service. prefix: "" real, "paper_" paper."""

    def __init__(self, exchange: Standing, prefix: str = "") -> None:
        self.exchange = exchange
        self.prefix = prefix
        self.keys = exchange.keys(prefix)
        self.cano = exchange.cano(prefix)
        self.hts_id = exchange.info[f"{prefix}hts_id"]
        self._token = ""

    @property
    def token(self) -> str:
        if not self._token:
            body = json.dumps({"grant_type": "client_credentials", **self.keys})
            self._token = self.send("POST", "/oauth2/tokenP", {"content-type": "application/json"}, body).body[
                "access_token"
            ]
        return self._token

    def headers(self, tr_id: str, **changes: str) -> dict[str, str]:
        """Return the fewest headers that clients come through with: no custtype, no content-type (7.6)."""
        return {"authorization": f"Bearer {self.token}", **self.keys, "tr_id": tr_id, **changes}

    def tr(self, tr_id: str) -> str:
        return f"V{tr_id[1:]}" if self.prefix and tr_id[0] in "TJC" else tr_id

    def send(self, method: str, path: str, headers: dict[str, str], body: str | bytes | None = None) -> Heard:
        port = self.exchange.info[f"{self.prefix}rest_port"]
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            line.request(method, path, body=body.encode() if isinstance(body, str) else body, headers=headers)
            answer = line.getresponse()
            text = answer.read()
            return Heard(answer.status, dict(answer.getheaders()), json.loads(text) if text else None)
        finally:
            line.close()

    def get(self, path: str, tr_id: str, params: dict[str, str], **changes: str) -> Heard:
        return self.send("GET", f"{path}?{urlencode(params)}", self.headers(tr_id, **changes))

    def post(self, path: str, tr_id: str, body: dict[str, Any], **changes: str) -> Heard:
        headers = self.headers(tr_id, **{"content-type": "application/json; charset=utf-8", **changes})
        return self.send("POST", path, headers, json.dumps(body))

    def approval(self, **changes: str) -> Heard:
        body = {"grant_type": "client_credentials", "appkey": self.keys["appkey"]}
        body |= {"secretkey": self.keys["appsecret"], **changes}
        return self.send("POST", "/oauth2/Approval", {"content-type": "application/json"}, json.dumps(body))

    def line(self, path: str = "/tryitout", **options: Any) -> ClientConnection:
        url = f"{self.exchange.ws(self.prefix)}{path}"
        return connect(url, **{"compression": None, "ping_interval": None, **options})


def register(approval: str, tr_id: str, tr_key: str, tr_type: str = "1", **header: str) -> str:
    """Return the frame that registers (1) or unregisters (2) one channel of one stock."""
    head = {"approval_key": approval, "custtype": "P", "tr_type": tr_type, "content-type": "utf-8", **header}
    return json.dumps({"header": head, "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}}})


def control(socket: ClientConnection) -> Any:
    """Return the next control frame; data on its way is passed over."""
    while True:
        text = str(socket.recv(timeout=30))
        if text.startswith("{"):
            return json.loads(text)
