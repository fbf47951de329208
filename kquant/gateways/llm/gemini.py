"""Gemini through google-genai's async client, with structured output (kis-protocol 7.4). The SDK is imported when used."""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

from kquant.gateways.llm.asked import Prompt
from kquant.gateways.llm.providers import (
    Answer,
    Finish,
    Lazy,
    error_of,
    http_client,
    seconds_in,
    struck,
    transport_error,
    unreadable,
)
from kquant.settings import LlmJobSettings, LlmServiceSettings

LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "max": "HIGH"}
BLOCKED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "LANGUAGE"})
LIST_SECONDS = 20


class Gemini:
    """A `Service`. key: of the Gemini API; it leaves in a header only."""

    def __init__(self, settings: LlmServiceSettings, key: str) -> None:
        self._settings = settings
        self._key = key
        self._lazy = Lazy(self._load)
        self._http: Any = None

    async def models(self) -> tuple[str, ...]:
        """Return the names the service lists, without their "models/"."""
        client = await self._lazy.get()
        try:
            pager = await client.aio.models.list(config={"http_options": {"timeout": LIST_SECONDS * 1_000}})
            return tuple([str(model.name).removeprefix("models/") async for model in pager])
        except Exception as error:  # noqa: BLE001  whatever the SDK raises is told without its text
            self._refuse(error)

    async def ask(self, job: LlmJobSettings, prompt: Prompt) -> Answer:
        """Ask once."""
        client = await self._lazy.get()
        try:
            said = await client.aio.models.generate_content(
                model=job.model, contents=prompt.user, config=_config(job, prompt)
            )
            return _answer(said, (self._key,))
        except Exception as error:  # noqa: BLE001  whatever the SDK raises is told without its text
            self._refuse(error)

    async def close(self) -> None:
        """Close the connections."""
        client = await self._lazy.made()
        if client is not None:
            # The SDK leaves a client that it was given, and the one for callers without a loop, to whoever made it.
            await client.aio.aclose()
            await self._http.aclose()
            client.close()

    def _load(self) -> Any:
        genai = importlib.import_module("google.genai")
        base_url = self._settings.base_url
        self._http = http_client(base_url, LIST_SECONDS)
        options = {"base_url": base_url, "httpx_async_client": self._http}
        return genai.Client(api_key=self._key, vertexai=False, http_options=options)

    def _refuse(self, error: Exception) -> NoReturn:
        """Tell an SDK's error in our words, without its headers, address or cause."""
        errors = importlib.import_module("google.genai.errors")
        if isinstance(error, errors.APIError):
            raise error_of(error.code, str(error.message), _retry_after(error), (self._key,)) from None
        raise (transport_error(error, (self._key,)) or unreadable(error)) from None


def _config(job: LlmJobSettings, prompt: Prompt) -> Any:
    level = "MINIMAL" if job.thinking == "off" else LEVELS.get(job.effort)
    types = importlib.import_module("google.genai.types")
    return types.GenerateContentConfig(
        system_instruction=prompt.system,
        response_mime_type="application/json",
        response_json_schema=prompt.answer,
        max_output_tokens=job.max_output_tokens,
        candidate_count=1,
        automatic_function_calling={"disable": True},
        http_options={"timeout": job.timeout_seconds * 1_000},
        thinking_config={"thinking_level": level} if level else None,
    )


def _retry_after(error: Any) -> float | None:
    """Return the delay of google.rpc.RetryInfo, else of the header (seconds)."""
    details = error.details.get("error", error.details) if isinstance(error.details, dict) else {}
    for detail in details.get("details") or [] if isinstance(details, dict) else []:
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            return seconds_in(detail.get("retryDelay"))
    headers = getattr(error.response, "headers", None)
    return None if headers is None else seconds_in(headers.get("retry-after"))


def _answer(said: Any, secrets: tuple[str, ...]) -> Answer:
    used = said.usage_metadata
    tokens_in = _count(used and used.prompt_token_count)
    tokens_out = _count(used and used.candidates_token_count) + _count(used and used.thoughts_token_count)
    text = ""
    finish: Finish = "other"
    if said.candidates:
        first = said.candidates[0]
        finish = _finish(str(getattr(first.finish_reason, "name", first.finish_reason)))
        parts = first.content.parts if first.content is not None else None
        text = "".join(part.text for part in parts or () if part.text and not part.thought)
    elif said.prompt_feedback is not None and said.prompt_feedback.block_reason is not None:
        finish = "blocked"
    return Answer(
        text=struck(text, secrets),
        finish=finish,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        model=str(said.model_version or ""),
    )


def _finish(name: str) -> Finish:
    if name == "STOP":
        return "stop"
    if name == "MAX_TOKENS":
        return "cut"
    return "blocked" if name in BLOCKED else "other"


def _count(value: Any) -> int:
    """Return a count of tokens; a service that gives none is charged by the reserve."""
    return value if isinstance(value, int) and value >= 0 else 0
