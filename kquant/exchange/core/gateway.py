"""The gateway of one service: keys, tokens, headers, limits and TR ids, checked before any room answers.

Source: kis-protocol.md 1.2-1.9, 4.1, 7.6. Wall times are epoch seconds handed in by the caller.
"""

import base64
import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Final

from kquant.exchange.core.auth import TOKEN_LIFE_S, CallLimit, TokenOffice
from kquant.exchange.core.books import Environment
from kquant.exchange.core.reference.master import MasterName
from kquant.exchange.core.rest import (
    GATEWAY_TEXTS,
    Body,
    Request,
    Response,
    RestError,
    Route,
    Routes,
    envelope,
    gateway_error,
    json_bytes,
    refusal,
)

KST: Final = dt.timezone(dt.timedelta(hours=9))
PREFIX: Final = "/uapi/domestic-stock/v1"
MASTERS: Final[dict[str, MasterName]] = {
    "/common/master/kospi_code.mst.zip": "KOSPI",
    "/common/master/kosdaq_code.mst.zip": "KOSDAQ",
    "/common/master/konex_code.mst.zip": "KONEX",
}


class Gateway:
    """Answers every REST call of one service.

    routes: the rooms' paths.   master: one market's zipped master file.   other: the other service's office, whose
    keys are told apart from unknown ones.   commit: makes what changed durable; called before an answer leaves.
    """

    def __init__(
        self,
        environment: Environment,
        office: TokenOffice,
        limit: CallLimit,
        *,
        master: Callable[[MasterName], bytes],
        commit: Callable[[], None],
    ) -> None:
        self.environment = environment
        self.office = office
        self.limit = limit
        self.routes: Routes = {}
        self.other: Gateway | None = None
        self._master = master
        self._commit = commit

    def rest(self, request: Request, wall: float) -> Response:
        """Answer one call. What changed is durable before the answer is returned."""
        try:
            if request.path.startswith("/uapi/"):
                return self._uapi(request, wall)
            return self._open_path(request, wall)
        except RestError as error:
            return refusal(request, error)

    # -- paths without a token ------------------------------------------------------------------------------

    def _open_path(self, request: Request, wall: float) -> Response:
        match (request.method, request.path):
            case ("POST", "/oauth2/tokenP"):
                return self._token(request, wall)
            case ("POST", "/oauth2/revokeP"):
                self._check_keys(request.body.get("appkey"), request.body.get("appsecret"))
                if not self.office.revoke(str(request.body.get("token", ""))):
                    raise gateway_error("EGW00121")
                self._commit()
                return _json({"code": 200, "message": "접근토큰 폐기에 성공하였습니다"})
            case ("POST", "/oauth2/Approval"):
                return self._approval(request, wall)
            case ("GET", path) if path in MASTERS:
                return Response(headers={}, content=self._master(MASTERS[path]), content_type="application/zip")
            case _:
                return Response(status=404, headers={}, content=json_bytes({"message": "Not Found"}))

    def _token(self, request: Request, wall: float) -> Response:
        _check_grant(request)
        self._check_keys(request.body.get("appkey"), request.body.get("appsecret"))
        issued = self.office.issue(wall)
        if issued is None:
            body = {"error_code": "EGW00133", "error_description": GATEWAY_TEXTS["EGW00133"]}
            return Response(status=403, headers={}, content=json_bytes(body))
        self._commit()
        token, at = issued
        expires = dt.datetime.fromtimestamp(int(at) + TOKEN_LIFE_S, KST)
        return _json(
            {
                "access_token": token,
                "access_token_token_expired": f"{expires:%Y-%m-%d %H:%M:%S}",
                "token_type": "Bearer",
                "expires_in": TOKEN_LIFE_S - int(wall - at),
            }
        )

    def _approval(self, request: Request, wall: float) -> Response:
        """Approval keys are no token: clients ask the paper host for one of the real key and get it (7.6)."""
        _check_grant(request)
        app_key, secret = request.body.get("appkey"), request.body.get("secretkey")
        owner: Gateway = self
        if self.environment == "paper" and self.other is not None and app_key == self.other.office.app_key:
            owner = self.other
        owner._check_keys(app_key, secret)  # noqa: SLF001 -- the same class
        key = owner.office.approval(wall)
        owner._commit()  # noqa: SLF001
        return _json({"approval_key": key})

    def _check_keys(self, app_key: object, app_secret: object) -> None:
        if not app_key:
            raise gateway_error("EGW00102")
        if app_key != self.office.app_key:
            if self.other is not None and app_key == self.other.office.app_key:
                raise gateway_error("EGW02004" if self.environment == "real" else "EGW02007")
            raise gateway_error("EGW00103")
        if not app_secret:
            raise gateway_error("EGW00104")
        if app_secret != self.office.app_secret:
            raise gateway_error("EGW00105")

    # -- TRs ------------------------------------------------------------------------------------------------

    def _uapi(self, request: Request, wall: float) -> Response:
        headers = request.headers
        if request.path == "/uapi/hashkey" and request.method == "POST":
            self._check_keys(headers.get("appkey"), headers.get("appsecret"))
            return _json({"BODY": dict(request.body), "HASH": self._hash(request.body)})
        route = self.routes.get(request.path.removeprefix(PREFIX))
        if route is None or route.method != request.method:
            if self.environment == "paper":
                raise RestError(200, "1", "MCA00124", "서비스를 찾을 수 없습니다.")
            raise gateway_error("EGW00202")
        self._check_caller(request, wall)
        self._check_tr(route, headers.get("tr_id", ""))
        refused = self.limit.refuse(wall, ledger="/trading/" in request.path)
        if refused is not None:
            raise gateway_error(refused)
        if route.method == "POST":
            if not request.body:
                raise RestError(200, "2", "OPSQ9995", "ERROR : INPUT BODY NOT FOUND")
            given = headers.get("hashkey")
            if given and given != self._hash(request.body):
                raise gateway_error("EGW00131")
        answer = route.handle(request)
        if route.method == "POST":
            self._commit()
        return envelope(request, answer)

    def _check_caller(self, request: Request, wall: float) -> None:
        headers = request.headers
        if request.method == "POST" and not headers.get("content-type", "").lower().startswith("application/json"):
            raise gateway_error("EGW00132")
        authorization = headers.get("authorization", "")
        if not authorization:
            raise gateway_error("EGW00122")
        if not authorization.startswith("Bearer "):
            raise gateway_error("EGW00205")
        self._check_keys(headers.get("appkey"), headers.get("appsecret"))
        fault = self.office.fault(authorization.removeprefix("Bearer ").strip(), wall)
        if fault is not None:
            raise gateway_error(fault)
        # Known clients leave custtype out and are served (7.6).
        match headers.get("custtype", "P"):
            case "P":
                return
            case "B" if self.environment == "paper":
                raise gateway_error("EGW00210")
            case "B" if not headers.get("personalseckey"):
                raise gateway_error("EGW00211")
            case "B" if not headers.get("seq_no", "").isdigit():
                raise gateway_error("EGW00209")
            case "B":
                return
            case _:
                raise gateway_error("EGW00208")

    def _check_tr(self, route: Route, tr_id: str) -> None:
        if not tr_id:
            raise RestError(200, "2", "OPSQ9999", "ERROR : HEADER TR_ID NOT FOUND")
        served = route.real if self.environment == "real" else route.paper
        if tr_id in served:
            return
        # Clients put a V before every T, J and C id on paper, also of what paper lacks (1.6, 4.1).
        if self.environment == "paper" and any(tr_id in (one, f"V{one[1:]}") for one in route.real):
            raise gateway_error("EGW02006")
        raise gateway_error("EGW00310")

    def _hash(self, body: Body) -> str:
        digest = hashlib.sha256(self.office.app_secret.encode() + json_bytes(sorted(body.items())))
        return base64.b64encode(digest.digest()).decode("ascii")


def _check_grant(request: Request) -> None:
    if "grant_type" not in request.body:
        raise gateway_error("EGW00114")
    if request.body["grant_type"] != "client_credentials":
        raise gateway_error("EGW00115")


def _json(body: object) -> Response:
    return Response(headers={}, content=json_bytes(body))
