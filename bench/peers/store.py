"""Plain eventsourcing on SQLite: its application with one aggregate a stream, and its bare recorder."""

from __future__ import annotations

import base64
import json
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, sleep
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent

from bench.peers.serving import serve

events: list[tuple[str, str, dict[str, Any], bytes]] = []
stored: list[tuple[Application, list[UUID]]] = []


class Stream(Aggregate):
    """Keeps the newest event of each name: less than any owner folds."""

    def __init__(self) -> None:
        self.newest: dict[str, dict[str, Any]] = {}
        self.count = 0

    @event("Happened")
    def happen(self, name: str, fields: dict[str, Any]) -> None:
        """Take one event."""
        self.newest[name] = fields
        self.count += 1


def load(path: str) -> str:
    """Read the events, a line each; return the peer's version."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    events[:] = [
        (stream, name, fields, base64.b64decode(data)) for stream, name, fields, data in map(json.loads, lines)
    ]
    return f"eventsourcing {version('eventsourcing')}"


def _application(path: str) -> Application:
    return Application(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": path})


def application(path: str, count: int, group: int) -> float:
    """Append *count* events, *group* a save; return events a second."""
    app = _application(path)
    streams: dict[str, Stream] = {}
    for stream, _, _, _ in events[:count]:
        if stream not in streams:
            streams[stream] = Stream()
            app.save(streams[stream])
    begun = perf_counter()
    for start in range(0, count, group):
        touched = {}
        for stream, name, fields, _ in events[start : min(start + group, count)]:
            streams[stream].happen(name, fields)
            touched[stream] = streams[stream]
        app.save(*touched.values())
    seconds = perf_counter() - begun
    app.close()
    return count / seconds


def recorder(path: str, count: int, group: int) -> float:
    """Insert *count* ready payloads with the bare recorder, *group* a transaction; return events a second."""
    app = _application(path)
    ids = {stream: uuid4() for stream, _, _, _ in events}
    versions = dict.fromkeys(ids, 0)
    begun = perf_counter()
    for start in range(0, count, group):
        rows = []
        for stream, name, _, payload in events[start : min(start + group, count)]:
            versions[stream] += 1
            rows.append(StoredEvent(ids[stream], versions[stream], name, payload))
        app.recorder.insert_events(rows)
    seconds = perf_counter() - begun
    app.close()
    return count / seconds


def pairs(path: str, count: int, gap: float) -> list[float]:
    """Commit *count* pairs of single events, *gap* seconds between pairs; return each pair's time in microseconds."""
    app = _application(path)
    owner = uuid4()
    found = []
    payload = events[0][3]
    for place in range(count):
        sleep(gap)
        begun = perf_counter()
        app.recorder.insert_events([StoredEvent(owner, 2 * place + 1, "market.trigger_fired", payload)])
        app.recorder.insert_events([StoredEvent(owner, 2 * place + 2, "orders.intended", payload)])
        found.append((perf_counter() - begun) * 1e6)
    app.close()
    return found


def store(path: str) -> int:
    """Store all loaded events as aggregates, one a stream; return how many events."""
    app = _application(path)
    streams: dict[str, Stream] = {}
    for place, (stream, name, fields, _) in enumerate(events, 1):
        if stream not in streams:
            streams[stream] = Stream()
        streams[stream].happen(name, fields)
        if place % 1_000 == 0:
            app.save(*streams.values())
    app.save(*streams.values())
    stored[:] = [(app, [stream.id for stream in streams.values()])]
    return sum(stream.count for stream in streams.values())


def rebuild() -> dict[str, float]:
    """Get every aggregate from the repository, which has no cache; return seconds and events applied."""
    app, ids = stored[0]
    begun = perf_counter()
    found = [app.repository.get(key) for key in ids]
    seconds = perf_counter() - begun
    return {"seconds": seconds, "events": sum(stream.count for stream in found)}


serve(
    {
        "load": load,
        "application": application,
        "recorder": recorder,
        "pairs": pairs,
        "store": store,
        "rebuild": rebuild,
    }
)
