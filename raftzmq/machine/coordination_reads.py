"""The reads about leases and queues. What a node may wait for is decided here too."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from itertools import islice
from operator import attrgetter
from typing import Any

from raftzmq import limits
from raftzmq.machine.leases import Lease
from raftzmq.machine.queueing import not_held
from raftzmq.machine.queues import ELECTION, Place, Queue
from raftzmq.machine.state import State
from raftzmq.machine.values import text_size


def lease(state: State, number: int) -> list[Any] | None:
    """`lease lease`: `[ttl_ms, remaining_ms, keys, places]`, or None."""
    found = state.leases.table.get(number)
    return None if found is None else _lease_body(state, found)


def leases(state: State, after: int, limit: int) -> list[Any]:
    """`leases after limit`: `[[[lease, ttl_ms, remaining_ms, keys, places]…], more]`."""
    table = state.leases.table
    found = list(islice((number for number in table if number > after), limit + 1))
    items = [[number, *_lease_body(state, table[number])] for number in found[:limit]]
    return [items, len(found) > limit]


def _lease_body(state: State, found: Lease) -> list[Any]:
    keys = len(state.keys.bonds.keys_of(found.number))
    remaining_ms = max(0, found.end_ms - state.time_ms)
    return [found.ttl_ms, remaining_ms, keys, len(found.places)]


def describe(state: State, kind: str, name: str) -> dict[str, Any] | None:
    """`describe kind name`: its permits and its places, as far as they fit; or None."""
    queue = state.queues.tables[kind].get(name)
    if queue is None:
        return None
    return {
        "capacity": queue.capacity,
        "free": queue.free,
        "held": len(queue.holders),
        "waiting": len(queue.waiters),
        "holders": _places(queue.holders.values()),
        "waiters": _places(queue.waiters.values()),
    }


def _places(places: Iterable[Place]) -> list[list[Any]]:
    return [
        [place.token, place.lease.number, place.permits, place.value]
        for place in islice(places, limits.DESCRIBED_PLACES)
    ]


def queues(state: State, kind: str, prefix: str, limit: int) -> list[Any]:
    """`queues kind prefix limit`: `[[[name, capacity, held, waiting]…], more]`."""
    table = state.queues.tables[kind]
    found: list[Queue] = nsmallest(
        limit + 1,
        (queue for name, queue in table.items() if name.startswith(prefix)),
        key=attrgetter("name"),
    )
    items: list[list[Any]] = []
    size = 0
    for queue in found[:limit]:
        size += text_size(queue.name)
        if size > limits.RANGE_BYTES:
            break
        items.append([queue.name, queue.capacity, len(queue.holders), len(queue.waiters)])
    return [items, len(found) > len(items)]


def await_state(
    state: State, kind: str, name: str, token: int, _hold_ms: int
) -> tuple[str, Any] | None:
    """`await kind name token hold_ms`: true once it holds; None while it waits."""
    place = state.queues.places.get(token)
    if place is None or place.queue.kind != kind or place.queue.name != name:
        return not_held(kind, name, token)
    return ("ok", True) if place.held else None


def observe_state(state: State, name: str, token: int, _hold_ms: int) -> tuple[str, Any] | None:
    """`observe name token hold_ms`: `[token, value]` of an election's holder once it is another
    than `token`, null once there is none; None while neither is so."""
    queue = state.queues.tables[ELECTION].get(name)
    if queue is None:
        return ("ok", None) if token else None
    holder = next(iter(queue.holders.values()))
    return None if holder.token == token else ("ok", [holder.token, holder.value])
