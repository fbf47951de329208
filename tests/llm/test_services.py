"""The real SDKs against loopback servers: what each answer of a service becomes (kis-protocol 7.3, 7.4)."""

from __future__ import annotations

from typing import Any

import pytest

from kquant.gateways.llm.asked import scan_prompt
from kquant.gateways.llm.gemini import Gemini
from kquant.gateways.llm.openai_compatible import OpenAiCompatible
from kquant.gateways.llm.providers import BODY_BYTES, Answer, Lazy, Service, ServiceError
from kquant.settings import LlmJobSettings
from tests.llm.services import (
    SCAN_TEXT,
    Behaviour,
    FakeService,
    Kind,
    answer_body,
    drips,
    fails,
    hangs,
    hangs_up,
    raw,
    says,
)
from tests.llm.world import KEY, llm_settings, wanted

KINDS: tuple[Kind, ...] = ("gemini", "openai")
PROMPT = scan_prompt("scan-1", wanted())


def service_of(fake: FakeService, **changes: Any) -> tuple[Service, LlmJobSettings]:
    provider = "gemini" if fake.kind == "gemini" else "deepseek"
    llm = llm_settings(fake.base_url, provider, **changes)
    made = Gemini(llm.gemini, KEY) if provider == "gemini" else OpenAiCompatible(llm.deepseek, KEY)
    return made, llm.scan


async def ask(kind: Kind, behaviour: Behaviour, **changes: Any) -> tuple[Answer, FakeService]:
    async with FakeService(kind, behaviour).running() as fake:
        service, job = service_of(fake, **changes)
        try:
            return await service.ask(job, PROMPT), fake
        finally:
            await service.close()


async def refused(kind: Kind, behaviour: Behaviour, **changes: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await ask(kind, behaviour, **changes)
    assert caught.value.__suppress_context__
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_is_its_text_without_the_thinking_and_its_tokens_with_it(kind: Kind) -> None:
    answer, _ = await ask(kind, says())
    assert (answer.text, answer.finish, answer.tokens_in, answer.tokens_out) == (SCAN_TEXT, "stop", 1_500, 200)


async def test_gemini_is_asked_for_structured_output_with_the_key_in_a_header_only() -> None:
    _, fake = await ask("gemini", says(), thinking="off")
    [body], [headers] = fake.asked, fake.headers
    config = body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["required"] == ["persistence", "volume", "momentum", "risk"]
    # The SDK writes this one name as it is; the service takes both.
    assert config["thinkingConfig"] == {"thinking_level": "MINIMAL"}
    assert body["systemInstruction"]["parts"][0]["text"] == PROMPT.system
    assert headers["x-goog-api-key"] == KEY
    assert KEY not in str(body)


@pytest.mark.parametrize(
    ("thinking", "effort", "sent"),
    [
        ("on", "high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("off", "high", {"thinking": {"type": "disabled"}}),
        ("default", "", {}),
    ],
)
async def test_deepseek_is_asked_in_json_mode_and_told_to_think_only_when_that_is_set(
    thinking: str, effort: str, sent: dict[str, Any]
) -> None:
    _, fake = await ask("openai", says(), thinking=thinking, effort=effort)
    [body], [headers] = fake.asked, fake.headers
    assert body["response_format"] == {"type": "json_object"}
    assert {key: value for key, value in body.items() if key in {"thinking", "reasoning_effort"}} == sent
    # JSON mode wants the word and an example in the prompt.
    assert "JSON" in body["messages"][0]["content"]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert not {name.lower() for name in headers} & {"openai-organization", "openai-project"}


async def test_what_the_environment_holds_for_openai_stays_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-canary")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1")
    _, fake = await ask("openai", says())
    assert "canary" not in str(fake.headers).replace(KEY, "")


async def test_what_the_environment_holds_for_google_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "another")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
    _, fake = await ask("gemini", says())
    assert fake.headers[0]["x-goog-api-key"] == KEY


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_server_on_this_machine_is_never_asked_through_a_proxy(
    kind: Kind, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(proxy, "http://127.0.0.1:1")
    answer, _ = await ask(kind, says())
    assert answer.finish == "stop"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("finish", ["cut", "blocked"])
async def test_a_cut_and_a_withheld_answer_say_so(kind: Kind, finish: str) -> None:
    answer, _ = await ask(kind, says('{"persis', finish))
    assert (answer.finish, answer.text) == (finish, '{"persis')


@pytest.mark.parametrize("kind", KINDS)
async def test_empty_content_is_an_answer_without_text(kind: Kind) -> None:
    answer, _ = await ask(kind, says(None))
    assert (answer.text, answer.tokens_in) == ("", 1_500)


async def test_a_blocked_prompt_is_a_withheld_answer() -> None:
    body = b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":9}}'
    answer, _ = await ask("gemini", raw(body))
    assert (answer.text, answer.finish, answer.tokens_in) == ("", "blocked", 9)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_429_carries_its_delay(kind: Kind) -> None:
    error = await refused(kind, fails(429, "slow down", delay="7s"))
    assert (error.outcome, error.retry_after, error.billed, error.lasting) == ("limited", 7.0, False, False)
    assert str(error) == "429: slow down"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "outcome", "lasting"),
    [
        (500, "overloaded", False),
        (503, "overloaded", False),
        (404, "gone", True),
        (400, "refused", False),
        (401, "refused", True),
        (402, "refused", True),
        (403, "refused", True),
    ],
)
async def test_every_status_means_one_thing(kind: Kind, status: int, outcome: str, lasting: bool) -> None:
    error = await refused(kind, fails(status))
    assert (error.outcome, error.lasting, error.billed) == (outcome, lasting, False)


@pytest.mark.parametrize("kind", KINDS)
async def test_one_call_is_one_request_whatever_the_sdk_would_retry(kind: Kind) -> None:
    async with FakeService(kind, fails(503)).running() as fake:
        service, job = service_of(fake)
        with pytest.raises(ServiceError):
            await service.ask(job, PROMPT)
        await service.close()
        assert len(fake.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behaviour", [hangs, drips], ids=["hangs", "drips"])
async def test_a_service_that_does_not_answer_is_left_after_its_time(kind: Kind, behaviour: Behaviour) -> None:
    error = await refused(kind, behaviour, timeout_seconds=1)
    assert (error.outcome, error.billed) == ("late", True)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_line_that_breaks_in_the_answer_may_have_cost(kind: Kind) -> None:
    error = await refused(kind, hangs_up)
    assert (error.outcome, error.billed) == ("broken", True)


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_there_costs_nothing(kind: Kind) -> None:
    fake = FakeService(kind, says())
    fake.base_url = "http://127.0.0.1:9"
    service, job = service_of(fake)
    with pytest.raises(ServiceError) as caught:
        await service.ask(job, PROMPT)
    await service.close()
    assert (caught.value.outcome, caught.value.billed) == ("broken", False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Service is busy",
        b"<html>",
        b'{"candidates": 7, "choices": 7}',
        b'{"candidates":[{"content":{"parts":[{"text":5}]}}],"choices":[{"message":{"content":5}}]}',
        b'{"candidates": [',
        b"null",
        b"[]",
        b'{"choices":[]}' + b" " * 10,
        b"\xff\xfe\x00",
    ],
)
async def test_an_answer_in_no_known_form_is_one_error_or_no_text(kind: Kind, content: bytes) -> None:
    try:
        answer, _ = await ask(kind, raw(content))
    except ServiceError as error:
        assert error.outcome == "broken"  # noqa: PT017  either is right; nothing else is
    else:
        assert answer.text == ""


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_of_five_megabytes_is_not_read(kind: Kind) -> None:
    error = await refused(kind, says("x" * (5 << 20)))
    assert (error.outcome, error.billed) == ("broken", True)
    assert f"{BODY_BYTES:,}" in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_invalid_utf_8_never_raises_anything_else(kind: Kind) -> None:
    import msgspec

    content = msgspec.json.encode(answer_body(kind, "MARK")).replace(b"MARK", b"\xff\xfe\xfa")
    try:
        answer, _ = await ask(kind, raw(content))
    except ServiceError as error:
        assert error.outcome == "broken"  # noqa: PT017
    else:
        assert not answer.text.strip("\ufffd")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_list_of_models_comes_without_prefixes(kind: Kind) -> None:
    async with FakeService(kind, says(), models=("one", "two")).running() as fake:
        service, _ = service_of(fake)
        assert await service.models() == ("one", "two")
        await service.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_an_error_never_repeats_the_key(kind: Kind, status: int) -> None:
    from urllib.parse import quote

    error = await refused(kind, fails(status, f"bad key {KEY}, ?key={quote(KEY, safe='')} at /v1"))
    for text in (str(error), repr(error), str(error.__cause__)):
        assert "CANARY" not in text


async def test_an_sdk_that_is_not_installed_is_told_with_what_to_install() -> None:
    def load() -> Any:
        raise ModuleNotFoundError(name="openai")

    lazy = Lazy(load)
    assert await lazy.made() is None
    with pytest.raises(ServiceError, match="openai is not installed: install kquant with its extra llm") as caught:
        await lazy.get()
    assert caught.value.lasting
    assert await lazy.made() is None
