"""A node: Raft, the state machine and what clients are owed, without clock, disk or network.

The server drives one of these; the simulator drives many. Inputs are `receive`, `greeted`,
`request` and `tick`; then `turn` carries out, in the one order that is safe, everything that
follows from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final

from raftzmq.core.config import Config
from raftzmq.core.entry import COMMAND, COMMANDS, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import Message
from raftzmq.core.raft import Raft
from raftzmq.core.ready import HardState, Ready, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.errors import DataError, DiskFull, OutcomeUnknown, Refused
from raftzmq.lines import encode_entries, with_body
from raftzmq.machine import Machine
from raftzmq.naming import client_address
from raftzmq.node.admin import Admin
from raftzmq.node.clients import Clients
from raftzmq.node.counts import Counts
from raftzmq.node.expiry import Expiry
from raftzmq.node.joining import Admission, Joining, answer_hello
from raftzmq.node.outside import Outbox, StoreLike
from raftzmq.node.parked import Parked
from raftzmq.node.scaling import Scaling
from raftzmq.node.snapshotting import Snapshotting
from raftzmq.node.watches import Watches
from raftzmq.storage import Restored
from raftzmq.transport.client_wire import (
    MemberRequest,
    OperationsRequest,
    Request,
    StatusRequest,
    StopRequest,
    TransferRequest,
)
from raftzmq.transport.peer_wire import Envelope, Hello, Welcome
from raftzmq.transport.watch_wire import UnwatchRequest, WatchRequest

CHORES_MS: Final = 10
"""What concerns the membership is looked at this often, and when it or the role has changed: a turn
takes a fraction of a millisecond, and most turns are about clients' operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """`initial` maps the initial members' names to addresses, `address` is this node's own.
    `may_form` is false for a node that has set an earlier directory aside: it belonged somewhere,
    and must not form a second cluster if nobody is left to tell it where."""

    name: str
    address: str
    initial: Mapping[str, str]
    raft: Config = field(default_factory=Config)
    may_form: bool = True
    chunk_bytes: int = 256 * 1024
    snapshot_slice_bytes: int = 32 * 1024


class Node:
    """See the module. Public attributes are for reading."""

    def __init__(
        self,
        settings: NodeSettings,
        storage: StoreLike,
        restored: Restored,
        random: Random,
        now_ms: int,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` tells seconds and is only for measuring; by default it is the time of `tick`."""
        self.settings = settings
        self.name = settings.name
        self.address = settings.address
        self.initial = dict(settings.initial)
        self.storage = storage
        self.cluster = restored.cluster
        self.disk_full = False
        self.stopping = False
        self.stop_requested = False
        self.dropped: Counter[str] = Counter()
        self.unresolved: Mapping[str, str] = {}  # peer -> its host name, which has no address now
        self.counts = Counts(clock or (lambda: self._now_ms / 1000))
        self._random = random
        self._now_ms = now_ms
        self._id = NodeId(settings.name, restored.incarnation)
        self._greetings: list[tuple[str, str, Hello | Welcome]] = []
        self._more_committed = False
        self._next_chores_ms = now_ms
        self._chores_seen: tuple[object, ...] = ()
        self.machine = observed(Machine())
        if restored.snapshot is not None:
            self._restore_machine(restored.snapshot)
        self.raft = self._new_raft(restored.hard_state, restored.snapshot, restored.entries)
        self.snapshots = Snapshotting(self, random)
        self.clients = Clients(self)
        self.parked = Parked(self)
        self.watches = Watches(self, now_ms)
        self.expiry = Expiry(self)
        self.joining = Joining(self, now_ms)
        self.scaling = Scaling(self)
        self.admission = Admission(self)
        self.admin = Admin(self)

    # -- what it is ---------------------------------------------------------------------------

    @property
    def is_member(self) -> bool:
        """Whether the membership it knows has it, in this incarnation, and no leader says that
        it has been removed since."""
        return self._id in self.raft.memberships.ids and not self.joining.removed

    @property
    def role(self) -> str:
        """One of the words in PROTOCOL.md."""
        if not self.is_member and self.raft.role is not Role.LEADER:
            return "joining"
        return "learner" if self.raft.is_learner else self.raft.role.value

    @property
    def peers(self) -> set[str]:
        """The names of the nodes that it wants answers from: the other members, or the initial
        ones while it knows no members."""
        members = {m.id.name for m in self.raft.membership}
        return (members or set(self.initial)) - {self.name}

    @property
    def membership_settled(self) -> bool:
        """Whether this node leads and may propose the next change of membership."""
        raft = self.raft
        committed = raft.term_committed and raft.membership_index <= raft.commit_index
        return committed and raft.transferring_to is None

    @property
    def next_deadline_ms(self) -> int:
        """When `tick` is needed at the latest, if nothing arrives before."""
        if self.snapshots.is_busy or self._more_committed:
            return self._now_ms
        parts = (self.joining, self.expiry, self.parked, self.watches)
        due = [ms for part in parts if (ms := part.next_deadline_ms) is not None]
        return min([self.raft.next_deadline_ms, *due])

    def address_of(self, name: str) -> str | None:
        """Where the node of that name listens: as this node was told, else as it registered,
        else as it said itself. The last is for a leader whose admission has not come here yet:
        it must be answered for that to come."""
        address = self.initial.get(name)
        if address is None and (member := self.raft.membership.named(name)) is not None:
            address = member.address
        return address or self.joining.heard_address(name)

    def leader_hint(self) -> tuple[str | None, str | None]:
        """The leader's name and the address of its client port, as far as known."""
        leader = self.raft.leader
        if leader is None:
            return None, None
        address = self.address_of(leader.name)
        return leader.name, client_address(address) if address else None

    # -- inputs -------------------------------------------------------------------------------

    def wake(self, now_ms: int) -> None:
        """Begin a turn: say what time it is. Call it before anything is handed over."""
        self.raft.wake(now_ms)

    def receive(self, envelope: Envelope) -> None:
        """Take a Raft message from another node."""
        if not self.cluster or envelope.cluster != self.cluster:
            self.dropped["foreign_cluster"] += 1
            return
        self.raft.step(envelope.message)
        if self.raft.regressed is not None:
            raise self.storage.mark_stale(self.raft.regressed)

    def greeted(self, greeting: Hello | Welcome, now_ms: int) -> None:
        """Take a hello or a welcome."""
        if isinstance(greeting, Welcome):
            self.joining.welcomed(greeting, now_ms)
            return
        if greeting.sender.name == self.name:
            self.dropped["own_name"] += 1
            return
        if greeting.cluster == self.cluster != "":
            self.joining.heard(greeting.sender.name, greeting.address)
        raft = self.raft
        reason = ""
        if raft.role is Role.LEADER:
            reason = self.admission.hello(greeting, now_ms)
        elif raft.leader not in (None, greeting.sender) and greeting.cluster == self.cluster != "":
            assert raft.leader is not None
            # The newcomer may not know the leader's address: pass its hello on. No circle is
            # possible, for whoever is believed to lead either leads or knows of a later term.
            address = self.address_of(raft.leader.name)
            if address is not None:
                self.greet(raft.leader.name, address, greeting)
        self.greet(greeting.sender.name, greeting.address, answer_hello(self, greeting, reason))

    def request(self, client: bytes, request: Request, size: int, now_ms: int) -> None:
        """Take a client's message of `size` bytes."""
        match request:
            case OperationsRequest():
                self.clients.operations(client, request, size)
            case StatusRequest():
                self.admin.status(client, request)
            case StopRequest():
                self.admin.stop(client, request)
            case TransferRequest():
                self.admin.transfer(client, request, now_ms)
            case MemberRequest():
                self.admin.member(client, request, now_ms)
            case WatchRequest():
                self.watches.watch(client, request, now_ms)
            case UnwatchRequest():
                self.watches.unwatch(client, request)

    def tick(self, now_ms: int) -> None:
        """Let time pass; call it once a turn, after the messages of the turn."""
        self._now_ms = now_ms
        raft = self.raft
        raft.tick(now_ms)
        seen = (raft.role, raft.membership, raft.membership_index <= raft.commit_index)
        if now_ms >= self._next_chores_ms or seen != self._chores_seen:
            self._next_chores_ms, self._chores_seen = now_ms + CHORES_MS, seen
            self.joining.tick(now_ms)
            self.scaling.tick(now_ms)
            self.admission.tick(now_ms)
            self.admin.tick()
        self.expiry.tick(now_ms)

    def stop(self) -> None:
        """Begin to stop: take no more work and hand leadership over. Membership stays."""
        if not self.stopping:
            self.stopping = True
            if self.raft.role is Role.LEADER:
                with suppress(Refused):  # nobody else is there to lead
                    self.raft.transfer(None)

    def finish(self, out: Outbox) -> None:
        """The last words: what is pending has an unknown outcome."""
        self.clients.abandon(OutcomeUnknown(f"{self.name} stopped with the write in flight"))
        self.admin.abandon()
        self.watches.finish(out)
        for client, reply in self.clients.take_replies():
            out.reply(client, reply)

    # -- the turn -----------------------------------------------------------------------------

    def turn(self, out: Outbox) -> None:
        """Carry out all that the inputs since the last turn call for. Raises what the storage
        raises, except DiskFull: then the node goes on, refuses writes, and tries again."""
        self.clients.check_leadership()
        self.clients.propose()
        go_on = True
        self._more_committed = False
        while go_on and self.raft.has_ready:
            ready = self.raft.ready()
            go_on = self._execute(ready, out) and not ready.more_committed
            self._more_committed = ready.more_committed
            self.clients.check_leadership()
        self.snapshots.turn()
        self.admin.check(self._now_ms)
        for name, address, greeting in self._greetings:
            out.greet(name, address, greeting)
        self._greetings.clear()
        self._answer(out)
        self.watches.turn(self._now_ms, out)

    def _answer(self, out: Outbox) -> None:
        self.parked.turn(self._now_ms)
        for client, reply in self.clients.take_replies():
            out.reply(client, reply)

    def _execute(self, ready: Ready, out: Outbox) -> bool:
        """The order that core/ready.py demands. Returns False if the disk is full: what was to
        be saved then comes again with the next Ready, in the next turn."""
        self._send(ready.messages, out)
        received: list[SnapshotMeta | None] = []
        # A leader's clients wait for what is committed, and write their next while it saves. Of
        # a follower the leader waits for what it saves.
        if ready.hard_state is None and self.raft.role is Role.LEADER:
            self._serve(ready)
            self._answer(out)
            saved = self._save(ready, received, out)
        else:
            saved = self._save(ready, received, out)
            self._serve(ready)
        newest = None
        for meta in received:  # what this Ready committed lies before any snapshot it completed
            if self.raft.snapshot_received(meta):
                newest = meta
        # Several may have arrived during a pause; on disk the last has replaced the others.
        if newest is not None:
            self.snapshots.abort()
            self._restore_machine(newest)
            self.watches.restart()
        for want in ready.snapshot_sends:
            at = want.snapshot_index, want.snapshot_term, want.offset
            if (chunk := self.snapshots.chunk(want.to, *at)) is not None:
                self._send([chunk], out)
        return saved

    def _serve(self, ready: Ready) -> None:
        """Apply what is committed, and answer the reads that this allows to."""
        self._apply(ready.committed)
        self.clients.released(ready.reads)
        self.clients.failed(ready.failed_reads)
        self.clients.serve_reads()

    def _save(self, ready: Ready, received: list[SnapshotMeta | None], out: Outbox) -> bool:
        """Make durable what `ready` asks for, then say what had to wait for that. Completed
        snapshots are added to `received`, None for one that was damaged."""
        try:
            if ready.hard_state or ready.entries:
                self.storage.save(ready.hard_state, ready.entries)
            for chunk in ready.chunks:
                meta = self.snapshots.received(chunk)
                if chunk.done:
                    received.append(meta)
        except DiskFull:
            self.disk_full = True
            self.raft.save_failed()
            # Acknowledgements are dropped, as a network might drop them. Heartbeats need no disk
            # and were answered already, which keeps the cluster readable while disks are full.
            return False
        if ready.must_save:
            self.disk_full = False
        self.raft.saved()
        self._send(ready.messages_after_save, out)
        return True

    def _send(self, messages: Sequence[Message], out: Outbox) -> None:
        for message in messages:
            if not out.send(self.address_of(message.to.name), self.cluster, message):
                self.raft.unreachable(message.to)

    def _apply(self, committed: Sequence[Entry]) -> None:
        if not committed:
            return
        commands = [with_body(entry) for entry in committed if entry.kind in (COMMAND, COMMANDS)]
        if commands:
            self.clients.applied(commands, self.machine.apply_all(commands))
            self.raft.log.forget_bodies(commands)
        last = committed[-1]
        if last.index != self.machine.applied_index:
            self.machine.advance(last.index, last.time_ms)
        self.raft.applied(last.index)
        self.watches.collect()

    def _restore_machine(self, meta: SnapshotMeta) -> None:
        self.machine = observed(Machine.restore(self.storage.snapshot_records()))
        if self.machine.applied_index != meta.index:
            raise DataError(
                f"the snapshot at {meta.index} holds the state at {self.machine.applied_index}: "
                "start this node with --rejoin to catch up from its peers"
            )

    # -- for joining and admin ------------------------------------------------------------------

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        """Queue a hello or welcome for the end of the turn."""
        self._greetings.append((name, address, greeting))

    def adopt(self, cluster: str) -> None:
        """Belong to a cluster, durably."""
        self.storage.adopt(cluster)
        self.cluster = cluster

    def new_cluster_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def restart_raft(self, hard_state: HardState, first: Entry) -> None:
        """Form a cluster: make its first entry durable and begin from it."""
        self.storage.save(hard_state, [first])
        self.raft = self._new_raft(hard_state, None, [first])

    def _new_raft(
        self, hard_state: HardState, snapshot: SnapshotMeta | None, entries: Sequence[Entry]
    ) -> Raft:
        return Raft(
            self._id,
            self.settings.raft,
            random=self._random,
            encode=encode_entries,
            now_ms=self._now_ms,
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
        )


def observed(machine: Machine) -> Machine:
    """A machine that tells what its entries change: keys to watches, places to parked reads."""
    machine.observe_changes(True)
    machine.observe_decisions(True)
    return machine
