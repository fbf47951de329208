"""What the fault matrix starts from, and the damage it does to answers."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import msgspec

from kquant.events.orders import (
    OrderDenied,
    OrderIntended,
)
from tests.money.client import Reply
from tests.money.explore import close_day, settle_down
from tests.money.world import World, fresh, rules

A, B = "000100", "000200"
HTML = b"<html><body>Internal Server Error</body></html>"
DAMAGED = {
    "HTTP 500 with HTML": Reply(500, HTML),
    "HTTP 200 with HTML": Reply(200, HTML),
    "nothing": Reply(200, b""),
    "compressed garbage": Reply(200, gzip.compress(HTML)[:-3]),
    "30 MB": Reply(200, b'{"rt_cd":"0","x":"' + b"x" * 30_000_000 + b'"}'),
    "a list": Reply(200, b"[]"),
    "half an answer": Reply(200, b'{"rt_cd":"0","output":{"ODNO":"00010'),
}


def flat(
    codes: tuple[str, ...] = (A, B), *, confirm: bool = False, risk: dict[str, Any] | None = None, **more: Any
) -> World:
    return fresh(codes, settings=rules(confirm_price=confirm, **(risk or {})), **more)


def holding(**more: Any) -> World:
    return flat(shares={A: (10, 100_000)}, **more)


def buying(world: World | None = None, fate: Any = "deliver") -> World:
    """A buy was wanted, and sent with that fate."""
    world = world or flat()
    world.signal(A)
    world.send(world.outgoing[0], fate)
    return world


def posts(world: World) -> list[int]:
    return [intent for intent, life in world.checks.lives.items() for _ in range(life.posts)]


def buys_are_denied(world: World, code: str = A) -> str:
    """Want the stock again; return the rule that denies it."""
    before = len(world.all(OrderIntended))
    world.signal(code)
    world.serve()
    assert len(world.all(OrderIntended)) == before
    return world.last(OrderDenied).rule


def changed(reply: Reply, change: Callable[[Any], None]) -> Reply:
    body = msgspec.json.decode(reply.body)
    change(body)
    return Reply(reply.status, msgspec.json.encode(body), reply.tr_cont)


def rest(world: World, *, day: bool = True) -> None:
    """Faults off: both sides agree, and the day ends reconciled."""
    settle_down(world)
    world.checks.at_rest(world)
    if day:
        close_day(world)
