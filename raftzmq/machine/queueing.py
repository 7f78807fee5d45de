"""The commands about queues, and the fence that makes a write depend on their tokens."""

from __future__ import annotations

from typing import Any

from raftzmq import limits
from raftzmq.errors import UnknownEntry
from raftzmq.machine.leasing import lease_expired
from raftzmq.machine.outcomes import DONE, Outcome, refused
from raftzmq.machine.queues import COUNTER, SEMAPHORE, SIZED, Place, Queue, Queues
from raftzmq.machine.state import State
from raftzmq.machine.values import expect_integers, expect_text, unknown_argument


def acquire(
    state: State,
    kind: str,
    name: str,
    number: int,
    permits: int,
    capacity: int,
    wait: bool,
    value: str | None,
) -> Outcome:
    """`acquire kind name lease permits capacity wait value`: `[token, held]`."""
    if value is not None:
        expect_text(value)
    if type(wait) is not bool:
        raise unknown_argument()
    expect_integers(number, permits, capacity)
    queues = state.queues
    queue = _find(queues, kind, name)
    lease = state.leases.table.get(number)
    if lease is None:
        return lease_expired(number)
    room = capacity if kind in SIZED else 1
    if queue is not None:
        room = queue.available
        limit = queue.capacity
        if kind == SEMAPHORE and capacity not in (0, limit):
            return refused("invalid", f"{_shown(queue)} has {limit} permits: resize it")
    elif room == 0:
        return _not_found(kind, name)
    else:
        limit = room
    if kind == SEMAPHORE and permits > limit:
        return refused("invalid", f"{permits} permits of a semaphore that has {limit}")
    if not wait and permits > room:
        return refused("busy", f"{permits} wanted, and others hold or wait")
    if len(queues.places) >= limits.PLACES:
        return refused("overloaded", f"there are {limits.PLACES} places already: retry later")
    if queue is None:
        if queues.count >= limits.QUEUES:
            return _too_many_queues()
        queue = queues.create(kind, name, room)
    token = state.revision
    return "ok", [token, queues.join(queue, token, lease, permits, value).held]


def release(state: State, kind: str, name: str, token: int) -> Outcome:
    """`release kind name token`: give the place up, held or waiting."""
    queues = state.queues
    queue = _find(queues, kind, name)
    place = _place(queues, token)
    if place is None or place.queue is not queue:
        return not_held(kind, name, token)
    queues.leave(place)
    queues.advance(queue)
    return DONE


def signal(state: State, name: str, permits: int) -> Outcome:
    """`signal name permits`: add to a counter; the new count."""
    expect_integers(permits)
    queue = _find(state.queues, COUNTER, name)
    if queue is None:
        if state.queues.count >= limits.QUEUES:
            return _too_many_queues()
        return "ok", state.queues.create(COUNTER, name, permits).free
    if queue.free + permits > limits.PERMITS:
        return refused(
            "invalid",
            f"{_shown(queue)} has {queue.free} permits; with {permits} more it would have more "
            f"than {limits.PERMITS}",
        )
    queue.free += permits
    state.queues.advance(queue)
    return "ok", queue.free


def resize(state: State, name: str, capacity: int) -> Outcome:
    """`resize name capacity`: a semaphore has so many permits from now on. Who holds more than
    there are goes on holding."""
    expect_integers(capacity)
    queue = _find(state.queues, SEMAPHORE, name)
    if queue is None:
        if state.queues.count >= limits.QUEUES:
            return _too_many_queues()
        state.queues.create(SEMAPHORE, name, capacity)
        return DONE
    queue.capacity = capacity
    state.queues.advance(queue)
    return DONE


def forget(state: State, kind: str, name: str) -> Outcome:
    """`forget kind name`: a semaphore or counter without places is no more."""
    queue = _find(state.queues, kind, name)
    if queue is None:
        return _not_found(kind, name)
    if queue.holders or queue.waiters:
        return refused(
            "busy",
            f"{_shown(queue)} has {len(queue.holders)} holders and {len(queue.waiters)} waiters",
        )
    state.queues.remove(queue)
    return DONE


def fence_refusal(state: State, fences: Any) -> Outcome | None:
    """Return the outcome of a write behind fences of which one does not hold, else None."""
    if type(fences) is not list:
        raise UnknownEntry("fences are in a form that this version does not know")
    for fence in fences:
        if type(fence) is not list or len(fence) != 2:
            raise UnknownEntry("a fence is in a form that this version does not know")
        name, token = fence
        place = _place(state.queues, token)
        if place is None or not place.held or place.queue.name != expect_text(name):
            return refused(
                "fenced", f"token {token} holds nothing of {name[:40]!r}: nothing was written"
            )
    return None


def not_held(kind: str, name: str, token: int) -> Outcome:
    """Return the outcome of what needs a place that is not there."""
    return refused("not_held", f"{kind} {name[:40]!r} has no place with token {token}")


def _find(queues: Queues, kind: Any, name: Any) -> Queue | None:
    if type(kind) is not str or kind not in queues.tables:
        raise UnknownEntry("a queue is of a kind that this version does not know")
    return queues.tables[kind].get(expect_text(name))


def _place(queues: Queues, token: Any) -> Place | None:
    expect_integers(token)
    return queues.places.get(token)


def _shown(queue: Queue) -> str:
    return f"{queue.kind} {queue.name[:40]!r}"


def _not_found(kind: str, name: str) -> Outcome:
    return refused("not_found", f"there is no {kind} {name[:40]!r}: create it with a capacity")


def _too_many_queues() -> Outcome:
    return refused("overloaded", f"there are {limits.QUEUES} queues already: retry later")
