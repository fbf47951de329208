"""Prompts made of a versioned file, measured numbers and fenced text. The same inputs give the same bytes.

A file has a part "## system" and a part "## user"; what stands above them is for whoever reads the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from msgspec import Struct

from kquant.events.scanner import ScanFacts, ScoreWanted
from kquant.gateways.llm.untrusted import NAME_CHARS, clean, clean_titles, fenced, mark_of
from kquant.gateways.research.analyst import Subject
from kquant.gateways.scoring.heuristic import rise_kept, volume_ratio
from kquant.values import KquantError, Symbol

SCAN_PARTS = {"persistence": 30, "volume": 20, "momentum": 30, "risk": 20}
ANALYSIS_PARTS = {"financials": 30, "flows": 30, "news": 20, "technicals": 20}
"""The rubrics' parts and the most each gives, as the prompts state them; the domain adds them up."""
UNITS = {
    "price": "price_krw", "volume": "volume_shares", "turnover": "turnover_krw", "high": "high_krw", "low": "low_krw",
    "open": "open_krw", "prev_volume": "volume_yesterday_shares", "volume_before": "volume_before_shares",
}  # fmt: skip


class PromptError(KquantError):
    """A prompt's file is missing or is not what it should be."""


class Prompt(Struct, frozen=True, kw_only=True):
    """What is sent. version: name of the file, a colon, its SHA-256.   schema: JSON schema of the answer."""

    version: str
    system: str
    user: str
    answer: dict[str, Any]

    def content(self) -> bytes:
        """Return the bytes that are kept, and whose hash the events name."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1)


class Template(Struct, frozen=True, kw_only=True):
    """A prompt's file. sha256: of its bytes."""

    name: str
    sha256: str
    system: str
    user: str


@cache
def template(name: str) -> Template:
    """Return the prompt file *name*. Raises PromptError."""
    path = resources.files("kquant.gateways.llm.prompts") / f"{name}.md"
    try:
        content = path.read_bytes()
    except OSError:
        raise PromptError(f"there is no prompt {name!r}: set llm.scan.prompt or llm.analysis.prompt to one") from None
    head, system_mark, rest = content.decode("utf-8").partition("\n## system\n")
    system, user_mark, user = rest.partition("\n## user\n")
    if not (head and system_mark and user_mark):
        raise PromptError(f"prompt {name!r} has no parts system and user")
    return Template(name=name, sha256=hashlib.sha256(content).hexdigest(), system=system.strip(), user=user.strip())


def scan_prompt(name: str, wanted: ScoreWanted) -> Prompt:
    """Return what a model is asked about one candidate."""
    used = template(name)
    facts = _lines(scan_numbers(wanted.facts))
    lines = _text_lines(wanted.name, wanted.titles)
    mark = mark_of((used.sha256, facts, *lines))
    return _filled(used, {"facts": facts, "texts": fenced(mark, lines)}, _parts_schema(SCAN_PARTS, list(SCAN_PARTS)))


def analysis_prompt(name: str, subjects: Iterable[Subject], names: Mapping[Symbol, str]) -> Prompt:
    """Return what a model is asked about a batch. Each stock's text stands in its own fence, all with one mark."""
    used = template(name)
    stocks = [(each, _lines(_told(each)), _text_lines(names.get(each.code, ""), each.titles)) for each in subjects]
    mark = mark_of((used.sha256, *(part for _, facts, lines in stocks for part in (facts, *lines))))
    blocks = [f"### {each.code}\n{facts}\n{fenced(mark, lines)}" for each, facts, lines in stocks]
    row = _parts_schema(ANALYSIS_PARTS, [])
    row["properties"] = {"code": {"type": "string"}, **row["properties"]}
    row["required"] = ["code"]
    schema = _object({"rows": {"type": "array", "items": row}}, ["rows"])
    return _filled(used, {"stocks": "\n\n".join(blocks)}, schema)


def scan_numbers(facts: ScanFacts) -> dict[str, int | None]:
    """Return the measured numbers by the names the prompt uses, and two that follow from them."""
    told = {UNITS.get(name, name): value for name, value in msgspec.structs.asdict(facts).items()}
    return {
        **told,
        "rise_kept_percent": rise_kept(facts),
        "volume_against_yesterday_percent": volume_ratio(facts),
    }


def parts_measured(subject: Subject) -> tuple[str, ...]:
    """Return the parts of the rubric that the numbers speak of: the only ones that are asked for."""
    return tuple(name for name in ANALYSIS_PARTS if getattr(subject.measured, name) is not None)


def _told(subject: Subject) -> dict[str, Any]:
    return {"parts": parts_measured(subject), **dict(subject.numbers)}


def _lines(numbers: Mapping[str, Any]) -> str:
    return msgspec.json.encode(numbers).decode()


def _text_lines(name: str, titles: Iterable[str]) -> list[str]:
    return [f"name: {clean(name, NAME_CHARS)}", *(f"title: {title}" for title in clean_titles(tuple(titles)))]


def _filled(used: Template, parts: Mapping[str, str], schema: dict[str, Any]) -> Prompt:
    user = used.user
    for key, value in parts.items():
        if user.count(f"{{{{{key}}}}}") != 1:
            raise PromptError(f"prompt {used.name!r} must say {{{{{key}}}}} once in its user part")
        # Filled text holds no braces of its own (clean), so a value is never taken for a place.
        user = user.replace(f"{{{{{key}}}}}", value)
    return Prompt(version=f"{used.name}:{used.sha256}", system=used.system, user=user, answer=schema)


def _parts_schema(parts: Mapping[str, int], required: list[str]) -> dict[str, Any]:
    return _object(
        {
            name: _object(
                {"score": {"type": "integer", "minimum": 0, "maximum": most}, "reason": {"type": "string"}},
                ["score", "reason"],
            )
            for name, most in parts.items()
        },
        required,
    )


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}
