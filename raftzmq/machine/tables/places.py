"""Places, and the two that each place joins: the queue it stands in and the lease it ends with.

Locks, semaphores, counters and elections are all queues, and differ by what `Queue` says of its
kind.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

LOCK: Final = "lock"
SEMAPHORE: Final = "semaphore"
COUNTER: Final = "counter"
ELECTION: Final = "election"

KINDS: Final = (LOCK, SEMAPHORE, COUNTER, ELECTION)
"""The kinds of queues; each has names of its own."""

SIZED: Final = (SEMAPHORE, COUNTER)
"""The kinds that have a number of permits, and that stay until they are forgotten on purpose."""


class Lease:
    """One lease. Keys that are bound to it are in KeyTable.bonds."""

    __slots__ = ("end_ms", "ended", "number", "owner", "places", "ttl_ms")

    def __init__(
        self, number: int, ttl_ms: int, end_ms: int, owner: str = "", *, ended: bool = False
    ) -> None:
        self.number = number  # the revision that granted it
        self.ttl_ms = ttl_ms
        self.end_ms = end_ms  # from this replicated time on an `expire` ends it; it only grows
        self.owner = owner  # the name of the user who was granted it; "": anybody's
        self.ended = ended  # it is no more, but for places and keys that are yet to be removed
        self.places: dict[int, Place] = {}  # by token: all that it holds and waits for


class Place:
    """A place in a queue: it holds permits, or waits for them."""

    __slots__ = ("held", "lease", "permits", "queue", "token", "value")

    def __init__(self, queue: Queue, token: int, lease: Lease, permits: int, value: str | None):
        self.queue = queue
        self.token = token  # the revision that made it
        self.lease = lease  # with which it ends
        self.permits = permits
        self.value = value  # of an election's candidate, the address for instance
        self.held = False


class Queue:
    """One lock, semaphore, counter or election.

    Invariants: `holders` and `waiters` are by token; the waiters in order of tokens. `free` is
    what the capacity leaves when all that is held is taken away (below 0 after a resize), but of
    a counter it is the count itself: what holders were granted is out of it, and comes back unless
    they take it. The first waiter wants more than is free, and none wants more than there are.
    """

    __slots__ = ("_capacity", "free", "holders", "kind", "name", "waiters")

    def __init__(self, kind: str, name: str, capacity: int) -> None:
        self.kind = kind
        self.name = name
        self._capacity = self.free = capacity
        self.holders: dict[int, Place] = {}
        # A dictionary from which the first is taken again and again finds it ever more slowly.
        self.waiters: OrderedDict[int, Place] = OrderedDict()

    @property
    def capacity(self) -> int:
        """How many permits there are, held or free; of a counter, the count."""
        return self.free if self.kind == COUNTER else self._capacity

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        self.free += capacity - self._capacity
        self._capacity = capacity

    @property
    def available(self) -> int:
        """How many permits somebody who came now would get at once."""
        return 0 if self.waiters else self.free
