"""The members of the cluster, learned from the nodes: a client that was given one endpoint goes on
when that one is gone.

A node's status lists the members with their addresses. The client asks the node that it heard last:
soon after the first connection, and once a minute from then on. What it learns are further
endpoints (endpoints.py), tried when none of the configured ones is of use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raftzmq.client.operations import cluster
from raftzmq.client.session.agenda import NEVER_MS
from raftzmq.client.session.calls import Call
from raftzmq.client.session.endpoints import Endpoints
from raftzmq.errors import InvalidRequest
from raftzmq.naming import client_address
from raftzmq.transport.operator_wire import StatusReply

FIRST_MS: Final = 1000
"""So long after the first connection. A program that asks one thing and ends does not ask this."""

EVERY_MS: Final = 60_000

ASKING_S: Final = 5.0

MEMBERS_MOST: Final = 64
"""Most members that are learned."""


class MemberSearch:
    """Asks who the members are. `due_ms` is when `tick` is wanted next."""

    def __init__(self, endpoints: Endpoints, start: Callable[[Call, int], None]) -> None:
        self._endpoints = endpoints
        self._start = start
        self._asking: Call | None = None
        self._newest: tuple[Any, int] = (None, 0)
        self._began = False
        self.due_ms = NEVER_MS

    def connected(self, now_ms: int) -> None:
        """A link is up: there is somebody to ask."""
        if not self._began:
            self._began = True
            self.due_ms = now_ms + FIRST_MS

    def tick(self, now_ms: int) -> None:
        self.due_ms = now_ms + EVERY_MS
        endpoint = self._endpoints.heard_last()
        if endpoint is None:
            self.due_ms = now_ms + FIRST_MS
        elif self._asking is None:
            self._asking = Call(cluster.status(endpoint), now_ms, ASKING_S, internal=self._answered)
            self._start(self._asking, now_ms)

    def _answered(self, call: Call, _now_ms: int) -> None:
        self._asking = None
        status = call.answer.status if isinstance(call.answer, StatusReply) else {}
        addresses = _addresses(status.get("members"))
        name, applied = status.get("cluster"), status.get("applied_index")
        if not addresses or type(applied) is not int:
            return
        # A node that was left behind, or removed, may list members of long ago.
        if name != self._newest[0] or applied >= self._newest[1]:
            self._newest = (name, applied)
            self._endpoints.learn(addresses)


def _addresses(members: Any) -> list[str]:
    """The client ports' addresses in the list of members of a status; [] if it is none."""
    try:
        return [client_address(member["address"]) for member in members][:MEMBERS_MOST]
    except (TypeError, LookupError, AttributeError, ValueError, InvalidRequest):
        return []
