"""Attachments: content in, hash out, and nothing believed that the hash does not prove."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kquant.journal import AttachmentError, Attachments
from kquant.journal import attachments as under_test


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=5_000))
def test_content_comes_back_under_its_hash(tmp_path: Path, content: bytes) -> None:
    store = Attachments(tmp_path)
    name = store.put(content)
    assert name == hashlib.sha256(content).hexdigest()
    assert name in store
    assert Attachments(tmp_path).get(name) == content


def test_equal_content_is_stored_once(tmp_path: Path) -> None:
    store = Attachments(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(store.put, [b"the same" * 1_000] * 20))
    assert len(names) == 1
    (stored,) = files(tmp_path)
    assert stored.stat().st_size < 200


@pytest.mark.parametrize("place", [0, 6, -1])
def test_a_damaged_attachment_is_refused_and_written_anew_by_the_next_put(tmp_path: Path, place: int) -> None:
    store = Attachments(tmp_path)
    name = store.put(b"content of some length")
    (path,) = files(tmp_path)
    packed = bytearray(path.read_bytes())
    packed[place] ^= 0x40
    path.write_bytes(packed)
    with pytest.raises(AttachmentError, match=f"{name} is damaged"):
        store.get(name)
    assert store.put(b"content of some length") == name
    assert store.get(name) == b"content of some length"


def test_an_attachment_under_a_foreign_name_is_refused(tmp_path: Path) -> None:
    store = Attachments(tmp_path)
    one, two = store.put(b"one"), store.put(b"two")
    store._path(two).write_bytes(store._path(one).read_bytes())
    with pytest.raises(AttachmentError, match="another hash"):
        store.get(two)


def test_a_missing_attachment_is_told(tmp_path: Path) -> None:
    name = "0" * 64
    assert name not in Attachments(tmp_path)
    with pytest.raises(AttachmentError, match=name):
        Attachments(tmp_path).get(name)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_a_hash_is_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(AttachmentError, match="64 small hex digits"):
        Attachments(tmp_path).get(name)


def test_content_and_name_are_synced_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_sync(handle)

    def replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    Attachments(tmp_path).put(b"content")
    assert order[:3] == ["file", "rename", "folder"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(under_test.os, "fsync", full)
    with pytest.raises(AttachmentError, match="No space left"):
        Attachments(tmp_path).put(b"content")
    assert files(tmp_path) == []
