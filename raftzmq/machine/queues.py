"""Queues: permits, who holds them, and the line of those who wait for them.

Locks, semaphores, counters and elections are all this one thing, and differ by what `Queue` says
of its kind. A place is granted when it is the first in line and there are permits enough: strictly
first come, first served, so that the tokens of a queue's grants only grow.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from raftzmq.machine.leases import Lease

LOCK: Final = "lock"
SEMAPHORE: Final = "semaphore"
COUNTER: Final = "counter"
ELECTION: Final = "election"

KINDS: Final = (LOCK, SEMAPHORE, COUNTER, ELECTION)
"""The kinds of queues; each has names of its own."""

SIZED: Final = (SEMAPHORE, COUNTER)
"""The kinds that have a number of permits, and that stay until they are forgotten on purpose."""

Decision = tuple[str, str, int]
"""Kind, name and token of a place that was granted, or that is no more."""


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
    a counter it is the count, which holders have consumed and do not give back. The first waiter
    wants more than is free.
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


class Queues:
    """All queues, and all places in them by token."""

    __slots__ = ("count", "decisions", "places", "tables")

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Queue]] = {kind: {} for kind in KINDS}
        self.count = 0
        self.places: dict[int, Place] = {}
        self.decisions: list[Decision] | None = None
        """What became of places, while somebody observes; None while nobody does."""

    def create(self, kind: str, name: str, capacity: int) -> Queue:
        """Add a queue that does not exist."""
        queue = self.tables[kind][name] = Queue(kind, name, capacity)
        self.count += 1
        return queue

    def remove(self, queue: Queue) -> None:
        """Forget a queue that has no places."""
        del self.tables[queue.kind][queue.name]
        self.count -= 1

    def join(
        self, queue: Queue, token: int, lease: Lease, permits: int, value: str | None
    ) -> Place:
        """Add a place at the end of the line, and grant it if it can be."""
        place = Place(queue, token, lease, permits, value)
        self.places[token] = lease.places[token] = place
        if permits <= queue.available:
            self._grant(place)
        else:
            queue.waiters[token] = place
        return place

    def restore(self, place: Place, *, held: bool) -> None:
        """Add a place of a snapshot; of each queue they come in order of tokens."""
        queue, token = place.queue, place.token
        self.places[token] = place.lease.places[token] = place
        if not held:
            queue.waiters[token] = place
            return
        queue.holders[token] = place
        place.held = True
        if queue.kind != COUNTER:
            queue.free -= place.permits

    def leave(self, place: Place) -> None:
        """Take a place out of its queue. What it frees is granted to nobody before `advance`."""
        queue, token = place.queue, place.token
        del self.places[token], place.lease.places[token]
        if place.held:
            del queue.holders[token]
            if queue.kind != COUNTER:
                queue.free += place.permits
        else:
            del queue.waiters[token]
        if self.decisions is not None:
            self.decisions.append((queue.kind, queue.name, token))

    def advance(self, queue: Queue) -> None:
        """Grant what can be granted. A lock or an election that has no places is forgotten."""
        waiters = queue.waiters
        while waiters:
            token = next(iter(waiters))
            place = waiters[token]
            if place.permits > queue.free:
                return
            del waiters[token]
            self._grant(place)
        if not queue.holders and queue.kind not in SIZED:
            self.remove(queue)

    def _grant(self, place: Place) -> None:
        queue = place.queue
        place.held = True
        queue.free -= place.permits
        queue.holders[place.token] = place
        if self.decisions is not None:
            self.decisions.append((queue.kind, queue.name, place.token))
