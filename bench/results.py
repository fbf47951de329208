"""bench/RESULTS.md: one section a part, each with its own date and machine, rewritten alone."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from kquant.values import KST

PATH = Path(__file__).with_name("RESULTS.md")
HEAD = """# Results

Written by `make bench` (`python -m bench`), never by hand. Ratios are medians of the rounds' own ratios: variants take
turns within a round, since a shared machine's speed drifts. Goals are judged by the median. Absolute figures hold for
the machine named with them and nothing else.
"""
_SECTION = re.compile(r"<!-- part: (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


def machine(folder: Path) -> str:
    """Return one line about this machine: processor, cores, memory, system, disk of *folder*, load."""
    return " · ".join((_processor(), f"{os.cpu_count()} cores", *_memory(), _system(), *_disk(folder), *_load()))


def versions(*packages: str) -> str:
    """Return the interpreter's version and those of *packages*."""
    names = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{platform.python_implementation()} {platform.python_version()}; {names}"


def stamp(folder: Path, about: str, *, quick: bool) -> str:
    """Return a section's first lines: when, where, with what."""
    moment = datetime.now(KST).strftime("%Y-%m-%d %H:%M KST")
    sample = " · **short sample (`--quick`): not to be quoted**" if quick else ""
    return f"{moment}{sample}  \n{machine(folder)}  \n{about}"


def write(order: Sequence[str], part: str, title: str, lines: Sequence[str], path: Path = PATH) -> None:
    """Replace one part's section and leave the others as they are. order: every part, as the file shows them."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    sections = dict(_SECTION.findall(text))
    sections[part] = f"## {title}\n\n" + "\n".join(lines) + "\n\n"
    body = "".join(f"<!-- part: {name} -->\n{sections[name]}<!-- end -->\n\n" for name in order if name in sections)
    path.write_text(f"{HEAD}\n{body}".rstrip() + "\n", encoding="utf-8")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> tuple[str, ...]:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return ()
    return (f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",)


def _system() -> str:
    return f"{platform.system()} {platform.release()}"


def _disk(folder: Path) -> tuple[str, ...]:
    """Name the file system the journals are written to: a durable commit on one in memory would mean nothing."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ()
    place = str(folder.resolve())
    under = [(len(m[1]), m[2]) for m in mounts if m[1] == "/" or f"{place}/".startswith(f"{m[1]}/")]
    return (f"journals on {max(under)[1]}",) if under else ()


def _load() -> tuple[str, ...]:
    if sys.platform == "win32":
        return ()
    return (f"load before {os.getloadavg()[0]:.1f}",)
