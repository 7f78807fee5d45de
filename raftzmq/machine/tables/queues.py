"""Queues: permits, who holds them, and the line of those who wait for them.

A place is granted when it is the first in line and there are permits enough: strictly first come,
first served, so that the tokens of a queue's grants only grow.
"""

from __future__ import annotations

from raftzmq.machine.memory import PLACE, QUEUE, memory_of
from raftzmq.machine.tables.places import COUNTER, KINDS, SIZED, Lease, Place, Queue

Decision = tuple[str, str, int]
"""Kind, name and token of a place that was granted, that is known by another value, or that is no
more."""


class Queues:
    """All queues, and all places in them by token."""

    __slots__ = ("_bytes", "count", "decisions", "places", "tables")

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Queue]] = {kind: {} for kind in KINDS}
        self.count = 0
        self.places: dict[int, Place] = {}
        self._bytes = 0  # what names and values of places take, by memory.py
        self.decisions: list[Decision] | None = None
        """What became of places, while somebody observes; None while nobody does."""

    @property
    def memory(self) -> int:
        """About how many bytes queues and places take, as memory.py counts."""
        return self._bytes + QUEUE * self.count + PLACE * len(self.places)

    def create(self, kind: str, name: str, capacity: int) -> Queue:
        """Add a queue that does not exist."""
        queue = self.tables[kind][name] = Queue(kind, name, capacity)
        self.count += 1
        self._bytes += memory_of(name)
        return queue

    def remove(self, queue: Queue) -> None:
        """Forget a queue that has no places."""
        del self.tables[queue.kind][queue.name]
        self.count -= 1
        self._bytes -= memory_of(queue.name)

    def join(
        self, queue: Queue, token: int, lease: Lease, permits: int, value: str | None
    ) -> Place:
        """Add a place at the end of the line, and grant it if it can be."""
        place = Place(queue, token, lease, permits, value)
        self._add(place)
        if permits <= queue.available:
            self._grant(place)
        else:
            queue.waiters[token] = place
        return place

    def _add(self, place: Place) -> None:
        self.places[place.token] = place.lease.places[place.token] = place
        self._bytes += memory_of(place.value or "")

    def restore(self, place: Place, *, held: bool) -> None:
        """Add a place of a snapshot; of each queue they come in order of tokens."""
        queue = place.queue
        token = place.token
        self._add(place)
        if not held:
            queue.waiters[token] = place
            return
        queue.holders[token] = place
        place.held = True
        if queue.kind != COUNTER:
            queue.free -= place.permits

    def leave(self, place: Place) -> None:
        """Take a place out of its queue. What it frees is granted to nobody before `advance`."""
        if place.held:
            place.queue.free += place.permits
        self._remove(place)

    def take(self, place: Place) -> None:
        """Take a place out of its queue, and what it holds out of the world."""
        self._remove(place)

    def _remove(self, place: Place) -> None:
        queue = place.queue
        token = place.token
        del self.places[token], place.lease.places[token]
        self._bytes -= memory_of(place.value or "")
        del (queue.holders if place.held else queue.waiters)[token]
        if self.decisions is not None:
            self.decisions.append((queue.kind, queue.name, token))

    def rename(self, place: Place, value: str | None) -> None:
        """Let a place that holds be known by another value."""
        if value == place.value:
            return
        self._bytes += memory_of(value or "") - memory_of(place.value or "")
        place.value = value
        if self.decisions is not None:
            self.decisions.append((place.queue.kind, place.queue.name, place.token))

    def resize(self, queue: Queue, capacity: int) -> None:
        """Let a semaphore have so many permits. Whoever waits for more of them leaves the line: it
        would never be granted them, and nobody behind it anything."""
        shrinks = capacity < queue.capacity
        queue.capacity = capacity
        if shrinks:
            for place in [place for place in queue.waiters.values() if place.permits > capacity]:
                self.leave(place)
        self.advance(queue)

    def left_of(self, queue: Queue, permits: int) -> int:
        """Return how many would be free if there were so many more, and all were granted that could
        be."""
        free = queue.free + permits
        for place in queue.waiters.values():
            if place.permits > free:
                break
            free -= place.permits
        return free

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
