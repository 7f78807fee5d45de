"""Writes of clients: those of a turn are proposed together, and answered when they are applied."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from raftzmq import limits
from raftzmq.core.entry import COMMANDS, Entry
from raftzmq.core.role import Role
from raftzmq.errors import (
    DiskFull,
    Forming,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    RaftzmqError,
    SessionExpired,
    StoreFull,
)
from raftzmq.machine import Result, adds
from raftzmq.naming import descends
from raftzmq.node.counts import WRITE
from raftzmq.node.replies import Replies
from raftzmq.node.state import NodeState
from raftzmq.node.traces import Traces
from raftzmq.transport.client_wire import OperationsRequest

RELIEF_HEARTBEATS: Final = 2
"""So many heartbeats after its disk has become full a leader knows whether others have room."""

_code_of_result = itemgetter(0)

_Group = tuple[int, int, Sequence[Any]]
"""Session, ack, and operations of that session."""


class _Writes(NamedTuple):
    """Writes of one message, in the order in which the entry at index `at` has them."""

    at: int
    client: bytes
    ids: list[int]


class _Batch(NamedTuple):
    """Writes proposed together: the index of the last, how many, their bytes, and when."""

    last_index: int
    writes: int
    size: int
    proposed_s: float


class _Gathered:
    """Writes that the next turn proposes, as the bodies of its entries."""

    __slots__ = ("bodies", "owners", "room", "room_bytes", "size", "writes")

    def __init__(self) -> None:
        self.bodies: list[list[_Group]] = []
        self.owners: list[_Writes] = []  # `at` is the place in `bodies`
        self.room = self.room_bytes = 0  # how many more operations and bytes the last of them takes
        self.writes = 0
        self.size = 0

    def add(self, client: bytes, ids: list[int], group: _Group, size: int) -> None:
        """Put a group of operations, at most `size` bytes, into the next entry with room for it."""
        if size > self.room_bytes or len(ids) > self.room:
            self.bodies.append([])
            self.room_bytes = limits.ENTRY_BYTES
            self.room = limits.ENTRY_OPERATIONS
        self.room_bytes -= size
        self.room -= len(ids)
        self.bodies[-1].append(group)
        self.owners.append(_Writes(len(self.bodies) - 1, client, ids))


class Proposals:
    """The writes at this node that are not answered yet."""

    def __init__(self, node: NodeState, replies: Replies, traces: Traces) -> None:
        self._node = node
        self._replies = replies
        self._traces = traces
        self._gathered = _Gathered()
        self._term = 0  # in which all of the following was proposed
        self._owed: deque[_Writes] = deque()  # in order of the log
        self._owed_count = 0
        self._batches: deque[_Batch] = deque()  # those that are not wholly applied
        self._batches_bytes = 0

    @property
    def pending(self) -> int:
        """Writes accepted and not yet answered."""
        return self._owed_count + self._gathered.writes

    @property
    def _pending_bytes(self) -> int:
        return self._batches_bytes + self._gathered.size

    def add(
        self, client: bytes, request: OperationsRequest, writes: Sequence[Any], size: int
    ) -> None:
        """Take the writes of a message of `size` bytes, all of them valid; or refuse them."""
        refusal = self._refusal(request)
        if refusal is not None:
            self._replies.refuse(client, [op[0] for op in writes], refusal, WRITE)
            return
        no_room = self._no_room()
        if no_room is not None:
            writes = self._without_additions(client, request.session, writes, no_room)
            if not writes:
                return
        ids = [op[0] for op in writes]
        session, ack = request.session, request.ack
        gathered = self._gathered
        if size > limits.ENTRY_BYTES:  # an entry has to fit a frame, with all that it holds
            for op in writes:
                gathered.add(client, [op[0]], (session, ack, [op]), size)
        else:
            gathered.add(client, ids, (session, ack, writes), size)
        gathered.writes += len(ids)
        gathered.size += size

    def _refusal(self, request: OperationsRequest) -> RaftzmqError | None:
        node = self._node
        if node.raft.role is not Role.LEADER or node.stopping:
            return self._replies.not_leader()
        if request.session and not descends(node.cluster, request.cluster):
            # The number may be somebody's here, whose results this client must not be given.
            return SessionExpired(f"session {request.session} is not of cluster {node.cluster}")
        forming = node.raft.membership.forming
        if forming:
            return Forming(f"the cluster is forming: waiting for {', '.join(forming)} to join")
        if node.unrecorded:
            return DiskFull(node.unrecorded)
        if node.lacks and node.raft.transferring_to is None:
            return self._not_saved()
        if (
            self.pending >= limits.PROPOSALS_IN_FLIGHT
            or self._pending_bytes >= limits.PROPOSAL_BYTES_IN_FLIGHT
        ):
            return Overloaded("too many writes in flight: try again")
        return None

    def _no_room(self) -> RaftzmqError | None:
        """Why writes that add are refused, if they are: the quota counts what is in flight too, of
        which nobody knows yet how much it adds."""
        node = self._node
        quota = node.settings.quota_bytes
        if quota is None:
            return None
        room = quota - node.machine.memory
        if room > self._pending_bytes:
            return None
        if room > 0:
            return Overloaded("the writes in flight may take what is left of the store: try again")
        return StoreFull(
            f"the store of {node.name} takes all of its quota of {quota} bytes: delete something, "
            "or start every node with a larger --quota; until then only what adds nothing is taken"
        )

    def _without_additions(
        self, client: bytes, session: int, writes: Sequence[Any], refusal: RaftzmqError
    ) -> list[Any]:
        """Refuse the writes that add something; return the others. What was done already, and is
        only sent again, adds nothing."""
        machine = self._node.machine
        refused: list[int] = []
        taken: list[Any] = []
        for op in writes:
            if adds(op) and not machine.has_result(session, op[0]):
                refused.append(op[0])
            else:
                taken.append(op)
        if refused:
            self._replies.refuse(client, refused, refusal, WRITE)
        return taken

    def _not_saved(self) -> RaftzmqError:
        """Clients try again while it may yet turn out that another node has room and takes over,
        or that files are closed."""
        node = self._node
        if node.out_of_files:
            return Overloaded(f"too many files are open in {node.name}: try again")
        if node.now_ms - node.full_since_ms < RELIEF_HEARTBEATS * node.raft.config.heartbeat_ms:
            return Overloaded(f"the disk of {node.name} has just become full: try again")
        return DiskFull(f"the disk of {node.name} is full: free space, writes resume by themselves")

    # -- the turn -----------------------------------------------------------------------------

    def propose(self) -> None:
        """Hand everything gathered since the last turn to Raft, in one batch."""
        gathered = self._gathered
        if not gathered.bodies:
            return
        self._gathered = _Gathered()
        counts, raft = self._node.counts, self._node.raft
        try:
            first = raft.propose(gathered.bodies, COMMANDS)
        except RaftzmqError as error:
            counts.proposals_failed += gathered.writes
            # A transfer of leadership in progress looks like any other change of leader.
            refusal = error if isinstance(error, NotLeader) else NotLeader(str(error))
            self._refuse_all(gathered.owners, refusal)
            return
        self._term = raft.term
        self._owed += [
            _Writes(first + place, client, ids) for place, client, ids in gathered.owners
        ]
        self._owed_count += gathered.writes
        if self._traces.active:
            for place, client, ids in gathered.owners:
                self._traces.proposed(client, ids, first + place)
        last = first + len(gathered.bodies) - 1
        self._batches.append(_Batch(last, gathered.writes, gathered.size, counts.clock()))
        self._batches_bytes += gathered.size

    def applied(self, entries: Sequence[Entry], results: Sequence[Sequence[Result]]) -> None:
        """`entries` of commands were applied, each with its `results`: answer what is owed."""
        if not self._owed:
            return
        if self._traces.active:
            self._traces.applied(entries[-1].index)
        counts, before = self._node.counts, self._owed_count
        for entry, found in zip(entries, results, strict=True):
            self._answer(entry.index, found)
        counts.proposals_applied += before - self._owed_count
        last = entries[-1].index
        batches = self._batches
        if batches and batches[0].last_index <= last:
            now_s = counts.clock()
            while batches and batches[0].last_index <= last:
                batch = batches.popleft()
                self._batches_bytes -= batch.size
                counts.commit_seconds.observe(now_s - batch.proposed_s, batch.writes)

    def _answer(self, index: int, results: Sequence[Result]) -> None:
        """Answer what is owed of the entry at `index`. Nothing before it is owed any more."""
        owed, codes = self._owed, self._node.counts.answered[WRITE]
        start = 0
        while owed and owed[0].at <= index:
            at, client, ids = owed.popleft()
            assert at == index, "entries were applied out of order"
            found = results[start : start + len(ids)]
            start += len(ids)
            answers = [(ident, *result) for ident, result in zip(ids, found, strict=True)]
            self._replies.add(client, answers, index)
            codes.update(map(_code_of_result, found))
            self._owed_count -= len(ids)

    def check_leadership(self) -> None:
        """If this node no longer leads in the term in which it proposed, nobody here will learn
        what becomes of the proposals: say so, and let the clients retry with the same serials."""
        raft = self._node.raft
        if self._owed and (raft.role is not Role.LEADER or raft.term != self._term):
            self.abandon(OutcomeUnknown("leadership was lost with the write in flight"))

    def abandon(self, error: OutcomeUnknown) -> None:
        """Answer everything proposed with outcome_unknown."""
        self._node.counts.proposals_failed += self._owed_count
        owed, self._owed = self._owed, deque()
        self._owed_count = 0
        self._batches.clear()
        self._batches_bytes = 0
        self._refuse_all(owed, error)

    def _refuse_all(self, writes: Iterable[_Writes], error: RaftzmqError) -> None:
        """Answer writes with `error`, in one message for each client."""
        by_client: defaultdict[bytes, list[int]] = defaultdict(list)
        for _, client, ids in writes:
            by_client[client] += ids
        for client, ids in by_client.items():
            self._replies.refuse(client, ids, error, WRITE)
