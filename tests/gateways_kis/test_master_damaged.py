"""A damaged master file is one error of the listing, never the end of the run (kis-protocol 4.8; reliability F1-F8)."""

from __future__ import annotations

import contextlib
import io
import random
import zipfile
from functools import cache

import pytest

from kquant.config import load
from kquant.exchange.core.reference.master import master_zip
from kquant.gateways.kis.rest.errors import KisUnreadable
from kquant.gateways.kis.rest.master import parse
from tests.gateways_kis.look_alike import market

BANDS = load("demo", environ={}).settings.krx.ticks
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@cache
def rows() -> bytes:
    with zipfile.ZipFile(io.BytesIO(master_zip(market(), "KOSPI"))) as archive:
        return archive.read(archive.namelist()[0])


def zipped(text: bytes, method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("kospi_code.mst", text)
    return file.getvalue()


@pytest.mark.parametrize("method", METHODS)
def test_bytes_changed_in_the_file_or_its_rows_are_read_or_named(method: int) -> None:
    whole, rng, refused = zipped(rows(), method), random.Random(method), 0
    assert parse(whole, "KOSPI", BANDS)
    for number in range(400):
        data = bytearray(rows() if number % 4 == 0 else whole)
        for _ in range(rng.randint(1, 3)):
            # The directory at the end is a small part of the file and the most fragile.
            place = rng.randrange(len(data)) if rng.random() < 0.5 else len(data) - 1 - rng.randrange(90)
            data[place] = rng.randrange(256)
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        damaged = zipped(bytes(data), method) if number % 4 == 0 else bytes(data)
        with contextlib.suppress(KisUnreadable):
            parse(damaged, "KOSPI", BANDS)
            continue
        refused += 1
    assert refused > 200
