"""Loopback servers that speak the services' wire formats (kis-protocol 7.3, 7.4), so that the real SDKs run in tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiohttp import web

Kind = Literal["gemini", "openai"]
Body = dict[str, Any]
Behaviour = Callable[["FakeService", web.Request, Body], Awaitable[web.StreamResponse]]

SCAN_TEXT = (
    '{"persistence":{"score":20,"reason":"3회 연속"},"volume":{"score":12,"reason":"180 %"},'
    '"momentum":{"score":18,"reason":"+40 bp"},"risk":{"score":10,"reason":"900 bp below the limit"}}'
)
TOKENS = (1_500, 200)


class FakeService:
    """Answers as scripted, one behaviour a request, the last one for all that follow; keeps what it was asked."""

    def __init__(
        self, kind: Kind, *script: Behaviour, models: tuple[str, ...] = ("gemini-3.5-flash-lite", "deepseek-flash")
    ) -> None:
        self.kind = kind
        self.script = list(script)
        self.models = models
        self.asked: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.lists = 0
        self.released = asyncio.Event()
        self.base_url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeService]:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/models", self._list)
        app.router.add_get("/{version}/models", self._list)
        app.router.add_post("/chat/completions", self._ask)
        app.router.add_post("/{version}/models/{model}", self._ask)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.released.set()
            await runner.cleanup()

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.lists += 1
        self.headers.append(dict(request.headers))
        if self.kind == "gemini":
            return web.json_response({"models": [{"name": f"models/{name}"} for name in self.models]})
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read())
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        behaviour = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await behaviour(self, request, body)

    def user_text(self, place: int = -1) -> str:
        """Return the user part of what was asked."""
        asked = self.asked[place]
        if self.kind == "gemini":
            return str(asked["contents"][0]["parts"][0]["text"])
        return str(asked["messages"][1]["content"])


def answer_body(kind: Kind, text: str | None, finish: str = "stop", tokens: tuple[int, int] = TOKENS) -> Body:
    """Return a service's answer. finish: stop, cut or blocked."""
    if kind == "gemini":
        reason = {"stop": "STOP", "cut": "MAX_TOKENS", "blocked": "SAFETY"}[finish]
        parts = [] if text is None else [{"text": "a thought", "thought": True}, {"text": text}]
        return {
            "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": 0}],
            "usageMetadata": {
                "promptTokenCount": tokens[0],
                "candidatesTokenCount": tokens[1] - 50,
                "thoughtsTokenCount": 50,
                "totalTokenCount": sum(tokens),
            },
            "modelVersion": "gemini-3.5-flash-lite",
        }
    reason = {"stop": "stop", "cut": "length", "blocked": "content_filter"}[finish]
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "deepseek-flash",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "reasoning_content": "a thought"},
                "finish_reason": reason,
            }
        ],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
    }


def says(text: str | None = SCAN_TEXT, finish: str = "stop", tokens: tuple[int, int] = TOKENS) -> Behaviour:
    async def behave(service: FakeService, _request: web.Request, _body: Body) -> web.StreamResponse:
        return web.json_response(answer_body(service.kind, text, finish, tokens))

    return behave


def replies(make: Callable[[str], str]) -> Behaviour:
    """Answer with what *make* gives for the user part."""

    async def behave(service: FakeService, _request: web.Request, _body: Body) -> web.StreamResponse:
        return web.json_response(answer_body(service.kind, make(service.user_text())))

    return behave


def fails(status: int, message: str = "no", *, delay: str = "", headers: dict[str, str] | None = None) -> Behaviour:
    """Refuse as the service does. delay: of google.rpc.RetryInfo, or the header's for OpenAI's."""

    async def behave(service: FakeService, _request: web.Request, _body: Body) -> web.StreamResponse:
        if service.kind == "gemini":
            details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}] if delay else []
            body: Any = {"error": {"code": status, "message": message, "status": "SOME_STATUS", "details": details}}
            return web.json_response(body, status=status, headers=headers)
        body = {"error": {"message": message, "type": "some", "code": "some"}}
        return web.json_response(
            body, status=status, headers={**(headers or {}), **({"Retry-After": delay} if delay else {})}
        )

    return behave


def raw(content: bytes, *, status: int = 200, kind: str = "application/json") -> Behaviour:
    async def behave(_service: FakeService, _request: web.Request, _body: Body) -> web.StreamResponse:
        return web.Response(body=content, status=status, content_type=kind)

    return behave


async def hangs(service: FakeService, _request: web.Request, _body: Body) -> web.StreamResponse:
    """Say nothing until the server closes."""
    await service.released.wait()
    return web.Response()


async def drips(service: FakeService, request: web.Request, _body: Body) -> web.StreamResponse:
    """Send the headers and blank lines, then nothing more, as an overloaded DeepSeek keeps a line alive."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b"\n\n")
    await service.released.wait()
    return response


async def hangs_up(_service: FakeService, request: web.Request, _body: Body) -> web.StreamResponse:
    """Close the line in the middle of the answer."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices"')
    assert request.transport is not None
    request.transport.close()
    return response
