"""Locks, elections and semaphores: the kinds of claims."""

from __future__ import annotations

from typing import Final

from raftzmq import limits
from raftzmq.client.handles.claim import Claim, Timeout
from raftzmq.client.operations import queues
from raftzmq.client.results import Leader
from raftzmq.errors import Unsupported

NOBODY: Final = Leader(limits.INDEX_MAX, None)
"""A leader that never was: the first answer to an observer differs from it, and does not wait."""


class Lock(Claim):
    """A lock: one holder at a time, in the order of asking. Made by `lock` of a client."""

    kind = queues.LOCK


class Election(Claim):
    """An election: the first candidate in line leads until it resigns or its lease ends. Made by
    `election` of a client."""

    kind = queues.ELECTION

    @property
    def term(self) -> int:
        """The term in which it leads, which is its fencing token too. Raises NotHeld."""
        return self.token

    async def _campaign(self, timeout: Timeout = ...) -> int:
        """Wait to be elected; return the term. Raises as `Lock.acquire`."""
        await self._acquire(timeout)
        return self.token

    async def _resign(self, *, wait: bool = True, timeout: float = 5) -> None:
        """Lead no longer. Raises as `Lock.release`."""
        await self._release(wait=wait, timeout=timeout)

    async def _leader(self, *, timeout: float = 5) -> Leader | None:
        """Who leads now, if anybody."""
        queue = await self._describe(timeout=timeout)
        if queue is None or not queue.holders:
            return None
        return Leader(queue.holders[0].token, queue.holders[0].value)

    async def _proclaim(self, value: str | None, *, timeout: float = 5) -> None:
        """Be known by another value while leading: observers hear it, and `leader` and `describe`
        show it. Raises NotHeld or LeaseExpired as `check` does, and Fenced if it leads no more, or
        nothing is changed; Unsupported before cluster version 2."""
        self.check()
        await self._shell.run(queues.proclaim(self.name, self.term, value, timeout))

    async def _leader_after(self, seen: Leader | None) -> Leader | None:
        """Who leads, once that is another or known by another value."""
        term, value = (0, None) if seen is None else (seen.term, seen.value)
        while True:
            try:
                found = await self._shell.run(queues.proclaimed(self.name, term, value))
            except Unsupported:  # then nobody can proclaim either
                found = await self._shell.run(queues.observe(self.name, term))
            if not isinstance(found, bool):
                return found


class Semaphore(Claim):
    """A semaphore, first come first served. Made by `semaphore` of a client."""

    kind = queues.SEMAPHORE

    async def _wait(self, count: int | None = None, timeout: Timeout = ...) -> int:
        """Wait for `count` permits; return the token of the place that holds them. Raises as
        `Lock.acquire`, and InvalidRequest if the semaphore has fewer, or comes to have fewer. May
        be repeated for more."""
        self._forget_lost()
        await self._take(self._new_place(timeout, count))
        return self.token

    async def _try_wait(self, count: int | None = None) -> bool:
        """As `wait`, if that is possible at once; return whether it was. False: the permits are
        others', or others were first. Raises Unavailable if the cluster does not answer."""
        self._forget_lost()
        return await self._take_if_free(self._new_place(0, count))

    async def _signal(self, *, wait: bool = True, timeout: float = 5) -> None:
        """Give back the permits of the newest `wait`. Raises as `Lock.release`."""
        await self._release(wait=wait, timeout=timeout)

    async def _resize(self, permits: int, *, timeout: float = 5) -> None:
        """Let it have so many permits. Who holds more than there are goes on holding them; who
        waits for more gets InvalidRequest."""
        await self._shell.run(queues.resize(self.name, permits, timeout=timeout))


class PlainSemaphore(Claim):
    """A plain counting semaphore: waiting takes permits for good, and anybody may add some. Made
    by `semaphore` of a client with `plain=True`."""

    kind = queues.COUNTER

    async def _wait(self, count: int | None = None, timeout: Timeout = ...) -> int:
        """Wait for `count` permits and take them; return the token of the place that got them.
        Raises NotAcquired as `Lock.acquire`, and then none are taken; OutcomeUnknown if it cannot
        be known whether they are."""
        place = self._new_place(timeout, count)
        try:
            await self._shell.perform(place)
            return place.token
        except BaseException:
            self._give_up(place)  # also if they were taken, and an interrupt came then
            raise

    async def _signal(self, count: int = 1, *, timeout: float = 5) -> int:
        """Add `count` permits; return how many there are then."""
        return await self._shell.run(queues.signal(self.name, count, timeout=timeout))
