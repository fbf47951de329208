"""The tape: round trips, restarts, torn ends, damaged middles, failing disks."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.journal import MemoryTape, Tape, TapeError, TapeReader, TapeRecord, TapeWriter
from kquant.journal import _disk as disk
from kquant.journal import tape as under_test
from kquant.journal.tapefile import KINDS, MAX_DATA, Kind
from kquant.values import Micros

ROOT = Path(__file__).parents[2]
BLOCKS = "tape.blocks"

INPUTS = st.tuples(st.sampled_from(KINDS), st.integers(-(2**63), 2**63 - 1).map(Micros), st.binary(max_size=60))


def some(count: int, start: int = 1) -> list[tuple[Kind, Micros, bytes]]:
    return [("frame", Micros(n), f"0|H0STCNT0|001|005930^{n}".encode()) for n in range(start, start + count)]


def write(folder: Path, inputs: list[tuple[Kind, Micros, bytes]], block_records: int = 10) -> None:
    writer = TapeWriter(folder, block_records)
    for kind, at, data in inputs:
        writer.append(kind, at, data)
    writer.close()


def crash(writer: TapeWriter, folder: Path) -> Path:
    """Return a copy of the folder as a crash would leave it now."""
    copy = folder.with_name(f"{folder.name}-crashed")
    shutil.copytree(folder, copy)
    writer.close()
    return copy


def expected(inputs: list[tuple[Kind, Micros, bytes]]) -> list[TapeRecord]:
    return [TapeRecord(place, at, kind, data) for place, (kind, at, data) in enumerate(inputs, 1)]


def raws(folder: Path) -> list[Path]:
    return sorted(folder.glob("tape.*.raw"))


@pytest.mark.parametrize("make", [MemoryTape, None])
def test_both_tapes_give_back_what_was_appended(tmp_path: Path, make: type[MemoryTape] | None) -> None:
    tape: Tape = make() if make else TapeWriter(tmp_path, 3)
    inputs = [(kind, Micros(n), bytes([n])) for n, kind in enumerate(KINDS)]
    assert tape.place == 0
    assert [tape.append(*each[:2], each[2]) for each in inputs] == list(range(1, len(inputs) + 1))
    assert tape.place == tape.flush() == tape.sync() == len(inputs)
    assert list(tape if isinstance(tape, MemoryTape) else TapeReader(tmp_path)) == expected(inputs)
    for kind, data in (("gossip", b""), ("frame", bytes(MAX_DATA + 1))):
        with pytest.raises(TapeError, match="does not fit"):
            tape.append(kind, Micros(1), data)  # type: ignore[arg-type]
    assert tape.place == len(inputs)
    tape.close()
    tape.close()
    with pytest.raises(TapeError, match="closed"):
        tape.append("frame", Micros(1), b"")


@settings(max_examples=60, deadline=None)
@given(runs=st.lists(st.lists(INPUTS, max_size=25), max_size=4), block=st.integers(1, 9), after=st.integers(0, 60))
def test_what_several_writers_wrote_one_after_the_other_is_one_tape(
    runs: list[list[tuple[Kind, Micros, bytes]]], block: int, after: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, [])
        for inputs in runs:
            write(folder, inputs, block)
        whole = expected([each for inputs in runs for each in inputs])
        assert list(TapeReader(folder)) == whole
        assert list(TapeReader(folder, after)) == whole[after:]
        assert raws(folder) == []


@settings(max_examples=150, deadline=None)
@given(
    inputs=st.lists(INPUTS, min_size=1, max_size=30),
    block=st.integers(1, 12),
    flushes=st.integers(1, 6),
    data=st.data(),
)
def test_a_tape_torn_anywhere_keeps_every_record_before_the_cut(
    inputs: list[tuple[Kind, Micros, bytes]], block: int, flushes: int, data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name) / "day"
        writer = TapeWriter(folder, 1_000)
        for kind, at, content in inputs[: len(inputs) // 2]:
            writer.append(kind, at, content)
        writer.close()
        writer = TapeWriter(folder, 1_000)
        for number, (kind, at, content) in enumerate(inputs[len(inputs) // 2 :]):
            writer.append(kind, at, content)
            if number % flushes == 0:
                writer.flush()
        writer.flush()
        crashed = crash(writer, folder)
        (raw,) = raws(crashed)
        stored = raw.read_bytes()
        cut = data.draw(st.integers(0, len(stored)))
        raw.write_bytes(stored[:cut])
        whole = expected(inputs)

        before = list(TapeReader(crashed))
        assert before == whole[: len(before)]
        assert len(before) >= len(inputs) // 2
        resumed = TapeWriter(crashed, block)
        assert resumed.place == len(before)
        assert resumed.append("second", Micros(7), b"more") == len(before) + 1
        resumed.close()
        assert list(TapeReader(crashed)) == [*before, TapeRecord(len(before) + 1, Micros(7), "second", b"more")]
        torn = b"".join(path.read_bytes() for path in crashed.glob("*.torn"))
        assert stored[:cut].endswith(torn)
        if cut == len(stored):
            assert before == whole
            assert torn == b""


@settings(max_examples=100, deadline=None)
@given(where=st.integers(0, 2**16), byte=st.integers(0, 255), data=st.data())
def test_a_changed_byte_in_a_sealed_block_names_the_block(where: int, byte: int, data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, some(35), 10)
        stored = (folder / BLOCKS).read_bytes()
        place = where % len(stored)
        (folder / BLOCKS).write_bytes(stored[:place] + bytes([byte]) + stored[place + 1 :])
        if stored[place] == byte:
            assert list(TapeReader(folder)) == expected(some(35))
            return
        for opening in (lambda: list(TapeReader(folder)), lambda: TapeWriter(folder)):
            with pytest.raises(TapeError, match=r"block [1-4] \(from place (1|11|21|31)\) is damaged|not a tape"):
                opening()


def test_nothing_is_flushed_before_its_time_and_a_flush_is_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = TapeWriter(tmp_path, 100)
    writes: list[int] = []
    real = os.write
    monkeypatch.setattr(disk.os, "write", lambda handle, data: writes.append(len(data)) or real(handle, data))
    for kind, at, data in some(50):
        writer.append(kind, at, data)
    assert writes == []
    assert list(TapeReader(tmp_path)) == []
    assert writer.flush() == 50
    assert len(writes) == 1
    writer.flush()
    assert len(writes) == 1
    assert list(TapeReader(tmp_path)) == expected(some(50))
    writer.close()


def test_full_blocks_are_sealed_and_much_smaller(tmp_path: Path) -> None:
    write(tmp_path, some(5_000), 1_000)
    assert [path.name for path in tmp_path.iterdir()] == [BLOCKS]
    assert (tmp_path / BLOCKS).stat().st_size < sum(len(data) for _, _, data in some(5_000)) / 3


def test_a_reader_beside_a_writer_sees_a_prefix_without_gap(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path, 7)
    inputs = some(600)

    def go() -> None:
        for number, (kind, at, data) in enumerate(inputs):
            writer.append(kind, at, data)
            if number % 5 == 0:
                writer.flush()
        writer.flush()

    thread = Thread(target=go)
    thread.start()
    whole = expected(inputs)
    seen = 0
    while thread.is_alive():
        found = list(TapeReader(tmp_path))
        assert found == whole[: len(found)]
        assert len(found) >= seen
        seen = len(found)
    thread.join()
    writer.sync()
    assert list(TapeReader(tmp_path)) == whole
    writer.close()
    assert list(TapeReader(tmp_path)) == whole


def test_a_block_half_written_by_a_crash_is_sealed_again_from_its_raw_file(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path / "a", 1_000)
    for kind, at, data in some(20):
        writer.append(kind, at, data)
    writer.flush()
    crashed = crash(writer, tmp_path / "a")
    sealed = (tmp_path / "a" / BLOCKS).read_bytes()
    for size in range(len((crashed / BLOCKS).read_bytes()), len(sealed) + 1, 7):
        copy = tmp_path / f"copy-{size}"
        shutil.copytree(crashed, copy)
        (copy / BLOCKS).write_bytes(sealed[:size])
        assert list(TapeReader(copy)) == expected(some(20))
        write(copy, some(3, 21))
        assert list(TapeReader(copy)) == expected(some(23))
        assert raws(copy) == []


def test_a_raw_file_whose_block_is_sealed_is_not_sealed_twice(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path / "a", 1_000)
    for kind, at, data in some(20):
        writer.append(kind, at, data)
    writer.flush()
    crashed = crash(writer, tmp_path / "a")
    shutil.copy(tmp_path / "a" / BLOCKS, crashed / BLOCKS)
    assert list(TapeReader(crashed)) == expected(some(20))
    write(crashed, some(1, 21))
    assert list(TapeReader(crashed)) == expected(some(21))


def test_damage_in_the_middle_of_a_raw_file_is_named_and_nothing_is_cut(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path / "a", 1_000)
    for kind, at, data in some(20):
        writer.append(kind, at, data)
    writer.flush()
    crashed = crash(writer, tmp_path / "a")
    (raw,) = raws(crashed)
    stored = raw.read_bytes()
    middle = stored.index(b"^9")
    # In the data, in the length before it, and in the file's own beginning.
    for place, says in ((middle, "place 9 is damaged"), (middle - 40, "place [89] is damaged"), (2, "is damaged")):
        damaged = stored[:place] + bytes([stored[place] ^ 0x55]) + stored[place + 1 :]
        raw.write_bytes(damaged)
        with pytest.raises(TapeError, match=says):
            TapeWriter(crashed)
        assert raw.read_bytes() == damaged
        assert list(crashed.glob("*.torn")) == []


def test_zeros_at_the_end_after_a_power_loss_are_cut_and_kept_beside(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path / "a", 1_000)
    for kind, at, data in some(5):
        writer.append(kind, at, data)
    writer.flush()
    crashed = crash(writer, tmp_path / "a")
    (raw,) = raws(crashed)
    raw.write_bytes(raw.read_bytes() + bytes(4_096))
    write(crashed, some(2, 6))
    assert list(TapeReader(crashed)) == expected(some(7))
    assert [path.read_bytes() for path in crashed.glob("*.torn")] == [bytes(4_096)]


def test_what_follows_a_torn_raw_file_is_set_aside_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A power loss may tear the older of two files that were not synced yet. The sealer is kept from its work.
    monkeypatch.setattr(under_test.TapeWriter, "_seal_blocks", lambda self: None)
    writer = TapeWriter(tmp_path, 5)
    for kind, at, data in some(8):
        writer.append(kind, at, data)
    writer.flush()
    writer.close()
    monkeypatch.undo()
    first, second, *_ = raws(tmp_path)
    first.write_bytes(first.read_bytes()[:-3])
    assert list(TapeReader(tmp_path)) == expected(some(4))
    write(tmp_path, some(1, 5))
    assert list(TapeReader(tmp_path)) == expected(some(5))
    assert len(list(tmp_path.glob("*.torn"))) == 2
    assert not second.exists()


def test_a_missing_raw_file_is_an_error(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path / "a", 1_000)
    for kind, at, data in some(5):
        writer.append(kind, at, data)
    writer.flush()
    crashed = crash(writer, tmp_path / "a")
    (raw,) = raws(crashed)
    raw.rename(crashed / "tape.0000000004.raw")
    with pytest.raises(TapeError, match=r"ends at place 0, tape\.0000000004\.raw goes on elsewhere"):
        TapeWriter(crashed)


def test_a_full_disk_fails_the_tape_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = TapeWriter(tmp_path, 100)
    writer.append("frame", Micros(1), b"one")
    writer.flush()
    writer.append("frame", Micros(2), b"two")
    monkeypatch.setattr(disk.os, "write", full)
    with pytest.raises(TapeError, match="No space left"):
        writer.flush()
    monkeypatch.undo()
    for call in (writer.flush, writer.sync, lambda: writer.append("frame", Micros(3), b"three"), writer.close):
        with pytest.raises(TapeError, match="No space left"):
            call()
    assert [record.data for record in TapeReader(tmp_path)] == [b"one"]


def test_a_block_that_cannot_be_sealed_is_told_and_stays_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> bytes:
        raise MemoryError("no room to compress")

    monkeypatch.setattr(under_test.tapefile, "seal", broken)
    writer = TapeWriter(tmp_path, 4)
    for kind, at, data in some(4):
        writer.append(kind, at, data)
    with pytest.raises(TapeError, match="no room to compress"):
        writer.close()
    monkeypatch.undo()
    write(tmp_path, some(1, 5))
    assert list(TapeReader(tmp_path)) == expected(some(5))


def test_a_folder_without_a_tape_is_told(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="no tape here"):
        list(TapeReader(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(TapeError, match="cannot be opened"):
        TapeWriter(tmp_path / "file")


FEEDER = """
import sys
from pathlib import Path
from kquant.journal import TapeWriter

writer = TapeWriter(Path(sys.argv[1]), 50)
while True:
    for _ in range(9):
        place = writer.place + 1
        writer.append("frame", place, f"frame {place}".encode())
    print(writer.flush(), flush=True)
"""


def test_a_kill_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    for lines in (1, 30, 100):
        child = subprocess.Popen([sys.executable, "-c", FEEDER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
        assert child.stdout is not None
        flushed = [int(child.stdout.readline()) for _ in range(lines)]
        os.kill(child.pid, signal.SIGKILL)
        flushed += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        child.stdout.close()
        child.wait(10)
        found = list(TapeReader(tmp_path))
        assert len(found) >= flushed[-1]
        assert [record.data for record in found] == [f"frame {n}".encode() for n in range(1, len(found) + 1)]


WINDOWS = """
import os, sys
from pathlib import Path

opened = os.open

def no_folders(path, flags, mode=0o777, **more):
    if Path(path).is_dir():
        raise PermissionError("Windows opens no folder")
    return opened(path, flags, mode, **more)

os.open = no_folders
del os.O_DIRECTORY, os.O_CLOEXEC, os.fdatasync
from kquant.journal import TapeReader, TapeWriter, open_day, read_day
from kquant.events.day import RunStopped

folder = Path(sys.argv[1])
writer = TapeWriter(folder, block_records=2)
for number in range(5):
    writer.append("frame", number, b"line\\r\\n")
    writer.sync()
writer.close()
assert [record.data for record in TapeReader(folder)] == [b"line\\r\\n"] * 5
assert not list(folder.glob("*.raw"))
journal = open_day(folder, lambda: 1)
journal.append("run", [RunStopped(reason="a test")], by="a test").result(10)
journal.close()
assert len(read_day(folder)) == 1
"""


def test_tape_and_journal_need_nothing_of_the_system_that_windows_lacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
