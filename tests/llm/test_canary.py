"""No key, account or id appears in any event, attachment, kept answer, prompt, log or error (reliability X1, row 67)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import zstandard

from kquant.events import codec
from kquant.gateways.llm import Desk, LlmError
from kquant.gateways.llm.gemini import Gemini
from kquant.gateways.llm.openai_compatible import OpenAiCompatible
from kquant.values import Seq
from tests.llm.services import SCAN_TEXT, Behaviour, FakeService, Kind, fails, hangs, raw, replies, says
from tests.llm.test_desk import PROVIDERS, Room, any_day
from tests.llm.world import KEY, llm_settings, wanted

CANARY = "CANARY"
ENVIRON = {
    "GEMINI_API_KEY": KEY,
    "DEEPSEEK_API_KEY": KEY,
    "KIS_ACCOUNT": "CANARY78-01",
    "KIS_HTS_ID": "CANARYHTS",
    "KIS_APP_KEY": "CANARYAPPKEY",
    "KIS_APP_SECRET": "CANARYSECRET",
}


async def echo(service: FakeService, request: Any, body: Any) -> Any:
    """Answer with whatever the headers held, as a proxy that debugs might."""
    text = f"{SCAN_TEXT} {dict(request.headers)}".replace('"', "'")
    return await says(text)(service, request, body)


BEHAVIOURS: dict[str, Behaviour] = {
    "good": says(),
    "echo": echo,
    "refused": fails(400, f"API key not valid: {KEY} ({quote(KEY, safe='')})"),
    "forbidden": fails(403, f"header Authorization: Bearer {KEY}"),
    "gone": fails(404, f"/v1/models?key={KEY}"),
    "unreadable": raw(f"<html>{KEY}</html>".encode()),
    "error-in-text": raw(f"{KEY}".encode(), status=400, kind="text/plain"),
    "redirect": raw(b"", status=302),
    "hangs": hangs,
    "parrot": replies(lambda user: user),
}


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_nothing_that_is_written_down_holds_a_secret(
    kind: Kind, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in ENVIRON.items():
        monkeypatch.setenv(variable, value)
    caplog.set_level(logging.DEBUG)
    async with FakeService(kind, BEHAVIOURS[name]).running() as fake:
        room = Room(any_day(llm_settings(fake.base_url, PROVIDERS[kind], timeout_seconds=1)), tmp_path, ENVIRON)
        request = wanted(valid_until=room.clock.now() + 6_000_000)
        await room.through(room.scorer(), "scorer", request)
        said = await checked(room.desk)
        await room.desk.close()
    assert fake.asked
    written = [codec.encode(fact.event).decode("utf-8", "replace") for fact in room.journal.read(Seq(0), 10_000)]
    written += [content.decode("utf-8", "replace") for content in room.store.contents.values()]
    written += [unpacked(path) for path in files_in(tmp_path)]
    written += [str(fake.asked), caplog.text, *said]
    assert len(written) > 6
    for text in written:
        assert CANARY not in text
    # The key did leave, in a header: the canary is planted where it could be found.
    assert KEY in str(fake.headers)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def unpacked(path: Path) -> str:
    return zstandard.ZstdDecompressor().decompress(path.read_bytes()).decode("utf-8", "replace")


async def checked(desk: Desk) -> list[str]:
    try:
        return list(await desk.check())
    except LlmError as error:
        return [str(error), repr(error)]


def test_a_service_shows_no_key_when_it_is_printed() -> None:
    llm = llm_settings()
    for service in (Gemini(llm.gemini, KEY), OpenAiCompatible(llm.deepseek, KEY)):
        assert CANARY not in repr(service) + str(service)
