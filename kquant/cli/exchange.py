"""`kquant exchange`: the look-alike of KIS, alone, for any client. 모의 거래소."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from kquant.cli.shell import app


@app.command(help_flags=[])
def exchange(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]) -> int:
    """Run the look-alike of KIS, in real and paper dress at once, for any client: see `kquant exchange --help`. 모의 거래소.

    Parameters
    ----------
    arguments
        As `kquant exchange --help` lists them.

    """
    from kquant.exchange.servers.process import main  # noqa: PLC0415  a process of its own, which loads no client

    return main(list(arguments), prog="kquant exchange")
