"""What the locks, semaphores, elections and leases of both clients have in common: no waiting.

The shells add what waits: acquiring and releasing. Time comes from them too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any, Final, TypeVar

from raftzmq import limits
from raftzmq.client import coordination, operations
from raftzmq.client.acquiring import Acquisition
from raftzmq.client.calls import LONGEST_TIMEOUT_S
from raftzmq.client.coordination import Fence
from raftzmq.client.leasing import HeldLease
from raftzmq.client.results import Value, Written
from raftzmq.client.work import Operation
from raftzmq.errors import InvalidRequest, NotHeld

T = TypeVar("T")

Timeout = float | EllipsisType | None
"""Seconds; 0: only at once; None: however long it takes; `...`: what the object was made with."""

TTL_S: Final = 10.0


class Leased:
    """What has a lease that is kept alive."""

    def __init__(self, state: HeldLease) -> None:
        self._state = state

    @property
    def id(self) -> int:
        """The number that the cluster gave the lease."""
        return self._state.id

    @property
    def ttl(self) -> float:
        """Its time to live, in seconds."""
        return self._state.ttl_ms / 1000


AnyLease = Leased | int


class Claim:
    """A claim to something that others may claim too. One object is one claimant: make another
    for each thread or task that shares nothing with the others."""

    kind = coordination.LOCK

    def __init__(
        self,
        name: str,
        *,
        ttl: float,
        lease: AnyLease | None,
        timeout: float | None,
        permits: int = 1,
        capacity: int = 0,
        value: str | None = None,
    ) -> None:
        self.name = name
        self._ttl_ms = coordination.milliseconds(ttl)
        self._lease = held_lease(lease)
        self._timeout = timeout
        self._permits = permits
        self._capacity = capacity
        self._value = value
        self._places: list[Acquisition] = []
        self._new_place(timeout, lambda: None)  # what is wrong with it, the caller learns now

    @property
    def held(self) -> bool:
        """Whether it was acquired and not released; `check` says whether that is still so."""
        return bool(self._places)

    @property
    def token(self) -> int:
        """The fencing token: higher than that of whoever held it before. Raises NotHeld."""
        if not self._places:
            raise NotHeld(f"this {self.kind} {self.name!r} is not held")
        return self._places[-1].token

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens of all that is held, the oldest first."""
        return tuple(place.token for place in self._places)

    def _check(self, now_ms: int) -> None:
        """Raise NotHeld if it is not held, LeaseExpired if it is lost."""
        if not self._places:
            raise NotHeld(f"this {self.kind} {self.name!r} is not held")
        for place in self._places:
            place.check(now_ms)

    def _new_place(
        self, timeout: Timeout, on_lost: Callable[[], None], permits: int | None = None
    ) -> Acquisition:
        """A place to ask for."""
        place = Acquisition(
            self.kind,
            self.name,
            timeout_ms=timeout_ms(self._timeout if timeout is ... else timeout),
            lease=self._lease,
            ttl_ms=self._ttl_ms,
            permits=self._permits if permits is None else permits,
            capacity=self._capacity,
            value=self._value,
        )
        place.on_lost = on_lost
        return place

    def _new_single_place(self, timeout: Timeout, on_lost: Callable[[], None]) -> Acquisition:
        """A place to ask for, of which this may have one."""
        if self._places:
            raise InvalidRequest(
                f"this {self.kind} {self.name!r} is held already: another claimant needs an "
                "object of its own"
            )
        return self._new_place(timeout, on_lost)

    def _taken(self) -> Acquisition:
        """The place acquired last, which is then none of this claim's any more."""
        if not self._places:
            raise NotHeld(f"this {self.kind} {self.name!r} is not held")
        return self._places.pop()


AnyFence = Claim | Fence | Sequence[Claim | Fence] | None
"""What must hold for a write to be done: locks and the like that are held, or names and tokens."""


def guarded(operation: Operation[T], fence: AnyFence) -> Operation[T]:
    """The write, to be done only if what `fence` names holds. Raises NotHeld if it does not even
    here."""
    return operation if fence is None else coordination.fenced(_fences(fence), operation)


def put(
    key: str, value: Value, ttl: float | None, lease: AnyLease | None, fence: AnyFence
) -> Operation[Written]:
    """A put with all that may go with it."""
    if ttl is None and lease is None:
        return guarded(operations.put(key, value), fence)
    if lease is None:
        assert ttl is not None
        return guarded(coordination.put_ttl(key, value, ttl), fence)
    if ttl is not None:
        raise InvalidRequest("a key ends with a lease or after a time to live: give one of them")
    return guarded(coordination.put_leased(key, value, lease_number(lease)), fence)


def lease_number(lease: AnyLease) -> int:
    """The number of a lease."""
    return lease.id if isinstance(lease, Leased) else lease


def timeout_ms(timeout: float | None) -> int | None:
    """The time that somebody is ready to wait, which is given in seconds. Raises
    InvalidRequest."""
    if timeout is None:
        return None
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not (number and math.isfinite(timeout) and timeout >= 0):
        raise InvalidRequest(f"timeout is a number of seconds, 0 or above, not {timeout!r:.40}")
    return math.ceil(min(timeout, LONGEST_TIMEOUT_S) * 1000)


def held_lease(lease: AnyLease | None) -> HeldLease | None:
    """The lease as a session knows it. Raises InvalidRequest."""
    if lease is None:
        return None
    if isinstance(lease, Leased):
        return lease._state
    if type(lease) is not int or not 1 <= lease <= limits.INDEX_MAX:
        raise InvalidRequest(f"a lease is a Lease or its number, not {lease!r:.40}")
    return HeldLease.numbered(lease)


def _fences(fence: Any) -> list[Fence]:
    if isinstance(fence, Claim):
        return [(fence.name, token) for token in fence.tokens] or [(fence.name, fence.token)]
    if isinstance(fence, tuple) and len(fence) == 2 and isinstance(fence[0], str):
        return [(fence[0], fence[1])]
    if isinstance(fence, list | tuple) and fence:
        return [pair for part in fence for pair in _fences(part)]
    raise InvalidRequest(
        f"a fence is a lock that is held, or (name, token), or several, not {fence!r:.40}"
    )
