"""Reads that wait for what they ask: `await`, `observe` and `proclaimed` (PROTOCOL.md).

A linearizable read that finds its question undecided is kept here, and answered in the turn in
which an entry that decides it is applied, or with what it found when its time has passed. The
state machine says which places an entry granted or ended, so an entry is looked at for those who
wait for just these, however many wait.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any, Final

from raftzmq import limits
from raftzmq.access.users import User, Users
from raftzmq.core.role import Role
from raftzmq.errors import Denied, Overloaded
from raftzmq.machine import UNDECIDED
from raftzmq.node.access import Access
from raftzmq.node.counts import READ
from raftzmq.node.replies import Replies
from raftzmq.node.state import NodeState

ELECTION: Final = "election"

Subject = tuple[str, str, int]
"""What a read waits for: kind, name and token of a place; token 0 for any of an election's."""


class _Parked:
    """A read that waits, of a user of that name, and until when."""

    __slots__ = ("client", "op", "until_ms", "user")

    def __init__(self, client: bytes, op: Any, until_ms: int, user: str) -> None:
        self.client = client
        self.op = op
        self.until_ms = until_ms
        self.user = user


class Parked:
    """All reads that wait at this node."""

    def __init__(self, node: NodeState, access: Access, replies: Replies) -> None:
        self._node = node
        self._access = access
        self._replies = replies
        self._by_subject: dict[Subject, dict[int, _Parked]] = {}  # by a number that only grows
        self._by_time: list[tuple[int, int, Subject]] = []  # a heap; has answered ones too
        self._number = 0
        self._term = 0  # in which all that wait were confirmed
        self.count = 0

    @property
    def next_deadline_ms(self) -> int | None:
        """When `turn` is needed at the latest, if nothing is applied before."""
        return self._by_time[0][0] if self.count else None

    def park(self, client: bytes, op: Any, user: User) -> bool:
        """Keep an undecided read, if it may be kept; else it is to be answered as it is. Raises
        Overloaded if too many are kept."""
        subject = _subject(op)
        if subject is None or op[-1] <= 0:
            return False
        if self.count >= limits.PARKED_READS:
            raise Overloaded("too many reads wait for locks and elections: try again")
        self._number += 1
        self._term = self._node.raft.term
        until_ms = self._node.raft.now_ms + op[-1]
        read = _Parked(client, op, until_ms, user.name)
        self._by_subject.setdefault(subject, {})[self._number] = read
        heappush(self._by_time, (until_ms, self._number, subject))
        self.count += 1
        return True

    def turn(self, now_ms: int) -> None:
        """Answer what has been decided, or has waited long enough. A node that leads no more
        learns of nothing any more that happens, and says so."""
        decisions = self._node.machine.take_decisions()
        if not self.count:
            return
        raft = self._node.raft
        if raft.role is not Role.LEADER or raft.term != self._term or self._node.stopping:
            self._refuse_all()
            return
        for kind, name, token in dict.fromkeys(decisions):
            self._look((kind, name, token), now_ms)
            if kind == ELECTION:
                self._look((kind, name, 0), now_ms)
        while self.count and self._by_time[0][0] <= now_ms:
            _, number, subject = heappop(self._by_time)
            if number in self._by_subject.get(subject, ()):
                self._look(subject, now_ms)

    def users_changed(self, users: Users) -> None:
        """Refuse the reads of users who may not do them any more."""
        for subject, waiting in list(self._by_subject.items()):
            for number, read in list(waiting.items()):
                try:
                    self._access.check(users.now(read.user), read.op)
                except Denied as error:
                    self._replies.refuse(read.client, [read.op[0]], error, READ)
                    self._remove(subject, number)

    def _look(self, subject: Subject, now_ms: int) -> None:
        """Answer the reads of a subject that are decided, or whose time has passed."""
        waiting = self._by_subject.get(subject)
        if waiting is None:
            return
        node = self._node
        for number, read in list(waiting.items()):
            result = node.machine.decide(read.op)
            if result is None:
                if now_ms < read.until_ms:
                    continue
                result = ("ok", node.machine.revision, UNDECIDED)
            self._remove(subject, number)
            self._replies.answer(read.client, read.op[0], result)

    def _remove(self, subject: Subject, number: int) -> None:
        waiting = self._by_subject[subject]
        del waiting[number]
        if not waiting:
            del self._by_subject[subject]
        self.count -= 1
        if not self.count:
            self._by_time.clear()

    def _refuse_all(self) -> None:
        by_client: dict[bytes, list[int]] = {}
        for waiting in self._by_subject.values():
            for read in waiting.values():
                by_client.setdefault(read.client, []).append(read.op[0])
        self._by_subject.clear()
        self._by_time.clear()
        self.count = 0
        for client, ids in by_client.items():
            self._replies.refuse(client, ids, self._replies.not_leader(), READ)


def _subject(op: Any) -> Subject | None:
    """What a read waits for; None if it is of a kind that does not wait."""
    match op[1]:
        case "await":
            return op[2], op[3], op[4]
        case "observe" | "proclaimed":
            return ELECTION, op[2], 0
    return None
