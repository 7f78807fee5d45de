"""Which peers owe an answer, and for how long."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from raftzmq.core.messages import (
    AppendEntries,
    Heartbeat,
    Message,
    PreVoteRequest,
    SnapshotChunk,
)
from raftzmq.transport.peer_wire import Hello, Welcome

SILENCE_MS: Final = 2000
"""A peer that does not answer for this long is silent. It gets a new link, because its name may
have moved. Its own messages may still come: they do not show where ours go."""

ASKING: Final = frozenset({AppendEntries, Heartbeat, SnapshotChunk, PreVoteRequest, Hello})
"""Messages that every peer answers at once."""


class Silence:
    """Peers by name; times in milliseconds."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        """The peers that have owed an answer for SILENCE_MS, until they give one."""
        self._asked_ms: dict[str, int] = {}  # since when a peer owes an answer

    def sent(self, name: str, message: Message | Hello | Welcome, now_ms: int) -> None:
        """Note that a message leaves for this peer."""
        if type(message) in ASKING:
            self._asked_ms.setdefault(name, now_ms)

    def answered(self, name: str) -> None:
        """Note that this peer has answered something."""
        self._asked_ms.pop(name, None)
        self.names.discard(name)

    def overdue(self, now_ms: int) -> list[str]:
        """The peers that have just been silent for SILENCE_MS, once for each such time."""
        found = [name for name, at_ms in self._asked_ms.items() if now_ms - at_ms > SILENCE_MS]
        for name in found:
            del self._asked_ms[name]  # the next question starts the wait again
        self.names.update(found)
        return found

    def forget_all_but(self, peers: AbstractSet[str]) -> None:
        """Forget all peers but these: no node misses one that was removed."""
        self.names &= peers
