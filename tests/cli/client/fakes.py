"""A client that keeps its keys in a dictionary, for tests that need no cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from raftzmq import CasResult, Client, Deleted, Item, NodeStatus, Range, Written
from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.common.settings import Output, Settings

ENDPOINT = "127.0.0.1:6001"


class FakeClient:
    """Does what a cluster would; `page_size` cuts ranges short, as the limit in bytes does."""

    def __init__(self, page_size: int = 10_000) -> None:
        self.items: dict[str, Item] = {}
        self.index = 0
        self.page_size = page_size
        self.answers: dict[str, NodeStatus] = {}
        self.others: dict[str, NodeStatus] = {}

    def put(self, key: str, value: str | bytes, *, timeout: float, **_: Any) -> Written:
        self.index += 1
        self.items[key] = Item(key, value, self.index)
        return Written(self.index, 1, "raft-0", self.index)

    def get(self, key: str, *, stale: bool = False, timeout: float) -> Item | None:
        return self.items.get(key)

    def cas(
        self, key: str, value: str | bytes, revision: int, *, timeout: float, **_: Any
    ) -> CasResult:
        held = self.items.get(key)
        if (held.revision if held else 0) != revision:
            self.index += 1
            found = held.revision if held else 0
            return CasResult(False, found, held, self.index, 1, "raft-0")
        written = self.put(key, value, timeout=timeout)
        return CasResult(True, written.revision, self.items[key], written.index, 1, "raft-0")

    def delete_prefix(self, prefix: str, *, timeout: float, **_: Any) -> Deleted:
        keys = [key for key in self.items if key.startswith(prefix)]
        for key in keys:
            del self.items[key]
        self.index += 1
        return Deleted(len(keys), self.index, 1, "raft-0", self.index)

    def prefix(self, prefix: str, limit: int, *, timeout: float) -> Range:
        found = [self.items[key] for key in sorted(self.items) if key.startswith(prefix)]
        return Range(tuple(found[:limit]), len(found) > limit, self.index, self.index)

    def range(self, start: str, end: str, limit: int, **_: Any) -> Range:
        found = [
            self.items[key] for key in sorted(self.items) if key >= start and (not end or key < end)
        ]
        size = min(limit, self.page_size)
        return Range(tuple(found[:size]), len(found) > size, self.index, self.index)

    def statuses(self, endpoints: Sequence[str], *, timeout: float) -> list[NodeStatus]:
        """Who was given an answer answers; the fake's own endpoint stands for all of them."""
        if list(endpoints) == [ENDPOINT]:
            return list(self.answers.values())
        return [self.others.get(endpoint) or silent(endpoint) for endpoint in endpoints]

    def close(self) -> None:
        pass


def status(name: str, port: int, role: str = "follower", **changes: Any) -> NodeStatus:
    """A node of a healthy three-node cluster, led by raft-0."""
    fields = {
        "node": name,
        "incarnation": f"{name}-incarnation",
        "role": role,
        "term": 2,
        "leader": "raft-0",
        "commit_index": 9,
        "applied_index": 9,
        "last_index": 9,
        "members": [
            {
                "name": f"raft-{k}",
                "incarnation": f"raft-{k}-incarnation",
                "address": f"127.0.0.1:60{k}0",
                "voter": True,
            }
            for k in range(3)
        ],
        "forming": [],
        "waiting": None,
        "stopping": False,
        "version": "0",
        "healthy": True,
    }
    return NodeStatus(f"127.0.0.1:{port}", {**fields, **changes}, None)


def silent(endpoint: str) -> NodeStatus:
    return NodeStatus(endpoint, None, "no answer within 2 s")


def invocation(client: FakeClient, output: Output = Output.SIMPLE) -> ClientInvocation:
    settings = Settings(given_endpoints=ENDPOINT, given_output=output)
    return ClientInvocation(settings, {((ENDPOINT,), None): cast(Client, client)})
