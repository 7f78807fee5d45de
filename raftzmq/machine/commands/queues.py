"""The commands on queues: locks, semaphores, counters and elections."""

from __future__ import annotations

from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest, UnknownEntry
from raftzmq.machine.commands.checks import (
    check_flag,
    check_integer,
    check_key,
    check_kind,
    check_lease,
    check_permits,
    check_place_value,
    check_sized_kind,
    check_token,
)
from raftzmq.machine.commands.leases import lease_expired
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import DONE, Outcome, refused
from raftzmq.machine.state import State
from raftzmq.machine.tables.places import COUNTER, ELECTION, SEMAPHORE, SIZED, Place, Queue
from raftzmq.machine.tables.queues import Queues
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
    """`release kind name token`: give the place up, held or waiting. What a counter's place holds
    is taken with it, for good."""
    place = _place(state.queues, kind, name, token)
    if place is None:
        return not_held(kind, name, token)
    if place.held and kind == COUNTER:
        state.queues.take(place)
    else:
        state.queues.leave(place)
    state.queues.advance(place.queue)
    return DONE


def cancel(state: State, kind: str, name: str, token: int) -> Outcome:
    """`cancel kind name token`: give the place up, held or waiting, and take nothing: what it was
    granted goes to the next, of a counter too."""
    place = _place(state.queues, kind, name, token)
    if place is None:
        return not_held(kind, name, token)
    state.queues.leave(place)
    state.queues.advance(place.queue)
    return DONE


def signal(state: State, name: str, permits: int) -> Outcome:
    """`signal name permits`: add to a counter; the new count."""
    expect_integers(permits)
    queue = _find(state.queues, COUNTER, name)
    if queue is None:
        if state.queues.count >= limits.QUEUES:
            return _too_many_queues()
        return "ok", state.queues.create(COUNTER, name, permits).free
    if state.queues.left_of(queue, permits) > limits.PERMITS:
        return refused(
            "invalid",
            f"{_shown(queue)} has {queue.free} permits; with {permits} more it would have more "
            f"than {limits.PERMITS}, whatever it grants",
        )
    queue.free += permits
    state.queues.advance(queue)
    return "ok", queue.free


def resize(state: State, name: str, capacity: int) -> Outcome:
    """`resize name capacity`: a semaphore has so many permits from now on. Who holds more than
    there are goes on holding, and who waits for more leaves the line."""
    expect_integers(capacity)
    queue = _find(state.queues, SEMAPHORE, name)
    if queue is None:
        if state.queues.count >= limits.QUEUES:
            return _too_many_queues()
        state.queues.create(SEMAPHORE, name, capacity)
        return DONE
    state.queues.resize(queue, capacity)
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


def proclaim(state: State, name: str, token: int, value: str | None) -> Outcome:
    """`proclaim name token value`: the leader of an election is known by another value. The token
    is its fence: whoever leads no more changes nothing."""
    if value is not None:
        expect_text(value)
    place = _place(state.queues, ELECTION, name, token)
    if place is None or not place.held:
        return lost_fence(name, token)
    state.queues.rename(place, value)
    return DONE


def lost_fence(name: str, token: int) -> Outcome:
    """Return the outcome of a write behind a fence that does not hold."""
    return refused(
        "fenced", f"fenced: token {token} does not hold {name[:40]!r}; nothing was written"
    )


def not_held(kind: str, name: str, token: int) -> Outcome:
    """Return the outcome of what needs a place that is not there."""
    return refused("not_held", f"{kind} {name[:40]!r} has no place with token {token}")


def _find(queues: Queues, kind: Any, name: Any) -> Queue | None:
    if type(kind) is not str or kind not in queues.tables:
        raise UnknownEntry("a queue is of a kind that this version does not know")
    return queues.tables[kind].get(expect_text(name))


def _place(queues: Queues, kind: str, name: str, token: int) -> Place | None:
    """Return the place with a token in one queue; None if it has none."""
    queue = _find(queues, kind, name)
    place = find_place(queues, token)
    return place if place is not None and place.queue is queue else None


def find_place(queues: Queues, token: Any) -> Place | None:
    """Return the place with a token, whatever the queue; None if it is no more, or about to go
    because its lease has ended."""
    expect_integers(token)
    place = queues.places.get(token)
    return None if place is None or place.lease.ended else place


def _shown(queue: Queue) -> str:
    return f"{queue.kind} {queue.name[:40]!r}"


def _not_found(kind: str, name: str) -> Outcome:
    return refused("not_found", f"there is no {kind} {name[:40]!r}: create it with a capacity")


def _too_many_queues() -> Outcome:
    return refused("overloaded", f"there are {limits.QUEUES} queues already: retry later")


def _check_capacity(capacity: Any, what: str) -> None:
    check_integer(capacity, what, 0, limits.PERMITS)


def _check_claim(
    kind: str,
    _name: str,
    _lease: int,
    permits: int,
    capacity: int,
    _wait: bool,
    _value: str | None,
) -> None:
    if kind not in SIZED and (permits != 1 or capacity != 0):
        raise InvalidRequest(f"there is one {kind}: permits must be 1, and capacity 0")


COMMANDS: Final = (
    Command(
        name="acquire",
        arguments={
            "kind": check_kind,
            "name": check_key,
            "lease": check_lease,
            "permits": check_permits,
            "capacity": _check_capacity,
            "wait": check_flag,
            "value": check_place_value,
        },
        run=acquire,
        check_together=_check_claim,
        adds=True,
    ),
    Command(
        name="release",
        arguments={"kind": check_kind, "name": check_key, "token": check_token},
        run=release,
    ),
    Command(
        name="cancel",
        arguments={"kind": check_kind, "name": check_key, "token": check_token},
        run=cancel,
    ),
    Command(
        name="signal",
        arguments={"name": check_key, "permits": check_permits},
        run=signal,
        adds=True,
    ),
    Command(
        name="resize",
        arguments={"name": check_key, "capacity": check_permits},
        run=resize,
        adds=True,
    ),
    Command(
        name="proclaim",
        arguments={"name": check_key, "token": check_token, "value": check_place_value},
        run=proclaim,
        adds=True,
    ),
    Command(name="forget", arguments={"kind": check_sized_kind, "name": check_key}, run=forget),
)
