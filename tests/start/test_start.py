"""The trading process starts light: what only some requests need is imported by the first of them, or in a process of its own."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.start import NEVER_BEFORE_NEEDED
from bench.start_rig import started

ROOT = Path(__file__).parents[2]
HEAVY = NEVER_BEFORE_NEEDED | {"httpx", "httpx2", "pydantic", "requests"}
WHERE = {
    "kquant/gateways/llm/gemini.py": {"google.genai"},
    "kquant/gateways/llm/openai_compatible.py": {"openai"},
    "kquant/gateways/llm/providers.py": {"httpx2"},
    "kquant/gateways/research/sources/krx_child.py": {"pykrx", "requests"},
}
"""The only files that may name a heavy package: the SDKs with their first request, pykrx in its child process."""
EVERY_MODULE = """
import json, pkgutil, sys
import kquant
for found in pkgutil.walk_packages(kquant.__path__, "kquant."):
    if not found.name.endswith("__main__"):
        __import__(found.name)
print(json.dumps(sorted(sys.modules)))
"""


def heavy(name: str) -> str | None:
    """The heavy package a module belongs to."""
    return next((package for package in HEAVY if name == package or name.startswith(f"{package}.")), None)


def imported(node: ast.AST) -> list[str]:
    """Modules that a statement imports, or that a call of import_module names."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str(module), names=names, level=0):
            return [module, *(f"{module}.{alias.name}" for alias in names)]
        case ast.Call(func=ast.Name(id="import_module" | "__import__"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
        case _:
            return []


def test_only_the_files_that_need_a_heavy_package_name_it():
    found = {}
    for path in sorted((ROOT / "kquant").rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        packages = {heavy(name) for node in nodes for name in imported(node)} - {None}
        if packages:
            found[path.relative_to(ROOT).as_posix()] = packages
    assert found == WHERE


def test_every_module_of_kquant_together_imports_no_heavy_package():
    done = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE], check=False, cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout))
    assert {"kquant.cli.live", "kquant.gateways.research.sources.krx_child", "kquant.exchange.core.exchange"} <= modules
    assert {heavy(name) for name in modules} == {None}


@pytest.mark.parametrize(
    "statement", ["import openai", "from google import genai", "import pandas as pd", "from pykrx import stock"]
)
def test_a_heavy_import_is_seen_in_every_way_of_writing_it(statement):
    assert {heavy(name) for node in ast.walk(ast.parse(statement)) for name in imported(node)} - {None}


def test_a_run_has_its_first_registration_before_any_heavy_package_is_loaded(tmp_path):
    found = started(tmp_path, tmp_path / "bytecode", ["demo.stocks=60"])
    assert {"kquant.gateways.kis.feed.session", "kquant.gateways.llm.desk"} <= found.modules
    assert {heavy(name) for name in found.modules} == {None}
