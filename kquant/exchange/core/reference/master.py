"""Stock master files: fixed width, cp949, one row a stock. Source: kis-protocol.md 4.8.

Head: code 9, ISIN 12, name 40 bytes. Tail: 227 bytes (KOSPI, 70 fields), 221 (KOSDAQ, 64), 184 (KONEX, 38), counted
from the end of the row. Blanks stand where real files have them: a field that does not apply to a kind of security.
"""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from kquant.exchange.core.ports import Market
from kquant.exchange.core.quotations.figures import FigureBook, Figures, troubled
from kquant.exchange.core.quotations.source import Source, ymd
from kquant.exchange.core.reference.statements import Statement, Statements
from kquant.exchange.market.model import Kind, Stock

MasterName = Literal["KOSPI", "KOSDAQ", "KONEX"]
FILES: Final[Mapping[MasterName, str]] = {
    "KOSPI": "kospi_code.mst",
    "KOSDAQ": "kosdaq_code.mst",
    "KONEX": "konex_code.mst",
}
TAILS: Final[Mapping[MasterName, int]] = {"KOSPI": 227, "KOSDAQ": 221, "KONEX": 184}
NAME_BYTES: Final = 40
GROUPS: Final[Mapping[Kind, str]] = {
    "common": "ST",
    "preferred": "ST",
    "spac": "ST",
    "etf": "EF",
    "etn": "EN",
    "reit": "RT",
}
_UNIT: Final = 100_000_000
_SECTION: Final = {"KOSPI": "0027", "KOSDAQ": "1006", "KONEX": "0000"}

Fields = Sequence[tuple[str, int]]


_TRADING: Final[Fields] = (
    ("base", 9),
    ("lot", 5),
    ("after-hours lot", 5),
    ("halted", 1),
    ("liquidation", 1),
    ("administrative", 1),
    ("warning", 2),
    ("warning notice", 1),
    ("unfaithful disclosure", 1),
    ("back-door listing", 1),
    ("ex-rights", 2),
    ("face change", 2),
    ("capital increase", 2),
    ("margin", 3),
    ("credit", 1),
    ("credit days", 3),
    ("previous volume", 12),
    ("face", 12),
    ("listed on", 8),
    ("listed thousands", 15),
    ("capital", 21),
    ("fiscal month", 2),
    ("offering price", 7),
    ("preferred", 1),
    ("short-sale overheated", 1),
    ("abnormal surge", 1),
    ("KRX300", 1),
)
_RESULTS: Final[Fields] = (
    ("sales", 9),
    ("operating", 9),
    ("ordinary", 9),
    ("net", 5),
    ("ROE", 9),
    ("reference month", 8),
    ("market cap", 9),
)
_LENDING: Final[Fields] = (("credit limit over", 1), ("secured loan", 1), ("short loan", 1))
_GROUP: Final[Fields] = (("security group", 2), ("size", 1), ("large", 4), ("mid", 4), ("small", 4))
LAYOUTS: Final[Mapping[MasterName, Fields]] = {
    "KOSPI": (
        *_GROUP,
        ("manufacturing", 1),
        ("low liquidity", 1),
        ("governance index", 1),
        ("KOSPI200 sector", 1),
        ("KOSPI100", 1),
        ("KOSPI50", 1),
        ("KRX", 1),
        ("ETP", 1),
        ("warrants", 1),
        ("KRX100", 1),
        *((f"KRX {name}", 1) for name in ("cars", "chips", "bio", "banks")),
        ("SPAC", 1),
        *((f"KRX {name}", 1) for name in ("energy", "steel")),
        ("overheated", 1),
        *((f"KRX {name}", 1) for name in ("media", "building")),
        ("not used", 1),
        *((f"KRX {name}", 1) for name in ("brokers", "ships", "insurance", "transport")),
        ("SRI", 1),
        *_TRADING,
        ("KOSPI", 1),
        *_RESULTS,
        ("group code", 3),
        *_LENDING,
    ),
    "KOSDAQ": (
        *_GROUP,
        ("venture", 1),
        ("low liquidity", 1),
        ("KRX", 1),
        ("ETP", 1),
        ("KRX100", 1),
        *((f"KRX {name}", 1) for name in ("cars", "chips", "bio", "banks")),
        ("SPAC", 1),
        *((f"KRX {name}", 1) for name in ("energy", "steel")),
        ("overheated", 1),
        *((f"KRX {name}", 1) for name in ("media", "building")),
        ("attention", 1),
        *((f"KRX {name}", 1) for name in ("brokers", "ships", "insurance", "transport")),
        ("KOSDAQ150", 1),
        *_TRADING,
        *_RESULTS,
        ("group code", 3),
        *_LENDING,
    ),
    "KONEX": (("security group", 2), *_TRADING, *_RESULTS, *_LENDING),
}
"""Field names and widths in bytes, in file order."""


def isin(code: str) -> str:
    """Return the ISIN of a six-character code with its check digit (Luhn over letters as two digits)."""
    body = f"KR7{code}00"
    digits = "".join(str(int(char, 36)) for char in body)
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return f"{body}{-total % 10}"


def row_of(stock: Stock, which: MasterName, figures: Figures, newest: Statement | None) -> bytes:
    """Return one row without its newline; `newest` is the last published year, None when amounts are not known."""
    values = _classes(stock, which, figures) | _trading(stock, figures) | _results(stock, which, newest)
    tail = b"".join(_cell(values.get(name, "N"), width, name) for name, width in LAYOUTS[which])
    name_bytes = stock.name.encode("cp949", errors="replace")[:NAME_BYTES].ljust(NAME_BYTES)
    return stock.code.encode("ascii").ljust(9) + isin(stock.code).encode("ascii") + name_bytes + tail


def _cell(text: str, width: int, name: str) -> bytes:
    if len(text) > width:
        raise ValueError(f"master field {name!r} has {width} bytes, {text!r} does not fit")
    return text.ljust(width).encode("ascii")


def _yes(value: object) -> str:
    return "Y" if value else "N"


def _number(value: int, width: int) -> str:
    """Return a number padded with zeros; a minus takes the first place, and the largest that fits stands for more."""
    limit = 10 ** (width - 1) - 1 if value < 0 else 10**width - 1
    value = max(min(value, limit), -limit)
    return f"{value:0{width}d}"


def _classes(stock: Stock, which: MasterName, figures: Figures) -> dict[str, str]:
    """Return what a security is; index memberships are blank for funds, as in real files."""
    plain = stock.kind in ("common", "preferred", "spac")
    value = stock.listed_shares * stock.base
    size = "1" if value > 2_000_000_000_000 else "2" if value > 300_000_000_000 else "3"
    names = [name for name, _ in LAYOUTS[which] if name.startswith("KRX ")]
    blank_unless_stock = dict.fromkeys([*names, "governance index", "SRI"], "N" if plain else " ")
    return blank_unless_stock | {
        "security group": GROUPS[stock.kind],
        "size": (size if stock.kind == "common" else "0") if plain else " ",
        "large": _SECTION[which] if plain else "0000",
        "mid": "0013" if plain and which == "KOSPI" else "0000",
        "small": "0000",
        "manufacturing": " " if plain else "N",
        "venture": _yes(figures.venture),
        "low liquidity": _yes(stock.single_price),
        "KOSPI200 sector": "5" if stock.kospi200 else "0",
        "KOSPI100": _yes(stock.kospi200 and size == "1"),
        "KOSPI50": "N",
        "KRX": _yes(stock.kospi200),
        "ETP": {"etf": "2", "etn": "3"}.get(stock.kind, " "),
        "warrants": _yes(figures.warrants),
        "SPAC": _yes(stock.kind == "spac"),
        "overheated": "2" if stock.overheated else "0",
        "not used": _yes(plain),
        "KOSPI": _yes(stock.kind in ("common", "preferred")),
        "KOSDAQ150": "N",
    }


def _trading(stock: Stock, figures: Figures) -> dict[str, str]:
    return {
        "base": _number(stock.base, 9),
        "lot": "00001",
        "after-hours lot": "00001",
        "halted": _yes(stock.halted),
        "liquidation": _yes(stock.liquidation),
        "administrative": _yes(stock.administrative),
        "warning": f"{stock.warning:02d}",
        "ex-rights": "00",
        "face change": "00" if stock.base == stock.prev_close else "01",
        "capital increase": "00",
        "margin": _number(figures.margin, 3),
        "credit": _yes(figures.credit and not troubled(stock)),
        "credit days": "090" if figures.credit else "000",
        "previous volume": _number(stock.prev_volume, 12),
        "face": _number(figures.face, 12),
        "listed on": ymd(figures.listed_on) if figures.listed_on else "",
        "listed thousands": _number(stock.listed_shares // 1_000, 15),
        "capital": _number(figures.capital, 21),
        "fiscal month": "12" if not stock.etp else "",
        "offering price": "",
        "preferred": "1" if stock.kind == "preferred" else "0",
        "short-sale overheated": " ",
        "KRX300": _yes(stock.kospi200),
    }


def _results(stock: Stock, which: MasterName, newest: Statement | None) -> dict[str, str]:
    """Return the last year's figures in 100 million won, zeros where none are known. KOSDAQ's ROE has no decimals."""
    value = _number(stock.listed_shares * stock.base // _UNIT, 9)
    if newest is None:
        amounts = {"sales": "0" * 9, "operating": "0" * 9, "ordinary": "0" * 9, "net": "0" * 5, "reference month": ""}
        roe = 0
    else:
        amounts = {
            "sales": _number(newest.sales // _UNIT, 9),
            "operating": _number(newest.operating // _UNIT, 9),
            "ordinary": _number(newest.ordinary // _UNIT, 9),
            "net": _number(newest.net // _UNIT, 5),
            "reference month": f"{newest.month}31",
        }
        roe = newest.net * 10_000 // newest.equity if newest.equity else 0
    sign, size = ("-", -roe) if roe < 0 else ("", roe)
    decimals = f"{sign}{size // 100:0{6 - len(sign)}d}.{size % 100:02d}"
    whole = f"{sign}{size // 100:0{9 - len(sign)}d}"
    return amounts | {
        "ROE": whole if which == "KOSDAQ" else decimals,
        "market cap": value,
        "group code": "   ",
        "short loan": _yes(stock.kospi200),
    }


def _packed(which: MasterName, day: tuple[int, int, int], rows: Iterable[bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        text = b"".join(row + b"\n" for row in rows)
        archive.writestr(zipfile.ZipInfo(FILES[which], (*day, 0, 0, 0)), text)
    return buffer.getvalue()


def master_zip(market: Market, which: MasterName) -> bytes:
    """Return the zipped master file of one market; the bytes are the same on every call.

    A market day lists no KONEX stock: that file is there and empty.
    """
    source = Source(market, lambda: -1)
    figures = FigureBook(source)
    statements = Statements(source, figures)

    def rows() -> Iterable[bytes]:
        for stock in market.stocks:
            if stock.market == which:
                yield row_of(stock, which, figures.of(stock), next(iter(statements.years(stock)), None))

    return _packed(which, (market.day.year, market.day.month, market.day.day), rows())
