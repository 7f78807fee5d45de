"""A node: Raft, the state machine and what clients are owed, without clock, disk or network.

The server drives one of these; the simulator drives many. Inputs are `receive`, `greeted`,
`request` and `tick`; then `turn` carries out, in the one order that is safe, everything that
follows from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Final

from raftzmq.access.users import ANYBODY, User, Users
from raftzmq.core.entry import COMMAND, COMMANDS, Entry
from raftzmq.core.messages import Message
from raftzmq.core.ready import Ready, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.errors import DiskFull, OutcomeUnknown, OutOfFiles, Refused
from raftzmq.lines import with_body
from raftzmq.node.access import Access
from raftzmq.node.admin import Admin
from raftzmq.node.admission import Admission
from raftzmq.node.backups import Backups
from raftzmq.node.clients import Clients
from raftzmq.node.expiry import Expiry
from raftzmq.node.hellos import Hellos
from raftzmq.node.interfaces import Outbox, StoreLike
from raftzmq.node.joining import Joining, answer_hello
from raftzmq.node.parked import Parked
from raftzmq.node.programs import Programs
from raftzmq.node.proposals import Proposals
from raftzmq.node.reads import Reads
from raftzmq.node.replies import Replies
from raftzmq.node.scaling import Scaling
from raftzmq.node.scans import Scans
from raftzmq.node.snapshots import Snapshots
from raftzmq.node.state import NodeSettings, NodeState
from raftzmq.node.traces import Traces
from raftzmq.node.upgrades import Upgrades
from raftzmq.node.watches import Watches
from raftzmq.storage import Restored
from raftzmq.transport.client_wire import OperationsRequest, Request
from raftzmq.transport.peer_wire import Envelope, Hello, Welcome
from raftzmq.transport.scan_wire import ScanEnd, ScanNext, ScanRequest
from raftzmq.transport.snapshot_wire import NoteRequest, PullRequest, SnapshotRequest
from raftzmq.transport.watch_wire import UnwatchRequest, WatchRequest

MAINTENANCE_MS: Final = 10
"""What concerns the membership is looked at this often, and when it or the role has changed: a turn
takes a fraction of a millisecond, and most turns are about clients' operations."""


class Node(NodeState):
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
        super().__init__(settings, storage, restored, random, now_ms, clock)
        self._work_left = 0  # how much more this turn may apply
        self._cut_short = False  # the last turn had no time for all
        self._next_maintenance_ms = now_ms
        self._maintained: tuple[object, ...] = ()
        self.snapshots = Snapshots(self)
        self.replies = Replies(self)
        access = Access(self)
        self.parked = Parked(self, access, self.replies)
        self.traces = Traces(self.counts.clock)
        self.proposals = Proposals(self, self.replies, self.traces)
        self.reads = Reads(self, self.replies, self.parked)
        self.upgrades = Upgrades(self, self.proposals)
        self.programs = Programs(self, self.upgrades)
        self.clients = Clients(
            access,
            self.replies,
            self.proposals,
            self.reads,
            self.upgrades,
            self.programs,
            self.counts,
        )
        self.watches = Watches(self, now_ms)
        self.backups = Backups(self, self.replies)
        self.scans = Scans(self, self.replies)
        self.expiry = Expiry(self)
        self.scaling = Scaling(self)
        self.admission = Admission(self, self.scaling, self.upgrades)
        self.joining = Joining(self, self.admission, now_ms)
        self.hellos = Hellos()
        parts = (self.admission, self.scaling, self.joining, self.upgrades)
        self.admin = Admin(self, access, self.replies, *parts)

    # -- what it is ---------------------------------------------------------------------------

    @property
    def next_deadline_ms(self) -> int:
        """When `tick` is needed at the latest, if nothing arrives before."""
        if self.snapshots.is_busy or self._cut_short:
            return self.now_ms
        parts = (self.joining, self.expiry, self.parked, self.watches, self.backups, self.scans)
        due = [ms for part in parts if (ms := part.next_deadline_ms) is not None]
        return min([self.raft.next_deadline_ms, *due])

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
            if not self.admission.answered(greeting):
                self.joining.welcomed(greeting, now_ms)
            return
        if greeting.sender.name == self.name:
            self.dropped["own_name"] += 1
            return
        if not self.hellos.take(greeting, now_ms):
            self.dropped["hello_too_often"] += 1
            return
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

    def request(
        self, client: bytes, request: Request, size: int, now_ms: int, user: User = ANYBODY
    ) -> None:
        """Take a client's message of `size` bytes; `user` is who sent this very message."""
        if user.name:
            self.watches.spoke(client, user.name)
        match request:
            case OperationsRequest():
                if request.traces:
                    self.traces.received(client, request)
                self.clients.operations(client, request, size, user)
            case WatchRequest():
                self.watches.watch(client, request, now_ms, user)
            case UnwatchRequest():
                self.watches.unwatch(client, request)
            case SnapshotRequest() | PullRequest() | NoteRequest():
                self.backups.request(client, request, now_ms, user)
            case ScanRequest() | ScanNext() | ScanEnd():
                self.scans.request(client, request, now_ms, user)
            case _:
                self.admin.request(client, request, now_ms, user)

    def users_changed(self, users: Users) -> None:
        """The users are others, or have other rights. Watches end, and reads that wait, if their
        users lack the right to them now. What was proposed before is done."""
        self.watches.users_changed(users)
        self.parked.users_changed(users)

    def tick(self, now_ms: int) -> None:
        """Let time pass; call it once a turn, after the messages of the turn."""
        self.now_ms = now_ms
        raft = self.raft
        raft.tick(now_ms)
        seen = (raft.role, raft.membership, raft.membership_index <= raft.commit_index)
        if now_ms >= self._next_maintenance_ms or seen != self._maintained:
            self._next_maintenance_ms = now_ms + MAINTENANCE_MS
            self._maintained = seen
            self.joining.tick(now_ms)
            self.scaling.tick(now_ms)
            self.admission.tick(now_ms)
            self.upgrades.tick()
            self.programs.tick()
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
        self.proposals.abandon(OutcomeUnknown(f"{self.name} stopped with the write in flight"))
        self.admin.abandon()
        self.watches.finish(out)
        for client, reply in self.replies.take():
            out.reply(client, reply)

    # -- the turn -----------------------------------------------------------------------------

    def turn(self, out: Outbox) -> None:
        """Carry out all that the inputs since the last turn call for. Raises what the storage
        raises, except DiskFull: then the node goes on, refuses writes, and tries again."""
        self.proposals.check_leadership()
        self.proposals.propose()
        go_on = True
        self._work_left = self.settings.work_per_turn
        while go_on and self._work_left > 0 and self.raft.has_ready:
            go_on = self._execute(self.raft.ready(), out)
            self.proposals.check_leadership()
        self._cut_short = self._work_left <= 0 and self.raft.has_ready
        self.snapshots.turn()
        self.admin.check(self.now_ms)
        self.backups.turn(self.now_ms)
        self.scans.turn(self.now_ms)
        for name, address, greeting in self.greetings:
            out.greet(name, address, greeting)
        self.greetings.clear()
        self._answer(out)
        self.watches.turn(self.now_ms, out)

    def _answer(self, out: Outbox) -> None:
        self.parked.turn(self.now_ms)
        for client, reply in self.replies.take():
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
            self.backups.abort()
            self.scans.abort()
            self.restore_machine(newest)
            self.watches.restart()
        for want in ready.snapshot_sends:
            at = want.snapshot_index, want.snapshot_term, want.offset
            if (chunk := self.snapshots.chunk(want.to, *at)) is not None:
                self._send([chunk], out)
        return saved

    def _serve(self, ready: Ready) -> None:
        """Apply what is committed, and answer the reads that this allows to."""
        self._apply(ready.committed)
        self.reads.released(ready.reads)
        self.reads.failed(ready.failed_reads)

    def _save(self, ready: Ready, received: list[SnapshotMeta | None], out: Outbox) -> bool:
        """Make durable what `ready` asks for, then say what had to wait for that. Completed
        snapshots are added to `received`, None for one that was damaged."""
        clock, begun_s = self.counts.clock, self.counts.clock()
        try:
            if ready.hard_state or ready.entries:
                self.storage.save(ready.hard_state, ready.entries)
            for chunk in ready.chunks:
                meta = self.snapshots.received(chunk)
                if chunk.done:
                    received.append(meta)
        except DiskFull as error:
            if not self.lacks:
                self.full_since_ms = self.now_ms
            self.lacks = "files" if isinstance(error, OutOfFiles) else "space"
            self.raft.save_failed()
            # Acknowledgements are dropped, as a network might drop them. Heartbeats need no disk
            # and were answered already, which keeps the cluster readable while disks are full.
            return False
        # A piece of a snapshot proves nothing: it may fit where the one before was deleted.
        if ready.hard_state or ready.entries or received:
            self.lacks = ""
        self.raft.saved(int((clock() - begun_s) * 1000))
        if self.traces.active and ready.entries:
            self.traces.saved(ready.entries[-1].index)
        self._send(ready.messages_after_save, out)
        return True

    def _send(self, messages: Sequence[Message], out: Outbox) -> None:
        for message in messages:
            if not out.send(self.address_of(message.to.name), self.cluster, message):
                self.raft.unreachable(message.to)

    def _apply(self, committed: Sequence[Entry]) -> None:
        """Apply as much as the turn has time for; the rest comes again in the next Ready."""
        if not committed:
            return
        last = committed[-1]
        commands = [entry for entry in committed if entry.kind in (COMMAND, COMMANDS)]
        if commands:
            begun = self.machine.work
            results = self.machine.apply_all(map(with_body, commands), self._work_left)
            self._work_left -= self.machine.work - begun
            if len(results) < len(commands):
                commands = commands[: len(results)]
                last = commands[-1]
            self.proposals.applied(commands, results)
            self.raft.log.forget_bodies(commands)
        if last.index != self.machine.applied_index:
            self.machine.advance(last.index, last.time_ms)
        self.raft.applied(last.index)
        self.watches.collect()
