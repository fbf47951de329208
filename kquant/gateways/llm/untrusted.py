"""Text that nobody here vouches for (names, headlines, a model's reasons): made plain, short, and fenced as data.

What a person would not see is removed, what looks like another letter is named by its code point, and nothing is left
that could end the fence, start a line, or be read as JSON. The fence's mark is a hash over everything in the prompt, so
the same inputs give the same prompt, and whoever writes a headline cannot know it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

NAME_CHARS = 40
TITLE_CHARS = 120
TITLES = 10
REASON_CHARS = 200
RAW_PER_CHAR = 8
"""How much longer than its limit a text may be before it is looked at; the rest is dropped unread."""
SETTLES = 4
"""Removing hidden characters lets others combine; after so many rounds nothing changes any more."""

INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800\u180e")
"""Fillers and blanks that count as letters or symbols and show nothing."""
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Mc"})
SPACES = frozenset({"Zs", "Zl", "Zp"})
PLAIN = {"<": "‹", ">": "›", "`": "'", '"': "'", "{": "(", "}": ")", "[": "(", "]": ")", "\\": "/", "|": "/"}
"""What could close a fence, a string or a table, and what stands for it."""
SCRIPTS = ("HANGUL", "CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC")
LATIN_LAST = 0x24F


def clean(text: str, most: int) -> str:
    """Return *text* as plain visible characters on one line, at most *most* of them (at least 8)."""
    shown = text[: most * RAW_PER_CHAR]
    for _ in range(SETTLES):
        again = "".join(map(_shown, unicodedata.normalize("NFKC", shown)))
        if again == shown:
            break
        shown = again
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else shown[: most - 3].rstrip() + "..."


def _shown(char: str) -> str:
    if char in PLAIN:
        return PLAIN[char]
    if char.isascii():
        return char if char.isprintable() else " "
    kind = unicodedata.category(char)
    if kind in SPACES:
        return " "
    if kind in HIDDEN or char in INVISIBLE:
        return ""
    if kind[0] not in "LN":
        return char
    if ord(char) <= LATIN_LAST or unicodedata.name(char, "").startswith(SCRIPTS):
        return char
    return f"‹U+{ord(char):04X}›"


def clean_titles(titles: Sequence[str]) -> tuple[str, ...]:
    """Return the first titles that say anything, made plain."""
    cleaned = (clean(title, TITLE_CHARS) for title in titles[: TITLES * 2])
    return tuple([title for title in cleaned if title][:TITLES])


def mark_of(parts: Iterable[str]) -> str:
    """Return the fence's mark for a prompt made of *parts*: 24 hex digits that occur in none of them."""
    known = tuple(parts)
    for turn in range(1_000):
        content = "\x00".join((str(turn), *known)).encode("utf-8", "surrogatepass")
        mark = hashlib.sha256(content).hexdigest()[:24]
        if not any(mark in part for part in known):
            return mark
    raise ValueError("no mark of a fence is absent from the text: a thousand hashes cannot all occur in it")


def fenced(mark: str, lines: Sequence[str]) -> str:
    """Return cleaned *lines* between the fence's two lines, each with a dash in front."""
    return "\n".join((f"<<<DATA {mark}", *(f"- {line}" for line in lines), f"DATA {mark}>>>"))
