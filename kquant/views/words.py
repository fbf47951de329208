"""How figures and names are written for people: Korean conventions, and columns that count double-width characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from kquant.values import Symbol

EOK = 100_000_000


def won(amount: int) -> str:
    """Return 72,300원."""
    return f"{amount:,}원"


def signed_won(amount: int) -> str:
    """Return ▲1,200원, ▼800원 or 0원: the sign does not depend on colour."""
    return f"{arrow(amount)}{abs(amount):,}원"


def eok(amount: int) -> str:
    """Return a large amount in 억원, rounded down to a tenth: 1,234.5억원."""
    tenths = abs(amount) * 10 // EOK
    return f"{'-' if amount < 0 else ''}{tenths // 10:,}.{tenths % 10}억원"


def percent(bp: int) -> str:
    """Return basis points as a signed percentage: +1.23%."""
    return f"{'+' if bp > 0 else '-' if bp < 0 else ''}{abs(bp) // 100}.{abs(bp) % 100:02d}%"


def rate_bp(part: int, whole: int) -> int:
    """Return part of whole in basis points, rounded towards zero; 0 of nothing."""
    if whole == 0:
        return 0
    bp = abs(part) * 10_000 // abs(whole)
    return bp if (part >= 0) == (whole >= 0) else -bp


def counted(count: int, what: str) -> str:
    """Return 1 fill, 2 fills."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def arrow(amount: int) -> str:
    """Return ▲, ▼ or nothing."""
    return "▲" if amount > 0 else "▼" if amount < 0 else ""


def named(code: Symbol, names: Mapping[Symbol, str]) -> str:
    """Return 삼성전자(005930); a stock no event has named yet is shown by its code."""
    name = names.get(code)
    return f"{name}({code})" if name else str(code)


def width(text: str) -> int:
    """Return the columns a terminal gives the text: wide and full-width characters take two."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Fill with blanks to *columns*, or cut with an ellipsis. right: align to the right."""
    if width(text) > columns:
        while text and width(text) > columns - 1:
            text = text[:-1]
        text += "…"
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def columns(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), most: int = 34
) -> list[str]:
    """Return a table as lines. right: columns aligned to the right.   most: widest a column may get."""
    sizes = [min(most, max(width(row[i]) for row in [head, *rows])) for i in range(len(head))]
    lines = ["  ".join(pad(cell, sizes[i], right=i in right) for i, cell in enumerate(row)) for row in [head, *rows]]
    return [line.rstrip() for line in [lines[0], "─" * (sum(sizes) + 2 * (len(sizes) - 1)), *lines[1:]]]
