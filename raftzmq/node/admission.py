"""Who becomes a member: the leader's side of joining, and the next change of membership to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from raftzmq.core.identity import NodeId
from raftzmq.core.role import Role
from raftzmq.node.scaling import Scaling
from raftzmq.node.state import NodeState
from raftzmq.node.upgrades import Upgrades
from raftzmq.transport.peer_wire import Hello, Welcome
from raftzmq.versions import Spoken

CAUGHT_UP_ENTRIES: Final = 1000
"""A learner that lacks at most so many committed entries may vote."""

ASKING_FRESH_MS: Final = 3000
"""A node that has not asked for this long does not ask any more."""

CERTAIN_MS: Final = 2000
"""Hellos that ought to have ceased mean something once they have come for so long: until then, an
answer may be on its way."""


ASKING_MAX: Final = 256
"""The most nodes that are known to ask, besides those that may be admitted."""

TOLD_OF_MAX: Final = 16
"""The most names of which the log is told what is wrong with their hellos."""


@dataclass(slots=True)
class _Hellos:
    """Hellos of one name, at most ASKING_FRESH_MS apart."""

    address: str
    first_ms: int
    last_ms: int

    @property
    def is_certain(self) -> bool:
        return self.last_ms - self.first_ms >= CERTAIN_MS


@dataclass(slots=True)
class _Asking:
    """A node that asks to be a member. Anybody can ask in its name; so it is asked back, and
    `answered` says that it is where it says."""

    address: str
    spoken: Spoken
    heard_ms: int
    nonce: str
    answered: bool = False


class Admission:
    """Who asks to be a member, and whom an operator has invited."""

    def __init__(self, node: NodeState, scaling: Scaling, upgrades: Upgrades) -> None:
        self._node = node
        self._scaling = scaling
        self._upgrades = upgrades
        self._asking: dict[NodeId, _Asking] = {}
        self._invited: set[str] = set()
        self._twice: dict[str, _Hellos] = {}
        self._deaf: dict[str, _Hellos] = {}

    def hello(self, hello: Hello, now_ms: int) -> str:
        """Note that a node asks; return why it is not admitted at once, or "" if it will be."""
        if hello.cluster != self._node.cluster:
            if not hello.cluster:
                _note(self._deaf, hello, now_ms)
            return ""  # it adopts the cluster's id first, then asks again
        self._deaf.pop(hello.sender.name, None)
        if hello.sender in self._node.raft.membership.ids and self._node.raft.hears(hello.sender):
            return self._meet_twin(hello, now_ms)
        objection = self._objection(hello.sender, hello.address, hello.spoken)
        asking = self._asking.get(hello.sender)
        if asking is None or (asking.address, asking.spoken) != (hello.address, hello.spoken):
            if objection and len(self._asking) >= ASKING_MAX:
                return objection
            nonce = f"{self._node.random.getrandbits(64):016x}"
            asking = _Asking(hello.address, hello.spoken, now_ms, nonce)
            self._asking[hello.sender] = asking
        asking.heard_ms = now_ms
        if not (objection or asking.answered):
            self._ask_back(hello.sender.name, asking)
        return objection

    def _ask_back(self, name: str, asking: _Asking) -> None:
        node = self._node
        spoken = node.settings.spoken
        hello = Hello(node.cluster, node.raft.id, node.address, asking.nonce, spoken)
        node.greet(name, asking.address, hello)

    def answered(self, welcome: Welcome) -> bool:
        """Take a welcome if it is the answer of a node that was asked back, and say so."""
        asking = self._asking.get(welcome.sender)
        if asking is None or asking.nonce != welcome.nonce:
            return False
        asking.answered = True
        return True

    def _meet_twin(self, hello: Hello, now_ms: int) -> str:
        """A member asks that has no need to: it hears this leader, which hears it. After a while
        the only explanation is a second process with a copy of its directory."""
        _note(self._twice, hello, now_ms)
        twin = self._twice.get(hello.sender.name)
        if twin is None or not twin.is_certain:
            return ""
        return (
            f"{hello.sender.name} runs elsewhere with a copy of this data directory: "
            "stop one, delete its copy"
        )

    @property
    def twice(self) -> dict[str, str]:
        """Name -> address told by the second process, of the members that run twice."""
        return _certain(self._twice, self._node.now_ms)

    @property
    def deaf(self) -> dict[str, str]:
        """Name -> address of the nodes that look for a cluster and do not hear this one's answers
        there."""
        return _certain(self._deaf, self._node.now_ms)

    @property
    def replicas_decide(self) -> bool:
        """Whether a StatefulSet decides who is a member."""
        return self._scaling.replicas is not None

    def is_asking(self, name: str) -> bool:
        return any(node.name == name for node in self._asking)

    def unfit(self, name: str) -> str:
        """Why no node of this name that asks can be a member, whoever invites it: its build."""
        for newcomer, asking in self._asking.items():
            if newcomer.name == name:
                return self._upgrades.objection(name, asking.spoken)
        return ""

    def invite(self, name: str) -> None:
        """An operator wants the node of this name."""
        self._invited.add(name)

    def tick(self, now_ms: int) -> None:
        """Propose the next change of membership, if one is due and none is under way."""
        node, raft = self._node, self._node.raft
        for newcomer, asking in list(self._asking.items()):
            if now_ms - asking.heard_ms > ASKING_FRESH_MS:
                del self._asking[newcomer]
        if raft.role is not Role.LEADER:
            self._invited.clear()
            self._twice.clear()
            self._deaf.clear()
            return
        if not (self._asking or raft.memberships.learners) or not node.membership_settled:
            return
        membership = raft.membership
        for member in membership:
            if self._scaling.is_surplus(member.id.name):
                continue
            if not member.voter and self._caught_up(member.id):
                raft.propose_membership(membership.promoted(member.id.name))
                return
        for newcomer, asking in self._asking.items():
            address = asking.address
            if newcomer in membership.ids or self._objection(newcomer, address, asking.spoken):
                continue
            if asking.answered or newcomer.name in self._invited:
                self._invited.discard(newcomer.name)
                # A peer that everybody was told of keeps the address everybody was told.
                known = node.initial.get(newcomer.name, address)
                raft.propose_membership(membership.with_learner(newcomer, known))
                return

    def _objection(self, newcomer: NodeId, address: str, spoken: Spoken) -> str:
        if reason := self._upgrades.objection(newcomer.name, spoken):
            return reason
        raft = self._node.raft
        membership = raft.membership
        former = membership.named(newcomer.name)
        if self._scaling.is_surplus(newcomer.name):
            return self._scaling.why_surplus(newcomer.name)
        if former is None:
            if newcomer.name in membership.forming or newcomer.name in self._invited:
                return ""
            if self._scaling.wants(newcomer.name):
                return ""
            return (
                f"{newcomer.name} is not an initial member: "
                f"admit it with `raftzmq client member add {newcomer.name}`"
            )
        if former.id == newcomer:
            return ""
        if former.id == raft.id or raft.hears(former.id):
            return f"{newcomer.name} is running on another data directory: stop one of the two"
        known = (former.address, self._node.initial.get(newcomer.name))
        if address not in known and not self._scaling.wants(newcomer.name):
            # The member may only be restarting. Nobody would find this one where that one was.
            if newcomer.name in self._node.initial:
                way = "give all nodes --peers with its new address"
            else:
                remove = f"raftzmq client member remove {newcomer.name}"
                way = f"say `{remove}`, then `member add`"
            return (
                f"{newcomer.name} is a member at {former.address}, and this one is at {address}: "
                f"stop it, or if it is to replace that one, {way}"
            )
        return ""

    def _caught_up(self, learner: NodeId) -> bool:
        """Whether the learner may vote. Not while it is silent: a voter that is down already
        could cost the cluster its majority."""
        raft = self._node.raft
        progress = raft.progress.get(learner)
        return (
            progress is not None
            and progress.match_index > 0
            and progress.match_index >= raft.commit_index - CAUGHT_UP_ENTRIES
            and raft.hears(learner)
        )


def _note(hellos: dict[str, _Hellos], hello: Hello, now_ms: int) -> None:
    """Take another one in, or begin anew after a pause."""
    for name in [n for n, found in hellos.items() if now_ms - found.last_ms > ASKING_FRESH_MS]:
        del hellos[name]
    before = hellos.get(hello.sender.name)
    if before is not None or len(hellos) < TOLD_OF_MAX:
        first_ms = now_ms if before is None else before.first_ms
        hellos[hello.sender.name] = _Hellos(hello.address, first_ms, now_ms)


def _certain(hellos: dict[str, _Hellos], now_ms: int) -> dict[str, str]:
    return {
        name: found.address
        for name, found in hellos.items()
        if found.is_certain and now_ms - found.last_ms <= ASKING_FRESH_MS
    }
