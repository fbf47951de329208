"""What kept an order back is said in words, in English and Korean."""

from __future__ import annotations

import pytest

from kquant.domain.orders import exit_rules, risk, sellable
from kquant.events.base import Event
from kquant.events.orders import ExitPostponed, OrderDenied
from kquant.testing.facts import clock
from kquant.values import Seq, Symbol
from kquant.views.describe import describe
from kquant.views.rules import PHRASES, phrase

CODE = Symbol("005930")
NAMES = {CODE: "삼성전자"}


def denied(rule: str, value: int, limit: int) -> Event:
    return OrderDenied(code=CODE, side="buy", rule=rule, value=value, limit=limit, decision=Seq(1))


def test_every_rule_on_a_buy_and_on_a_sell_has_a_phrase_and_nothing_else_has() -> None:
    rules = {rule for rule, _ in (*risk.RULES, *exit_rules.RULES)}
    assert set(PHRASES) == {*rules, sellable.TIED_OUTSIDE, sellable.SELL_UNPROVEN, *exit_rules.LOOK_US}
    assert all(one.english.isascii() and not one.korean.isascii() for one in PHRASES.values())
    assert len({one.english for one in PHRASES.values()}) == len(PHRASES)


@pytest.mark.parametrize(
    ("rule", "value", "limit", "said"),
    [
        ("HALTED", 1, 0, "entries are halted 매수 중지 (HALTED)"),
        ("NOT_ARMED", 0, 1, "the account is not armed for today 실전 주문 미허용 (NOT_ARMED)"),
        ("MAX_POSITIONS", 12, 12, "enough stocks are held or being bought 보유 종목 수 (MAX_POSITIONS), 12 of 12"),
        ("PRICE_MOVED", 180, 150, "the price moved away 가격 이탈 (PRICE_MOVED), by 1.80%, at most 1.50%"),
        ("CASH", 71_000, 2_500, "no free cash for a share 예수금 부족 (CASH), a share is 71,000원, free 2,500원"),
        ("STALE", 86_400, 60, "the signal's price is too old 오래된 시세 (STALE), its age is unknown"),
        ("OF_ANOTHER_VERSION", 1_000, 7, "OF_ANOTHER_VERSION, 1,000 against a limit of 7"),
    ],
)
def test_a_denial_says_what_is_the_matter_and_numbers_only_where_they_mean_something(
    rule: str, value: int, limit: int, said: str
) -> None:
    assert describe(denied(rule, value, limit), NAMES) == f"buy 삼성전자(005930) denied: {said}"


def test_a_sell_that_waits_says_what_for() -> None:
    event = ExitPostponed(code=CODE, reason="stop", rule="VI", value=1, limit=0, until=clock("10:00:20"))
    assert describe(event, NAMES) == (
        "stop of 삼성전자(005930) waits: a volatility interruption is on VI 발동 (VI), looked at again at 10:00:20"
    )


@pytest.mark.parametrize("rule", sorted(PHRASES))
def test_every_rules_numbers_can_be_said(rule: str) -> None:
    for value, limit in ((0, 1), (1, 0), (2**63 - 1, -(2**63 - 1))):
        assert phrase(rule) in describe(denied(rule, value, limit), NAMES)
