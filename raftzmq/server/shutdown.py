"""From the request to stop to the end of the loop.

A node that is told to stop hands leadership over, and ends. A node that Kubernetes stops because
the StatefulSet was scaled down is different. Four of five may be told at once, and if all of them
left, no majority would remain to remove them. So a surplus node votes until it has been removed, or
its grace period is nearly over.
"""

from __future__ import annotations

from typing import Final

from raftzmq.core.role import Role
from raftzmq.node import Node
from raftzmq.node.interfaces import Outbox
from raftzmq.server.replica_feed import ReplicaFeed
from raftzmq.server.text_log import TextLog

HANDOVER_MS: Final = 2000
"""The longest wait for another node to take over leadership before the process ends."""

READING_MS: Final = 3000
"""The longest wait for the Kubernetes API to say whether this node is surplus."""


class Shutdown:
    """Whether the loop may end, asked once a turn. Times in milliseconds."""

    def __init__(self, node: Node, log: TextLog, feed: ReplicaFeed | None, grace_ms: int) -> None:
        self._node = node
        self._log = log
        self._feed = feed
        self._grace_ms = grace_ms
        self._told_ms: int | None = None
        self._stop_by_ms: int | None = None
        self._said_surplus = False

    def may_end(self, now_ms: int, out: Outbox, *, by_signal: bool) -> bool:
        """Whether the node was told to stop and has nothing left to do."""
        node = self._node
        if not node.stop_requested:
            return False
        if self._stop_by_ms is None:
            if by_signal and self._must_stay(now_ms):
                return False
            self._stop_by_ms = now_ms + HANDOVER_MS
            self._log("stopping", role=node.role)
            node.stop()
            node.turn(out)
        handing_over = node.raft.role is Role.LEADER and node.raft.transferring_to is not None
        return not handing_over or now_ms >= self._stop_by_ms

    def _must_stay(self, now_ms: int) -> bool:
        """Whether this node is surplus, or that is not known yet."""
        node = self._node
        feed = self._feed
        if feed is None or not node.is_member:
            return False
        if self._told_ms is None:
            self._told_ms = now_ms
        waited_ms = now_ms - self._told_ms
        if node.scaling.read_ms < self._told_ms:  # the last reading may be older than the change
            feed.ask(now_ms)
            return waited_ms < READING_MS
        if not node.scaling.is_surplus(node.name) or waited_ms >= self._grace_ms:
            return False
        if not self._said_surplus:
            self._said_surplus = True
            self._log("is surplus: votes on until it is removed", replicas=node.scaling.replicas)
        return True
