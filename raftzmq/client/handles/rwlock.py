"""Read/write locks: a semaphore of which a reader holds one permit, and a writer all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from raftzmq.client.handles.claims import Semaphore

SemaphoreT = TypeVar("SemaphoreT", bound=Semaphore)

READERS: Final = 1_000_000
"""Permits of each read/write lock. All programs that share one must mean the same number."""


def permits_of(*, writes: bool) -> int:
    """How many permits a writer holds, or a reader."""
    return READERS if writes else 1


class ReadWriteLock(Generic[SemaphoreT]):
    """A read/write lock: many readers at a time, or one writer, in the order of asking. Made by
    `rwlock` of a client. Threads may share it, for each `read` and `write` is another claimant.

        lock = db.rwlock("catalog")
        with lock.read():
            print(db.get("catalog/1"))
        with lock.write() as held:
            db.put("catalog/1", "book", fence=held)
    """

    def __init__(self, claim: Callable[[int], SemaphoreT]) -> None:
        """`claim` makes a claim to so many permits."""
        self._claim = claim

    def read(self) -> SemaphoreT:
        """A claim to read, as a handle of a semaphore: for `with`, `wait`, `try_wait`, or as a
        decorator."""
        return self._claim(permits_of(writes=False))

    def write(self) -> SemaphoreT:
        """A claim to write, while nobody reads and nobody else writes. It waits behind those who
        came first, and holds up those who come later."""
        return self._claim(permits_of(writes=True))
