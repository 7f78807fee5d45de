"""When a key ends, as `put_if` and `incr` say it: the argument `end`.

null: it stays; "keep": as before this write; `["lease", lease]`; `["ttl", milliseconds]`.
"""

from __future__ import annotations

from typing import Any, Final

from raftzmq.errors import InvalidRequest
from raftzmq.machine.commands.checks import check_key_ttl, check_lease
from raftzmq.machine.state import State
from raftzmq.machine.tables.bonds import Bond
from raftzmq.machine.values import Value, expect_integers, unknown_argument

KEEP: Final = "keep"
LEASE: Final = "lease"
TTL: Final = "ttl"


def end_of(end: Any) -> tuple[str | None, int]:
    """Return how a key ends as a word (None: it stays) and a number, 0 if it has none. Raises
    UnknownEntry."""
    if end is None or end == KEEP:
        return end, 0
    if type(end) in (list, tuple) and len(end) == 2 and end[0] in (LEASE, TTL):
        expect_integers(end[1])
        return end[0], end[1]
    raise unknown_argument()


def put_ending(state: State, key: str, value: Value, kind: str | None, number: int) -> None:
    """Put a key that ends as `end_of` has it. The lease must be there."""
    bond = {
        None: None,
        KEEP: state.keys.bonds.of_key.get(key),
        LEASE: Bond(number, 0),
        TTL: Bond(0, state.time_ms + number),
    }[kind]
    state.keys.put(key, value, state.revision)
    if bond is not None:
        state.keys.bonds.bind(key, bond)


def check_end(end: Any, what: str) -> None:
    """Check how a key that is written ends."""
    if end != KEEP:
        check_new_end(end, what, f'null, "{KEEP}"')


def check_new_end(end: Any, what: str, others: str = "null") -> None:
    """Check how a new key ends: as before says nothing of it."""
    checks = {LEASE: check_lease, TTL: check_key_ttl}
    if end is None:
        return
    if type(end) is not list or len(end) != 2 or end[0] not in (LEASE, TTL):
        raise InvalidRequest(f'the {what} must be {others}, ["lease", N] or ["ttl", MS]')
    checks[end[0]](end[1], end[0])
