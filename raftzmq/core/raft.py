"""One node's Raft: its state, what goes in, and the Ready that comes out.

The rules live beside this file, one subject each: election, replication, snapshots, changes (of
membership), transfer, reads. This one holds the state they share and the order of things.

The driver calls step() for each message, tick() after the messages that had arrived, propose()
and its like, and then works off ready() until has_ready is false (core/ready.py has the order).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from raftzmq.core import changes, election, replication, snapshots, terms, transfer
from raftzmq.core.config import Config
from raftzmq.core.entry import COMMAND, NOOP, Entry
from raftzmq.core.history import MembershipHistory
from raftzmq.core.identity import NodeId
from raftzmq.core.log import RaftLog
from raftzmq.core.membership import Membership
from raftzmq.core.messages import Message
from raftzmq.core.progress import Progress
from raftzmq.core.reads import Reads
from raftzmq.core.ready import HardState, Ready, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.errors import NotLeader, Refused

Encode = Callable[[int, int, int, str, Sequence[Any]], list[Entry]]
"""(first index, term, time_ms, kind, bodies) -> an entry with its line for each body."""


class Raft:
    """A node. Not safe to use from two threads.

    Always: snapshot <= applied_index <= delivered_index <= min(commit_index, stable_index), and
    stable_index <= handed_index <= log.last_index.
    """

    term: int
    """Never decreases."""

    vote: NodeId | None
    """Whom this node voted for in `term`. Once given it stays for the term."""

    role: Role
    leader: NodeId | None
    """Who leads `term`, as far as this node knows."""

    votes: dict[NodeId, bool]
    """PRE_CANDIDATE, CANDIDATE: the answers. Its own vote counts once it is durable."""

    log: RaftLog
    memberships: MembershipHistory
    snapshot_meta: SnapshotMeta | None
    """The newest durable snapshot of this node."""

    older_snapshot_index: int
    """That of the snapshot before it, whose file still exists: sending it may go on."""

    handed_index: int
    """How far entries have been handed to the driver to save."""

    stable_index: int
    """How far entries are durable here."""

    commit_index: int
    """How far entries are known to be committed."""

    leader_commit_index: int
    """How far a leader said entries are committed, whether they are here or not. For people."""

    delivered_index: int
    """How far entries have been handed to the driver to apply."""

    applied_index: int
    """How far the state machine has applied them."""

    now_ms: int
    """The time of the newest tick."""

    election_deadline_ms: int
    leader_heard_ms: int | None
    """When the leader was last heard, and `heard_leader`: whether since the last tick."""

    heard_leader: bool
    excused: bool
    """An election was put off, once, because this node itself had been paused."""

    regressed: int | None
    """Set when this node has lost entries that it acknowledged: up to which index it should have
    them. It then never votes or campaigns again."""

    progress: dict[NodeId, Progress]
    """LEADER: every other member. Empty otherwise, as the following are void."""

    term_start_index: int
    """LEADER: the index of this term's no-op."""

    leader_since_ms: int
    clock_base_ms: int
    """LEADER: when its term began, by its own clock and in replicated time."""

    heartbeat_deadline_ms: int
    notice_deadline_ms: int | None
    """LEADER: when followers are told that the commit index has moved, if no append does."""

    must_replicate: bool
    """LEADER: some follower may be due an append or a snapshot chunk."""

    handover: transfer.Handover | None
    """LEADER: the leader transfer under way."""

    reads: Reads
    incoming: snapshots.Incoming | None
    """The snapshot that is being received."""

    pending: Ready
    """What the next Ready will hold, as far as it is not worked out in ready()."""

    dropped: Counter[str]
    """Messages that were not acted upon, by reason."""

    def __init__(
        self,
        id: NodeId,  # noqa: A002 - the node's own word for itself
        config: Config,
        *,
        random: Random,
        encode: Encode,
        now_ms: int,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: Sequence[Entry],
    ) -> None:
        """Restore a node from what was durable.

        `entries` are those of the log file; they may begin below the snapshot's index. The state
        machine is taken to be at the snapshot. Raises ValueError when the parts do not fit.
        """
        self.id = id
        self.config, self.random, self.encode = config, random, encode
        self.now_ms = now_ms
        self.term, self.vote = hard_state.term, hard_state.vote
        self.role, self.leader, self.votes = Role.FOLLOWER, None, {}
        self._restore_log(snapshot, entries)
        self.heard_leader, self.leader_heard_ms, self.excused = False, None, False
        self.regressed = None
        self.progress = {}
        self.term_start_index = self.leader_since_ms = self.clock_base_ms = 0
        self.heartbeat_deadline_ms = now_ms
        self.notice_deadline_ms = None
        self.must_replicate = False
        self.handover = None
        self.reads = Reads()
        self.incoming = None
        self.pending = Ready()
        self.dropped = Counter()
        self._saved_state = self._handed_state = hard_state
        self._awaits_save = False
        self.election_deadline_ms = now_ms
        if self.memberships.voters != {id}:  # a sole voter has nobody to wait for
            election.restart_timer(self)

    def _restore_log(self, snapshot: SnapshotMeta | None, entries: Sequence[Entry]) -> None:
        self.log = RaftLog(snapshot, entries)
        if self.log.last_term > self.term:
            raise ValueError("the log is of a later term than the node ever knew")
        self.memberships = MembershipHistory(snapshot, self.log.entries)
        self.snapshot_meta = snapshot
        self.older_snapshot_index = 0
        self.handed_index = self.stable_index = self.log.last_index
        start = 0 if snapshot is None else snapshot.index
        self.commit_index = self.delivered_index = self.applied_index = start
        self.leader_commit_index = start

    # What the driver, the node layer and `status` look at.

    @property
    def membership(self) -> Membership:
        """The newest membership in the log, committed or not."""
        return self.memberships.membership

    @property
    def membership_index(self) -> int:
        return self.memberships.index

    @property
    def is_voter(self) -> bool:
        return self.id in self.memberships.voters

    @property
    def is_learner(self) -> bool:
        return self.id in self.memberships.learners

    @property
    def term_committed(self) -> bool:
        """Whether this node leads and its term's first entry is committed: only then does it
        know what is committed, and may release reads and change the membership."""
        return self.role is Role.LEADER and self.commit_index >= self.term_start_index

    @property
    def transferring_to(self) -> NodeId | None:
        """Whom leadership is being handed to; proposals are refused meanwhile."""
        return None if self.handover is None else self.handover.target

    @property
    def last_time_ms(self) -> int:
        """The stamp of the newest entry in the log."""
        return self.log.last_time_ms

    @property
    def stamp_ms(self) -> int:
        """The stamp of an entry appended now: the leader's clock, which never goes backwards and
        begins where its predecessor's log ended. The log's last stamp when not leading."""
        if self.role is not Role.LEADER:
            return self.log.last_time_ms
        elapsed_ms = self.now_ms - self.leader_since_ms
        return max(self.log.last_time_ms, self.clock_base_ms + elapsed_ms)

    @property
    def next_deadline_ms(self) -> int:
        """When tick() is needed next, if nothing arrives before."""
        if self.role is not Role.LEADER:
            return self.election_deadline_ms
        due_ms = self.heartbeat_deadline_ms
        if self.notice_deadline_ms is not None:
            due_ms = min(due_ms, self.notice_deadline_ms)
        return due_ms if self.handover is None else min(due_ms, self.handover.deadline_ms)

    def snapshot_meta_at(self, index: int) -> SnapshotMeta:
        """What a snapshot of the state applied up to `index` stands for.

        Raises ValueError when `index` is compacted away or not applied yet.
        """
        term = self.log.term_at(index)
        if term is None or not 0 < index <= self.applied_index:
            raise ValueError(f"no snapshot can be taken at {index}")
        at_base = index == self.log.base_index
        time_ms = self.log.base_time_ms if at_base else self.log.entry(index).time_ms
        return SnapshotMeta(index, term, time_ms, self.memberships.at(index))

    # What goes in.

    def step(self, message: Message) -> None:
        """Act on a message. Whatever it says or how often it comes, nothing is raised for it
        unless another node broke Raft's own promises (AssertionError)."""
        if message.to != self.id or message.sender == self.id:
            self.dropped["not for this node"] += 1
        elif terms.admit(self, message):
            HANDLERS[type(message)](self, message)

    def wake(self, now_ms: int) -> None:
        """Say what time it is before messages are stepped, so that a request for a vote is judged
        by the leader's silence until now, and not until whenever this node had its last turn."""
        self.now_ms = max(self.now_ms, now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass, at any rate. Step the messages that have arrived first: they count as
        heard at `now_ms`, so that a node which was paused does not suspect the others of it."""
        self.now_ms = max(self.now_ms, now_ms)
        if self.role is Role.LEADER:
            replication.tick(self)
        else:
            election.tick(self)

    def propose(self, bodies: Sequence[Any], kind: str = COMMAND) -> int:
        """Append an entry of commands for each body; return the index of the first.

        Raises NotLeader, and Refused during a leader transfer.
        """
        self.require_leader()
        if self.handover is not None:
            raise Refused(f"leadership is being handed to {self.handover.target.name}; try again")
        first = self.log.last_index + 1
        self.log.append(self.encode(first, self.term, self.stamp_ms, kind, bodies))
        self.must_replicate = True
        return first

    def propose_membership(self, new: Membership) -> int:
        """Append a CONFIG entry; return its index. It is in force at once, and is taken back if
        the entry is truncated. Raises NotLeader, and Refused with the reason."""
        return changes.propose(self, new)

    def read_index(self, context: object) -> None:
        """Ask for a linearizable read: the context comes back in Ready.reads once a majority has
        confirmed this leader after this call, or in Ready.failed_reads. Raises NotLeader."""
        self.require_leader()
        self.reads.add(context)

    def transfer(self, name: str | None) -> None:
        """Hand leadership to the voter `name`, or to the most caught-up one. Given up after an
        election timeout. Raises NotLeader, and Refused with the reason."""
        transfer.start(self, name)

    def unreachable(self, node: NodeId) -> None:
        """A message to `node` could not be sent, or its snapshot's file is gone: what was in
        flight counts as lost, and a newer snapshot is sent if there is one."""
        replication.unreachable(self, node)

    def compact(self, meta: SnapshotMeta) -> None:
        """A snapshot of `meta` is durable: forget the entries that it covers, but for a few."""
        snapshots.compact(self, meta)

    def snapshot_received(self, meta: SnapshotMeta | None) -> bool:
        """The snapshot whose last chunk was in the newest Ready is verified and in place; None:
        it was damaged and must be sent anew. Returns whether the state machine must be replaced
        by it (not when this node had committed as much meanwhile)."""
        return snapshots.received(self, meta)

    # What comes out.

    @property
    def has_ready(self) -> bool:
        """Whether ready() would hold anything. Cheap."""
        pending = self.pending
        return bool(
            pending.messages
            or pending.messages_after_save
            or self.must_replicate
            or self.handed_index < self.log.last_index
            or self.delivered_index < min(self.commit_index, self.stable_index)
            or self.term != self._saved_state.term
            or self.vote != self._saved_state.vote
            or (self.reads.waiting and self.term_committed)
            or self.reads.releasable(self.delivered_index)
            or pending.chunks
            or pending.snapshot_sends
            or pending.failed_reads
        )

    def ready(self) -> Ready:
        """Take what is to be done. If it must_save, saved() or save_failed() comes before the
        next ready()."""
        assert not self._awaits_save, "saved() is due"
        if self.role is Role.LEADER:
            replication.send(self)
        result, self.pending = self.pending, Ready()
        if self.term != self._saved_state.term or self.vote != self._saved_state.vote:
            result.hard_state = self._handed_state = HardState(self.term, self.vote)
            # A term must be durable before anyone hears of it.
            result.messages_after_save[:0] = result.messages
            result.messages = []
        last = self.log.last_index
        if self.handed_index < last:
            result.entries = self.log.between(self.handed_index + 1, last)
            self.handed_index = last
        limit = min(self.commit_index, self.stable_index)
        if self.delivered_index < limit:
            config, first = self.config, self.delivered_index + 1
            most = min(limit + 1 - first, config.max_committed_entries)
            result.committed = self.log.slice(first, most, config.max_committed_bytes)
            self.delivered_index += len(result.committed)
            result.more_committed = self.delivered_index < limit
        result.reads = self.reads.release(self.delivered_index)
        self._awaits_save = result.must_save
        return result

    def saved(self) -> None:
        """What the newest Ready asked to save is durable. Harmless if it asked for nothing."""
        self._awaits_save = False
        self._saved_state = self._handed_state
        if self.stable_index != self.handed_index:
            self.stable_index = self.handed_index
            if self.role is Role.LEADER:
                replication.advance_commit(self)
        if self.role is Role.CANDIDATE and self._saved_state.term == self.term:
            election.count_own_vote(self)

    def save_failed(self) -> None:
        """Nothing of what the newest Ready asked to save was saved (the disk is full). It comes
        again in the next one; its messages_after_save must not be sent and count as lost."""
        self._awaits_save = False
        self._handed_state = self._saved_state
        self.handed_index = self.stable_index
        self.incoming = None

    def applied(self, index: int) -> None:
        """The state machine has applied everything up to `index`."""
        assert self.applied_index <= index <= self.delivered_index, "applied what was not committed"
        self.applied_index = index

    # What the rules share.

    def send(self, message: Message) -> None:
        """Send without waiting for the disk: it promises and acknowledges nothing."""
        self.pending.messages.append(message)

    def send_after_save(self, message: Message) -> None:
        """Send once all that is known now is durable."""
        self.pending.messages_after_save.append(message)

    def require_leader(self) -> None:
        """Raise NotLeader unless this node leads."""
        if self.role is not Role.LEADER:
            known = None if self.leader is None else self.leader.name
            raise NotLeader("this node does not lead" if known else "no leader is known", known)

    def append(self, kind: str, body: Any) -> Entry:
        """LEADER: append one entry of its own making."""
        [entry] = self.encode(self.log.last_index + 1, self.term, self.stamp_ms, kind, [body])
        self.log.append([entry])
        self.must_replicate = True
        return entry

    def become_follower(self, term: int, leader: NodeId | None) -> None:
        """Follow `leader`, or nobody yet, in `term` (this one or a later)."""
        assert term >= self.term, "terms never decrease"
        if term > self.term:
            self.term = term
            self.vote = None
            # What was promised in an earlier term and has not left is void: a leader of the later
            # one may take an acknowledged entry away before it is ever saved.
            self.pending.messages_after_save = []
        if self.role is Role.LEADER:
            self.pending.failed_reads += self.reads.abandon()
            self.progress = {}
            self.handover = None
            self.must_replicate = False
            self.notice_deadline_ms = None
            self.leader_heard_ms = None
            election.restart_timer(self)
        self.role = Role.FOLLOWER
        self.leader = leader
        self.votes = {}

    def become_leader(self) -> None:
        """Lead `term`, having a majority's votes. Its first entry is a no-op (thesis 6.4)."""
        assert self.role is Role.CANDIDATE, "only a candidate wins an election"
        self.role = Role.LEADER
        self.leader = self.id
        self.votes = {}
        self.incoming = None
        self.leader_since_ms = self.now_ms
        self.clock_base_ms = self.log.last_time_ms
        self.heartbeat_deadline_ms = self.now_ms + self.config.heartbeat_ms
        self.term_start_index = self.append(NOOP, None).index
        changes.track_members(self)


HANDLERS = {
    **election.HANDLERS,
    **replication.HANDLERS,
    **snapshots.HANDLERS,
    **transfer.HANDLERS,
}
"""What each message does, once terms.admit has let it in. Total over the message classes."""
