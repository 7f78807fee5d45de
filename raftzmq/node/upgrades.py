"""The cluster version: who speaks which, when the leader raises it, and what an operator decides.

The leader hears from every member which versions it speaks (core/messages.py, HeartbeatReply). It
raises the cluster version once all members are heard and speak a higher one; after `downgrade` not,
until `finish`. A node that is no member yet says in its hello what it speaks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from raftzmq.core.role import Role
from raftzmq.errors import NotLeader, Overloaded, Refused, Unsupported
from raftzmq.machine.commands.upgrades import why_held
from raftzmq.node.proposals import Proposals
from raftzmq.node.state import NodeState
from raftzmq.versions import FIRST, Spoken, since


class Target(NamedTuple):
    """What the state is to have."""

    version: int
    pinned: bool


class Upgrades:
    """What a node knows of versions, and its proposals as leader to change that of the cluster."""

    def __init__(self, node: NodeState, proposals: Proposals) -> None:
        self._node = node
        self._proposals = proposals
        self._proposed = (0, 0)  # the term and the index of the last proposal,
        self._target = FIRST.highest  # and the version that it sets

    @property
    def version(self) -> int:
        """The cluster version whose forms this node, as leader, may use in what it proposes now.

        It is below that of the state while the log may have an entry that lowers it: of this
        leader, or of one before it.
        """
        node = self._node
        raft = node.raft
        if raft.applied_index < raft.term_start_index:
            return FIRST.highest
        version = node.machine.version
        return min(version, self._target) if self._is_pending else version

    def allows(self, form: str) -> bool:
        """Whether this node may use a form of raftzmq/versions.py now, in what it proposes."""
        return self.version >= since(form)

    def require(self, version: int, what: str) -> None:
        """LEADER: raises Unsupported if the cluster is below a version that `what` needs, and
        Overloaded while that is not known, or about to change."""
        if self.version >= version:
            return
        node = self._node
        if node.raft.applied_index < node.raft.term_start_index or self._is_pending:
            raise Overloaded(f"{what}: the cluster version is not known yet: try again")
        raise Unsupported(
            f"{what} needs cluster version {version}, and this cluster has {node.machine.version}: "
            "upgrade every node, then run `raftzmq client upgrade finish`; nothing was changed"
        )

    @property
    def _is_pending(self) -> bool:
        raft, (term, index) = self._node.raft, self._proposed
        return term == raft.term and index > raft.applied_index

    def objection(self, name: str, spoken: Spoken) -> str:
        """Why a node that speaks those versions cannot be a member; "" if it can."""
        version = self._node.machine.version
        if self._is_pending:
            version = max(version, self._target)
        return why_not_spoken(name, spoken, version, self._node.cluster)

    # -- raising it -----------------------------------------------------------------------------

    def tick(self) -> None:
        """LEADER: raise the cluster version if all members speak a higher one."""
        node = self._node
        if node.raft.role is not Role.LEADER or node.machine.state.pinned:
            return
        if node.machine.version < node.settings.spoken.highest and not self.blocked():
            self._propose(self._common(), pinned=False)

    def _propose(self, version: int, *, pinned: bool) -> None:
        raft = self._node.raft
        index = raft.propose([(0, 0, (0, "cluster_version", version, pinned))])
        self._proposed, self._target = (raft.term, index), version

    def _common(self) -> int:
        """The highest version that all members speak."""
        return min(spoken.highest for spoken in self._spoken().values() if spoken is not None)

    def _spoken(self) -> dict[str, Spoken | None]:
        """LEADER: what each member speaks; None of one that is not heard, or has not said yet."""
        node = self._node
        raft = node.raft
        found: dict[str, Spoken | None] = {}
        for member in raft.membership:
            if member.id == raft.id:
                found[node.name] = node.settings.spoken
            else:
                heard = raft.hears(member.id)
                found[member.id.name] = raft.progress[member.id].spoken if heard else None
        return found

    def blocked(self) -> list[str]:
        """LEADER: what keeps the cluster version from being raised now, in words."""
        node = self._node
        raft = node.raft
        if not raft.term_committed or raft.applied_index < raft.term_start_index:
            return ["the leader has not committed an entry of its term yet"]
        if raft.membership.forming:
            return [f"the cluster is forming: waiting for {', '.join(raft.membership.forming)}"]
        if self._is_pending or raft.transferring_to is not None or node.lacks:
            return ["the leader is changing something else, or cannot save: try again"]
        wanted = node.machine.version + 1
        return [
            f"{name} is not heard: start it, or remove it"
            if spoken is None
            else f"{name} speaks {spoken}: run a newer build there"
            for name, spoken in self._spoken().items()
            if spoken is None or wanted not in spoken
        ]

    # -- what an operator says ------------------------------------------------------------------

    def finish(self) -> tuple[Target, str]:
        """Raise the cluster version to what all members speak, and take back a `downgrade`. Returns
        what the state will have, and the message of the answer. Raises NotLeader, Refused."""
        self._require_leader()
        state = self._node.machine.state
        target = state.version
        if target < self._node.settings.spoken.highest:
            blocked = self.blocked()
            if blocked and not state.pinned:
                raise Refused(f"the cluster version stays {target}: {'; '.join(blocked)}")
            target = target if blocked else self._common()
        if target != state.version or state.pinned:
            self._propose(target, pinned=False)
        return Target(target, pinned=False), f"the cluster version is {target}"

    def downgrade(self) -> tuple[Target, str]:
        """Lower the cluster version by one, and keep it there. Returns the same. Raises NotLeader,
        Refused."""
        self._require_leader()
        machine = self._node.machine
        target = machine.version - 1
        if target not in self._node.settings.spoken:
            raise Refused(f"the cluster version is {machine.version}: no lower one is spoken here")
        if self._is_pending:
            raise Refused("the cluster version is being changed: try again")
        others = self._spoken().items()
        deaf = [name for name, spoken in others if spoken is not None and target not in spoken]
        if deaf:
            raise Refused(f"{', '.join(deaf)} does not speak cluster version {target}")
        held = machine.holdings_above(target)
        if held:
            raise Refused(why_held(target, held))
        self._proposals.propose()  # what was let in at this version stands before its end
        self._propose(target, pinned=True)
        return Target(target, pinned=True), (
            f"the cluster version is {target}, and stays so until `raftzmq client upgrade finish`: "
            "`raftzmq client upgrade status` says when older builds may run"
        )

    def _require_leader(self) -> None:
        node = self._node
        if node.raft.role is not Role.LEADER:
            raise NotLeader(f"{node.name} does not lead")
        if node.raft.applied_index < node.raft.term_start_index:
            raise Refused("the leader has not applied all of the log yet: try again")

    def is_in_force(self, target: Target) -> bool:
        """Whether the state has that version now, on this node."""
        state = self._node.machine.state
        return (state.version, state.pinned) == target and not self._is_pending

    # -- for people -----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What `status` says of it; PROTOCOL.md has the fields."""
        node = self._node
        leads = node.raft.role is Role.LEADER
        members = self._spoken() if leads else {}
        higher = node.machine.version < node.settings.spoken.highest
        return {
            "cluster_version": node.machine.version,
            "cluster_version_pinned": node.machine.state.pinned,
            "cluster_version_settled": node.version_settled,
            "spoken": [*node.settings.spoken],
            "members_spoken": {n: None if s is None else [*s] for n, s in members.items()},
            "upgrade_blocked": self.blocked() if leads and higher else [],
        }


def why_not_spoken(name: str, spoken: Spoken, version: int, cluster: str) -> str:
    """Why a node cannot belong to a cluster of that version; "" if it can."""
    if version in spoken:
        return ""
    age = "a newer" if version > spoken.highest else "an older"
    return (
        f"cluster {cluster} has cluster version {version}, and {name} speaks {spoken}: "
        f"run {age} build there"
    )
