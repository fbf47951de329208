"""A small day over real processes, killed and started again until it is over, and everything that must hold of it."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kquant.events.base import Recorded
from kquant.events.day import DayClosed, RunStarted
from kquant.events.orders import OrderIntended
from kquant.journal import read_day
from tests.e2e.world import DAY, ROOT, books_of, environment, folder_of

from . import checks
from .door import Post, posts_of
from .points import ANYWHERE, BY_NAME, DOOR_POINTS, REQUIRED, WALL, Death, Kill, Sentence

LAST_HOUR = {
    "demo.stocks": "60",
    "demo.start": "14:33",
    "schedule.analysis": "14:34",
    "analyzer.late_until": "14:45",
    "analyzer.deadline": "14:45",
    "pipeline.threshold": "50",
    "exits.take_profit_bp": "60",
    "exits.stop_loss_bp": "60",
}
"""A market of 60 stocks in its last hour, with some forty orders."""
RESTING = {
    "risk.resting_seconds": "3",
    "risk.limit_ticks_above_ask": "0",
    "risk.volume_share_bp": "1000",
    "risk.position_share_bp": "1000",
    "risk.collar_bp": "500",
    "risk.moved_bp": "1000",
    "risk.max_replaces": "5",
    "risk.repeat_seconds": "0",
    "risk.cooldown_seconds": "1",
}
"""Settings under which buys fill in parts, rest, and are cancelled or replaced."""
RUN_SECONDS = 900
MOST_KILLS = 12
"""Of one day: the next ones are kept for another market."""


@dataclass
class Day:
    """What became of one day. deaths: in order, by point and phase."""

    seed: int
    deaths: list[str] = field(default_factory=list)
    starts: int = 0
    events: int = 0
    intents: int = 0
    posts: int = 0
    wrong: list[str] = field(default_factory=list)


def settings(values: Mapping[str, str]) -> list[str]:
    """Return settings (section.key and value) as options of a run."""
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def last_hour(seed: int, changes: Mapping[str, str] | None = None) -> list[str]:
    """Return the options of a small day. changes: further settings."""
    return settings({**LAST_HOUR, "demo.seed": str(20_261_120 + seed), **(changes or {})})


class Killed:
    """Plays one day in *folder*, process after process, and looks at what it left. options: of the run."""

    def __init__(self, folder: Path, seed: int, options: Sequence[str], date: str = DAY) -> None:
        self.data = folder / "data"
        self.note, self.posts_file = folder / "note", folder / "posts"
        self.day = Day(seed)
        self._date = date
        self._options = options
        self.facts: Sequence[Recorded] = []

    @property
    def posts(self) -> list[Post]:
        return posts_of(self.posts_file)

    def start(self, kills: Sequence[Kill], alive: float | None = None) -> bool:
        """Start the run under *kills*; tell whether it came to its end. alive: seconds until it is killed from outside."""
        sentence = Sentence(kills=tuple(kills), note=str(self.note), posts=str(self.posts_file))
        self.note.unlink(missing_ok=True)
        self.day.starts += 1
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.soak.victim", msgspec.json.encode(sentence).decode(), "--"),
                *("run", "--data", str(self.data), *self._options),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environment(),
        )
        err = b""
        try:
            if alive is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(alive)
                run.kill()
            _, err = run.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            run.kill()
            self.day.wrong.append(f"start {self.day.starts}: the run came to no end in {RUN_SECONDS} s")
        finally:
            run.kill()
            run.wait()
        return self._ended(run.returncode, err.decode(errors="replace"), outside=alive is not None)

    def _ended(self, code: int, err: str, *, outside: bool) -> bool:
        deaths = self._notes()
        known, self.facts = self.facts, self._read()
        self.day.wrong += [f"start {self.day.starts}: {one}" for one in checks.check_known(self.facts, known)]
        if code == -signal.SIGKILL and deaths:
            self.day.deaths.append(f"{deaths[0].kill.point}, {deaths[0].kill.phase}")
            for death in deaths:
                durable = death.seq <= len(self.facts)
                if death.seq and durable != (death.kill.phase == "after"):
                    self.day.wrong.append(f"start {self.day.starts}: seq {death.seq} durable {durable} at {death.kill}")
            return self._sealed()
        if code == -signal.SIGKILL and outside:
            self.day.deaths.append(WALL)
            return self._sealed()
        if code != 0:
            self.day.wrong.append(f"start {self.day.starts}: the run ended with {code}: {err[-2_000:]}")
        return True

    def _notes(self) -> list[Death]:
        """Return what the process died of: two when the exchange killed it just as it did so itself."""
        if not self.note.exists():
            return []
        return [msgspec.json.decode(line, type=Death) for line in self.note.read_bytes().splitlines()]

    def _sealed(self) -> bool:
        """Tell whether the day is over, killed or not: the same command would begin it a second time."""
        return bool(self.facts) and isinstance(self.facts[-1].event, DayClosed)

    def _read(self) -> Sequence[Recorded]:
        folder = folder_of(self.data, self._date)
        if not (folder / "journal.sqlite").exists():
            return []
        # The exchange of a killed run ends by itself; the journal has no reader but us.
        return read_day(folder)

    def check(self) -> Day:
        """Look at everything the day left."""
        day, facts, posts = self.day, self.facts, self.posts
        day.events, day.intents, day.posts = len(facts), checks.count(facts, OrderIntended), len(posts)
        began = [one for one in day.deaths if not one.startswith((WALL, ANYWHERE))]
        if not len(began) <= checks.count(facts, RunStarted) <= day.starts:
            day.wrong.append(f"{day.starts} starts, {checks.count(facts, RunStarted)} in the log")
        if not self._sealed():
            day.wrong.append("the day is not sealed")
            return day
        day.wrong += checks.check_posts(facts, posts)
        day.wrong += checks.check_outcomes(facts)
        day.wrong += checks.check_books(facts, books_of(self.data, self._date))
        day.wrong += checks.check_reconciled(facts)
        day.wrong += checks.check_log(folder_of(self.data, self._date), facts)
        return day


def draw(rng: random.Random, killed: Counter[str]) -> tuple[list[Kill], float | None]:
    """Return where the next process may die: at points met less often than others, or anywhere, or by the wall's clock."""
    if rng.random() < 0.1:
        return [], rng.uniform(0.3, 5.0)
    if rng.random() < 0.1:
        phase = rng.choice(("before", "after"))
        return [Kill(point=ANYWHERE, phase=phase, nth=rng.randint(1, 900))], None
    met = Counter({name: sum(n for what, n in killed.items() if what.startswith(f"{name},")) for name in REQUIRED})
    cap = 1 + 1.3 * sum(met.values()) / len(REQUIRED)
    wanted = [name for name in REQUIRED if met[name] < cap]
    if rng.random() < 0.4:
        wanted = sorted(REQUIRED, key=lambda name: met[name])[:3]  # let the day go on to what comes late or seldom
    elif not set(wanted) & set(BY_NAME):
        wanted.append(rng.choice(list(BY_NAME)))
    kills = []
    for name in wanted:
        if name in DOOR_POINTS:
            nth = rng.randint(1, 4) if name == DOOR_POINTS[0] else 1
            kills.append(Kill(point=name, phase=rng.choice(("arrived", "done")), nth=nth))
        else:
            phase = rng.choice(("before", "after"))
            kills.append(Kill(point=name, phase=phase, nth=rng.randint(1, BY_NAME[name].spread)))
    return kills, None


def play(
    folder: Path,
    seed: int,
    killed: Counter[str],
    left: int,
    say: Callable[[str], None] = lambda _: None,
) -> Day:
    """Play the day of *seed* with at most *left* kills, which are added to *killed*; the folder is its own and new."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random(f"soak {seed}")
    changes = {**RESTING, "risk.unfilled": rng.choice(("cancel", "replace", "replace"))}
    day = Killed(folder, seed, last_hour(seed, changes))
    began = time.monotonic()
    over = False
    while not over and not day.day.wrong:
        had = len(day.day.deaths)
        kills, alive = draw(rng, killed) if had < min(left, MOST_KILLS) else ([], None)
        over = day.start(kills, alive)
        if len(day.day.deaths) == had:
            break
        killed[day.day.deaths[-1]] += 1
        say(f"  {time.monotonic() - began:5.0f} s  {day.day.deaths[-1]}")
    return day.check()
