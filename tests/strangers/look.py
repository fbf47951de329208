"""What a bystander knows of a running exchange without a key: the stocks that traded most on the day before."""

import io
import urllib.request
import zipfile

from tests.exchange.standing import Standing

TAIL = 227
"""Width of the tail of a KOSPI row, which is sliced from its end; source: kis-protocol 4.8."""


def busiest(exchange: Standing, count: int) -> list[str]:
    """Return the KOSPI stocks with the highest turnover of the day before, from the master file."""
    url = f"{exchange.rest()}/common/master/kospi_code.mst.zip"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    rows = archive.read(archive.namelist()[0]).decode("cp949").splitlines()
    tails = {row[:9].strip(): row[-TAIL:] for row in rows}
    turnover = {code: int(tail[41:50]) * int(tail[81:93]) for code, tail in tails.items() if tail[:2] == "ST"}
    return sorted(turnover, key=lambda code: -turnover[code])[:count]
