"""The commands on leases, and on keys that end by themselves."""

from __future__ import annotations

from typing import Any, Final

from raftzmq import limits
from raftzmq.machine.commands.checks import (
    check_key,
    check_key_ttl,
    check_lease,
    check_revision,
    check_ttl,
    check_value,
)
from raftzmq.machine.commands.ends import end_leases, size_of
from raftzmq.machine.commands.key_ends import LEASE, check_end, end_of, put_ending
from raftzmq.machine.commands.keys import the_key
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import DONE, Outcome, no_room, refused
from raftzmq.machine.state import State
from raftzmq.machine.tables.bonds import Bond
from raftzmq.machine.values import Value, expect_integers, expect_text, from_wire, item_body


def lease_expired(number: int) -> Outcome:
    """Return the outcome of a command that needs a lease which is not there."""
    return refused("lease_expired", f"lease {number} has ended or never was: grant another")


def lease_grant(state: State, ttl_ms: int, owner: str = "") -> Outcome:
    """`lease_grant ttl_ms`: the lease's number. It belongs to the user `owner`."""
    expect_integers(ttl_ms)
    expect_text(owner)
    if not state.leases.grant(state.revision, ttl_ms, state.time_ms, owner):
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


def lease_revoke(state: State, number: int, bound: int | None = None) -> Outcome:
    """`lease_revoke lease`: it ends now. If it has more than `bound`, the next `expire`s go on."""
    expect_integers(number)
    lease = state.leases.table.get(number)
    if lease is None:
        return lease_expired(number)
    if bound is not None:
        expect_integers(bound)
        size = size_of(state, lease)
        if size > bound:
            state.leases.begin_end(lease)
            return DONE
        if size > state.room(bound):
            return no_room()
        state.removals += size
    del state.leases.table[number]
    end_leases(state, [lease])
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


def put_if(state: State, key: str, value: Any, revision: int | None, end: Any) -> Outcome:
    """`put_if key value revision end`: put a key, if its revision is still `revision` (0: absent;
    None: whatever it is). It ends as `end` says: see key_ends.py."""
    stored = from_wire(value)
    kind, number = end_of(end)
    item = state.keys.items.get(expect_text(key))
    if revision is not None:
        expect_integers(revision)
        if revision != (0 if item is None else item[1]):
            return "compare_failed", item_body(item)
    if kind == LEASE and number not in state.leases.table:
        return lease_expired(number)
    put_ending(state, key, stored, kind, number)
    return DONE


def _stored(key: Any, value: Any, number: Any) -> Value:
    expect_text(key)
    expect_integers(number)
    return from_wire(value)


def _check_condition(revision: Any, what: str) -> None:
    if revision is not None:
        check_revision(revision, what)


COMMANDS: Final = (
    Command(
        name="lease_grant",
        arguments={"ttl_ms": check_ttl},
        run=lease_grant,
        owned=True,
        adds=True,
    ),
    Command(name="lease_keep", arguments={"lease": check_lease}, run=lease_keep),
    Command(name="lease_revoke", arguments={"lease": check_lease}, run=lease_revoke, bounded=True),
    Command(
        name="put_leased",
        arguments={"key": check_key, "value": check_value, "lease": check_lease},
        run=put_leased,
        fenced=True,
        adds=True,
    ),
    Command(
        name="put_ttl",
        arguments={"key": check_key, "value": check_value, "ttl_ms": check_key_ttl},
        run=put_ttl,
        fenced=True,
        adds=True,
    ),
    Command(
        name="put_if",
        arguments={
            "key": check_key,
            "value": check_value,
            "revision": _check_condition,
            "end": check_end,
        },
        run=put_if,
        fenced=True,
        adds=True,
        touches=the_key,
    ),
)
