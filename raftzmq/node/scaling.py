"""How many replicas there shall be, and what the leader does about it, one change at a time.

On Kubernetes `kubectl scale` is the interface to the membership: the driver tells the node what
spec.replicas of its StatefulSet is, and the leader brings the membership there. Newcomers below
that number are admitted (by Admission, which asks here); members beyond it are surplus: the leader
hands leadership to one that stays, if it is surplus itself, and then removes them one by one.

Nothing known, or no replicas at all, asks for no change: a cluster scaled to zero is stopped, not
emptied, and comes back as it was.
"""

from __future__ import annotations

from typing import Final

from raftzmq.core.membership import Member, Membership
from raftzmq.core.quorum import majority
from raftzmq.core.role import Role
from raftzmq.errors import Refused
from raftzmq.naming import parse_pod_name
from raftzmq.node.state import NodeState

HANDOVER_PAUSE_MS: Final = 5000
"""From one try to hand leadership away to the next: writes are refused during each."""


class Scaling:
    """What is known of the wanted number of replicas, and the leader's way there."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._base = parse_pod_name(node.name).base
        self._noticed_ms: int | None = None  # since when this leader has surplus members
        self._next_handover_ms = 0
        self.replicas: int | None = None
        """As last read; None while it is not known, or nobody decides it from outside."""
        self.read_ms = -1
        """When the question was asked to which `replicas` is the answer."""

    def read(self, replicas: int | None, read_ms: int) -> None:
        """Take a reading of the wanted number, asked for at `read_ms`."""
        self.replicas = replicas
        self.read_ms = read_ms

    @property
    def needs_reading_from_ms(self) -> int | None:
        """A reading asked for at this time or later is needed before anybody is removed; None if
        none is. An old one may be of before the cluster grew."""
        if self._noticed_ms is None or self.read_ms >= self._noticed_ms:
            return None
        return self._noticed_ms

    def wants(self, name: str) -> bool:
        """Whether the node of that name shall be a member."""
        return self._is_replica(name) and parse_pod_name(name).ordinal < (self.replicas or 0)

    def is_surplus(self, name: str) -> bool:
        """Whether the node of that name is beyond the wanted number."""
        return self._is_replica(name) and 0 < (self.replicas or 0) <= parse_pod_name(name).ordinal

    def why_surplus(self, name: str) -> str:
        """What to tell those who would have a surplus node as a member."""
        return (
            f"{name} is beyond the number of replicas wanted, {self.replicas}: "
            "scale the StatefulSet up first"
        )

    def tick(self, now_ms: int) -> None:
        """Take the next step towards the wanted number, if one is due and may be taken."""
        node, raft = self._node, self._node.raft
        surplus = [m for m in raft.membership if self.is_surplus(m.id.name)]
        awaited = [name for name in raft.membership.forming if self.is_surplus(name)]
        if raft.role is not Role.LEADER or not (surplus or awaited):
            self._noticed_ms = None
            return
        if self._noticed_ms is None:
            self._noticed_ms = now_ms
        if self.read_ms < self._noticed_ms or not node.membership_settled:
            return
        if self.is_surplus(node.name) and self._hand_over(now_ms):
            return
        if awaited:  # the cluster would wait for it, and take no writes, for ever
            raft.propose_membership(raft.membership.without(awaited[0]))
            return
        for member in sorted(surplus, key=self._order):
            if member.id != raft.id and self._can_do_without(member):
                raft.propose_membership(raft.membership.without(member.id.name))
                return

    def _is_replica(self, name: str) -> bool:
        return parse_pod_name(name).base == self._base

    def _hand_over(self, now_ms: int) -> bool:
        """Hand leadership to the most caught-up voter that stays. Returns whether that began, or
        is still waited for; if nobody can take it, others may be removed meanwhile."""
        raft = self._node.raft
        able = [
            m.id
            for m in raft.membership
            if m.voter and not self.is_surplus(m.id.name) and self._is_alive(m)
        ]
        if not able:
            return False
        if now_ms >= self._next_handover_ms:
            self._next_handover_ms = now_ms + HANDOVER_PAUSE_MS
            target = max(able, key=lambda node: raft.progress[node].match_index)
            try:
                raft.transfer(target.name)
            except Refused:
                return False
        return True

    def _order(self, member: Member) -> tuple[bool, bool, int]:
        """Learners first, then the dead, then the highest: each step leaves the cluster as able
        to lose a node as possible."""
        alive = self._is_alive(member)
        return (member.voter, alive, -parse_pod_name(member.id.name).ordinal)

    def _can_do_without(self, member: Member) -> bool:
        """Whether those that remain have a majority alive: a removal must not stop the cluster."""
        remaining = self._node.raft.membership.without(member.id.name)
        return self._alive_voters(remaining) >= majority(len(remaining.voters))

    def _alive_voters(self, membership: Membership) -> int:
        return sum(m.voter and self._is_alive(m) for m in membership)

    def _is_alive(self, member: Member) -> bool:
        return member.id == self._node.raft.id or self._node.raft.hears(member.id)
