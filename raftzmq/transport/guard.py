"""A thread that bounds what the connections of a process cost, in memory and in number.

libzmq delivers a message only when its last part has come, and bounds neither the number of its
parts nor their total size, nor what waits to be taken. And it keeps silent connections. So a node
looks at its connections itself, and cuts those that cost too much (traffic.py). It does so in a
thread of its own, because libzmq goes on reading while the node's loop stands still, for example on
a stalled disk. If memory grows meanwhile, the kernel lets nothing more in.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from threading import Event, Thread
from typing import Final

from raftzmq.transport.descriptors import (
    Seen,
    hold_back,
    inspect_connection,
    open_descriptors,
    resident_bytes,
)
from raftzmq.transport.traffic import DRIFT_BYTES, Traffic

LOOK_MS: Final = 500
"""Time between two looks at the connections, while they are few and none is suspect."""

CLOSE_LOOK_MS: Final = 20
"""The same, while libzmq holds more than DRIFT_BYTES of some connection."""

GLANCE_MS: Final = 50
"""Time between two glances at the memory of the process, which cost less than a look."""

GROWTH_BYTES: Final = 8 * 1024 * 1024
"""If memory has grown by so much since the last look, the next one is due."""

DESCRIPTORS_PER_MS: Final = 8
"""A look takes some microseconds a descriptor, so a node with thousands looks less often."""

STANDING_BYTES: Final = 64 * 1024 * 1024
"""By so much may the memory of a process grow while its loop stands still. Beyond, its ports are
held back: nothing more is read but what the kernel has already."""


class Guard:
    """Looks at the connections of some ports from time to time, from `start` to `close`."""

    def __init__(self, ports: Sequence[Traffic]) -> None:
        self._traffics = list(ports)
        self._ports = [port for traffic in ports for port in traffic.ports]
        self._cuts: deque[tuple[Traffic, str]] = deque()
        self._next_look_ms = 0
        self._looked_bytes = self._calm_bytes = resident_bytes()
        self._held = False
        self._ended = Event()
        self._thread = Thread(target=self._run, name="guard", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def close(self) -> None:
        """Look no more. The thread has ended afterwards."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def check(self) -> None:
        """Raise RuntimeError if the thread has died: without it, anybody could fill the memory."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that guards the connections of the node has died")

    def cuts(self) -> list[str]:
        """Count the connections that were cut since the last call; return the reason of each."""
        reasons = []
        while self._cuts:
            traffic, reason = self._cuts.popleft()
            traffic.counters[reason] += 1
            reasons.append(reason)
        return reasons

    def _run(self) -> None:
        pause_ms = 0
        while not self._ended.wait(pause_ms / 1000):
            now_ms = time.monotonic_ns() // 1_000_000
            resident = resident_bytes()
            if now_ms >= self._next_look_ms or resident - self._looked_bytes > GROWTH_BYTES:
                self._looked_bytes = resident
                self.look(now_ms, resident)
            pause_ms = min(GLANCE_MS, self._next_look_ms - now_ms)

    def look(self, now_ms: int, resident: int) -> None:
        """Cut the connections that cost too much; `resident` is the memory of the process."""
        for traffic in self._traffics:
            traffic.begin_look()
        self._hold_back_if_it_grows(resident)
        seen: dict[int, dict[int, Seen]] = {port: {} for port in self._ports}
        descriptors = open_descriptors()
        for descriptor in descriptors:
            found = inspect_connection(descriptor)
            if found is not None and found.port in seen:
                seen[found.port][descriptor] = found
        for traffic in self._traffics:
            own = {fd: one for port in traffic.ports for fd, one in seen[port].items()}
            self._cuts.extend((traffic, reason) for reason in traffic.judge(now_ms, own))
        suspect = self._held or any(
            connection.incoming > DRIFT_BYTES
            for traffic in self._traffics
            for connection in traffic.connections.values()
        )
        wait_ms = CLOSE_LOOK_MS if suspect else LOOK_MS
        self._next_look_ms = now_ms + max(wait_ms, len(descriptors) // DESCRIPTORS_PER_MS)

    def _hold_back_if_it_grows(self, resident: int) -> None:
        """Let nothing more in while the node stands still and memory has grown by too much. Memory
        decides because the kernel counts bytes, and a message of one byte takes libzmq 64."""
        if not all(traffic.stands_still for traffic in self._traffics):
            self._calm_bytes = resident
        if (resident - self._calm_bytes > STANDING_BYTES) != self._held:
            self._held = not self._held
            hold_back(self._ports, held=self._held)
