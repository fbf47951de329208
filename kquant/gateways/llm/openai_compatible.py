"""DeepSeek, and any endpoint that speaks OpenAI's chat completions, through the openai SDK (kis-protocol 7.3).

JSON mode; thinking and its depth go in the extra body, and only when they are set, because not every server knows them.
"""

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

FINISH: dict[str, Finish] = {"stop": "stop", "length": "cut", "content_filter": "blocked"}
THINKING = {"on": "enabled", "off": "disabled"}
LIST_SECONDS = 20
NO_KEY = "none"
"""The SDK wants some key; a server that asks for none never looks at it."""


class OpenAiCompatible:
    """A `Service`. key: "" for a server that asks for none; it leaves in a header only."""

    def __init__(self, settings: LlmServiceSettings, key: str) -> None:
        self._settings = settings
        self._key = key
        self._lazy = Lazy(self._load)

    async def models(self) -> tuple[str, ...]:
        """Return the names the service lists."""
        client = await self._lazy.get()
        try:
            return tuple([str(model.id) async for model in client.models.list(timeout=LIST_SECONDS)])
        except Exception as error:  # noqa: BLE001  whatever the SDK raises is told without its text
            self._refuse(error)

    async def ask(self, job: LlmJobSettings, prompt: Prompt) -> Answer:
        """Ask once."""
        client = await self._lazy.get()
        extra: dict[str, Any] = {}
        if job.thinking != "default":
            extra["thinking"] = {"type": THINKING[job.thinking]}
        if job.effort and job.thinking != "off":
            extra["reasoning_effort"] = job.effort
        try:
            said = await client.chat.completions.create(
                model=job.model,
                messages=[{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
                response_format={"type": "json_object"},
                max_tokens=job.max_output_tokens,
                timeout=job.timeout_seconds,
                extra_body=extra or None,
            )
            return _answer(said, (self._key,))
        except Exception as error:  # noqa: BLE001  whatever the SDK raises is told without its text
            self._refuse(error)

    async def close(self) -> None:
        """Close the connections."""
        client = await self._lazy.made()
        if client is not None:
            await client.close()

    def _load(self) -> Any:
        openai = importlib.import_module("openai")
        base_url = self._settings.base_url
        unset = openai.Omit()
        return openai.AsyncOpenAI(
            api_key=self._key or NO_KEY,
            base_url=base_url,
            # What the environment holds for OpenAI itself is nobody else's business.
            default_headers={"OpenAI-Organization": unset, "OpenAI-Project": unset},
            max_retries=0,
            http_client=http_client(base_url, LIST_SECONDS),
        )

    def _refuse(self, error: Exception) -> NoReturn:
        """Tell an SDK's error in our words, without its headers, address or cause."""
        openai = importlib.import_module("openai")
        if isinstance(error, openai.APIStatusError):
            retry_after = seconds_in(error.response.headers.get("retry-after"))
            raise error_of(error.status_code, _message(error), retry_after, (self._key,)) from None
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        raise (transport_error(cause, (self._key,)) or unreadable(error)) from None


def _message(error: Any) -> str:
    """Return the service's own words, not the SDK's, which repeat the whole body."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else body
    return str(said) if said else type(error).__name__


def _answer(said: Any, secrets: tuple[str, ...]) -> Answer:
    first = said.choices[0]
    finish = FINISH.get(str(first.finish_reason), "other")
    if getattr(first.message, "refusal", None):
        finish = "blocked"
    text = first.message.content
    if text is not None and not isinstance(text, str):
        raise TypeError("the content is no text")
    used = said.usage
    return Answer(
        text=struck(text or "", secrets),
        finish=finish,
        tokens_in=_count(used and used.prompt_tokens),
        tokens_out=_count(used and used.completion_tokens),
        model=str(said.model or ""),
    )


def _count(value: Any) -> int:
    """Return a count of tokens; a service that gives none is charged by the reserve."""
    return value if isinstance(value, int) and value >= 0 else 0
