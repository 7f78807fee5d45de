"""The watches of a fake cluster: all of history is remembered, until a test has it forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from raftzmq.machine import Machine
from raftzmq.machine.tables.keys import Change
from raftzmq.machine.values import to_wire
from raftzmq.transport.watch_wire import Events, UnwatchRequest, Watching, WatchLost, WatchRequest

if TYPE_CHECKING:
    from tests.client.fake_cluster import FakeNode

CLUSTER = "6f1c0a5b9d3e7f21"


class FakeWatches:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._history: list[Change] = []
        self._after: dict[tuple[FakeNode, bytes, WatchRequest], int] = {}
        self.forgotten = 0
        self.full = False
        machine.observe_changes(True)

    @property
    def count(self) -> int:
        return len(self._after)

    def asked(
        self, node: FakeNode, client: bytes, request: WatchRequest | UnwatchRequest
    ) -> list[Watching | WatchLost]:
        if isinstance(request, UnwatchRequest):
            for key in [k for k in self._after if k[:2] == (node, client)]:
                if key[2].id == request.id:
                    del self._after[key]
            return []
        if self.full:
            return [WatchLost(request.id, "overloaded", "this connection has too many", 1)]
        if request.start is not None and request.start <= self.forgotten:
            return [WatchLost(request.id, "compacted", "it is forgotten", self.forgotten + 1)]
        after = self._machine.revision if request.start is None else request.start - 1
        self._after[node, client, request] = after
        return [Watching(request.id, after, node.name, CLUSTER)]

    def ended(self, node: FakeNode) -> None:
        """The node is gone, and all that it was asked for."""
        self._after = {key: after for key, after in self._after.items() if key[0] is not node}

    def owed(self) -> Iterator[tuple[FakeNode, bytes, Events]]:
        """What watchers are to be told now."""
        self._history += self._machine.take_changes()
        through = self._machine.revision
        for (node, client, request), after in list(self._after.items()):
            events = [
                [revision, key, _wire(value), _wire(before) if request.previous else None]
                for key, value, revision, before in self._history
                if revision > after
                and (key.startswith(request.key) if request.prefix else key == request.key)
            ]
            if events:
                self._after[node, client, request] = through
                yield node, client, Events(request.id, after, through, events)


def _wire(value: str | bytes | None) -> str | dict[str, str] | None:
    return None if value is None else to_wire(value)
