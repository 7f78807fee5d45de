"""How a node finds the cluster it belongs to, or forms it.

Forming and joining are one path. A node that is not a member says hello to the initial members.
If any of them belongs to a cluster, it adopts that cluster's id and waits for the leader to
replicate to it. Only the lowest of the initial members may form a cluster, and only when every
other one has just answered that it belongs to none: a node that merely lost its directory finds
the others formed and joins them again, under its new incarnation.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from raftzmq.core.entry import CONFIG
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.core.ready import HardState
from raftzmq.core.role import Role
from raftzmq.errors import DiskFull
from raftzmq.lines import encode_entry
from raftzmq.naming import parse_pod_name
from raftzmq.transport.peer_wire import Hello, Welcome

if TYPE_CHECKING:
    from raftzmq.node.node import Node

HELLO_INTERVAL_MS: Final = 300
"""A node that is not a member greets the others this often."""

LEADERLESS_MS: Final = 2000
"""A member without a leader for this long asks whether it still is a member: whoever is removed
is not sent the entry that removes it."""

ANSWER_FRESH_MS: Final = 3000
"""An answer older than this no longer tells that a node is empty."""


HEARD_MOST: Final = 1024
"""Most addresses remembered from greetings."""


class Joining:
    """The newcomer's side."""

    def __init__(self, node: Node, now_ms: int) -> None:
        self._node = node
        self._next_hello_ms = now_ms
        self._empty: dict[str, int] = {}  # initial member -> when it last said that it is empty
        self._known: dict[str, str] = {}  # name -> address of those who welcomed us
        self._heard: dict[str, str] = {}  # name -> address, as nodes of this cluster greeted us
        self._reason = ""
        self._led_ms = now_ms  # when a leader was last known
        self.removed = False
        """A leader said that this node, which believes to be a member, is none."""

    @property
    def next_deadline_ms(self) -> int | None:
        return None if self._node.is_member else self._next_hello_ms

    @property
    def waiting(self) -> str | None:
        """Why this node is not a member yet, or why it finds no leader; None if all is well."""
        node = self._node
        if self._reason or node.is_member:
            return self._reason or None
        if not node.cluster:
            silent = sorted(node.initial.keys() - self._empty.keys() - {node.name})
            if silent:
                return f"waiting for an answer from {', '.join(silent)}"
            if node.name == self._founder and not node.settings.may_form:
                return (
                    "waiting for a member of the cluster: this node has set an earlier directory "
                    "aside, so it joins and never forms; to form anew, remove its aside-* folders"
                )
            return f"waiting for {self._founder} to form the cluster"
        return "waiting for the leader to admit this node"

    @property
    def _founder(self) -> str:
        return min(self._node.initial, key=parse_pod_name)

    def tick(self, now_ms: int) -> None:
        """Greet the others when it is time; form the cluster when that is this node's to do."""
        node = self._node
        if node.is_member and not node.cluster:
            self._adopt(node.new_cluster_id())  # forming ended between its two steps
        if node.raft.leader is not None:
            self._led_ms = now_ms
            self._reason = ""
            self.removed = False
        if now_ms < self._next_hello_ms:
            return
        if node.raft.role is Role.LEADER:
            self._next_hello_ms = now_ms + HELLO_INTERVAL_MS
            self._greet(node.admission.silent_members(now_ms))
            return
        if node.is_member and now_ms - self._led_ms < LEADERLESS_MS:
            return
        self._next_hello_ms = now_ms + HELLO_INTERVAL_MS
        if not node.cluster and self._may_form(now_ms):
            self._form()
            return
        members = {m.id.name: m.address for m in node.raft.membership}
        self._greet({**self._heard, **members, **self._known, **node.initial})

    def _greet(self, addresses: Mapping[str, str]) -> None:
        node = self._node
        hello = Hello(node.cluster, node.raft.id, node.address)
        for name, address in addresses.items():
            if name != node.name:
                node.greet(name, address, hello)

    def heard(self, name: str, address: str) -> None:
        """A node of this cluster said where it listens."""
        if name in self._heard or len(self._heard) < HEARD_MOST:
            self._heard[name] = address

    def heard_address(self, name: str) -> str | None:
        return self._heard.get(name)

    def welcomed(self, welcome: Welcome, now_ms: int) -> None:
        """Take the answer to a hello."""
        node = self._node
        if welcome.to != node.raft.id or welcome.sender.name == node.name:
            return
        name = welcome.sender.name
        if node.is_member:
            if node.raft.leader is not None:
                return
            if welcome.cluster in ("", node.cluster):
                if welcome.leader != name or node.name in welcome.members:
                    return
                self.removed = True
        if not welcome.cluster:
            if name in node.initial:
                self._empty[name] = now_ms
            return
        self._empty.pop(name, None)
        self._known[name] = welcome.address
        if not node.cluster:
            if self._adopt(welcome.cluster):
                self._next_hello_ms = now_ms  # greet again at once, now as one of theirs
        elif welcome.cluster != node.cluster:
            self._reason = (
                f"{name} belongs to cluster {welcome.cluster}, this data directory to "
                f"{node.cluster}: give this node an empty directory, or the right peers"
            )
            return
        if welcome.leader == name or not self._reason:
            self._reason = welcome.reason

    def _may_form(self, now_ms: int) -> bool:
        node = self._node
        return (
            node.settings.may_form
            and node.name == self._founder
            and all(
                now_ms - self._empty.get(name, -ANSWER_FRESH_MS - 1) <= ANSWER_FRESH_MS
                for name in node.initial
                if name != node.name
            )
        )

    def _form(self) -> None:
        node = self._node
        founder = Member(node.raft.id, node.address, voter=True)
        others = tuple(sorted(name for name in node.initial if name != node.name))
        first = encode_entry(1, 1, 0, CONFIG, Membership((founder,), others).to_body())
        # The entry first, the cluster's name second: with a name and no entry this node could
        # neither form nor join; with an entry and no name it only takes another name.
        with suppress(DiskFull):  # tried again at the next hello
            node.restart_raft(HardState(1, None), first)
            self._adopt(node.new_cluster_id())

    def _adopt(self, cluster: str) -> bool:
        """Belong to a cluster; False while the disk is full, to be tried again."""
        try:
            self._node.adopt(cluster)
        except DiskFull:
            return False
        return True


def answer_hello(node: Node, hello: Hello, reason: str) -> Welcome:
    """The welcome that this node owes to a hello."""
    leader = node.raft.leader
    if node.cluster and hello.cluster not in ("", node.cluster):
        reason = f"{node.name} belongs to another cluster, {node.cluster}"
    return Welcome(
        cluster=node.cluster,
        sender=node.raft.id,
        address=node.address,
        to=hello.sender,
        leader=leader.name if leader else None,
        members=tuple(m.id.name for m in node.raft.membership),
        reason=reason,
    )


class Admission:
    """The leader's side: who asks to be a member, and the next change of membership to make."""

    CAUGHT_UP_ENTRIES: Final = 1000

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asking: dict[NodeId, tuple[str, int]] = {}  # -> address, when last heard
        self._invited: set[str] = set()

    def hello(self, hello: Hello, now_ms: int) -> str:
        """Note that a node asks; return why it is not admitted at once, or "" if it will be."""
        if hello.cluster != self._node.cluster:
            return ""  # it adopts the cluster's id first, then asks again
        self._asking[hello.sender] = (hello.address, now_ms)
        return self._objection(hello.sender, now_ms)

    def silent_members(self, now_ms: int) -> dict[str, str]:
        """Name -> address of the members that the leader does not hear. One that was cut off
        while the leader was admitted does not know where to send its answers; greeted, it does."""
        raft = self._node.raft
        return {
            m.id.name: m.address
            for m in raft.membership
            if m.id != raft.id and not self.is_alive(m.id, now_ms)
        }

    def is_asking(self, name: str) -> bool:
        return any(node.name == name for node in self._asking)

    def invite(self, name: str) -> None:
        """An operator wants the node of this name."""
        self._invited.add(name)

    def tick(self, now_ms: int) -> None:
        """Propose the next change of membership, if one is due and none is under way."""
        node, raft = self._node, self._node.raft
        for newcomer, (_, heard_ms) in list(self._asking.items()):
            if now_ms - heard_ms > ANSWER_FRESH_MS:
                del self._asking[newcomer]
        if raft.role is not Role.LEADER:
            self._invited.clear()
            return
        if not (self._asking or raft.memberships.learners) or not node.membership_settled:
            return
        membership = raft.membership
        for member in membership:
            if self._node.scaling.is_surplus(member.id.name):
                continue
            if not member.voter and self._caught_up(member.id, now_ms):
                raft.propose_membership(membership.promoted(member.id.name))
                return
        for newcomer, (address, _) in self._asking.items():
            if newcomer not in membership.ids and not self._objection(newcomer, now_ms):
                self._invited.discard(newcomer.name)
                # A peer that everybody was told of keeps the address everybody was told.
                known = node.initial.get(newcomer.name, address)
                raft.propose_membership(membership.with_learner(newcomer, known))
                return

    def _objection(self, newcomer: NodeId, now_ms: int) -> str:
        raft = self._node.raft
        membership = raft.membership
        former = membership.named(newcomer.name)
        if self._node.scaling.is_surplus(newcomer.name):
            return self._node.scaling.why_surplus(newcomer.name)
        if former is None:
            if newcomer.name in membership.forming or newcomer.name in self._invited:
                return ""
            if self._node.scaling.wants(newcomer.name):
                return ""
            return (
                f"{newcomer.name} is not an initial member: "
                f"admit it with `raftzmq client member add {newcomer.name}`"
            )
        if former.id == newcomer:
            return ""
        if former.id == raft.id or self.is_alive(former.id, now_ms):
            return f"{newcomer.name} is running on another data directory: stop one of the two"
        return ""

    def is_alive(self, node: NodeId, now_ms: int) -> bool:
        """Whether the leader hears that member."""
        raft = self._node.raft
        progress = raft.progress.get(node)
        timeout_ms = raft.config.election_timeout_ms
        return progress is not None and not progress.is_silent(now_ms, timeout_ms)

    def _caught_up(self, learner: NodeId, now_ms: int) -> bool:
        """Whether the learner may vote. Not while it is silent: a voter that is down already
        could cost the cluster its majority."""
        raft = self._node.raft
        progress = raft.progress.get(learner)
        return (
            progress is not None
            and progress.match_index > 0
            and progress.match_index >= raft.commit_index - self.CAUGHT_UP_ENTRIES
            and self.is_alive(learner, now_ms)
        )
