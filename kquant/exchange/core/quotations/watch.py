"""What a user keeps on the broker's server: watch lists (관심종목) and conditions (조건검색), and many prices at once.

The look-alike's user has built-in ones. Source: kis-protocol.md 4.2 (conditions), 4.3 (intstock-multprice); the paths
and fields of the watch lists are those of KIS's own samples.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from kquant.exchange.core.quotations.forms import Row, cents, percent_of
from kquant.exchange.core.quotations.source import Source, direction, expect, ymd
from kquant.exchange.core.rest import Answer, Request, RestError, field_error, required
from kquant.exchange.core.rules import hhmmss, sign_of
from kquant.exchange.market.model import RankRow, Stock

MULTI_MAX: Final = 30
CONDITION_ROWS: Final = 100
WATCHED: Final = 12


class Condition(NamedTuple):
    """A condition of the user: its name, and what a stock must have done. The row with most of `order` comes first."""

    name: str
    holds: Callable[[Stock, RankRow], bool]
    order: Callable[[RankRow], int]


def _grown(row: RankRow) -> int:
    return row.volume * 10_000 // max(row.prev_volume, 1)


CONDITIONS: Final = (
    Condition("거래량급증", lambda _, row: row.volume >= 2 * row.prev_volume > 0, _grown),
    Condition("상승률상위", lambda _, row: row.change_bp >= 500, lambda row: row.change_bp),
    Condition("거래대금상위", lambda _, row: row.value >= 5_000_000_000, lambda row: row.value),
    Condition("시가대비상승", lambda _, row: row.last * 100 >= row.open * 103, lambda row: row.change_bp),
    Condition("상한가", lambda stock, row: row.last == stock.upper, lambda row: row.value),
    Condition("천만원이상", lambda _, row: row.last >= 10_000_000, lambda row: row.value),
)
"""The user's saved conditions, by seq. The last one finds nothing, as conditions do."""
GROUPS: Final = ("관심종목1", "코스닥관심", "우량주")


class Watch:
    """Answers psearch-title, psearch-result, intstock-grouplist, intstock-stocklist-by-group, intstock-multprice.

    hts_id: the user the lists belong to; None lets every user in.
    """

    def __init__(self, source: Source, hts_id: str | None) -> None:
        self._source = source
        self._hts_id = hts_id

    # -- conditions -----------------------------------------------------------------------------------------

    def titles(self, request: Request) -> Answer:
        """psearch-title HHKST03900300: the conditions the user has saved to the server."""
        user = required(request.params, "USER_ID")["USER_ID"]
        if not self._is_user(user):
            raise RestError(200, "1", "MCA05762", "조회가 계속 됩니다. (다음을 누르십시오.)")
        rows = [
            {"user_id": user, "seq": str(seq), "grp_nm": "사용자조건", "condition_nm": condition.name}
            for seq, condition in enumerate(CONDITIONS)
        ]
        return Answer(outputs={"output2": rows})

    def result(self, request: Request) -> Answer:
        """psearch-result HHKST03900400: at most 100 rows. No hit, like an unknown condition, is MCA05918."""
        fields = required(request.params, "USER_ID", "SEQ")
        seq = fields["SEQ"]
        number = int(seq) if seq.isascii() and seq.isdigit() else len(CONDITIONS)
        if not self._is_user(fields["USER_ID"]) or number >= len(CONDITIONS):
            raise _no_hit()
        condition = CONDITIONS[number]
        by_code = self._source.market.by_code
        found = [row for row in self._source.board() if condition.holds(by_code[row.code], row)]
        if not found:
            raise _no_hit()
        found.sort(key=lambda row: (-condition.order(row), row.code))
        return Answer(outputs={"output2": [self._hit(row) for row in found[:CONDITION_ROWS]]})

    def _hit(self, row: RankRow) -> Row:
        source = self._source
        stock = source.market.by_code[row.code]
        stats = source.stats(stock)
        known = source.market.known(row.code)
        expected, expected_qty = source.market.indicative(row.code, source.last())
        moved = expected - stock.base if expected else 0
        return {
            "code": row.code,
            "name": stock.name,
            "daebi": sign_of(row.change, row.last, stock.upper, stock.lower),
            "price": str(row.last),
            "chgrate": cents(percent_of(row.change, stock.base)),
            "acml_vol": str(row.volume),
            "trade_amt": str(row.value),
            "change": str(row.change),
            "cttr": cents(percent_of(stats.buy_volume, stats.sell_volume)),
            "open": str(row.open),
            "high": str(row.high),
            "low": str(row.low),
            "high52": str(max(known.w52_high, row.high)) if known and known.w52_high else "0",
            "low52": str(min(known.w52_low, row.low)) if known and known.w52_low else "0",
            "expprice": str(expected),
            "expchange": str(moved),
            "expchggrate": cents(percent_of(moved, stock.base)),
            "expcvol": str(expected_qty),
            "chgrate2": cents(percent_of(row.volume, row.prev_volume)),
            "expdaebi": sign_of(moved, expected, stock.upper, stock.lower),
            "recprice": str(stock.base),
            "uplmtprice": str(stock.upper),
            "dnlmtprice": str(stock.lower),
            "stotprice": str(stock.listed_shares * row.last // 100_000_000),
        }

    def _is_user(self, user: str) -> bool:
        return bool(user) and self._hts_id in (None, user)

    # -- watch lists ----------------------------------------------------------------------------------------

    def groups(self, request: Request) -> Answer:
        """intstock-grouplist HHKCM113004C7: the user's watch lists; none of another user's."""
        fields = required(request.params, "TYPE", "FID_ETC_CLS_CODE", "USER_ID")
        expect(fields, "TYPE", "1")
        rows = [
            {
                "date": ymd(self._source.market.day),
                "trnm_hour": hhmmss(max(self._source.last(), 0)),
                "data_rank": str(number),
                "inter_grp_code": f"{number:03d}",
                "inter_grp_name": name,
                "ask_cnt": str(len(self._members(number))),
            }
            for number, name in enumerate(GROUPS, 1)
        ]
        return Answer(outputs={"output2": rows if self._is_user(fields["USER_ID"]) else []})

    def group(self, request: Request) -> Answer:
        """intstock-stocklist-by-group HHKCM113004C6: one list's stocks, in the user's order."""
        names = ("DATA_RANK", "INTER_GRP_NAME", "HTS_KOR_ISNM", "CNTG_CLS_CODE")
        fields = required(request.params, "TYPE", "USER_ID", "INTER_GRP_CODE", "FID_ETC_CLS_CODE", *names)
        expect(fields, "TYPE", "1")
        code = fields["INTER_GRP_CODE"]
        number = int(code) if code.isascii() and code.isdigit() else 0
        known = self._is_user(fields["USER_ID"]) and 1 <= number <= len(GROUPS)
        rows = [
            {
                "fid_mrkt_cls_code": "J",
                "data_rank": str(rank),
                "exch_code": "KRX",
                "jong_code": stock.code,
                "color_code": "",
                "memo": "",
                "hts_kor_isnm": stock.name,
                "fxdt_ntby_qty": "0",
                "cntg_unpr": "0",
                "cntg_cls_code": "0",
            }
            for rank, stock in enumerate(self._members(number) if known else (), 1)
        ]
        head = {"data_rank": str(number) if known else "", "inter_grp_name": GROUPS[number - 1] if known else ""}
        return Answer(outputs={"output1": head, "output2": rows})

    def _members(self, number: int) -> list[Stock]:
        """Return a list's stocks: large common stocks, thinned so that the lists differ."""
        usual = [
            stock
            for stock in self._source.market.stocks
            if stock.kind == "common" and not (stock.halted or stock.liquidation or stock.administrative)
        ]
        if number == 2:
            usual = [stock for stock in usual if stock.market == "KOSDAQ"]
        usual.sort(key=lambda stock: (-stock.listed_shares * stock.base, stock.code))
        return usual[:WATCHED] if number == 3 else usual[number : number + 4 * WATCHED : 4]

    # -- many prices ----------------------------------------------------------------------------------------

    def several(self, request: Request) -> Answer:
        """intstock-multprice FHKST11300006: up to thirty stocks in one call; a code not listed gives an empty row."""
        params = request.params
        rows = []
        for number in range(1, MULTI_MAX + 1):
            code, venue = params.get(f"FID_INPUT_ISCD_{number}", ""), f"FID_COND_MRKT_DIV_CODE_{number}"
            if number == 1 and (not code or venue not in params):
                raise field_error("FID_INPUT_ISCD_1" if not code else venue)
            if not code.strip():
                continue
            expect({venue: params.get(venue, "").strip()}, venue, "J", "NX", "UN")
            rows.append(self._watched(code.strip()))
        return Answer(outputs={"output": rows})

    def _watched(self, code: str) -> Row:
        source = self._source
        stock = source.market.by_code.get(code)
        if stock is None:
            return _UNLISTED | {"inter_shrn_iscd": code}
        second = source.last()
        stats, book = source.stats(stock), source.market.book(code, second)
        price = stats.last or stock.base
        change, sign = direction(stock, price)
        expected, expected_qty = source.market.indicative(code, second)
        moved = expected - stock.base if expected else 0
        return {
            "kospi_kosdaq_cls_name": stock.market,
            "mrkt_trtm_cls_name": "거래정지" if source.halted(stock) else "관리종목" if stock.administrative else "",
            "hour_cls_code": "0",
            "inter_shrn_iscd": code,
            "inter_kor_isnm": stock.name,
            "inter2_prpr": str(price),
            "inter2_prdy_vrss": str(change),
            "prdy_vrss_sign": sign,
            "prdy_ctrt": cents(percent_of(change, stock.base)),
            "acml_vol": str(stats.volume),
            "inter2_oprc": str(stats.open),
            "inter2_hgpr": str(stats.high),
            "inter2_lwpr": str(stats.low),
            "inter2_llam": str(stock.lower),
            "inter2_mxpr": str(stock.upper),
            "inter2_askp": str(book.asks[0].price),
            "inter2_bidp": str(book.bids[0].price),
            "seln_rsqn": str(book.asks[0].qty),
            "shnu_rsqn": str(book.bids[0].qty),
            "total_askp_rsqn": str(book.ask_qty_total),
            "total_bidp_rsqn": str(book.bid_qty_total),
            "acml_tr_pbmn": str(stats.value),
            "inter2_prdy_clpr": str(stock.prev_close),
            "oprc_vrss_hgpr_rate": cents(percent_of(stats.high - stats.open, stats.open)),
            "intr_antc_cntg_vrss": str(moved),
            "intr_antc_cntg_vrss_sign": sign_of(moved, expected, stock.upper, stock.lower),
            "intr_antc_cntg_prdy_ctrt": cents(percent_of(moved, stock.base)),
            "intr_antc_vol": str(expected_qty),
            "inter2_sdpr": str(stock.base),
        }


_UNLISTED: Final[Row] = dict.fromkeys(
    [
        "kospi_kosdaq_cls_name",
        "mrkt_trtm_cls_name",
        "hour_cls_code",
        "inter_shrn_iscd",
        "inter_kor_isnm",
    ],
    "",
) | dict.fromkeys(
    [
        *("inter2_prpr", "inter2_prdy_vrss", "prdy_vrss_sign", "prdy_ctrt", "acml_vol", "inter2_oprc", "inter2_hgpr"),
        *("inter2_lwpr", "inter2_llam", "inter2_mxpr", "inter2_askp", "inter2_bidp", "seln_rsqn", "shnu_rsqn"),
        *("total_askp_rsqn", "total_bidp_rsqn", "acml_tr_pbmn", "inter2_prdy_clpr", "oprc_vrss_hgpr_rate"),
        *("intr_antc_cntg_vrss", "intr_antc_cntg_vrss_sign", "intr_antc_cntg_prdy_ctrt", "intr_antc_vol"),
        "inter2_sdpr",
    ],
    "0",
)
"""The row of a code that is not listed: no name, no price."""


def _no_hit() -> RestError:
    """Return what a condition without a hit answers (kis-protocol 1.9, 4.2)."""
    return RestError(200, "1", "MCA05918", "종목코드 오류입니다.")
