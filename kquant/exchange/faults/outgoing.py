"""What faults make of the server's own texts, and the texts they hold back until their time."""

from typing import Final

from msgspec import Struct

from kquant.exchange.faults import texts
from kquant.exchange.faults.active import Active
from kquant.exchange.faults.texts import Text
from kquant.exchange.faults.verdicts import Now, Service, Session

US: Final = 1_000_000
_SORTS: Final = {
    "lose_ack": "ack",
    "duplicate_ack": "ack",
    "late_ack": "ack",
    "wrong_ack": "ack",
    "no_pingpong": "ping",
    "silent_symbol": "data",
    "lose_frames": "data",
    "repeat_frames": "data",
    "late_frames": "data",
    "garble_frames": "data",
    "forge_ticks": "data",
    "zero_prices": "data",
    "lose_notice": "notice",
    "repeat_notice": "notice",
    "reorder_notices": "notice",
    "late_notice": "notice",
    "garble_notice": "notice",
}
"""Which texts a fault looks at; the others look at every text."""
_UNREGISTERED: Final = ("OPSP0001", "OPSP0003")


class _Held(Struct, kw_only=True):
    due_us: int
    line: tuple[Service, int]
    text: str
    behind_notice: bool


class Waiting:
    """Texts held back: until market time reaches their due, or until the next notice has gone out on their line."""

    def __init__(self) -> None:
        self._held: list[_Held] = []

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, line: tuple[Service, int], held: list[str], due_us: int, *, behind_notice: bool = False) -> None:
        """Keep texts back until *due_us* (UTC microseconds of market time)."""
        self._held += [_Held(due_us=due_us, line=line, text=text, behind_notice=behind_notice) for text in held]

    def behind_notice(self, line: tuple[Service, int]) -> bool:
        """Tell whether something waits for the next notice of *line*."""
        return any(held.behind_notice and held.line == line for held in self._held)

    def after_notice(self, line: tuple[Service, int]) -> list[str]:
        """Return, and let go, what waited for a notice of *line*."""
        found = [held for held in self._held if held.behind_notice and held.line == line]
        self._held = [held for held in self._held if held not in found]
        return [held.text for held in found]

    def due(self, now_us: int) -> list[tuple[Service, int, str]]:
        """Return, and let go, what has fallen due, as (service, session, text) in the order of the dues."""
        found = sorted((held for held in self._held if held.due_us <= now_us), key=lambda held: held.due_us)
        self._held = [held for held in self._held if held.due_us > now_us]
        return [(*held.line, held.text) for held in found]

    def forget(self, line: tuple[Service, int]) -> None:
        """Drop what waited for a line that is gone."""
        self._held = [held for held in self._held if held.line != line]


def concerns(active: Active, service: Service, found: Text) -> bool:
    """Tell whether a text is one that the fault looks at."""
    fault = active.fault
    if not active.serves(service) or _SORTS.get(fault.kind, found.sort) != found.sort:
        return False
    if fault.where.tr_id not in ("", found.tr_id) or fault.where.stock not in ("", found.key):
        return False
    match fault.params.get("of", "any"):
        case "register" if found.code in _UNREGISTERED:
            return False
        case "unregister" if found.code not in _UNREGISTERED:
            return False
    match fault.params.get("which", "any"):
        case "ack":
            return not texts.notice_is_fill(found)
        case "fill":
            return texts.notice_is_fill(found)
    return fault.params.get("on", "both") in ("both", "feed", "text")


def apply(
    active: Active, service: Service, session: Session, found: Text, sent: list[str], waiting: Waiting, now: Now
) -> list[str] | None:
    """Return what is sent in place of *sent*, None where the fault does not apply."""
    fault, line = active.fault, (service, session.number)
    match fault.kind:
        case "lose_ack" | "no_pingpong" | "silent_symbol" | "lose_frames" | "lose_notice":
            return []
        case "duplicate_ack" | "repeat_frames" | "repeat_notice":
            return sent * fault.number("times")
        case "late_ack" | "late_frames" | "late_notice":
            waiting.hold(line, sent, now.us + fault.number("s") * US)
            return []
        case "reorder_notices":
            if waiting.behind_notice(line):
                return None
            waiting.hold(line, sent, now.us + fault.number("s") * US, behind_notice=True)
            return []
        case "wrong_ack":
            return [texts.with_key(text, fault.text("key")) for text in sent]
        case "garble_notice":
            return [texts.garble_notice(text, active.rng) for text in sent]
        case "garble_frames":
            changed = [texts.garble(text, fault.text("how"), active.rng) for text in sent]
        case "forge_ticks":
            changed = [texts.forge(text, fault.text("how"), active.rng) for text in sent]
        case "zero_prices":
            changed = [texts.zero_prices(text) for text in sent]
        case "clock_skew":
            changed = [texts.skew(text, found, fault.number("s"), session) for text in sent]
        case other:
            raise ValueError(f"{other} is no fault of a text")
    return None if None in changed else [text for text in changed if text is not None]
