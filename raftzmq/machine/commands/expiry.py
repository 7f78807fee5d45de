"""What ends by itself once its replicated time has come: leases, keys and sessions.

Time that merely passes ends nothing. A leader that finds something due proposes `expire`.
"""

from __future__ import annotations

from typing import Final

from raftzmq import limits
from raftzmq.machine.commands.ends import end_leases, size_of, sweep
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import Outcome
from raftzmq.machine.state import State
from raftzmq.machine.tables.places import Lease
from raftzmq.machine.values import expect_integers


def expire(state: State, _number: int, bound: int | None = None) -> Outcome:
    """`expire`: end what has passed its time, as far as `bound` removals allow, and go on with what
    ended before; how much has ended. The next such command goes on."""
    if bound is None:
        return _expire_unbounded(state)
    expect_integers(bound)
    room = state.room(bound)
    count, room = _begin_ends(state, bound, room)
    room = sweep(state, room)
    keys = state.keys
    while room > 0 and (key := keys.bonds.ended(state.time_ms)) is not None:
        keys.remove(key, state.revision)
        count += 1
        room -= 1
    while room > 0 and (session := state.sessions.expired(state.time_ms)) is not None:
        state.sessions.close(session.number)
        count += 1
        room -= 1 + len(session.results)
    state.work += 2 * (state.room(bound) - room)
    return "ok", count


def _begin_ends(state: State, bound: int, room: int) -> tuple[int, int]:
    """End leases in the order of their ends: whole, or begin it if one entry has not room enough.
    Return how many, and for how much more there is room."""
    leases = state.leases
    whole: list[Lease] = []
    count = 0
    while room > 0 and (lease := leases.ended(state.time_ms)) is not None:
        size = size_of(state, lease)
        if size > bound:
            leases.begin_end(lease)
            size = 1
        elif size > room:
            break  # it is the first of the next entry
        else:
            del leases.table[lease.number]
            whole.append(lease)
        count += 1
        room -= size
    end_leases(state, whole)
    return count, room


def _expire_unbounded(state: State) -> Outcome:
    """As older versions did: a lease ends as a whole, however much it has."""
    now_ms = state.time_ms
    keys = state.keys
    leases = state.leases
    count = 0
    while (session := state.sessions.expired(now_ms)) is not None:
        state.sessions.close(session.number)
        count += 1
    ended: list[Lease] = []
    work = 0
    while work < limits.EXPIRE_AT_ONCE and (lease := leases.ended(now_ms)) is not None:
        work += size_of(state, lease)
        del leases.table[lease.number]
        ended.append(lease)
    end_leases(state, ended)
    count += len(ended)
    while work < limits.EXPIRE_AT_ONCE and (key := keys.bonds.ended(now_ms)) is not None:
        keys.remove(key, state.revision)
        count += 1
        work += 1
    state.work += 2 * count
    return "ok", count


def expiry_due(state: State, time_ms: int) -> bool:
    """Tell whether `expire`, stamped `time_ms`, would end anything."""
    return (
        bool(state.leases.ending)
        or state.leases.ended(time_ms) is not None
        or state.keys.bonds.ended(time_ms) is not None
        or state.sessions.expired(time_ms) is not None
    )


def next_expiry_ms(state: State) -> int | None:
    """Return a replicated time before which `expire` would end nothing; None: there is nothing
    that could end."""
    if state.leases.ending:
        return state.time_ms
    ends_ms = (
        state.leases.next_end_ms,
        state.keys.bonds.next_end_ms,
        state.sessions.next_expiry_ms,
    )
    return min((end_ms for end_ms in ends_ms if end_ms is not None), default=None)


COMMANDS: Final = (Command(name="expire", arguments={}, run=expire, internal=True, bounded=True),)
