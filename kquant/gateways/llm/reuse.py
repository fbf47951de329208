"""Answers kept by what was asked: the same model, settings and prompt give the recorded answer, for nothing, offline.

The files outlive the day, beside the days' folders. Losing one costs a request; a damaged one is as good as none.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

import msgspec
import zstandard
from msgspec import Struct

from kquant.gateways.llm.asked import Prompt
from kquant.gateways.llm.providers import Answer
from kquant.settings import LlmJobSettings


class Kept(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file's content. key: what it is kept under, so that a file in the wrong place is found out."""

    key: str
    answer: Answer


class Shelf:
    """The kept answers in one folder, made when the first is kept. Several runs may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def key(job: LlmJobSettings, prompt: Prompt, attempt: int) -> str:
        """Return the hash of everything that bears on the answer. attempt: a second try asks for another answer."""
        asked = (
            job.provider,
            job.model,
            job.thinking,
            job.effort,
            job.max_output_tokens,
            attempt,
            prompt.version,
            prompt.content(),
        )
        return hashlib.sha256(msgspec.msgpack.encode(asked)).hexdigest()

    def get(self, key: str) -> Answer | None:
        """Return the answer kept under *key*, None without a readable one."""
        try:
            packed = self._path(key).read_bytes()
            kept = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed), type=Kept)
        except (OSError, zstandard.ZstdError, msgspec.MsgspecError):
            return None
        return kept.answer if kept.key == key else None

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer, whole or not at all. Raises OSError."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{key}.{uuid4().hex}.tmp")
        packed = zstandard.ZstdCompressor(level=6).compress(msgspec.msgpack.encode(Kept(key=key, answer=answer)))
        try:
            part.write_bytes(packed)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.zst"
