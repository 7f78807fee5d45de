"""How many hellos a node answers: anybody can send as many as the network carries."""

from __future__ import annotations

from typing import Final

from raftzmq.transport.peer_wire import Hello

INTERVAL_MS: Final = 100
"""In so much time the same hello is answered once."""

HELLOS: Final = 64
"""The most hellos that are answered in that time. An answer takes room on a link that others need:
that to the peer which the hello names, or, as a hello that is passed on, that to the leader."""


class Hellos:
    """The hellos of the current interval."""

    def __init__(self) -> None:
        self._taken: set[Hello] = set()
        self._ends_ms = 0

    def take(self, hello: Hello, now_ms: int) -> bool:
        """Whether to answer this one."""
        if now_ms >= self._ends_ms:
            self._taken.clear()
            self._ends_ms = now_ms + INTERVAL_MS
        if hello in self._taken or len(self._taken) >= HELLOS:
            return False
        self._taken.add(hello)
        return True
