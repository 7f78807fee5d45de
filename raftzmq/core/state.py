"""What one node knows, and the few steps that several rules share: roles, sending, appending."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from raftzmq import limits
from raftzmq.core.config import Config
from raftzmq.core.entry import NOOP, Entry
from raftzmq.core.history import MembershipHistory
from raftzmq.core.identity import NodeId
from raftzmq.core.log import RaftLog
from raftzmq.core.membership import Membership
from raftzmq.core.messages import Message
from raftzmq.core.progress import Progress
from raftzmq.core.reads import Reads
from raftzmq.core.ready import HardState, Ready, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.errors import NotLeader

Encode = Callable[[int, int, int, str, Sequence[Any]], list[Entry]]
"""(first index, term, time_ms, kind, bodies) -> an entry with its line for each body."""

CONTRADICTION: Final = "a leader contradicts what is committed here"
"""One of the two has lost what it promised to keep: going on would lose data."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A transfer under way. At `deadline_ms` it is given up and proposals are taken again."""

    target: NodeId
    deadline_ms: int


@dataclass(slots=True)
class Incoming:
    """A snapshot that is being received. Files of the same index on two nodes need not be equal
    byte for byte, so chunks of one sender and term never continue those of another."""

    sender: NodeId
    term: int
    index: int
    snapshot_term: int
    next_offset: int = 0
    done: bool = False
    """The last chunk is with the driver, to be verified."""

    @property
    def source(self) -> tuple[NodeId, int, int, int]:
        return self.sender, self.term, self.index, self.snapshot_term


@dataclass(slots=True)
class OwnDisk:
    """How the disk of a leader does, which hands over when the others' do better."""

    refused: bool = False
    """The newest save found no room: what it was to save is still due."""

    slow_index: int | None = None
    """How far the newest slow save went, until it is compared with what the others have."""

    slow_ms: deque[int] = field(default_factory=lambda: deque(maxlen=limits.SLOW_SAVES))
    """When the newest slow saves were noticed that others were faster with."""

    tried: set[NodeId] = field(default_factory=set)
    """To whom it has been tried to hand over, since all had been tried."""


class RaftState:
    """All that a node knows; the rules are functions over it.

    Always: snapshot <= applied_index <= min(commit_index, stable_index), and
    stable_index <= handed_index <= log.last_index.
    """

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
        nonce: int,
    ) -> None:
        """Restore a node from what was durable.

        `entries` are those of the log file; they may begin below the snapshot's index. The state
        machine is taken to be at the snapshot. `nonce` is a number up to limits.INDEX_MAX that
        nobody can guess. Raises ValueError when the parts do not fit.
        """
        self.id = id
        self.config = config
        self.random = random
        self.encode = encode
        self.now_ms = now_ms
        """The newest time that was handed in."""

        self.ticked_ms = now_ms
        """What it was at the newest tick,"""

        self.still_ticks = 0
        """and how many ticks before that one it was the same."""

        self._restore_term(hard_state)
        self._restore_log(snapshot, entries)
        self._begin_trusting(nonce)
        self._begin_following()
        self._begin_leading()
        self.reads = Reads()
        self.pending = Ready()
        """What the next Ready will hold, as far as it is not worked out in ready()."""

        self.dropped: Counter[str] = Counter()
        """Messages that were not acted upon, by reason."""

    def _restore_term(self, hard_state: HardState) -> None:
        self.term = hard_state.term
        """Never decreases."""

        self.vote = hard_state.vote
        """Whom this node voted for in `term`. Once given it stays for the term."""

        self.handed_state = hard_state
        """The term and vote that were last handed to the driver to save."""

        self.saved_state = hard_state
        """Those that are durable."""

        self.awaits_save = False
        """The newest Ready asked for a save that has neither succeeded nor failed yet."""

    def _restore_log(self, snapshot: SnapshotMeta | None, entries: Sequence[Entry]) -> None:
        self.log = RaftLog(snapshot, entries)
        if self.log.last_term > self.term:
            raise ValueError("the log is of a later term than the node ever knew")
        self.memberships = MembershipHistory(snapshot, self.log.entries)
        self.snapshot_meta = snapshot
        """The newest durable snapshot of this node."""

        self.older_snapshot_index = 0
        """That of the snapshot before it, whose file still exists: sending it may go on."""

        self.handed_index = self.log.last_index
        """How far entries have been handed to the driver to save."""

        self.stable_index = self.log.last_index
        """How far entries are durable here."""

        self.commit_index = 0 if snapshot is None else snapshot.index
        """How far entries are known to be committed."""

        self.leader_commit_index = self.commit_index
        """How far a leader said entries are committed, whether they are here or not. For people."""

        self.applied_index = self.commit_index
        """How far the state machine has applied them."""

        self.incoming: Incoming | None = None
        """The snapshot that is being received."""

    def _begin_trusting(self, nonce: int) -> None:
        """Whom, and what, it believes: anybody may speak under any name."""
        self.vouched: frozenset[NodeId] = frozenset()
        """Who is a member according to the nodes that the driver asked: terms.py has why."""

        self.vouched_term = 0
        """The latest term that they named."""

        self.must_ask = False
        """Something was not taken that those who vouch could make good: the driver should ask them,
        and set this back."""

        self.regressed: int | None = None
        """Set when this node has lost entries that it acknowledged: up to which index it should
        have them. It then never votes or campaigns again."""

        self.doubted_term = 0
        """In this term it was last said, which anybody can, that it has lost some,"""

        self.doubt_ends_ms = 0
        """and until then it waits for what the leader, whom it asked, says to that."""

        self.nonce = nonce
        """By which it knows that answer."""

    def _begin_following(self) -> None:
        self.role = Role.FOLLOWER
        self.leader: NodeId | None = None
        """Who leads `term`, as far as this node knows."""

        self.votes: dict[NodeId, bool] = {}
        """PRE_CANDIDATE, CANDIDATE: the answers. Its own vote counts once it is durable."""

        self.unheard = False
        """Whether the leader said last that it does not hear this node. One of a build that does
        not say so is taken to hear it."""

        self.heard_leader = False
        """Whether the leader was heard since the last tick."""

        self.leader_heard_ms: int | None = None
        """When it was last heard before that."""

        self.excused = False
        """An election was put off, once, because this node itself had been paused."""

        self.election_deadline_ms = self.now_ms
        if self.memberships.voters != {self.id}:  # a sole voter has nobody to wait for
            self.restart_timer()

    def _begin_leading(self) -> None:
        """LEADER alone uses these; what they hold is void in any other role."""
        self.progress: dict[NodeId, Progress] = {}
        """Every other member. Empty when not leading."""

        self.term_start_index = 0
        """The index of this term's no-op."""

        self.leader_since_ms = 0
        """When its term began by its own clock, later by what does not count (clock.py),"""

        self.clock_base_ms = 0
        """and in replicated time."""

        self.heartbeat_deadline_ms = self.now_ms
        self.notice_deadline_ms: int | None = None
        """When followers are told that the commit index has moved, if no append does."""

        self.must_replicate = False
        """Some follower may be due an append or a snapshot chunk."""

        self.handover: Handover | None = None
        """The leader transfer under way."""

        self.own_disk = OwnDisk()
        """Whether it should hand over for its disk's sake."""

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
    def may_trust_log(self) -> bool:
        """Whether it may vote and stand on the strength of its log."""
        return self.regressed is None and self.now_ms >= self.doubt_ends_ms

    @property
    def term_max(self) -> int:
        """The latest term that a message may name."""
        return max(self.term, self.vouched_term) + limits.TERM_JUMP

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

    # What the rules share.

    def send(self, message: Message) -> None:
        """Send without waiting for the disk: it promises and acknowledges nothing."""
        self.pending.messages.append(message)

    def send_after_save(self, message: Message) -> None:
        """Send once all that is known now is durable."""
        self.pending.messages_after_save.append(message)

    def hears(self, node: NodeId) -> bool:
        """Whether this node leads and has heard of late from that other member."""
        progress = self.progress.get(node)
        timeout_ms = self.config.election_timeout_ms
        return progress is not None and not progress.is_silent(self.now_ms, timeout_ms)

    def require_leader(self) -> None:
        """Raise NotLeader unless this node leads."""
        if self.role is not Role.LEADER:
            known = None if self.leader is None else self.leader.name
            raise NotLeader("this node does not lead" if known else "no leader is known", known)

    def append_new(self, kind: str, bodies: Sequence[Any]) -> int:
        """LEADER: append an entry of its own making for each body; return the first's index."""
        first = self.log.last_index + 1
        self.append(self.encode(first, self.term, self.stamp_ms, kind, bodies))
        self.must_replicate = True
        return first

    def append(self, entries: Sequence[Entry]) -> None:
        """Append entries. A membership among them is in force at once (thesis 4.1)."""
        self.log.append(entries)
        self.memberships.append(entries)

    def truncate_from(self, index: int) -> None:
        """Remove the entry at `index` and all after it, which a later leader's contradict."""
        assert index > self.commit_index, CONTRADICTION
        self.log.truncate_from(index)
        self.memberships.truncate_from(index)
        self.handed_index = min(self.handed_index, index - 1)
        self.stable_index = min(self.stable_index, index - 1)

    def restart_timer(self) -> None:
        """Wait anew, for a time drawn from [T, 2T), before suspecting the leader."""
        timeout_ms = self.config.election_timeout_ms
        self.election_deadline_ms = self.now_ms + timeout_ms + self.random.randrange(timeout_ms)

    def track_members(self) -> None:
        """Have a Progress for every other member, and for nobody else."""
        wanted = self.memberships.ids - {self.id}
        self.progress = {
            node: self.progress.get(node) or Progress(self.log.last_index, self.now_ms)
            for node in sorted(wanted)
        }

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
            full = self.own_disk.refused
            self.pending.failed_reads += self.reads.abandon(confirmed=full)
            self.progress = {}
            self.handover = None
            self.must_replicate = False
            self.notice_deadline_ms = None
            self.leader_heard_ms = None
            self.restart_timer()
        self.role = Role.FOLLOWER
        if leader != self.leader:
            self.unheard = False
        self.leader = leader
        self.votes = {}

    def become_leader(self) -> None:
        """Lead `term`, having a majority's votes. Its first entry is a no-op (thesis 6.4)."""
        assert self.role is Role.CANDIDATE, "only a candidate wins an election"
        self.role = Role.LEADER
        self.leader = self.id
        self.unheard = False
        self.votes = {}
        self.incoming = None
        self.leader_since_ms = self.now_ms
        self.clock_base_ms = self.log.last_time_ms
        self.heartbeat_deadline_ms = self.now_ms + self.config.heartbeat_ms
        self.own_disk = OwnDisk()
        self.term_start_index = self.append_new(NOOP, [None])
        self.track_members()


Handlers = dict[type[Message], Callable[[RaftState, Any], object]]
"""What a rule file does about each kind of message that is its own."""
