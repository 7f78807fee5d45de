"""What clients asked for, and what they are owed.

A client's message becomes proposals (writes) and one waiting read (its reads together). Writes of
a turn are proposed in one batch; their results come back when their entries are applied, and all
that one client is owed at the end of a turn leaves in one message.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from raftzmq import limits
from raftzmq.core.entry import COMMANDS, Entry
from raftzmq.core.ready import ReadReleased
from raftzmq.core.role import Role
from raftzmq.errors import (
    DiskFull,
    Forming,
    InvalidRequest,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    RaftzmqError,
    SessionExpired,
)
from raftzmq.machine import (
    READS,
    WRITES,
    Result,
    are_plain_gets,
    are_plain_puts,
    validate_read,
    validate_write,
)
from raftzmq.node.counts import ADMIN, READ, STALE_READ, WRITE
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Reply, Results

if TYPE_CHECKING:
    from raftzmq.node.node import Node

ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of answers to reads in one turn; the reads beyond are told to try again."""


_code_of_result = itemgetter(0)
_code_of_answer = itemgetter(1)


_Group = tuple[int, int, Sequence[Any]]
"""Session, ack, and operations of that session."""


class _Read(NamedTuple):
    client: bytes
    operations: Sequence[Any]


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


class Clients:
    """The node's side of every client conversation."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bodies: list[list[_Group]] = []  # of the entries to propose
        self._owners: list[_Writes] = []  # of their commands, `at` being the place in _bodies
        self._room_bytes = 0  # how much more the last of them takes
        self._pending: deque[_Writes] = deque()  # proposed and not answered, in order of the log
        self._pending_count = 0
        self._new_count = 0
        self._term = 0  # the term in which everything pending was proposed
        self._batches: deque[_Batch] = deque()  # proposed and not yet applied
        self._bytes = 0
        self._new_bytes = 0
        self._reads: deque[tuple[int, _Read]] = deque()  # released, waiting to be applied
        self._results: defaultdict[bytes, list[Any]] = defaultdict(list)
        self._answer_bytes = 0  # about what the answers to this turn's reads take
        self._replies: list[tuple[bytes, Reply]] = []

    @property
    def pending(self) -> int:
        """Writes proposed and not yet answered."""
        return self._pending_count + self._new_count

    # -- requests -----------------------------------------------------------------------------

    def operations(self, client: bytes, request: OperationsRequest, size: int) -> None:
        """Take a message of operations, `size` bytes long on the wire."""
        ops = request.ops
        if not ops:
            return
        kind = STALE_READ if request.stale else READ
        writes: Sequence[Any] = ()
        reads: Sequence[Any] = ()
        if are_plain_puts(ops):
            writes = ops
        elif are_plain_gets(ops):
            reads = ops
        else:
            writes, reads = self._sorted(client, ops, kind)
        if writes:
            self._write(client, request, writes, size)
        if reads:
            self._read(_Read(client, reads), kind)

    def _sorted(self, client: bytes, ops: Sequence[Any], kind: str) -> tuple[list[Any], list[Any]]:
        """Return the writes and the reads, which are of `kind`, among the operations; answer those
        that are not valid."""
        writes: list[Any] = []
        reads: list[Any] = []
        for op in ops:
            name = op[1]
            try:
                if name in WRITES:
                    validate_write(op)
                    writes.append(op)
                elif name in READS:
                    validate_read(op)
                    reads.append(op)
                else:
                    raise InvalidRequest(f"unknown operation {name[:40]!r}")
            except InvalidRequest as error:
                self._results[client].append((op[0], error.code, 0, {"message": str(error)}))
                refused = WRITE if name in WRITES else kind
                self._node.counts.answered[refused][error.code] += 1
        return writes, reads

    def _write(
        self, client: bytes, request: OperationsRequest, writes: Sequence[Any], size: int
    ) -> None:
        ids = [op[0] for op in writes]
        refusal = self._write_refusal(request)
        if refusal is not None:
            self.refuse(client, ids, refusal, WRITE)
            return
        session, ack = request.session, request.ack
        if size > limits.ENTRY_BYTES:  # an entry has to fit a frame, with all that it holds
            for op in writes:
                self._gather(client, [op[0]], (session, ack, [op]), size)
        else:
            self._gather(client, ids, (session, ack, writes), size)
        self._new_count += len(ids)
        self._new_bytes += size

    def _gather(self, client: bytes, ids: list[int], group: _Group, size: int) -> None:
        """Put a group of operations, at most `size` bytes, into the next entry with room for it."""
        if size > self._room_bytes:
            self._bodies.append([])
            self._room_bytes = limits.ENTRY_BYTES
        self._room_bytes -= size
        self._bodies[-1].append(group)
        self._owners.append(_Writes(len(self._bodies) - 1, client, ids))

    def _write_refusal(self, request: OperationsRequest) -> RaftzmqError | None:
        node = self._node
        if node.raft.role is not Role.LEADER or node.stopping:
            return self._not_leader()
        if request.session and request.cluster != node.cluster:
            # The number may be somebody's here, whose results this client must not be given.
            return SessionExpired(f"session {request.session} is not of cluster {node.cluster}")
        forming = node.raft.membership.forming
        if forming:
            return Forming(f"the cluster is forming: waiting for {', '.join(forming)} to join")
        if node.disk_full:
            return DiskFull(
                f"the disk of {node.name} is full: free space, writes resume by themselves"
            )
        if (
            self.pending >= limits.PROPOSALS_IN_FLIGHT
            or self._bytes + self._new_bytes >= limits.PROPOSAL_BYTES_IN_FLIGHT
        ):
            return Overloaded("too many writes in flight: try again")
        return None

    def _read(self, read: _Read, kind: str) -> None:
        node = self._node
        if kind == STALE_READ:
            self._answer(read, kind)
        elif node.raft.role is not Role.LEADER or node.stopping:
            self.refuse(read.client, [op[0] for op in read.operations], self._not_leader(), READ)
        else:
            node.raft.read_index(read)

    def _not_leader(self) -> NotLeader:
        leader, address = self._node.leader_hint()
        where = f"ask {leader}" if leader else "no leader is known"
        return NotLeader(f"{self._node.name} does not lead: {where}", leader, address)

    def refuse(self, client: bytes, ids: list[int], error: RaftzmqError, kind: str = ADMIN) -> None:
        """Answer `ids` of `client`, requests of `kind`, with `error`."""
        node = self._node
        leader, address = node.leader_hint()
        reply = ErrorReply(
            ids=ids,
            code=error.code,
            message=str(error),
            node=node.name,
            term=node.raft.term,
            leader=leader,
            address=address,
        )
        self._replies.append((client, reply))
        node.counts.answered[kind][error.code] += len(ids)

    def reply(self, client: bytes, reply: Reply) -> None:
        """Queue the reply to an operator whose request is done."""
        self._replies.append((client, reply))
        self._node.counts.answered[ADMIN]["ok"] += 1

    # -- the turn -----------------------------------------------------------------------------

    def propose(self) -> None:
        """Hand everything gathered since the last turn to Raft, in one batch."""
        if not self._bodies:
            return
        bodies, self._bodies = self._bodies, []
        owners, self._owners = self._owners, []
        count, self._new_count = self._new_count, 0
        size, self._new_bytes = self._new_bytes, 0
        self._room_bytes = 0
        counts = self._node.counts
        try:
            first = self._node.raft.propose(bodies, COMMANDS)
        except RaftzmqError as error:
            counts.proposals_failed += count
            # A transfer of leadership in progress looks like any other change of leader.
            self._refuse_all(owners, self._not_leader_because(error))
            return
        self._term = self._node.raft.term
        self._pending_count += count
        self._batches.append(_Batch(first + len(bodies) - 1, count, size, counts.clock()))
        self._bytes += size
        self._pending += [_Writes(first + place, client, ids) for place, client, ids in owners]

    def _refuse_all(self, writes: Iterable[_Writes], error: RaftzmqError) -> None:
        """Answer writes with `error`, in one message for each client."""
        by_client: defaultdict[bytes, list[int]] = defaultdict(list)
        for _, client, ids in writes:
            by_client[client] += ids
        for client, operations in by_client.items():
            self.refuse(client, operations, error, WRITE)

    def _not_leader_because(self, error: RaftzmqError) -> NotLeader:
        return error if isinstance(error, NotLeader) else NotLeader(str(error))

    def applied(self, entries: Sequence[Entry], results: Sequence[Sequence[Result]]) -> None:
        """`entries` of commands were applied, each with its `results`: answer what is owed."""
        if not self._pending:
            return
        counts, before = self._node.counts, self._pending_count
        for entry, found in zip(entries, results, strict=True):
            self._answer_writes(entry.index, found)
        counts.proposals_applied += before - self._pending_count
        last = entries[-1].index
        batches = self._batches
        if batches and batches[0].last_index <= last:
            now_s = counts.clock()
            while batches and batches[0].last_index <= last:
                batch = batches.popleft()
                self._bytes -= batch.size
                counts.commit_seconds.observe(now_s - batch.proposed_s, batch.writes)

    def _answer_writes(self, index: int, results: Sequence[Result]) -> None:
        """Answer what is pending of the entry at `index`. Nothing before it is pending any more."""
        pending, codes = self._pending, self._node.counts.answered[WRITE]
        start = 0
        while pending and pending[0].at <= index:
            at, client, ids = pending.popleft()
            assert at == index, "entries were applied out of order"
            found = results[start : start + len(ids)]
            start += len(ids)
            self._results[client] += [
                (ident, *result) for ident, result in zip(ids, found, strict=True)
            ]
            codes.update(map(_code_of_result, found))
            self._pending_count -= len(ids)

    def released(self, reads: Sequence[ReadReleased]) -> None:
        """Reads that may be served once their index is applied; indices never decrease."""
        for read in reads:
            assert isinstance(read.context, _Read)
            self._reads.append((read.index, read.context))

    def failed(self, contexts: Sequence[object]) -> None:
        """Reads that lost their leader."""
        for read in contexts:
            assert isinstance(read, _Read)
            self.refuse(read.client, [op[0] for op in read.operations], self._not_leader(), READ)

    def serve_reads(self) -> None:
        """Answer the released reads whose index is applied."""
        applied = self._node.raft.applied_index
        while self._reads and self._reads[0][0] <= applied:
            self._answer(self._reads.popleft()[1], READ)

    def _answer(self, read: _Read, kind: str) -> None:
        machine = self._node.machine
        answers = self._results[read.client]
        before = len(answers)
        for op in read.operations:
            if self._answer_bytes > ANSWER_BYTES:
                message = "too large answers at once: read fewer keys, or try again"
                answers.append((op[0], Overloaded.code, 0, {"message": message}))
                continue
            result = machine.read(op)
            if result[2] is False and kind == READ and self._is_parked(read.client, op):
                continue
            self._answer_bytes += _weight(result[2])
            answers.append((op[0], *result))
        codes = map(_code_of_answer, islice(answers, before, None))
        self._node.counts.answered[kind].update(codes)

    def _is_parked(self, client: bytes, op: Any) -> bool:
        """Whether a read that is undecided is kept until it is, or is refused for that."""
        try:
            return self._node.parked.park(client, op)
        except Overloaded as error:
            self.refuse(client, [op[0]], error, READ)
            return True

    def answer(self, client: bytes, ident: int, result: Result) -> None:
        """Answer a read that was parked."""
        self._results[client].append((ident, *result))
        self._node.counts.answered[READ][result[0]] += 1

    def refuse_reads(self, client: bytes, ids: list[int]) -> None:
        """Answer reads that had to wait with that this node leads no more."""
        self.refuse(client, ids, self._not_leader(), READ)

    def _results_message(self, results: list[Any]) -> Results:
        raft = self._node.raft
        leader = raft.leader
        return Results(
            node=self._node.name,
            term=raft.term,
            leader=leader.name if leader else None,
            results=results,
            cluster=self._node.cluster,
        )

    def check_leadership(self) -> None:
        """If this node no longer leads in the term in which it proposed, nobody here will learn
        what becomes of the proposals: say so, and let the clients retry with the same serials."""
        raft = self._node.raft
        if self._pending and (raft.role is not Role.LEADER or raft.term != self._term):
            self.abandon(OutcomeUnknown("leadership was lost with the write in flight"))

    def abandon(self, error: OutcomeUnknown) -> None:
        """Answer everything pending with outcome_unknown."""
        self._node.counts.proposals_failed += self._pending_count
        pending, self._pending = self._pending, deque()
        self._pending_count = 0
        self._batches.clear()
        self._bytes = 0
        self._refuse_all(pending, error)

    def take_replies(self) -> list[tuple[bytes, Reply]]:
        """Everything owed now, one message of results a client."""
        replies, self._replies = self._replies, []
        for client, results in self._results.items():
            if results:
                replies.append((client, self._results_message(results)))
        self._results.clear()
        self._answer_bytes = 0
        return replies


def _weight(body: Any) -> int:
    """About how many bytes the answer to a read takes."""
    kind = type(body)
    if kind is list:
        if len(body) == 2 and type(body[0]) is str:  # a value and its revision, as most are
            return 64 + len(body[0])
        return 64 + sum(map(_weight, body))
    if kind is str:
        return 16 + len(body)
    if kind is dict:
        return 64 + sum(map(_weight, body.values()))
    return 16
