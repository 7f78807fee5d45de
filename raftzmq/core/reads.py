"""Linearizable reads without a log entry: ReadIndex (thesis 6.4).

A leader may have been deposed without knowing it. So a read takes the commit index of a moment
after it arrived, and is released once a majority has answered messages sent after that moment in
the leader's term, and the driver has been handed everything up to that index to apply.

All reads that wait at a ready() share one round. Rounds are numbered within a term, and every
append and heartbeat carries the newest number: an answer to it confirms all older rounds too, so
a lost answer costs no more than the wait for the next heartbeat.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from raftzmq.core.ready import ReadReleased


@dataclass(frozen=True, slots=True)
class _Round:
    number: int
    index: int
    contexts: list[object]


class Reads:
    """The reads of one node: waiting for a round, in a round, or confirmed."""

    def __init__(self) -> None:
        self.round = 0
        """The newest round of this term."""
        self._waiting: list[object] = []
        self._rounds: deque[_Round] = deque()
        self._confirmed: deque[_Round] = deque()

    @property
    def waiting(self) -> bool:
        """Whether a read waits for a round to begin."""
        return bool(self._waiting)

    @property
    def unconfirmed(self) -> int | None:
        """The oldest round that no majority has repeated yet; None if there is none."""
        return self._rounds[0].number if self._rounds else None

    def add(self, context: object) -> None:
        self._waiting.append(context)

    def begin_round(self, commit_index: int) -> None:
        """Begin a round for all reads that wait."""
        self.round += 1
        self._rounds.append(_Round(self.round, commit_index, self._waiting))
        self._waiting = []

    def confirm(self, number: int) -> None:
        """A majority has repeated round `number`."""
        while self._rounds and self._rounds[0].number <= number:
            self._confirmed.append(self._rounds.popleft())

    def releasable(self, index: int) -> bool:
        """Whether release(index) would return anything."""
        return bool(self._confirmed) and self._confirmed[0].index <= index

    def release(self, index: int) -> list[ReadReleased]:
        """Remove and return the confirmed reads that state applied up to `index` can serve."""
        released: list[ReadReleased] = []
        while self.releasable(index):
            done = self._confirmed.popleft()
            released += [ReadReleased(context, done.index) for context in done.contexts]
        return released

    def abandon(self, *, confirmed: bool = False) -> list[object]:
        """Leadership is lost: remove and return the reads that no majority has confirmed.

        The confirmed ones stay. What they wait for is committed, so it can still be applied here:
        unless the disk is full, and then they go too, as `confirmed` says.
        """
        rounds = [*self._confirmed, *self._rounds] if confirmed else self._rounds
        failed = [context for waiting in rounds for context in waiting.contexts]
        if confirmed:
            self._confirmed.clear()
        failed += self._waiting
        self._rounds.clear()
        self._waiting = []
        self.round = 0
        return failed
