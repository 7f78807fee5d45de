"""The asyncio client's methods about leases, locks, semaphores, elections and watches."""

from __future__ import annotations

from typing import Literal, overload

from raftzmq.client import coordination
from raftzmq.client.acquiring import Acquisition
from raftzmq.client.aio_claims import (
    Connection,
    Election,
    Lease,
    Lock,
    OnLost,
    PlainSemaphore,
    Semaphore,
)
from raftzmq.client.aio_watch import Watch
from raftzmq.client.claims import TTL_S, AnyLease, held_lease, timeout_ms
from raftzmq.client.leasing import HeldLease
from raftzmq.client.results import LeaseInfo, Leases, Queue, Queues
from raftzmq.client.subscriptions import Subscription


class AsyncCoordination(Connection):
    """Part of AsyncClient.

    What is held needs a lease. Without `lease` it is the client's own, one for each `ttl`: granted
    when first needed, kept alive in the background, ended soon after nothing needs it any more.
    """

    def lease(self, ttl: float = TTL_S, *, on_lost: OnLost = None, timeout: float = 5) -> Lease:
        """A lease of `ttl` seconds that is kept alive in the background: granted by `async with`,
        or by awaiting it, within `timeout` seconds."""
        return Lease(self, HeldLease(coordination.milliseconds(ttl), timeout_s=timeout), on_lost)

    def lock(
        self,
        name: str,
        *,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
    ) -> Lock:
        """A lock, to be held with `async with` or `acquire`, within `timeout` seconds (0: at once;
        None: however long it takes). If this process dies, it is free `ttl` seconds later."""
        return Lock(self, name, ttl=ttl, lease=lease, timeout=timeout, on_lost=on_lost)

    @overload
    def semaphore(
        self,
        name: str,
        permits: int = 0,
        count: int = 1,
        *,
        plain: Literal[False] = False,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
    ) -> Semaphore: ...

    @overload
    def semaphore(
        self,
        name: str,
        permits: int = 0,
        count: int = 1,
        *,
        plain: Literal[True],
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
    ) -> PlainSemaphore: ...

    def semaphore(
        self,
        name: str,
        permits: int = 0,
        count: int = 1,
        *,
        plain: bool = False,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
    ) -> Semaphore | PlainSemaphore:
        """A semaphore of which `count` permits are held with `async with` or `wait`. It is created
        with `permits` if there is none; 0: it must be there, or NotFound is raised. `plain`: one of
        the counting kind, whose permits are taken for good, and which anybody may signal."""
        make = PlainSemaphore if plain else Semaphore
        return make(
            self,
            name,
            ttl=ttl,
            lease=lease,
            timeout=timeout,
            on_lost=on_lost,
            permits=count,
            capacity=permits,
        )

    def election(
        self,
        name: str,
        value: str | None = None,
        *,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
    ) -> Election:
        """An election, to campaign in with `async with` or `campaign`, or to observe. `value` is
        what others see of this candidate: its address, for instance."""
        return Election(
            self, name, ttl=ttl, lease=lease, timeout=timeout, on_lost=on_lost, value=value
        )

    def watch(
        self,
        key: str | None = None,
        *,
        prefix: str | None = None,
        start: int | None = None,
        previous: bool = False,
    ) -> Watch:
        """Watch a key, or all that begin with `prefix`, from the revision `start` on (None: from
        now on), with the values before if `previous`."""
        return Watch(self, Subscription(key, prefix, start, previous))

    # -- without objects, for those who keep numbers themselves -------------------------------

    async def lease_grant(self, ttl: float, *, timeout: float = 5) -> int:
        """Grant a lease that nobody keeps alive but by `lease_keep`; return its number."""
        return await self._run(coordination.lease_grant(ttl), timeout)

    async def lease_keep(self, lease: int, *, timeout: float = 5) -> float:
        """Let a lease's time begin anew; return how many seconds that is. Raises LeaseExpired."""
        return await self._run(coordination.lease_keep(lease), timeout)

    async def lease_revoke(self, lease: int, *, timeout: float = 5) -> None:
        """End a lease, with all that it holds. Raises LeaseExpired."""
        await self._run(coordination.lease_revoke(lease), timeout)

    async def lease_info(self, lease: int, *, timeout: float = 5) -> LeaseInfo | None:
        """A lease as the cluster knows it; None if it has ended."""
        return await self._run(coordination.lease_info(lease), timeout)

    async def leases(self, after: int = 0, limit: int = 1000, *, timeout: float = 5) -> Leases:
        """The leases with numbers above `after`, at most `limit`."""
        return await self._run(coordination.leases(after, limit), timeout)

    async def acquire(
        self,
        kind: str,
        name: str,
        lease: AnyLease,
        *,
        permits: int = 1,
        capacity: int = 0,
        value: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Wait for a place to hold, under a lease; return its token. Raises as `Lock.acquire`;
        of a lease that is a number the client does not know when it ends."""
        place = Acquisition(
            kind,
            name,
            timeout_ms=timeout_ms(timeout),
            lease=held_lease(lease),
            permits=permits,
            capacity=capacity,
            value=value,
        )
        await self._perform(place)
        self._post(lambda session, _: session.places.given_back(place))  # it is the caller's now
        return place.token

    async def release(self, kind: str, name: str, token: int, *, timeout: float = 5) -> None:
        """Give up a place, whether it holds or waits. Raises NotHeld if it does neither."""
        await self._run(coordination.release(kind, name, token), timeout)

    async def signal(self, name: str, permits: int = 1, *, timeout: float = 5) -> int:
        """Add permits to a plain semaphore, made if there is none; return how many it has."""
        return await self._run(coordination.signal(name, permits), timeout)

    async def resize(self, name: str, permits: int, *, timeout: float = 5) -> None:
        """Let a semaphore have so many permits; it is made if there is none."""
        await self._run(coordination.resize(name, permits), timeout)

    async def forget(self, kind: str, name: str, *, timeout: float = 5) -> None:
        """Remove a semaphore or counter. Raises NotFound, or NotAcquired while it is in use."""
        await self._run(coordination.forget(kind, name), timeout)

    async def describe(self, kind: str, name: str, *, timeout: float = 5) -> Queue | None:
        """Who holds and who waits; None if there is no such queue."""
        return await self._run(coordination.describe(kind, name), timeout)

    async def queues(
        self, kind: str, prefix: str = "", limit: int = 1000, *, timeout: float = 5
    ) -> Queues:
        """The queues of a kind whose names begin with `prefix`, at most `limit`."""
        return await self._run(coordination.queues(kind, prefix, limit), timeout)
