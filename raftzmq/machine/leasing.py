"""The commands about leases, and what ends with them."""

from __future__ import annotations

from typing import Any

from raftzmq import limits
from raftzmq.machine.bonds import Bond
from raftzmq.machine.leases import Lease
from raftzmq.machine.outcomes import DONE, Outcome, refused
from raftzmq.machine.queues import Queue
from raftzmq.machine.state import State
from raftzmq.machine.values import expect_integers, expect_text, from_wire


def lease_expired(number: int) -> Outcome:
    """Return the outcome of a command that needs a lease which is not there."""
    return refused("lease_expired", f"lease {number} has ended or never was: grant another")


def lease_grant(state: State, ttl_ms: int) -> Outcome:
    """`lease_grant ttl_ms`: the lease's number."""
    expect_integers(ttl_ms)
    if not state.leases.grant(state.revision, ttl_ms, state.time_ms):
        return refused("overloaded", f"there are {limits.LEASES} leases already: retry later")
    return "ok", state.revision


def lease_keep(state: State, number: int) -> Outcome:
    """`lease_keep lease`: its time to live, which begins anew."""
    expect_integers(number)
    lease = state.leases.table.get(number)
    if lease is None:
        return lease_expired(number)
    lease.end_ms = state.time_ms + lease.ttl_ms
    return "ok", lease.ttl_ms


def lease_revoke(state: State, number: int) -> Outcome:
    """`lease_revoke lease`: it ends now."""
    expect_integers(number)
    lease = state.leases.table.get(number)
    if lease is None:
        return lease_expired(number)
    del state.leases.table[number]
    _give_up(state, [lease])
    return DONE


def put_leased(state: State, key: str, value: Any, number: int) -> Outcome:
    """`put_leased key value lease`: put a key that ends with the lease."""
    stored = _stored(key, value, number)
    if number not in state.leases.table:
        return lease_expired(number)
    state.keys.put(key, stored, state.revision)
    state.keys.bonds.bind(key, Bond(number, 0))
    return DONE


def put_ttl(state: State, key: str, value: Any, ttl_ms: int) -> Outcome:
    """`put_ttl key value ttl_ms`: put a key that ends so long after its last write."""
    state.keys.put(key, _stored(key, value, ttl_ms), state.revision)
    state.keys.bonds.bind(key, Bond(0, state.time_ms + ttl_ms))
    return DONE


def _stored(key: Any, value: Any, number: Any) -> Any:
    expect_text(key)
    expect_integers(number)
    return from_wire(value)


def _give_up(state: State, ended: list[Lease]) -> None:
    """Give up the places of leases that are no more, and delete their keys. All places go before
    anything is granted anew, so that nothing goes to one which ends in the same moment."""
    touched: dict[Queue, None] = {}
    for lease in ended:
        for place in list(lease.places.values()):
            state.queues.leave(place)
            touched[place.queue] = None
    for queue in touched:
        state.queues.advance(queue)
    for lease in ended:
        for key in sorted(state.keys.bonds.keys_of(lease.number)):
            state.keys.remove(key, state.revision)


def expire(state: State) -> int:
    """Execute the internal command `expire`: end what has passed its time; return how much.

    Beyond limits.EXPIRE_AT_ONCE nothing more is begun: the next such command goes on.
    """
    now_ms, keys, leases = state.time_ms, state.keys, state.leases
    count = state.sessions.expire(now_ms)
    ended: list[Lease] = []
    work = 0
    while work < limits.EXPIRE_AT_ONCE and (lease := leases.ended(now_ms)) is not None:
        del leases.table[lease.number]
        ended.append(lease)
        work += 1 + len(lease.places) + len(keys.bonds.keys_of(lease.number))
    _give_up(state, ended)
    count += len(ended)
    while work < limits.EXPIRE_AT_ONCE and (key := keys.bonds.ended(now_ms)) is not None:
        keys.remove(key, state.revision)
        count += 1
        work += 1
    return count


def expiry_due(state: State, time_ms: int) -> bool:
    """Tell whether `expire`, stamped `time_ms`, would end anything."""
    return (
        state.leases.ended(time_ms) is not None
        or state.keys.bonds.ended(time_ms) is not None
        or state.sessions.expiry_due(time_ms)
    )


def next_expiry_ms(state: State) -> int | None:
    """Return a replicated time before which `expire` would end nothing; None: there is nothing
    that could end."""
    ends_ms = (
        state.leases.next_end_ms,
        state.keys.bonds.next_end_ms,
        state.sessions.next_expiry_ms,
    )
    return min((end_ms for end_ms in ends_ms if end_ms is not None), default=None)
