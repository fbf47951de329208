"""The published master files of one day against the same rows read by somebody else."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import duckdb
import pytest

from kquant.gateways.kis.rest.client import KisUnreadable
from kquant.gateways.kis.rest.master import GROUPS, parse
from tests.gateways_kis.test_reads import BANDS


def folder() -> Path:
    found = Path(os.environ.get("KQUANT_SHARED_DATA", Path(__file__).parents[2] / "../shared/data")) / "master"
    if not found.exists():
        if os.environ.get("KQUANT_REQUIRE_SHARED_DATA") == "1":
            pytest.fail("the master files are missing, and KQUANT_REQUIRE_SHARED_DATA asks for them")
        pytest.skip("the master files are not here: set KQUANT_SHARED_DATA to their folder")
    return found


def zipped(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("code.mst", text)
    return buffer.getvalue()


@pytest.mark.parametrize("market", ["KOSPI", "KOSDAQ"])
def test_every_published_row_reads_as_the_parsed_table_says(market):
    path = folder()
    raw = gzip.decompress((path / f"{market.lower()}_code_20260206.mst.gz").read_bytes())
    table = duckdb.execute(
        'select code, name, base_price, prev_volume, halted, admin_issue, liquidation, warn, spac, "group" '
        f"from '{path / 'kis_master_20260206.parquet'}' where market = ?",
        [market],
    ).fetchall()
    expected = {row[0]: row[1:] for row in table if row[-1] in GROUPS}
    listed = {stock.code: stock for stock in parse(zipped(raw), market, BANDS)}
    assert listed.keys() == expected.keys()
    for code, stock in listed.items():
        name, base, volume, halted, administrative, liquidation, warning, spac, group = expected[code]
        assert (stock.name, stock.base, stock.prev_volume) == (name, base, volume)
        flags = (stock.halted, stock.administrative, stock.liquidation, stock.warning)
        assert flags == (halted == "Y", administrative == "Y", liquidation == "Y", int(warning))
        assert (stock.kind == "spac") == (group == "ST" and spac == "Y")


def test_a_master_file_that_would_unpack_to_too_much_is_refused():
    with pytest.raises(KisUnreadable, match="unpack"):
        parse(zipped(b"\0" * (65 << 20)), "KOSPI", BANDS)
