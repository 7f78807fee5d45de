"""How a node finds the cluster it belongs to, or forms it.

Forming and joining are one path. A node that is not a member says hello to the initial members.
If any of them belongs to a cluster, it adopts that cluster's id and waits for the leader to
replicate to it. Only the lowest of the initial members may form a cluster, and only when every
other one has just answered that it belongs to none: a node that merely lost its directory finds
the others formed and joins them again, under its new incarnation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from raftzmq.core.entry import CONFIG
from raftzmq.core.membership import Member, Membership
from raftzmq.core.ready import HardState
from raftzmq.core.role import Role
from raftzmq.errors import DiskFull
from raftzmq.lines import encode_entry
from raftzmq.naming import descends, parse_pod_name
from raftzmq.node.admission import Admission
from raftzmq.node.state import HELLO_INTERVAL_MS, NodeState
from raftzmq.node.upgrades import why_not_spoken
from raftzmq.transport.peer_wire import Hello, Neighbour, Welcome

LEADERLESS_MS: Final = 2000
"""A member without a leader for this long asks whether it still is a member: whoever is removed
is not sent the entry that removes it."""

REMOVED_ASKING_MS: Final = 30_000
"""A node that was removed asks for so long, so that it can be admitted again, and then no more."""

NONCES: Final = 16
"""An answer to an older hello than that is none."""

ANSWER_FRESH_MS: Final = 3000
"""An answer older than this no longer tells that a node is empty."""


class Joining:
    """The newcomer's side."""

    def __init__(self, node: NodeState, admission: Admission, now_ms: int) -> None:
        self._node = node
        self._admission = admission
        self._next_hello_ms = now_ms
        self._hellos_ms = node.settings.first_hellos_ms
        self._empty: dict[str, int] = {}  # initial member -> when it last said that it is empty
        self._nonces: deque[str] = deque(maxlen=NONCES)  # of the newest hellos
        self._reason = ""
        self._removed_ms = now_ms  # since when it knows that it was removed
        self._led_ms = now_ms  # when a leader was last known

    @property
    def next_deadline_ms(self) -> int | None:
        return None if self._node.is_member else self._next_hello_ms

    @property
    def waiting(self) -> str | None:
        """Why this node is not a member yet, or why it finds no leader; None if all is well."""
        node = self._node
        if node.removed:
            return f"{node.name} was removed from the cluster: {self._what_now}"
        if self._reason or node.is_member:
            return self._reason or None
        if not node.cluster:
            silent = sorted(node.initial.keys() - self._empty.keys() - {node.name})
            if silent:
                return f"waiting for an answer from {', '.join(silent)}"
            if node.name == self._founder and not node.settings.may_form:
                return (
                    "waiting for a member of the cluster: this node has set an earlier directory "
                    "aside, so it joins and never forms. If all nodes have done so, the only "
                    "copies are in their aside-* folders: keep those, and move one back on each "
                    "node (docs/runbook.md)"
                )
            return f"waiting for {self._founder} to form the cluster"
        return "waiting for the leader to admit this node"

    @property
    def _what_now(self) -> str:
        if self._asks_no_more:
            again = f"`raftzmq client member add {self._node.name}`"
            return f"stop it; to admit it again, restart it and within 30 s say {again}"
        return self._reason or "waiting for the leader to admit it again"

    @property
    def _asks_no_more(self) -> bool:
        """Whether it was removed by hand and has asked for long enough. Where a StatefulSet
        decides, nobody has to ask for it: its removal ends with the pod, or is taken back."""
        node = self._node
        waited_ms = node.now_ms - self._removed_ms
        removed = node.removed and not self._admission.replicas_decide
        return removed and waited_ms >= REMOVED_ASKING_MS

    @property
    def _founder(self) -> str:
        return min(self._node.initial, key=parse_pod_name)

    def tick(self, now_ms: int) -> None:
        """Greet the others when it is time; form the cluster when that is this node's to do."""
        node = self._node
        if node.is_member and not node.cluster:
            self._adopt(self._new_cluster_id())  # forming ended between its two steps
        if node.raft.leader is not None:
            self._led_ms = now_ms
            self._reason = ""
            node.removed = False
        if now_ms < self._next_hello_ms:
            return
        if node.raft.role is Role.LEADER:
            return
        if node.is_member and not node.raft.must_ask and now_ms - self._led_ms < LEADERLESS_MS:
            return
        self._next_hello_ms = now_ms + self._hellos_ms
        self._hellos_ms = min(2 * self._hellos_ms, HELLO_INTERVAL_MS)
        if self._asks_no_more:
            return
        if not node.cluster and self._may_form(now_ms):
            self._form()
            return
        members = {m.id.name: m.address for m in node.raft.membership}
        self._greet({**node.addresses, **members, **node.initial})

    def _greet(self, addresses: Mapping[str, str]) -> None:
        """Ask the nodes at these addresses, which nobody but an operator, the log, or an answer to
        such a question has named."""
        node = self._node
        node.raft.must_ask = False
        nonce = f"{node.random.getrandbits(64):016x}"
        self._nonces.append(nonce)
        hello = Hello(node.cluster, node.raft.id, node.address, nonce, node.settings.spoken)
        for name, address in addresses.items():
            if name != node.name:
                node.greet(name, address, hello)

    def welcomed(self, welcome: Welcome, now_ms: int) -> None:
        """Take the answer to a hello."""
        node = self._node
        name = welcome.sender.name
        if welcome.to != node.raft.id or name == node.name or welcome.nonce not in self._nonces:
            node.dropped["not_an_answer"] += 1
            return
        if welcome.cluster == node.cluster != "":
            self._believe(welcome)
        if not node.removed and self._tells_of_removal(welcome):
            node.removed = True
            self._removed_ms = now_ms
        if node.is_member and (node.raft.leader is not None or not self._concerns_member(welcome)):
            return
        if not welcome.cluster:
            if name in node.initial:
                self._empty[name] = now_ms
            return
        self._empty.pop(name, None)
        spoken = node.settings.spoken
        if reason := why_not_spoken(node.name, spoken, welcome.version, welcome.cluster):
            self._reason = reason
        elif not node.cluster:
            # Once adopted, a cluster is for good. One without a leader could not admit anybody, and
            # may be one that has lost its majority and was recovered as another.
            if welcome.leader is None:
                self._reason = f"{name} belongs to cluster {welcome.cluster}, which has no leader"
            elif self._adopt(welcome.cluster):
                self._believe(welcome)
                self._next_hello_ms = now_ms  # greet again at once, now as one of theirs
        elif welcome.cluster != node.cluster:
            self._reason = _why_strange(name, welcome.cluster, node.cluster)
            return
        if welcome.leader == name or not self._reason:
            self._reason = welcome.reason

    def _believe(self, welcome: Welcome) -> None:
        """A node of this cluster says who belongs to it."""
        node = self._node
        node.note_addresses([Neighbour(welcome.sender, welcome.address), *welcome.members])
        node.raft.vouch({member.id for member in welcome.members}, welcome.term)

    def _concerns_member(self, welcome: Welcome) -> bool:
        """Whether a member that finds no leader is to act on a welcome: it has reached another
        cluster. What its own leader says is for people to read."""
        if welcome.cluster not in ("", self._node.cluster):
            return True
        if welcome.leader == welcome.sender.name:
            self._reason = welcome.reason
        return False

    def _tells_of_removal(self, welcome: Welcome) -> bool:
        """Whether a leader says that this node, which was a member once, is none. A node that was
        never admitted knows no members."""
        node = self._node
        return (
            node.raft.leader is None
            and len(node.raft.membership) > 0
            and welcome.cluster == node.cluster
            and welcome.leader == welcome.sender.name
            and node.name not in {member.id.name for member in welcome.members}
        )

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
            node.begin_raft(HardState(1, None), first)
            self._adopt(self._new_cluster_id())

    def _new_cluster_id(self) -> str:
        return f"{self._node.random.getrandbits(64):016x}"

    def _adopt(self, cluster: str) -> bool:
        """Belong to a cluster; False while the disk is full, to be tried again."""
        try:
            self._node.adopt(cluster)
        except DiskFull:
            return False
        return True


def _why_strange(name: str, cluster: str, own: str) -> str:
    """What a node of cluster `own` says that has met one of another."""
    if descends(cluster, own):
        return (
            f"cluster {own}, of this data directory, was recovered as {cluster}, to which {name} "
            "belongs: start this node with an empty directory, or with --rejoin"
        )
    return (
        f"{name} belongs to cluster {cluster}, this data directory to {own}: "
        "give this node an empty directory, or the right peers"
    )


def answer_hello(node: NodeState, hello: Hello, reason: str) -> Welcome:
    """The welcome that this node owes to a hello."""
    leader = node.raft.leader
    if node.cluster and hello.cluster not in ("", node.cluster):
        reason = f"{node.name} belongs to another cluster, {node.cluster}"
    return Welcome(
        cluster=node.cluster,
        sender=node.raft.id,
        address=node.address,
        to=hello.sender,
        nonce=hello.nonce,
        term=node.raft.term,
        leader=leader.name if leader else None,
        members=tuple(Neighbour(m.id, m.address) for m in node.raft.membership),
        reason=reason,
        version=node.machine.version,
    )
