"""REST answers broken: pure functions from a call and its answer to another answer, None where a fault does not apply.

Source: kis-protocol.md 1.7 (envelope, paging), 1.9 (codes), 4.5 and 4.6 (balance, daily list), 6.
"""

import datetime as dt
import email.utils
import json
import random
import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import structs

from kquant.exchange.core.rest import GATEWAY_TEXTS, Request, Response, RestError, json_bytes, refusal
from kquant.exchange.faults.fault import Fault
from kquant.exchange.faults.texts import shift_hour
from kquant.exchange.faults.verdicts import Now

_ENVELOPE: Final = ("rt_cd", "msg_cd", "msg1")
_PRICES: Final = re.compile(r"(stck_(prpr|oprc|hgpr|lwpr)|prpr|now_pric|inter2_prpr|antc_cnpr|(askp|bidp)\d+)")
_HOURS: Final = ("ORD_TMD", "ord_tmd", "stck_cntg_hour", "aspr_acpt_hour", "bsop_hour")
_HHMMSS: Final = re.compile(r"\d{6}", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,18}", re.ASCII)
_HTML: Final = "<html><head><title>{status}</title></head><body><h1>{title}</h1></body></html>\n"
_TOKEN_PATH: Final = "/oauth2/tokenP"  # noqa: S105 -- a path
_BALANCE_FIELDS: Final = (
    "pdno prdt_name trad_dvsn_name bfdy_buy_qty bfdy_sll_qty thdt_buyqty thdt_sll_qty hldg_qty ord_psbl_qty "
    "pchs_avg_pric pchs_amt prpr evlu_amt evlu_pfls_amt evlu_pfls_rt evlu_erng_rt loan_dt loan_amt stln_slng_chgs "
    "expd_dt fltt_rt bfdy_cprs_icdc item_mgna_rt_name grta_rt_name sbst_pric stck_loan_unpr"
)
_GHOST: Final = "000020"
_INVENTED: Final = "0000000000"
"""The paging key of pages that are none."""
Body = dict[str, Any]


def stock_of(request: Request) -> str:
    """Return the stock code a call is about, blank without one."""
    for fields in (request.params, request.body):
        for name in ("PDNO", "FID_INPUT_ISCD"):
            if fields.get(name):
                return str(fields[name])
    return ""


def error(request: Request, code: str, message: str) -> Response:
    """Return the refusal *code* as the gateway (EGW: HTTP 500) or the business behind it (HTTP 200) words it."""
    text = message or GATEWAY_TEXTS.get(code, "오류가 발생했습니다.")
    if request.path == _TOKEN_PATH:
        return Response(status=403, headers={}, content=json_bytes({"error_code": code, "error_description": text}))
    return refusal(request, RestError(500 if code.startswith("EGW") else 200, "1", code, text))


def page(status: int) -> Response:
    """Return an HTML page, as a proxy in front of the gateway answers."""
    title = "Service Temporarily Unavailable" if status == 503 else "Internal Server Error"
    content = _HTML.format(status=status, title=title).encode()
    return Response(status=status, headers={}, content=content, content_type="text/html; charset=utf-8")


def without_invented_key(request: Request) -> Request:
    """Return a call for a page that a fault invented as a call for the first one; any other as it is."""
    keys = [name for name in request.params if name.startswith("CTX_AREA_NK")]
    if not any(request.params[name].strip() == _INVENTED for name in keys):
        return request
    return structs.replace(
        request,
        params={**request.params, **dict.fromkeys(keys, "")},
        headers={**request.headers, "tr_cont": ""},
    )


def change(fault: Fault, request: Request, response: Response, now: Now, rng: random.Random) -> Response | None:
    """Return the answer as *fault* leaves it, None if the fault does not apply to it."""
    raw = _RAW.get(fault.kind)
    if raw is not None:
        return raw(fault, request, response, rng)
    if fault.kind == "clock_skew":
        return _skewed(fault, response, now)
    body = _decoded(response)
    if body is None:
        return None
    match fault.kind:
        case "rename_field" | "null_field" | "drop_field" | "set_field":
            return _with_body(response, body) if _change_fields(fault, body, rng) else None
        case "zero_prices":
            hit = fault.text("on") != "feed" and _each_field(body, _zero_price)
            return _with_body(response, body) if hit else None
        case "ghost_rows":
            return _with_body(response, body) if _add_ghost(body, fault.text("how")) else None
        case "partial_pages":
            return _partial(fault, request, response, body)
        case "list_lag":
            return _with_body(response, body) if _hide_new(body, fault.number("s"), now.second) else None
        case other:
            raise ValueError(f"{other} is no fault of an answer")


# -- bytes and headers --------------------------------------------------------------------------------------


def _html(fault: Fault, _request: Request, _response: Response, _rng: random.Random) -> Response:
    return page(fault.number("status"))


def _error(fault: Fault, request: Request, _response: Response, _rng: random.Random) -> Response:
    return error(request, fault.text("code"), fault.text("message"))


def _typed(fault: Fault, _request: Request, response: Response, _rng: random.Random) -> Response:
    return structs.replace(response, content_type=fault.text("type"))


def _truncated(fault: Fault, _request: Request, response: Response, _rng: random.Random) -> Response | None:
    if not response.content:
        return None
    return structs.replace(response, content=response.content[: len(response.content) * fault.number("percent") // 100])


def _empty(_fault: Fault, _request: Request, response: Response, _rng: random.Random) -> Response:
    return structs.replace(response, status=200, content=b"")


def _huge(fault: Fault, _request: Request, response: Response, _rng: random.Random) -> Response:
    size = fault.number("mb") * 1_000_000
    return structs.replace(response, content=b'{"rt_cd":"0","output":"' + b"0" * (size - 25) + b'"}')


def _gzip(_fault: Fault, _request: Request, response: Response, rng: random.Random) -> Response:
    headers = {**response.headers, "content-encoding": "gzip"}
    return structs.replace(response, headers=headers, content=b"\x1f\x8b\x08\x00" + rng.randbytes(200))


_RAW: Final[dict[str, Callable[[Fault, Request, Response, random.Random], Response | None]]] = {
    "html_500": _html,
    "rest_error": _error,
    "wrong_content_type": _typed,
    "truncated_json": _truncated,
    "empty_body": _empty,
    "huge_body": _huge,
    "gzip_garbage": _gzip,
}


def _skewed(fault: Fault, response: Response, now: Now) -> Response:
    seconds = fault.number("s")
    headers = {**response.headers, "Date": email.utils.formatdate(now.wall + seconds, usegmt=True)}
    response = structs.replace(response, headers=headers)
    body = _decoded(response)
    if body is None:
        return response

    def shift(fields: Body, name: str) -> bool:
        if name in _HOURS:
            fields[name] = shift_hour(str(fields[name]), seconds)
        elif name == "access_token_token_expired":
            fields[name] = _shift_moment(fields[name], seconds)
        else:
            return False
        return True

    return _with_body(response, body) if _each_field(body, shift) else response


def _shift_moment(value: object, seconds: int) -> object:
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return value  # another fault has been here
    return f"{moment + dt.timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"


# -- fields -------------------------------------------------------------------------------------------------


def _change_fields(fault: Fault, body: Body, rng: random.Random) -> bool:
    name = fault.text("field")
    if not name:
        names: list[str] = []

        def note(_fields: Body, found: str) -> bool:
            names.append(found)
            return False

        _each_field(body, note)
        names = [found for found in names if found not in _ENVELOPE] or list(names)
        if not names:
            return False
        name = rng.choice(names)

    def alter(fields: Body, found: str) -> bool:
        if found != name:
            return False
        match fault.kind:
            case "null_field":
                fields[name] = None
            case "set_field":
                fields[name] = fault.text("value")
            case "drop_field":
                del fields[name]
            case _:
                fields[fault.text("to") or f"{name}_x"] = fields.pop(name)
        return True

    return _each_field(body, alter)


def _each_field(body: Body, act: Callable[[Body, str], bool]) -> bool:
    """Call *act* with every object and each of its fields of text; tell whether any call changed something."""
    changed = False
    waiting: list[Any] = [body]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            for name, inner in list(value.items()):
                if isinstance(inner, (dict, list)):
                    waiting.append(inner)
                else:
                    changed = act(value, name) or changed
    return changed


def _zero_price(fields: Body, name: str) -> bool:
    if _PRICES.fullmatch(name) is None:
        return False
    fields[name] = "0"
    return True


# -- rows and pages -----------------------------------------------------------------------------------------


def _add_ghost(body: Body, how: str) -> bool:
    rows = body.get("output1")
    if not isinstance(rows, list):
        return False
    if how == "repeat":
        rows.extend(dict(row) for row in rows[:])
        return bool(rows)
    row = dict.fromkeys(_BALANCE_FIELDS.split(), "0") | {
        "pdno": _GHOST,
        "prdt_name": "동화약품",
        "loan_dt": "",
        "expd_dt": "",
    }
    if how == "foreign":
        row |= {"hldg_qty": "7", "ord_psbl_qty": "7", "pchs_avg_pric": "6500.0000", "pchs_amt": "45500", "prpr": "6500"}
    rows.append(row)
    return True


def _partial(fault: Fault, request: Request, response: Response, body: Body) -> Response | None:
    name = "output1" if isinstance(body.get("output1"), list) else "output"
    rows = body.get(name)
    if not isinstance(rows, list):
        return None
    keys = [key for key in body if key.startswith("ctx_area_nk")]
    following = request.headers.get("tr_cont", "").strip() == "N"
    how = fault.text("how")
    more = how == "endless" or (how == "blank_next" and not following)
    match how:
        case "cut":
            if not rows:
                return None
            body[name] = rows[: len(rows) // 2]
        case "empty":
            body[name] = []
        case "blank_next" if following:
            body[name] = []
    for key in keys:
        body[key] = (_INVENTED if more else "").ljust(len(str(body[key])))
    tr_cont = ("M" if following else "F") if more else ("E" if following else "D")
    return _with_body(structs.replace(response, headers={**response.headers, "tr_cont": tr_cont}), body)


def _hide_new(body: Body, lag_s: int, second: int) -> bool:
    rows = body.get("output1")
    if not isinstance(rows, list):
        return False
    hidden = [row for row in rows if 0 <= second - _second_of(row.get("ord_tmd", "")) < lag_s]
    body["output1"] = [row for row in rows if row not in hidden]
    sums = body.get("output2")
    if isinstance(sums, dict):
        for total, part in (("tot_ord_qty", "ord_qty"), ("tot_ccld_qty", "tot_ccld_qty"), ("tot_ccld_amt",) * 2):
            parts = [_whole(row.get(part)) for row in hidden]
            before = _whole(sums.get(total))
            if before is not None and None not in parts:
                sums[total] = str(before - sum(one for one in parts if one is not None))
    return bool(hidden)


def _second_of(hhmmss: object) -> int:
    if not isinstance(hhmmss, str) or not _HHMMSS.fullmatch(hhmmss):
        return -86_400
    return int(hhmmss[:2]) * 3_600 + int(hhmmss[2:4]) * 60 + int(hhmmss[4:])


def _whole(value: object) -> int | None:
    """Return a field as a number, None once another fault has been there."""
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _decoded(response: Response) -> Body | None:
    if not response.content_type.startswith("application/json"):
        return None
    try:
        body = json.loads(response.content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _with_body(response: Response, body: Body) -> Response:
    return structs.replace(response, content=json_bytes(body))
