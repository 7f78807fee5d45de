"""Client sessions: what makes a write that is sent twice be executed once (thesis 6.3)."""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from typing import Any

from raftzmq import limits
from raftzmq.machine.memory import REFUSAL, RESULT, SESSION
from raftzmq.machine.values import body_size

Result = tuple[str, int, Any]
"""A code, the revision it happened at, and a body that nobody may change."""


def refusal(code: str, revision: int, message: str) -> Result:
    """Return the result of a command that was not executed."""
    return (code, revision, {"message": message})


class Session:
    """What is remembered of one client.

    Invariants: every executed serial of at least `ack` has its result in `results`, and no other
    serial has; `kept_bytes` is the size of those bodies that are lists, and `full` tells whether
    it is over its bound; `refusals` counts the bodies that refuse.
    """

    __slots__ = ("ack", "full", "kept_bytes", "memory", "number", "refusals", "results", "used_ms")

    def __init__(self, number: int, used_ms: int, ack: int = 0) -> None:
        self.number = number  # known to its client alone
        self.used_ms = used_ms  # the replicated time of its last command
        self.ack = ack  # the client has the answers of all lower serials
        self.results: dict[int, Result] = {}
        self.kept_bytes = 0
        self.refusals = 0
        self.full = False
        self.memory = 0  # as last counted into that of all sessions

    def count(self, body: Any, sign: int = 1) -> None:
        """Account for a kept body, or with `sign` -1 for one that is forgotten."""
        if type(body) is list:
            self.kept_bytes += sign * body_size(body)
            self.full = self.kept_bytes > limits.SESSION_RESULT_BYTES
        elif type(body) is dict:
            self.refusals += sign

    def acknowledge(self, ack: int) -> None:
        """Forget the results of all serials below `ack`, which must be above the session's."""
        results = self.results
        if ack - self.ack <= len(results):
            forgotten: Any = range(self.ack, ack)
        else:  # serials far apart: look at those that there are
            forgotten = [serial for serial in results if serial < ack]
        self.ack = ack
        for serial in forgotten:
            result = results.pop(serial, None)
            if result is not None and result[2] is not None:
                self.count(result[2], -1)

    def refusal(self, serial: int, revision: int) -> Result:
        """Return why a serial without a result may not be executed."""
        if serial < self.ack:
            message = f"serial {serial} was acknowledged already (ack {self.ack})"
            return refusal("invalid", revision, f"{message}; use a higher one")
        if serial - self.ack > limits.SESSION_OUTSTANDING:
            message = f"serial {serial} is more than {limits.SESSION_OUTSTANDING} above the ack"
        else:
            message = f"the session's unacknowledged results take {self.kept_bytes} bytes"
        return refusal("overloaded", revision, f"{message}; acknowledge answers and retry")


class Sessions:
    """All sessions, at most limits.SESSIONS."""

    __slots__ = ("_by_use", "memory", "table")

    def __init__(self, table: dict[int, Session] | None = None) -> None:
        self.table: dict[int, Session] = {} if table is None else table
        self.memory = 0
        """About how many bytes the sessions take, as memory.py counts."""
        for session in self.table.values():
            self.weigh(session)
        # (used_ms, number) as they once were: lower bounds, put right when they get to the top.
        # Derived, so neither in a snapshot nor in the hash.
        self._by_use = [(session.used_ms, number) for number, session in self.table.items()]
        heapify(self._by_use)

    def open(self, number: int, time_ms: int) -> bool:
        """Add a session. A full table gives up its least recently used one if that is idle.

        Returns False if the table is full of sessions in use, or has one of that number.
        """
        if number in self.table:
            return False
        if len(self.table) >= limits.SESSIONS:
            idle = self._idle_for(limits.SESSION_EVICTABLE_MS, time_ms)
            if idle is None:
                return False
            self.close(idle.number)
        if len(self._by_use) > 2 * len(self.table) + 64:  # mostly of closed sessions
            self._by_use = [(session.used_ms, at) for at, session in self.table.items()]
            heapify(self._by_use)
        session = self.table[number] = Session(number, time_ms)
        self.weigh(session)
        heappush(self._by_use, (time_ms, number))
        return True

    def weigh(self, session: Session) -> None:
        """Count what a session takes, after its results have changed."""
        memory = SESSION + RESULT * len(session.results) + session.kept_bytes
        if session.refusals:
            memory += REFUSAL * session.refusals
        self.memory += memory - session.memory
        session.memory = memory

    def close(self, number: int) -> None:
        """Forget a session that exists."""
        self.memory -= self.table.pop(number).memory

    def expired(self, time_ms: int) -> Session | None:
        """Return the session to be forgotten next, if it was unused for limits.SESSION_TTL_MS."""
        return self._idle_for(limits.SESSION_TTL_MS, time_ms)

    @property
    def next_expiry_ms(self) -> int | None:
        """A time before which `expire` forgets nothing; None if there is no session."""
        return self._by_use[0][0] + limits.SESSION_TTL_MS if self._by_use else None

    def _idle_for(self, idle_ms: int, time_ms: int) -> Session | None:
        """Return the least recently used session (of several, the oldest) if idle for so long."""
        by_use = self._by_use
        while by_use and time_ms - by_use[0][0] >= idle_ms:
            used_ms, number = by_use[0]
            session = self.table.get(number)
            if session is None:
                heappop(by_use)
            elif session.used_ms != used_ms:
                heapreplace(by_use, (session.used_ms, number))
            else:
                return session
        return None
