"""Leases, locks, semaphores and elections of the asyncio client: blocking_claims.py, awaited.

What decides is in the session (leasing.py, acquiring.py); these objects hand it in and wait.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Any, Self, TypeVar

from raftzmq.client import coordination
from raftzmq.client.acquiring import Acquisition
from raftzmq.client.calls import LONGEST_TIMEOUT_S
from raftzmq.client.claims import AnyLease, Claim, Leased, Timeout
from raftzmq.client.coordinating import CoordinatingSession
from raftzmq.client.leasing import HeldLease
from raftzmq.client.links import now_ms
from raftzmq.client.results import Leader, Queue
from raftzmq.client.subscriptions import Subscription
from raftzmq.client.tasks import Task
from raftzmq.client.work import NodeRequest, Operation
from raftzmq.errors import LeaseExpired, NotHeld, RaftzmqError

T = TypeVar("T")

OnLost = Callable[[], object] | None
"""Called once, by the event loop, when what was held is lost."""


class Connection(ABC):
    """What these objects need of a client."""

    @abstractmethod
    async def _run(self, work: Operation[T] | NodeRequest[T], timeout: float) -> T:
        """Have it done, and return its result or raise its error."""

    @abstractmethod
    async def _perform(self, task: Task) -> None:
        """Have a task done, or raise its error. What interrupts the wait gives the task up."""

    @abstractmethod
    def _post(self, action: Callable[[CoordinatingSession, int], None]) -> None:
        """Have the session do something. Nothing, if the client is closed. Raises ForkedClient."""

    @abstractmethod
    def _check_process(self) -> None:
        """Raise ForkedClient in a process forked from the client's."""

    @abstractmethod
    async def _await(
        self, subscription: Subscription, ready: Callable[[], bool], timeout: float | None
    ) -> bool:
        """Wait until something is `ready`, as news of the subscription may make it; False: it was
        not within `timeout` seconds. Raises Unavailable once there can be no more news."""


class Lease(Leased):
    """A lease that is kept alive in the background until it is closed. `lost` is set once it has
    ended: also when the cluster says so, or when the cluster did not confirm it within its time to
    live by this process's own clock; then `on_lost` is called too.
    Use it with `async with`, or await it and `close` it."""

    def __init__(self, db: Connection, state: HeldLease, on_lost: OnLost) -> None:
        super().__init__(state)
        self._began = False
        self._db = db
        self.lost = asyncio.Event()
        # It must not know this object, nor so the client: one nobody holds can go then.
        self._listener = partial(_lost, self.lost, on_lost)
        state.listeners[self._listener] = None

    @property
    def remaining(self) -> float:
        """How many seconds it certainly lives on without being kept alive; 0.0: it has ended."""
        return (self._state.deadline_ms - now_ms()) / 1000 if self.alive else 0.0

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as can be known here."""
        return self._state.alive(now_ms()) and not self.lost.is_set()

    def check(self) -> None:
        """Raise LeaseExpired if it has ended."""
        self._db._check_process()
        self._state.check(now_ms())
        if self.lost.is_set():
            raise LeaseExpired(f"lease {self.id} was closed")

    async def revoke(self, *, timeout: float = 5) -> None:
        """End it now, with all that it holds. Raises LeaseExpired if it had ended already."""
        self._closing()
        try:
            await self._db._run(coordination.lease_revoke(self.id), timeout)
        except BaseException:
            self.close()
            raise
        ended = LeaseExpired(f"lease {self.id} was revoked")
        self._db._post(lambda session, now: session.leases.end(self._state, ended, now))

    def close(self) -> None:
        """End it, without waiting for the cluster to say so. May be repeated."""
        self._closing()
        self._db._post(lambda session, now: session.leases.drop(self._state, "it was closed", now))

    def _closing(self) -> None:
        """What ends it now is no loss."""
        self._state.listeners.pop(self._listener, None)
        self.lost.set()

    async def open(self) -> Self:
        """Return once it is granted."""
        if not self._began:
            self._began = True
            await self._db._perform(self._state)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self.open().__await__()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        self.close()


class _Held(Claim):
    """A claim that this client waits for."""

    def __init__(
        self,
        db: Connection,
        name: str,
        *,
        ttl: float,
        lease: AnyLease | None,
        timeout: float | None,
        on_lost: OnLost,
        permits: int = 1,
        capacity: int = 0,
        value: str | None = None,
    ) -> None:
        super().__init__(
            name,
            ttl=ttl,
            lease=lease,
            timeout=timeout,
            permits=permits,
            capacity=capacity,
            value=value,
        )
        self._db = db
        self._on_lost = on_lost
        self.lost = asyncio.Event()
        """Set once the lease has ended while it was held; cleared by acquiring anew."""

    def check(self) -> None:
        """Raise LeaseExpired if what is held is lost, which this knows by its own clock too;
        NotHeld if it is not held; ForkedClient in a process forked from the one that holds it."""
        self._db._check_process()
        self._check(now_ms())

    async def describe(self, *, timeout: float = 5) -> Queue | None:
        """Who holds it and who waits, as the cluster has it; None if nobody does."""
        return await self._db._run(coordination.describe(self.kind, self.name), timeout)

    async def _acquire(self, place: Acquisition) -> None:
        if not self._places:
            self.lost.clear()
        await self._db._perform(place)
        self._places.append(place)
        try:
            place.check(now_ms())  # this thread may have waited for its turn longer than the lease
        except BaseException:
            self._leave()
            raise

    def _lost_now(self) -> Callable[[], None]:
        """What is to be done once a place is lost: as of a lease, without this object."""
        return partial(_lost, self.lost, self._on_lost)

    def _leave(self) -> None:
        """Give the newest place up, without waiting for the cluster to say so."""
        place = self._taken()
        self._db._post(lambda session, now: session.abandon(place, now))

    async def _give_back(self, wait: bool, timeout: float) -> None:
        """Give the newest place up. If it is waited for in vain, it goes on in the background."""
        place = self._taken()
        if not wait:
            self._places.append(place)
            self._leave()
            place.check(now_ms())
            return
        try:
            await self._db._run(coordination.release(self.kind, self.name, place.token), timeout)
        except NotHeld:
            self._db._post(lambda session, _: session.places.given_back(place))
            place.check(now_ms())
            raise
        except BaseException:
            self._db._post(lambda session, now: session.abandon(place, now))
            raise
        self._db._post(lambda session, _: session.places.given_back(place))

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Give it up without waiting. Raises LeaseExpired if it was lost meanwhile, unless the
        body raised something itself."""
        if not self._places:
            return  # the body gave it up
        place = self._places[-1]
        try:
            self._leave()
            place.check(now_ms())
        except RaftzmqError:
            if kind is None:
                raise


class Lock(_Held):
    """A lock: one holder at a time, in the order of asking. Made by `Client.lock`."""

    kind = coordination.LOCK

    async def acquire(self, timeout: Timeout = ...) -> Self:
        """Wait for it. Raises NotAcquired if it is not held within `timeout` seconds, and
        LeaseExpired if the lease that it was given ended before; then no place in the line is
        left behind."""
        await self._acquire(self._new_single_place(timeout, self._lost_now()))
        return self

    async def release(self, *, wait: bool = True, timeout: float = 5) -> None:
        """Give it up. Raises NotHeld if it was not held, LeaseExpired if it was lost before.
        Without `wait` the cluster is told in the background; as it is after an error here."""
        await self._give_back(wait, timeout)

    async def __aenter__(self) -> Self:
        return await self.acquire()


class Election(_Held):
    """An election: the first candidate in line leads until it resigns or its lease ends. Made by
    `Client.election`."""

    kind = coordination.ELECTION

    @property
    def term(self) -> int:
        """The term in which it leads, which is its fencing token too. Raises NotHeld."""
        return self.token

    async def campaign(self, timeout: Timeout = ...) -> int:
        """Wait to be elected; return the term. Raises as `Lock.acquire`."""
        await self._acquire(self._new_single_place(timeout, self._lost_now()))
        return self.token

    async def resign(self, *, wait: bool = True, timeout: float = 5) -> None:
        """Lead no longer. Raises as `Lock.release`."""
        await self._give_back(wait, timeout)

    async def leader(self, *, timeout: float = 5) -> Leader | None:
        """Who leads now, if anybody."""
        queue = await self.describe(timeout=timeout)
        if queue is None or not queue.holders:
            return None
        return Leader(queue.holders[0].token, queue.holders[0].value)

    async def observe(self) -> AsyncIterator[Leader | None]:
        """Who leads, and then each who leads after that; None when nobody does. Leaders of whom
        none was seen in between may be left out. Never ends by itself."""
        term = 0
        while True:
            seen = await self._db._run(coordination.observe(self.name, term), LONGEST_TIMEOUT_S)
            if isinstance(seen, bool):
                continue
            term = 0 if seen is None else seen.term
            yield seen

    async def __aenter__(self) -> Self:
        await self.campaign()
        return self


class Semaphore(_Held):
    """A semaphore, first come first served. Made by `Client.semaphore`."""

    kind = coordination.SEMAPHORE

    async def wait(self, count: int | None = None, timeout: Timeout = ...) -> int:
        """Wait for `count` permits; return the token of the place that holds them. Raises as
        `Lock.acquire`. May be repeated for more."""
        await self._acquire(self._new_place(timeout, self._lost_now(), count))
        return self.token

    async def signal(self, *, wait: bool = True, timeout: float = 5) -> None:
        """Give back the permits of the newest `wait`. Raises as `Lock.release`."""
        await self._give_back(wait, timeout)

    async def resize(self, permits: int, *, timeout: float = 5) -> None:
        """Let it have so many permits. Who holds more than there are goes on holding them."""
        await self._db._run(coordination.resize(self.name, permits), timeout)

    async def __aenter__(self) -> Self:
        await self.wait()
        return self


class PlainSemaphore(_Held):
    """A plain counting semaphore: waiting takes permits for good, and anybody may add some. Made
    by `Client.semaphore` with `plain=True`."""

    kind = coordination.COUNTER

    async def wait(self, count: int | None = None, timeout: Timeout = ...) -> int:
        """Wait for `count` permits and take them; return the token of the place that got them.
        Raises as `Lock.acquire`."""
        await self._acquire(self._new_place(timeout, self._lost_now(), count))
        token = self.token
        self._leave()
        return token

    async def signal(self, count: int = 1, *, timeout: float = 5) -> int:
        """Add `count` permits; return how many there are then."""
        return await self._db._run(coordination.signal(self.name, count), timeout)


def _lost(lost: asyncio.Event, on_lost: OnLost, _now_ms: int = 0) -> None:
    lost.set()
    if on_lost is not None:
        asyncio.get_running_loop().call_soon(on_lost)
