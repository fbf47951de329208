"""`kquant scores calibrate`: what scores were worth, against what became of the stocks. 점수 검증."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators

from kquant.cli import codes
from kquant.cli.days import JOURNAL, DayError, day_folders, find_day, one_account
from kquant.cli.shell import Account, ConfigFile, Data, Json, app, data_folder, print_json
from kquant.config import load
from kquant.values import KquantError

scores_app = App(name="scores", help="Look at what scores were worth. 점수 검증.")
app.command(scores_app)

AtLeastOne = validators.Number(gte=1)


class PictureError(KquantError):
    """A picture that cannot be written."""


@scores_app.command
def calibrate(
    *days: str,
    horizon: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=10))] = 1,
    outcomes: Annotated[Path | None, Parameter(negative="")] = None,
    least_samples: Annotated[int, Parameter(validator=AtLeastOne)] = 300,
    least_days: Annotated[int, Parameter(validator=AtLeastOne)] = 20,
    svg: Annotated[Path | None, Parameter(negative="")] = None,
    account: Account = None,
    data: Data = None,
    config: ConfigFile = None,
    json: Json = False,
) -> int:
    """Hold the scores of recorded days against later returns: by decile, per scorer and line of its rubric. 점수 검증.

    Returns count from the close of the day that was scored. With too few samples it says "insufficient" in place of a table.

    Parameters
    ----------
    days
        Dates, days' folders or latest; without them every recorded day of the account.
    horizon
        Sessions a return spans, 1 to 10.
    outcomes
        Parquet or CSV of daily rows (code, date, close, change or base; volume). Without it the recorded days that follow.
    least_samples
        Fewest samples that a line is shown for.
    least_days
        Fewest days they come from: stocks of one day move together.
    svg
        File to write the picture to.
    account
        12345678-01.
    data
        Folder the days are kept in.
    config
        Your settings file (TOML).
    json
        Print every figure as JSON, the insufficient ones as well.

    """
    from kquant.replay import calibrate as calibration  # noqa: PLC0415  DuckDB is for these commands only
    from kquant.replay import outcomes as sources  # noqa: PLC0415
    from kquant.views.calibration import Least  # noqa: PLC0415

    root = data_folder(data, config)
    folders = [find_day(root, day) for day in days] or _newest_runs(
        one_account(root, account, "scores calibrate"), root
    )
    calendar = load("demo", file=config).settings.krx.calendar
    read = lru_cache(sources.DAYS_KEPT)(sources.read_scored)
    source = sources.RecordedOutcomes(read, calendar) if outcomes is None else sources.FileOutcomes(outcomes, calendar)
    found = calibration.calibrate(folders, read, source, horizon, Least(samples=least_samples, days=least_days))
    answer = calibration.answer(found)
    if svg is not None:
        try:
            svg.write_text(calibration.picture(found), encoding="utf-8")
        except OSError as error:
            raise PictureError(f"--svg {svg}: {error.strerror or error}") from None
    if json:
        print_json(answer.data)
    else:
        sys.stdout.write(answer.text + "\n" + (f"\npicture: {svg}\n" if svg is not None else ""))
    return codes.OK


def _newest_runs(account: Path, root: Path) -> list[Path]:
    """Return the newest run of every date, oldest first."""
    newest = {folder.name[:10]: folder for folder in day_folders(account) if (folder / JOURNAL).is_file()}
    if not newest:
        raise DayError(f"no day in {root}: run `kquant run` first, or name another folder with --data")
    return list(newest.values())
