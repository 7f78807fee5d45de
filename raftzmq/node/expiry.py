"""When the leader ends what has had its time in the state machine: leases, keys, sessions.

Time there is what leaders stamp on entries, and only the entry `expire` ends anything. So an end
comes at the earliest when the leader's clock says so. That clock continues from the newest stamp
in its log, and nothing advances it while there is no leader: a change of leaders gives everything
more time, never less.
"""

from __future__ import annotations

from typing import Final

from raftzmq import limits
from raftzmq.core.role import Role
from raftzmq.node.state import NodeState

EXPIRY_MS: Final = 20
"""The least time between two entries that end something: what ends in between ends together."""


class Expiry:
    """Proposes `expire` when it would do something."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._free_ms = 0  # when the next one may be proposed
        self._proposed = (0, 0)  # the term and the index of the last one

    @property
    def next_deadline_ms(self) -> int | None:
        """When `tick` is needed at the latest, if nothing is applied before."""
        ends_ms = self._node.machine.next_expiry_ms
        if ends_ms is None or not self._may_propose():
            return None
        raft = self._node.raft
        return max(self._free_ms, raft.now_ms + ends_ms - raft.stamp_ms)

    def tick(self, now_ms: int) -> None:
        """Propose the entry if it is time."""
        raft = self._node.raft
        if now_ms < self._free_ms or not self._may_propose():
            return
        if self._node.machine.expiry_due(raft.stamp_ms):
            self._free_ms = now_ms + EXPIRY_MS
            bound = limits.REMOVALS_PER_ENTRY
            self._proposed = (raft.term, raft.propose([(0, 0, (0, "expire", bound))]))

    def _may_propose(self) -> bool:
        """Whether this node leads and takes writes, and the last such entry is applied: until
        then the state machine says what that entry is about to do."""
        node, (term, index) = self._node, self._proposed
        return (
            node.raft.role is Role.LEADER
            and node.raft.transferring_to is None
            and not node.lacks
            and (term != node.raft.term or index <= node.raft.applied_index)
        )
