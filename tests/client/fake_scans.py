"""The scans of fake nodes: made by what makes them in real ones, at once."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

from raftzmq.access.users import ANYBODY
from raftzmq.errors import RaftzmqError
from raftzmq.machine import Machine
from raftzmq.node.scans import Scans
from raftzmq.transport.client_wire import ErrorReply, Reply
from raftzmq.transport.scan_wire import ScanSays


class FakeScans:
    """Of one node, for as long as it runs."""

    def __init__(self, name: str, cluster: str, machine: Callable[[], Machine]) -> None:
        self._name = name
        self._machine = machine
        self._state: Any = SimpleNamespace(name=name, cluster=cluster, random=Random(name))
        self._replies: list[Reply] = []
        node: Any = self._state  # as much of one as they look at
        replies: Any = self
        self.scans = Scans(node, replies)

    def reply(self, _client: bytes, reply: Reply, _kind: str) -> None:
        self._replies.append(reply)

    def refuse(self, _client: bytes, ids: list[int], error: RaftzmqError, _kind: str) -> None:
        refused = ErrorReply(ids, error.code, str(error), self._name, 1, None, None)
        self._replies.append(refused)

    def asked(self, client: bytes, request: ScanSays, now_ms: int) -> list[Reply]:
        self._state.machine = self._machine()
        self._state.now_ms = now_ms
        self.scans.request(client, request, now_ms, ANYBODY)
        self.scans.turn(now_ms)
        replies, self._replies = self._replies, []
        return replies
