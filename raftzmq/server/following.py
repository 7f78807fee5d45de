"""How well a node follows its leader: whether the leader hears it, and what it lacks for long.

A follower hears the leader, knows what is committed up to where the leader has heard from it, and
answers. If its answers do not arrive, all of that is so for ever, and each later entry is missing
here. So a node that says that it is well must know that its answers arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from raftzmq.node import Node

LOOK_MS: Final = 100
"""Time between two looks."""

UNHEARD_MS: Final = 2000
"""For so long the link to the leader may be down: by then one that has only broken is back."""


class Following:
    """Tells the node what it finds: `unheard` and `behind_ms`. Times in milliseconds."""

    def __init__(self, node: Node, is_up: Callable[[str], bool], now_ms: int) -> None:
        """`is_up` says whether the link to a peer is connected."""
        self._node = node
        self._is_up = is_up
        self._next_ms = now_ms
        self._unheard_ms: int | None = None  # since when the leader has not heard this node
        self._goal = 0  # what was known to be committed at `_goal_ms`, not applied since
        self._goal_ms = now_ms

    def turn(self, now_ms: int) -> None:
        """Call this often; it looks when it is time."""
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + LOOK_MS
        node, raft = self._node, self._node.raft
        why = self._why_unheard()
        if not why:
            self._unheard_ms = None
        elif self._unheard_ms is None:
            self._unheard_ms = now_ms
        lasts = self._unheard_ms is not None and now_ms - self._unheard_ms >= UNHEARD_MS
        node.unheard = why if lasts else ""
        if raft.applied_index >= self._goal:
            self._goal = max(raft.commit_index, raft.leader_commit_index)
            self._goal_ms = now_ms
        caught_up = raft.applied_index >= self._goal
        node.behind_ms = 0 if caught_up else now_ms - self._goal_ms

    def _why_unheard(self) -> str:
        """Why the leader does not hear this node; empty if it does, as far as is known."""
        leader = self._node.raft.leader
        if leader is None or leader == self._node.raft.id or self._is_up(leader.name):
            return ""
        address = self._node.address_of(leader.name) or "an unknown address"
        return (
            f"{leader.name} does not hear this node, which cannot connect to {address}: look at "
            "the network between them"
        )
