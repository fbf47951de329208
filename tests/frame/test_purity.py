"""The pure rooms import nothing that knows a clock, a thread, a socket or chance."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "kquant"
PURE = [
    *sorted((ROOT / "domain").rglob("*.py")),
    *sorted((ROOT / "events").rglob("*.py")),
    *sorted((ROOT / "market").rglob("*.py")),
    ROOT / "values.py",
    ROOT / "krx.py",
    ROOT / "settings.py",
    ROOT / "hours.py",
]
FORBIDDEN = {
    "aiohttp", "asyncio", "logging", "os", "pathlib", "pykka", "random", "secrets", "socket", "sqlite3", "structlog",
    "subprocess", "threading", "time", "uuid", "websockets",
}  # fmt: skip


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_pure_module_imports_nothing_impure(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported & FORBIDDEN == set()


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_pure_module_never_asks_what_time_it_is(path: Path) -> None:
    called = {
        node.attr for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)
    }
    assert called & {"now", "today", "utcnow"} == set()
