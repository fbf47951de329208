"""The stock master files: cp949, fixed width, one row a symbol (kis-protocol 4.8). Offsets are bytes in the tail."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib

from msgspec import Struct

from kquant.events.analyzer import Listed, MarketName, StockKind
from kquant.gateways.kis.rest.client import KisUnreadable
from kquant.krx import TickBand, tick_size
from kquant.values import Krw, Shares, Symbol

UNZIPPED_LIMIT = 1 << 26
HEAD = 21
"""Code (9) and ISIN (12); the name follows up to the tail."""


class Layout(Struct, frozen=True, kw_only=True):
    """Where a market's fields lie in its tail: (offset, width), None where it has no such field."""

    width: int
    etp: tuple[int, int] | None
    spac: tuple[int, int] | None
    overheated: tuple[int, int] | None
    base: tuple[int, int]
    halted: tuple[int, int]
    liquidation: tuple[int, int]
    administrative: tuple[int, int]
    warning: tuple[int, int]
    prev_volume: tuple[int, int]
    preferred: tuple[int, int]


KOSPI = Layout(
    width=227,
    etp=(22, 1),
    spac=(29, 1),
    overheated=(32, 1),
    base=(41, 9),
    halted=(60, 1),
    liquidation=(61, 1),
    administrative=(62, 1),
    warning=(63, 2),
    prev_volume=(81, 12),
    preferred=(158, 1),
)
KOSDAQ = Layout(
    width=221,
    etp=(18, 1),
    spac=(24, 1),
    overheated=(27, 1),
    base=(36, 9),
    halted=(55, 1),
    liquidation=(56, 1),
    administrative=(57, 1),
    warning=(58, 2),
    prev_volume=(76, 12),
    preferred=(153, 1),
)
KONEX = Layout(
    width=184,
    etp=None,
    spac=None,
    overheated=None,
    base=(2, 9),
    halted=(21, 1),
    liquidation=(22, 1),
    administrative=(23, 1),
    warning=(24, 2),
    prev_volume=(42, 12),
    preferred=(119, 1),
)
LAYOUTS: dict[MarketName, Layout] = {"KOSPI": KOSPI, "KOSDAQ": KOSDAQ, "KONEX": KONEX}
GROUPS: dict[str, StockKind] = {
    "ST": "common", "FS": "common", "DR": "common", "RT": "reit", "EF": "fund", "EN": "fund", "FE": "fund",
}  # fmt: skip
"""Security groups that are traded as stocks or funds; warrants and the like are left out."""


_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, ValueError, IndexError, RuntimeError, EOFError,
    OverflowError,
)  # fmt: skip
"""What the zip reader raises at damaged bytes, as mutated files show."""


def parse(zipped: bytes, market: MarketName, bands: tuple[TickBand, ...]) -> list[Listed]:
    """Return the listed stocks and funds of one market's zipped master file. Raises KisUnreadable naming the row."""
    layout = LAYOUTS[market]
    try:
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            member = archive.infolist()[0]
            if member.file_size > UNZIPPED_LIMIT:
                raise KisUnreadable(f"the {market} master file would unpack to {member.file_size} bytes")
            text = archive.read(member)
    except _DAMAGED as error:
        raise KisUnreadable(f"the {market} master file is no zip file: {error}") from None
    listed = []
    for number, line in enumerate(text.split(b"\n"), start=1):
        row = line.rstrip(b"\r")
        if not row:
            continue
        try:
            stock = _stock(row, layout, market, bands)
        except (ValueError, UnicodeDecodeError) as error:
            raise KisUnreadable(f"row {number} of the {market} master file: {error}") from None
        if stock is not None:
            listed.append(stock)
    return listed


def _stock(row: bytes, layout: Layout, market: MarketName, bands: tuple[TickBand, ...]) -> Listed | None:
    if len(row) < HEAD + layout.width:
        raise ValueError(f"{len(row)} bytes, fewer than {HEAD + layout.width}")
    tail = row[-layout.width :]
    kind = GROUPS.get(tail[0:2].decode("ascii"))
    if kind is None:
        return None

    def field(where: tuple[int, int] | None) -> str:
        return "" if where is None else tail[where[0] : where[0] + where[1]].decode("ascii").strip()

    if kind == "common":
        if field(layout.etp) not in {"", "0"}:
            kind = "fund"
        elif field(layout.spac) == "Y":
            kind = "spac"
        elif field(layout.preferred) not in {"", "0"}:
            kind = "preferred"
    base = int(field(layout.base))
    liquidation = field(layout.liquidation) == "Y"
    # How wide KONEX's limits are is not documented: nobody computes them here.
    unlimited = liquidation or base <= 0 or market == "KONEX"
    upper, lower = (None, None) if unlimited else price_limits(Krw(base), bands, fund=kind == "fund")
    return Listed(
        code=Symbol(row[0:9].decode("ascii").strip()),
        name=row[HEAD : -layout.width].decode("cp949").strip(),
        market=market,
        kind=kind,
        base=Krw(base),
        upper=upper,
        lower=lower,
        halted=field(layout.halted) == "Y",
        administrative=field(layout.administrative) == "Y",
        liquidation=liquidation,
        overheated=field(layout.overheated) not in {"", "0"},
        warning=int(field(layout.warning)),
        prev_volume=Shares(int(field(layout.prev_volume))),
    )


def price_limits(base: Krw, bands: tuple[TickBand, ...], *, fund: bool) -> tuple[Krw, Krw]:
    """Return the day's upper and lower limit: 30 % of the base, truncated to its tick, then to the grid (kis 5.3)."""

    def tick(price: int) -> int:
        if fund:
            return 1 if price < 2_000 else 5
        return tick_size(Krw(price), bands)

    step = tick(base)
    width = base * 3 // 10 // step * step
    upper = base + width
    upper -= upper % tick(upper)
    lower = max(base - width, 1)
    rest = lower % tick(lower)
    return Krw(upper), Krw(lower if rest == 0 else lower - rest + tick(lower))
