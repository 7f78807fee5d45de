"""How well a node follows its leader: whether the leader hears it, and what it lacks for long.

A follower hears the leader, knows what is committed up to where the leader has heard from it, and
answers. If its answers do not arrive, all of that is so for ever, and each later entry is missing
here. So a node that says that it is well must know that its answers arrive. Heartbeats say when
they do not. A leader of an older build does not say it; then only the link to it tells.
"""

from __future__ import annotations

from typing import Final, Protocol

from raftzmq.node import Node

LOOK_MS: Final = 100
"""Time between two looks."""

UNHEARD_MS: Final = 2000
"""For so long the link to the leader may be down: by then one that has only broken is back."""


class Links(Protocol):
    """What it needs of PeerLinks."""

    def is_up(self, name: str) -> bool: ...
    def renew(self, name: str) -> None: ...


class Following:
    """Tells the node what it finds: `unheard` and `behind_ms`. Times in milliseconds."""

    def __init__(self, node: Node, links: Links, now_ms: int) -> None:
        """`links` are those to the node's peers."""
        self._node = node
        self._links = links
        self._next_ms = now_ms
        self._unheard_ms: int | None = None  # since when the leader has not heard this node
        self._renewed_ms = now_ms
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
            node.unheard = ""
        elif self._unheard_ms is None:
            self._unheard_ms = self._renewed_ms = now_ms
        elif now_ms - self._unheard_ms >= UNHEARD_MS:
            node.unheard = why
            self._renew(now_ms)
        if raft.applied_index >= self._goal:
            self._goal = max(raft.commit_index, raft.leader_commit_index)
            self._goal_ms = now_ms
        caught_up = raft.applied_index >= self._goal
        node.behind_ms = 0 if caught_up else now_ms - self._goal_ms

    def _why_unheard(self) -> str:
        """Why the leader does not hear this node; empty if it does, as far as is known."""
        raft, leader = self._node.raft, self._node.raft.leader
        if leader is None or leader == raft.id:
            return ""
        is_up = self._links.is_up(leader.name)
        if is_up and not raft.unheard:
            return ""
        address = self._node.address_of(leader.name) or "an unknown address"
        how = f"has connected to {address}" if is_up else f"cannot connect to {address}"
        return (
            f"{leader.name} does not hear this node, which {how}: look at the network between them"
        )

    def _renew(self, now_ms: int) -> None:
        """A link that is up and leads to somebody else, or nowhere, is opened anew."""
        leader = self._node.raft.leader
        if leader is not None and now_ms - self._renewed_ms >= UNHEARD_MS:
            self._renewed_ms = now_ms
            if self._links.is_up(leader.name):
                self._links.renew(leader.name)
