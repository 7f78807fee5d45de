"""Requests of operators: membership, hand-over of leadership, status, stop, what is logged.

A change is answered when it is complete, not when it is begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from raftzmq import __version__
from raftzmq.access.users import ANYBODY, User
from raftzmq.core.role import Role
from raftzmq.errors import Denied, DiskFull, NotLeader, OutcomeUnknown, RaftzmqError, Refused
from raftzmq.node.access import Access
from raftzmq.node.admission import Admission
from raftzmq.node.joining import Joining
from raftzmq.node.replies import Replies
from raftzmq.node.scaling import Scaling
from raftzmq.node.state import NodeState
from raftzmq.node.upgrades import Upgrades
from raftzmq.transport.operator_wire import (
    Done,
    LogLevelRequest,
    MemberRequest,
    OperatorSays,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
    UpgradeRequest,
)

ADMIN_TIMEOUT_MS: Final = 60_000
"""A membership change or transfer not complete by then is answered as refused, saying so."""

BEHIND_MS: Final = 10_000
"""A node that has lacked a committed entry for so long is not well: what it misses does not come,
or comes faster than it can take it."""

_CHANGES: Final = (TransferRequest, MemberRequest, UpgradeRequest)
"""What is refused while it cannot be recorded."""

UNHEARD_MS: Final = 3000
"""A learner that has not been heard for so long is not waited for: an operator asks at most 5 s."""


@dataclass(slots=True)
class _Change:
    client: bytes
    request_id: int
    deadline_ms: int
    done: Callable[[], str | None]  # the message of the answer, once it is complete
    start: Callable[[], bool] | None = None  # tried until it could begin
    unheard: Callable[[], str | None] = lambda: None  # why it cannot become complete


class Admin:
    """Changes under way, and the answers to operators."""

    def __init__(
        self,
        node: NodeState,
        access: Access,
        replies: Replies,
        admission: Admission,
        scaling: Scaling,
        joining: Joining,
        upgrades: Upgrades,
    ) -> None:
        self._node = node
        self._access = access
        self._replies = replies
        self._admission = admission
        self._scaling = scaling
        self._joining = joining
        self._upgrades = upgrades
        self._changes: list[_Change] = []
        self.figures: Callable[[], Mapping[str, Any]] = dict
        """What the driver measures, for the status; PROTOCOL.md names it."""

        self.set_log_level: Callable[[str], None] = lambda _: None
        """Makes the text log say so much; the driver's."""

    def request(
        self, client: bytes, request: OperatorSays, now_ms: int, user: User = ANYBODY
    ) -> None:
        """Take a user's request, if the user may ask for that."""
        try:
            self._access.check_operator(user, request)
            if self._node.unrecorded and isinstance(request, _CHANGES):
                raise DiskFull(self._node.unrecorded)
        except (Denied, DiskFull) as error:
            self._refuse(client, request.id, error)
            return
        match request:
            case StatusRequest():
                self.status(client, request)
            case StopRequest():
                self.stop(client, request)
            case TransferRequest():
                self.transfer(client, request, now_ms)
            case MemberRequest():
                self.member(client, request, now_ms)
            case UpgradeRequest():
                self.upgrade(client, request, now_ms)
            case LogLevelRequest():
                self.change_log_level(client, request)

    def status(self, client: bytes, request: StatusRequest) -> None:
        self._replies.reply(client, StatusReply(request.id, self._status()))

    def _status(self) -> dict[str, Any]:
        return {
            **status(self._node, self._joining, self._scaling, self._admission),
            **self._upgrades.status(),
            "figures": dict(self.figures()),
        }

    def stop(self, client: bytes, request: StopRequest) -> None:
        node = self._node
        node.stop_requested = True
        self._replies.reply(client, Done(request.id, f"{node.name} is stopping"))

    def change_log_level(self, client: bytes, request: LogLevelRequest) -> None:
        self.set_log_level(request.level)
        message = f"{self._node.name} logs {request.level} and above"
        self._replies.reply(client, Done(request.id, message))

    def transfer(self, client: bytes, request: TransferRequest, now_ms: int) -> None:
        node, raft = self._node, self._node.raft
        old_term = raft.term
        try:
            raft.transfer(request.to)
        except RaftzmqError as error:
            self._refuse(client, request.id, error)
            return

        def done() -> str | None:
            if raft.term > old_term and raft.leader is not None:
                return f"{raft.leader.name} leads in term {raft.term}"
            return None

        change = _Change(client, request.id, now_ms + ADMIN_TIMEOUT_MS, done)
        # Unlike a membership change it is complete on losing leadership, and void when it is kept.
        change.deadline_ms = now_ms + 2 * node.settings.raft.election_timeout_ms
        self._changes.append(change)

    def upgrade(self, client: bytes, request: UpgradeRequest, now_ms: int) -> None:
        """Raise the cluster version, or lower it; answered when that has taken effect."""
        upgrades = self._upgrades
        try:
            finishes = request.action == "finish"
            target, message = upgrades.finish() if finishes else upgrades.downgrade()
        except RaftzmqError as error:
            self._refuse(client, request.id, error)
            return

        def done() -> str | None:
            return message if upgrades.is_in_force(target) else None

        self._changes.append(_Change(client, request.id, now_ms + ADMIN_TIMEOUT_MS, done))

    def member(self, client: bytes, request: MemberRequest, now_ms: int) -> None:
        """Add, promote or remove a member by its name."""
        name, raft = request.name, self._node.raft
        try:
            if raft.role is not Role.LEADER:
                raise NotLeader(f"{self._node.name} does not lead")
            change = _Change(client, request.id, now_ms + ADMIN_TIMEOUT_MS, lambda: None)
            if request.action == "remove":
                self._remove(name, change)
            else:
                self._admit(name, request.action, change)
        except RaftzmqError as error:
            self._refuse(client, request.id, error)
            return
        self._changes.append(change)

    def _admit(self, name: str, action: str, change: _Change) -> None:
        node, raft = self._node, self._node.raft
        if self._scaling.is_surplus(name):
            raise Refused(self._scaling.why_surplus(name))
        known = raft.membership.named(name) is not None
        if action == "promote" and not known:
            raise Refused(f"{name} is not a member: add it first")
        if action == "add" and not known:
            if (address := self._admission.deaf.get(name)) is not None:
                raise Refused(
                    f"{name} asks to join, and does not hear the answers at {address}: start it "
                    "with --advertise HOST:PORT, where this node reaches it"
                )
            if not self._admission.is_asking(name):
                raise Refused(
                    f"{name} has not asked to join: start it with this cluster's peers, "
                    "wait until it says that it is not an initial member, then add it"
                )
            if why := self._admission.unfit(name):
                raise Refused(why)
            self._admission.invite(name)

        def done() -> str | None:
            member = raft.membership.named(name)
            if member is not None and member.voter and node.membership_settled:
                return f"{name} is a voter"
            return None

        def unheard() -> str | None:
            member = raft.membership.named(name)
            if member is None or member.voter or raft.hears(member.id):
                return None
            if node.now_ms - raft.progress[member.id].heard_ms < UNHEARD_MS:
                return None
            return (
                f"{name} does not answer at {member.address}: start it there, or remove it and "
                "start it with --advertise HOST:PORT, where this node reaches it"
            )

        change.done, change.unheard = done, unheard

    def _remove(self, name: str, change: _Change) -> None:
        raft = self._node.raft
        if self._scaling.wants(name):
            raise Refused(
                f"{name} is one of the {self._scaling.replicas} replicas of the StatefulSet "
                "and would be admitted again: scale it down instead"
            )
        membership = raft.membership
        if membership.named(name) is None and name not in membership.forming:
            raise Refused(f"{name} is not a member")
        if not membership.without(name).voters:
            raise Refused(f"{name} is the last voter: a cluster cannot be empty")

        def start() -> bool:
            if not self._node.membership_settled:
                return False
            raft.propose_membership(raft.membership.without(name))
            return True

        def done() -> str | None:
            gone = raft.membership.named(name) is None
            committed = raft.membership_index <= raft.commit_index
            return f"{name} is no longer a member" if gone and committed else None

        change.start, change.done = start, done

    def tick(self) -> None:
        """Begin what waits to begin."""
        for change in self._changes:
            if change.start is not None and self._node.raft.role is Role.LEADER:
                try:
                    if change.start():
                        change.start = None
                except RaftzmqError:
                    continue  # tried again at the next tick, until the deadline

    def check(self, now_ms: int) -> None:
        """Answer the changes that are complete, and those that never will be."""
        if not self._changes:
            return
        leads = self._node.raft.role is Role.LEADER
        waiting: list[_Change] = []
        for change in self._changes:
            message = change.done() if change.start is None else None
            if message is not None:
                self._replies.reply(change.client, Done(change.request_id, message))
            elif now_ms >= change.deadline_ms:
                error = Refused("not complete in time; `raftzmq client status` shows how far it is")
                self._refuse(change.client, change.request_id, error)
            elif leads and (why := change.unheard()) is not None:
                self._refuse(change.client, change.request_id, Refused(why))
            elif not leads and change.start is not None:
                self._refuse(change.client, change.request_id, NotLeader("leadership was lost"))
            else:
                waiting.append(change)
        self._changes = waiting

    def abandon(self) -> None:
        """The node stops: what is not complete stays so, as far as it can tell."""
        for change in self._changes:
            error = OutcomeUnknown("this node stops before it could see the change complete")
            self._refuse(change.client, change.request_id, error)
        self._changes.clear()

    def _refuse(self, client: bytes, request_id: int, error: RaftzmqError) -> None:
        self._replies.refuse(client, [request_id], error)


def status(
    node: NodeState, joining: Joining, scaling: Scaling, admission: Admission
) -> dict[str, Any]:
    """What a node says of itself; the fields are in PROTOCOL.md."""
    raft = node.raft
    stopping = node.stopping or node.stop_requested
    follows = raft.leader is not None and not node.unheard and node.behind_ms < BEHIND_MS
    well = node.is_member and follows and not node.lacks
    return {
        "node": node.name,
        "incarnation": raft.id.incarnation,
        "cluster": node.cluster,
        "role": node.role,
        "term": raft.term,
        "leader": raft.leader.name if raft.leader else None,
        "commit_index": raft.commit_index,
        "applied_index": raft.applied_index,
        "last_index": raft.log.last_index,
        "first_index": raft.log.first_index,
        "members": raft.membership.to_body()["members"],
        "forming": list(raft.membership.forming),
        "waiting": joining.waiting,
        "unresolved": dict(node.unresolved),
        "refusing": dict(node.refusing),
        "unheard": node.unheard,
        "behind_ms": node.behind_ms,
        "twice": admission.twice,
        "process": node.process_id,
        "replicas": scaling.replicas,
        "disk_full": node.disk_full,
        "out_of_files": node.out_of_files,
        "last_backup": node.last_backup and node.last_backup._asdict(),
        "store_bytes": node.machine.memory,
        "quota_bytes": node.settings.quota_bytes,
        "store_full": node.store_full,
        "stopping": stopping,
        "version": __version__,
        "healthy": well and not stopping,
    }
