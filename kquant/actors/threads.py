"""The live runtime: one Pykka actor an owner, nudged by the journal, supervised by a watchdog."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pykka
import structlog

from kquant.actors.host import COMMIT_SECONDS, OwnerHost
from kquant.domain.owner import Owner
from kquant.journal.ahead import Ahead
from kquant.journal.port import Journal
from kquant.values import KquantError, Seq

HANG_SECONDS = 2.0
"""A decision takes well under a millisecond; one that takes this long will not end."""

READY_SECONDS = 60.0
STOP_SECONDS = 5.0
"""How long an actor may take to finish what it reads when the runtime stops."""

log = structlog.get_logger("kquant.actors")


class OwnerNotReady(KquantError):
    """An owner's actor did not come up."""


class _Nudge:
    """Read on from your cursor. It carries nothing, so a lost one costs nothing."""


class _Ready:
    """Answered once the actor's thread runs."""


NUDGE = _Nudge()


class OwnerActor(pykka.ThreadingActor):
    """All that knows Pykka. A failure is handled by the host; nothing may escape and kill the thread silently."""

    use_daemon_thread = True
    """A decision that never ends must not keep the process from ending: start-up is recovery."""

    def __init__(
        self,
        host: OwnerHost,
        nudged: threading.Event,
        on_fatal: Callable[[str], None],
        settled: Callable[[], None],
    ) -> None:
        super().__init__()
        self._host = host
        self._nudged = nudged
        self._on_fatal = on_fatal
        self._settled = settled

    def on_start(self) -> None:
        """Name the thread after the owner."""
        threading.current_thread().name = f"owner-{self._host.owner.stream}"

    def on_receive(self, message: object) -> object:
        """Catch up with the journal."""
        if isinstance(message, _Ready):
            return True
        try:
            self._nudged.clear()
            self._host.catch_up()
            self._settled()
        except Exception as error:  # noqa: BLE001  the thread must not die: the process stops in order instead
            self._on_fatal(f"{self._host.owner.stream}: {error!r}")
        return None


class ThreadRuntime:
    """Starts the owners, keeps them nudged, and tells when all of them have read everything.

    An owner is nudged once an input of its decisions is durable, or has its place if it is the one who answers it at
    once; then it reads on to the last place. What it only observes it reads on the way to its next input.

    changed: called from owners' threads whenever one has caught up.   on_fatal: called once at the first failure.
    """

    def __init__(
        self,
        owners: Sequence[Owner[Any, Any]],
        journal: Journal,
        *,
        on_fatal: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.hosts = {owner.stream: OwnerHost(owner, journal, on_fatal) for owner in owners}
        self._journal = journal
        self._on_fatal = on_fatal
        self._changed = changed
        self._actors: list[pykka.ActorRef[OwnerActor]] = []
        self._undo: list[Callable[[], None]] = []
        self._ahead = {owner.stream: Ahead(journal, owner.input_names()) for owner in owners}
        self._stopping = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Recover every owner, start its actor, and return once each has answered."""
        for host in self.hosts.values():
            host.recover()
        for host in self.hosts.values():
            nudged = threading.Event()
            ref = OwnerActor.start(host, nudged, self._on_fatal, self._changed)
            if ref.ask(_Ready(), timeout=READY_SECONDS) is not True:
                raise OwnerNotReady(f"owner {host.owner.stream} did not start")
            self._actors.append(ref)
            nudge = self._nudge_of(ref, nudged)
            self._undo.append(self._journal.subscribe_placed(nudge, host.owner.stream))
            self._undo.append(self._journal.subscribe(nudge, host.owner.input_names()))
            nudge()
        self._watchdog.start()
        # What start-up made stays for the day: to look it through again and again would stop every thread for tens of
        # milliseconds, an order's among them.
        gc.collect()
        gc.freeze()

    def idle(self) -> bool:
        """Tell whether every owner has answered all its inputs, and all that was said is durable."""
        # The durable end is read first: what was placed since then makes the two differ.
        durable, placed = self._journal.head, self._journal.placed
        behind = (self._ahead[stream].anything(host.cursor) for stream, host in self.hosts.items())
        return durable == placed and not any(behind)

    def stop(self) -> None:
        """Stop the actors; what they have not read yet they read after the next start. One that hangs is left behind."""
        self._stopping.set()
        gc.unfreeze()
        for undo in self._undo:
            undo()
        for ref in reversed(self._actors):
            if ref.is_alive():
                try:
                    ref.stop(block=True, timeout=STOP_SECONDS)
                except pykka.Timeout:
                    log.critical("an owner does not stop, it is left behind", actor=str(ref))
        if self._watchdog.is_alive():
            self._watchdog.join(timeout=5)

    def _nudge_of(self, ref: pykka.ActorRef[OwnerActor], nudged: threading.Event) -> Callable[[], None]:
        def nudge() -> None:
            if nudged.is_set():
                return
            nudged.set()
            try:
                ref.tell(NUDGE)
            except pykka.ActorDeadError:
                if not self._stopping.is_set():
                    self._on_fatal("an owner's actor is dead")

        return nudge

    def _watch(self) -> None:
        head, moved_at = Seq(0), time.monotonic()
        while not self._stopping.wait(0.5):
            now = time.monotonic()
            durable = self._journal.head
            if durable != head or durable == self._journal.placed:
                head, moved_at = durable, now
            elif now - moved_at > COMMIT_SECONDS:
                self._on_fatal(f"nothing behind seq {durable} was written for {COMMIT_SECONDS} s: the disk is gone")
                return
            for stream, host in self.hosts.items():
                since = host.busy_since
                if since is not None and now - since > HANG_SECONDS:
                    self._on_fatal(f"owner {stream} has not answered for {HANG_SECONDS:.0f} s")
                    return
