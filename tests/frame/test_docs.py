"""What the pages for users name is there: commands with their options, settings, codes, files, variables, links."""

import configparser
import contextlib
import io
import re
import shlex
import tomllib
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kquant.cli import codes, main
from kquant.config import load
from kquant.events import codec
from kquant.exchange.faults import faults_from_toml
from kquant.exchange.servers.fault_options import read_faults

ROOT = Path(__file__).parents[2]
NAMES = (
    "README.md",
    "README.ko.md",
    *(f"docs/{name}.md" for name in ("guide", "operations", "exchange", "hours", "scoring", "research")),
)
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
ALL = "\n".join(PAGES.values()).replace("\\\n", " ")
NESTED = ("replay", "config", "market", "scores")
COMMAND = re.compile(r"(?<![\w/@-])kquant ([a-z]+)(?: ([a-z]+)(?![\w=.]))?([^`\n|]*)")
COMMANDS = (
    "run",
    "init",
    "exchange",
    "status",
    "halt",
    "resume",
    "flatten",
    "arm",
    "disarm",
    "events",
    "why",
    "report",
    *NESTED,
)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
SETTINGS = load("demo", environ={})
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "kquant").rglob("*.py")))
FILE_ENDS = (".sqlite", ".blocks", ".toml", ".json", ".html", ".py", ".md")
HELP = {"--help", "--json"}
"""What every command is said to have, without naming one."""
UNIT = ROOT / "deploy" / "systemd" / "kquant@.service"
TASK = ROOT / "deploy" / "windows" / "kquant-task.xml"
BUILD = ROOT / "deploy" / "container" / "Containerfile"


def shown(text: str) -> list[tuple[tuple[str, ...], str]]:
    """Return every `kquant …` command in a text: its words, and what follows them."""
    found: list[tuple[tuple[str, ...], str]] = []
    for first, second, rest in COMMAND.findall(text):
        if first in COMMANDS:
            nested = first in NESTED
            found.append(((first, second) if nested else (first,), rest if nested else f" {second}{rest}"))
    return found


@cache
def help_of(command: tuple[str, ...]) -> str:
    """Return what a command says of itself; it ends with code 0."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        try:
            code: object = main([*command, "--help"])
        except SystemExit as end:  # the look-alike reads its own command line
            code = end.code
    assert code == 0
    return out.getvalue()


@pytest.mark.parametrize("command", sorted({words for words, _ in shown(ALL)}), ids=" ".join)
def test_every_command_shown_explains_itself_and_has_the_options_shown(command: tuple[str, ...]) -> None:
    known = set(OPTION.findall(help_of(command)))
    named = {option for words, rest in shown(ALL) if words == command for option in OPTION.findall(rest)}
    assert named <= known | HELP, f"kquant {' '.join(command)} has no {', '.join(sorted(named - known))}"


def test_the_guide_has_every_command_with_every_option() -> None:
    table = PAGES["docs/guide.md"].split("## Every command")[1].split("\n\n")[1]
    rows = {}
    for line in table.splitlines():
        cells = line.split("|")
        for words, _ in shown(cells[1]):
            rows[words] = set(OPTION.findall(cells[2]))
    assert {words[0] for words in rows} == set(COMMANDS)
    for words, options in rows.items():
        if words != ("exchange",):
            known = {option for option in OPTION.findall(help_of(words)) if not option.startswith("--no-")} - HELP
            positional = set(re.findall(r"^│ (?:\* )? *[A-Z]{3,} (--[a-z]+)", help_of(words), re.MULTILINE))
            assert {option.replace("--no-", "--") for option in options} == known - positional, words


def test_no_word_after_kquant_that_looks_like_a_command_is_unknown() -> None:
    blocks = re.findall(r"^kquant (\w+)", "\n".join(re.findall(r"```\n(.*?)```", ALL, re.DOTALL)), re.MULTILINE)
    assert blocks
    assert set(blocks) <= set(COMMANDS)


def is_known(name: str) -> bool:
    """Tell whether a dotted name is a setting, a section of settings, or a stored event."""
    return (
        name in SETTINGS.origins or name in codec.EVENTS or any(key.startswith(f"{name}.") for key in SETTINGS.origins)
    )


def test_every_setting_named_exists() -> None:
    sections = {key.partition(".")[0] for key in SETTINGS.origins}
    dotted = {
        name
        for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", ALL)
        if name.partition(".")[0] in sections and not name.endswith(FILE_ENDS)
    }
    given = set(re.findall(r"--set '?([a-z_]+(?:\.[a-z_]+)+)=", ALL)) | set(re.findall(r"`\[([a-z_.]+)\]`", ALL))
    assert len(dotted) > 20
    assert [name for name in sorted((dotted | given) - {"section.key"}) if not is_known(name)] == []


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", ALL, re.DOTALL), ids=lambda text: text.split("\n")[0])
def test_every_file_shown_is_taken(text: str, tmp_path: Path) -> None:
    if "fault" in tomllib.loads(text):
        assert faults_from_toml(text)
        return
    mine = tmp_path / "mine.toml"
    mine.write_text(text, encoding="utf-8")
    assert str(mine) in set(load("paper", file=mine, environ={}).origins.values())


def test_every_fault_shown_can_be_set() -> None:
    lists = [msgspec.json.decode(text) for text in re.findall(r"demo\.faults=(\[.*?\])'", ALL)]
    specs = [spec for one in lists for spec in one] + re.findall(r"--faults ([a-z_]+:\S+)", ALL)
    assert len(specs) > 3
    for spec in specs:
        assert read_faults(spec.rstrip("`"))


def test_every_code_of_kis_that_is_explained_is_known_to_the_program() -> None:
    named = set(re.findall(r"\b(?:EGW|OPSP|OPSQ|IGW)\d+\b", ALL))
    assert len(named) > 10
    assert [code for code in sorted(named) if code not in SOURCES] == []


def test_every_line_of_an_error_that_is_explained_is_said_by_the_program() -> None:
    table = PAGES["docs/guide.md"].split("## When something goes wrong")[1].split("\n## ")[0]
    texts = [
        part.strip()
        for cell in re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
        for quoted in re.findall(r"`([^`]+)`", cell)
        for part in quoted.split("…")
        if part.strip()
    ]
    assert len(texts) > 10
    spoken = re.sub(r"\{[^{}]*\}", " ", SOURCES)
    assert [text for text in texts if text not in SOURCES and " ".join(text.split()) not in spoken] == []


def test_every_variable_named_is_read_somewhere() -> None:
    broker: dict[str, Any] = msgspec.to_builtins(SETTINGS.settings.broker)
    known = {value for name, value in broker.items() if name.endswith("_env")} | {"KQUANT_SECTION__KEY"}
    known |= {f"KQUANT_EXCHANGE_{name}" for name in ("APPKEY", "APPSECRET", "PAPER_APPKEY", "PAPER_APPSECRET")}
    assert set(re.findall(r"\b(?:KIS|KQUANT)_[A-Z_]+[A-Z]\b", ALL)) <= known


def test_every_exit_code_is_explained() -> None:
    known = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, int)}
    table = PAGES["docs/guide.md"].split("| exit code |")[1].split("\n\n")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == known


def test_every_link_of_every_page_leads_somewhere() -> None:
    for name in (*NAMES, *(f"docs/{page}.md" for page in ("architecture", "glossary", "tests"))):
        for target in re.findall(r"\]\(([^)#: ]+)(?:#[^)]*)?\)", (ROOT / name).read_text(encoding="utf-8")):
            assert ((ROOT / name).parent / target).exists(), f"{name} links {target}"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"deploy[/\\][\w@./\\-]+", ALL))))
def test_every_deployment_file_named_is_there(path: str) -> None:
    assert (ROOT / path.rstrip(".").replace("\\", "/")).is_file()


def options_are_good(words: list[str]) -> None:
    """Check the arguments of a `kquant run …` in a deployment file."""
    assert words[0] == "run"
    named = set(OPTION.findall(" ".join(words)))
    assert named <= set(OPTION.findall(help_of(("run",))))


def test_the_systemd_unit_starts_the_run_and_restarts_what_recovers_alone() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    service = unit["Service"]
    options_are_good(shlex.split(service["ExecStart"])[1:])
    assert "--profile %i" in service["ExecStart"]
    assert "time-sync.target" in unit["Unit"]["After"].split()
    assert service["Restart"] == "on-failure"
    assert set(service["RestartPreventExitStatus"].split()) == {str(codes.BAD_INPUT), str(codes.BUSY)}
    assert service["SuccessExitStatus"] == str(codes.INTERRUPTED)
    assert service["KillSignal"] == "SIGTERM"
    assert service["ExecStart"].endswith(f"--data {service['WorkingDirectory']}/data")
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    assert f"HOME={service['WorkingDirectory']}" in service["Environment"].split()
    assert (service["StateDirectoryMode"], service["UMask"], service["LimitCORE"]) == ("0700", "0077", "0")
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_the_windows_task_starts_the_run_and_is_never_ended_by_its_age() -> None:
    text = TASK.read_text(encoding="utf-8")
    # PowerShell hands the text over as UTF-16: a declared encoding would contradict it.
    assert "encoding=" not in text.splitlines()[0]
    task = ET.fromstring(text)  # noqa: S314  our own file
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}

    def of(path: str) -> str | None:
        return task.findtext(path, namespaces=space)

    arguments = of("t:Actions/t:Exec/t:Arguments")
    assert arguments is not None
    options_are_good(arguments.split())
    assert of("t:Settings/t:ExecutionTimeLimit") == "PT0S"
    assert of("t:Settings/t:MultipleInstancesPolicy") == "IgnoreNew"
    assert of("t:Settings/t:WakeToRun") == "true"
    assert (of("t:Triggers/t:CalendarTrigger/t:StartBoundary") or "").endswith("+09:00")


def test_the_container_is_built_of_files_that_are_there_and_holds_no_key() -> None:
    text = BUILD.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources)
    for lock in re.findall(r"requirements/\w+\.txt", text):
        assert (ROOT / lock).is_file()
    [command] = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    options_are_good(msgspec.json.decode(command))
    assert msgspec.json.decode(re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)[0])[0].endswith("/kquant")
    [variables] = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    given = dict(pair.split("=", 1) for pair in variables.split())
    load("paper", environ={name: value for name, value in given.items() if name.startswith("KQUANT_")})
    assert not re.search(r"KIS_|appsecret|app_secret", text)
    assert "\nUSER kquant\n" in text
