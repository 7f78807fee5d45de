"""Reads of clients: stale ones answered at once, linearizable ones when Raft releases them.

The reads of one message wait together. One that finds its question undecided may be parked.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from raftzmq.access.users import ANYBODY, User
from raftzmq.core.ready import ReadReleased
from raftzmq.core.role import Role
from raftzmq.errors import Overloaded
from raftzmq.machine import UNDECIDED
from raftzmq.node.counts import READ, STALE_READ
from raftzmq.node.parked import Parked
from raftzmq.node.replies import Replies
from raftzmq.node.state import NodeState

ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of answers to reads in one turn; the reads beyond are told to try again."""

_code_of_answer = itemgetter(1)


class _Read(NamedTuple):
    """The reads of one message."""

    client: bytes
    operations: Sequence[Any]
    user: User


class Reads:
    """The reads at this node. Those that wait for a round are with Raft, as its contexts."""

    def __init__(self, node: NodeState, replies: Replies, parked: Parked) -> None:
        self._node = node
        self._replies = replies
        self._parked = parked

    def add(
        self, client: bytes, operations: Sequence[Any], kind: str, user: User = ANYBODY
    ) -> None:
        """Take the reads of a message, all of them valid, of that kind, and for that user to do."""
        node, read = self._node, _Read(client, operations, user)
        if kind == STALE_READ:
            self._answer(read, kind)
        elif node.raft.role is not Role.LEADER or node.stopping:
            self._refuse(read)
        else:
            node.raft.read_index(read)

    def released(self, reads: Sequence[ReadReleased]) -> None:
        """Answer reads that a majority has confirmed; what they wait for is applied."""
        for read in reads:
            assert isinstance(read.context, _Read)
            assert read.index <= self._node.raft.applied_index, "read before it is applied"
            self._answer(read.context, READ)

    def failed(self, contexts: Sequence[object]) -> None:
        """Refuse reads that lost their leader."""
        for read in contexts:
            assert isinstance(read, _Read)
            self._refuse(read)

    def _refuse(self, read: _Read) -> None:
        ids = [op[0] for op in read.operations]
        self._replies.refuse(read.client, ids, self._replies.not_leader(), READ)

    def _answer(self, read: _Read, kind: str) -> None:
        machine, replies = self._node.machine, self._replies
        answers: list[Any] = []
        for op in read.operations:
            if replies.results_bytes > ANSWER_BYTES:
                message = "too large answers at once: read fewer keys, or try again"
                answers.append((op[0], Overloaded.code, 0, {"message": message}))
                continue
            result = machine.read(op)
            if result[2] is UNDECIDED and kind == READ and self._is_parked(read, op):
                continue
            replies.results_bytes += _weight(result[2])
            answers.append((op[0], *result))
        replies.add(read.client, answers, machine.applied_index)
        self._node.counts.answered[kind].update(map(_code_of_answer, answers))

    def _is_parked(self, read: _Read, op: Any) -> bool:
        """Whether a read that is undecided is kept until it is, or is refused for that."""
        try:
            return self._parked.park(read.client, op, read.user)
        except Overloaded as error:
            self._replies.refuse(read.client, [op[0]], error, READ)
            return True


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
