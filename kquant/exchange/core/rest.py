"""REST without a socket: requests, answers, the gateway's checks and the routing.

Source: kis-protocol.md 1.2-1.9 (envelope, codes), 4 (paths and TR ids). Every leaf value of an answer is text.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

Body = Mapping[str, Any]


class Request(Struct, frozen=True, kw_only=True):
    """One call: header names in lower case, query names in upper case; `body` is the POST's JSON object."""

    method: str
    path: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    body: Body


class Response(Struct, frozen=True, kw_only=True):
    """One answer; `content` is JSON or a zip file."""

    status: int = 200
    headers: dict[str, str]
    content: bytes
    content_type: str = "application/json; charset=utf-8"


class RestError(Exception):
    """A refusal in the envelope's words; `status` 500 is the gateway, 200 the business behind it."""

    def __init__(self, status: int, rt_cd: str, msg_cd: str, msg1: str) -> None:
        super().__init__(f"{msg_cd} {msg1}")
        self.status = status
        self.rt_cd = rt_cd
        self.msg_cd = msg_cd
        self.msg1 = msg1


GATEWAY_TEXTS: Final = {
    "EGW00001": "일시적 오류가 발생했습니다.",
    "EGW00002": "서버 에러가 발생했습니다.",
    "EGW00101": "유효하지 않은 요청입니다.",
    "EGW00102": "AppKey는 필수입니다.",
    "EGW00103": "유효하지 않은 AppKey입니다.",
    "EGW00104": "AppSecret은 필수입니다.",
    "EGW00105": "유효하지 않은 AppSecret입니다.",
    "EGW00114": "grant_type은 필수입니다.",
    "EGW00115": "지원하지 않는 grant_type입니다.",
    "EGW00121": "유효하지 않은 token 입니다.",
    "EGW00122": "token이 존재하지 않습니다.",
    "EGW00123": "기간이 만료된 token 입니다.",
    "EGW00131": "유효하지 않은 hashkey 입니다.",
    "EGW00132": "유효하지 않은 Content-type 입니다.",
    "EGW00133": "접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)",
    "EGW00201": "초당 거래건수를 초과하였습니다.",
    "EGW00202": "GW라우팅 중 오류가 발생했습니다.",
    "EGW00205": "credentials_type이 유효하지 않습니다.(Bearer)",
    "EGW00208": "고객타입이 유효하지 않습니다.",
    "EGW00209": "거래순번이 유효하지 않습니다.",
    "EGW00210": "법인고객은 모의투자를 이용할 수 없습니다.",
    "EGW00211": "고객식별키가 유효하지 않습니다.",
    "EGW00215": "원장 초당 거래건수를 초과하였습니다.",
    "EGW00302": "거래시간이 초과되었습니다.",
    "EGW00310": "유효하지 않은 TR_ID 입니다.",
    "EGW02004": "실전투자 서버에 모의투자 AppKey를 사용하였습니다.",
    "EGW02006": "모의투자 TR 이 아닙니다.",
    "EGW02007": "모의투자 서버에 실전투자 AppKey를 사용하였습니다.",
}


def gateway_error(code: str) -> RestError:
    """Return the gateway's refusal *code* (HTTP 500)."""
    return RestError(500, "1", code, GATEWAY_TEXTS[code])


def field_error(name: str) -> RestError:
    """Return the refusal of a call in which the required field *name* is missing."""
    return RestError(200, "2", "OPSQ2001", f"ERROR : INPUT FIELD NOT FOUND [{name}]")


def value_error(name: str, value: object) -> RestError:
    """Return the refusal of a field whose value cannot be used."""
    return RestError(200, "2", "OPSQ2002", f"ERROR INVALID {name} [{value}]")


def required(fields: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Return the named fields as text; a missing one, or one that is not text, is refused."""
    found = {}
    for name in names:
        if name not in fields:
            raise field_error(name)
        value = fields[name]
        if not isinstance(value, str):
            raise value_error(name, value)
        found[name] = value.strip()
    return found


def whole(fields: Mapping[str, str], name: str) -> int:
    """Return a field as a whole number of zero or more."""
    text = fields[name]
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise value_error(name, text)
    return int(text)


def check_account(fields: Mapping[str, Any], account: tuple[str, str]) -> None:
    """Refuse a call that names another *account* (number, product code) than the key's."""
    found = required(fields, "CANO", "ACNT_PRDT_CD")
    if (found["CANO"], found["ACNT_PRDT_CD"]) != account:
        raise RestError(200, "2", "OPSQ2000", "ERROR : INPUT INVALID_CHECK_ACNO")


class Answer(Struct, kw_only=True):
    """What a handler returns: outputs by name, and how the envelope says success."""

    outputs: dict[str, Any]
    msg_cd: str = "MCA00000"
    msg1: str = "정상처리 되었습니다."
    tr_cont: str = ""


class Route(Struct, frozen=True, kw_only=True):
    """One path: its method, the TR ids it serves on the real and on the paper service (none: not offered), its handler."""

    method: str
    real: tuple[str, ...]
    paper: tuple[str, ...] = ()
    handle: Callable[[Request], Answer]


Routes = dict[str, Route]
"""Path below `/uapi/domestic-stock/v1` -> route."""


def json_bytes(value: object) -> bytes:
    """Return compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def envelope(request: Request, answer: Answer) -> Response:
    """Return a success in KIS's envelope, with the lower-case response headers."""
    body = {**answer.outputs, "rt_cd": "0", "msg_cd": answer.msg_cd, "msg1": answer.msg1.ljust(80)}
    return Response(headers=_headers(request, answer.tr_cont), content=json_bytes(body))


def refusal(request: Request, error: RestError) -> Response:
    """Return a refusal in KIS's envelope."""
    text = error.msg1 if error.status == 500 else error.msg1.ljust(80)
    body = {"rt_cd": error.rt_cd, "msg_cd": error.msg_cd, "msg1": text}
    return Response(status=error.status, headers=_headers(request, ""), content=json_bytes(body))


def _headers(request: Request, tr_cont: str) -> dict[str, str]:
    return {
        "tr_id": request.headers.get("tr_id", ""),
        "tr_cont": tr_cont,
        "gt_uid": request.headers.get("gt_uid", ""),
    }
