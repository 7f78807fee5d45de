"""The reads, alone and within transactions. Their bodies are as in PROTOCOL.md."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import UnknownEntry
from raftzmq.machine.commands.checks import (
    check_bound,
    check_integer,
    check_key,
    check_kind,
    check_lease,
    check_limit,
    check_place_value,
    check_revision,
    check_token,
)
from raftzmq.machine.commands.operation import Read
from raftzmq.machine.commands.outcomes import Outcome
from raftzmq.machine.commands.queues import find_place, not_held
from raftzmq.machine.state import State
from raftzmq.machine.tables.places import ELECTION, Lease, Place, Queue
from raftzmq.machine.values import Item, binary_size, expect_text, item_body, text_size, to_wire
from raftzmq.prefixes import prefix_end

UNDECIDED: Final = False
"""The body of a read that waits, as long as there is nothing to say (`false` in PROTOCOL.md)."""


def get(state: State, key: str) -> list[Any] | None:
    """`get key`: `[value, revision]`, or None."""
    return item_body(state.keys.items.get(expect_text(key)))


def item(state: State, key: str) -> list[Any] | None:
    """`item key`: `[value, revision, lease, remaining_ms, version]`, or None. Of a key that stays
    the lease is 0 and the time null. The version is 0 if nobody counted when it was created."""
    found = state.keys.items.get(expect_text(key))
    if found is None:
        return None
    value, revision, version = found
    body = [to_wire(value), revision]
    bond = state.keys.bonds.of_key.get(key)
    if bond is None:
        return [*body, 0, None, version]
    its = state.leases.table.get(bond.lease)  # none of a lease that has ended, and sweeps
    end_ms = bond.end_ms if not bond.lease else state.time_ms if its is None else its.end_ms
    return [*body, bond.lease, max(0, end_ms - state.time_ms), version]


def count(state: State, start: str) -> int:
    """`count prefix`: how many keys begin so."""
    return state.keys.count(start, prefix_end(start))


def keys(state: State, start: str, after: str, limit: int) -> list[Any]:
    """`keys prefix after limit`: `[[key…], more]`: those that begin so and come after `after`."""
    first = start if after < start else after + "\0"
    found = list(islice(state.keys.span(first, prefix_end(start)), limit + 1))
    size = 0
    for place, name in enumerate(found[:limit]):
        size += text_size(name)
        if size > limits.RANGE_BYTES:
            return [found[:place], True]
    return [found[:limit], len(found) > limit]


def read_range(state: State, start: str, end: str, limit: int) -> list[Any]:
    """`range start end limit`: `[[[key, value, revision]…], more]`."""
    expect_text(start)
    expect_text(end)
    if type(limit) is not int or not 0 < limit <= limits.RANGE_LIMIT:
        raise UnknownEntry("a limit is not one that this version knows")
    names = list(islice(state.keys.span(start, end), limit + 1))
    more = len(names) > limit
    if more:
        names.pop()
    items = state.keys.items
    if not _all_fit(names, items):
        fitting = _how_many_fit(names, items)
        more = more or fitting < len(names)
        del names[fitting:]
    return [[[name, to_wire(items[name][0]), items[name][1]] for name in names], more]


def prefix(state: State, start: str, limit: int) -> list[Any]:
    """`prefix prefix limit`: as a range of all keys that begin with `start`."""
    return read_range(state, start, prefix_end(expect_text(start)), limit)


def _all_fit(names: list[str], items: dict[str, Item]) -> bool:
    """Tell whether the keys fit limits.RANGE_BYTES with their values, measured all at once."""
    values = [items[name][0] for name in names]
    if sum(map(len, names)) + sum(map(len, values)) > limits.RANGE_BYTES:
        return False
    texts = names + [value for value in values if isinstance(value, str)]
    size = text_size("".join(texts)) + 2 * (len(texts) - 1)  # each has quotes of its own
    size += sum(binary_size(value) for value in values if isinstance(value, bytes))
    return size <= limits.RANGE_BYTES


def _how_many_fit(names: list[str], items: dict[str, Item]) -> int:
    """Return how many of the keys fit limits.RANGE_BYTES with their values; at least one."""
    size = 0
    for count, name in enumerate(names):
        value = items[name][0]
        size += text_size(name)
        size += text_size(value) if isinstance(value, str) else binary_size(value)
        if size > limits.RANGE_BYTES:
            return max(count, 1)
    return len(names)


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


def await_state(state: State, kind: str, name: str, token: int, _hold_ms: int) -> Outcome | None:
    """`await kind name token hold_ms`: true once it holds; None while it waits."""
    place = find_place(state.queues, token)
    if place is None or place.queue.kind != kind or place.queue.name != name:
        return not_held(kind, name, token)
    return ("ok", True) if place.held else None


def observe_state(state: State, name: str, token: int, _hold_ms: int) -> Outcome | None:
    """`observe name token hold_ms`: `[token, value]` of an election's holder once it is another
    than `token`, null once there is none; None while neither is so."""
    queue = state.queues.tables[ELECTION].get(name)
    if queue is None:
        return ("ok", None) if token else None
    holder = next(iter(queue.holders.values()))
    return None if holder.token == token else ("ok", [holder.token, holder.value])


def proclaimed_state(
    state: State, name: str, token: int, value: str | None, _hold_ms: int
) -> Outcome | None:
    """`proclaimed name token value hold_ms`: as `observe`, and also once the holder with `token`
    is known by another value than `value`."""
    queue = state.queues.tables[ELECTION].get(name)
    if queue is None:
        return ("ok", None) if token else None
    holder = next(iter(queue.holders.values()))
    if (holder.token, holder.value) == (token, value):
        return None
    return "ok", [holder.token, holder.value]


def _check_after(after: Any, _what: str) -> None:
    check_revision(after, "lease to begin after")


def _check_hold(hold_ms: Any, what: str) -> None:
    check_integer(hold_ms, what, 0, limits.AWAIT_MS)


READS: Final = (
    Read(name="get", arguments={"key": check_key}, run=get, in_transaction=True),
    Read(
        name="range",
        arguments={"start": check_bound, "end": check_bound, "limit": check_limit},
        run=read_range,
        in_transaction=True,
    ),
    Read(
        name="prefix",
        arguments={"prefix": check_bound, "limit": check_limit},
        run=prefix,
        in_transaction=True,
    ),
    Read(name="item", arguments={"key": check_key}, run=item),
    Read(name="count", arguments={"prefix": check_bound}, run=count),
    Read(
        name="keys",
        arguments={"prefix": check_bound, "after": check_bound, "limit": check_limit},
        run=keys,
    ),
    Read(name="lease", arguments={"lease": check_lease}, run=lease),
    Read(name="leases", arguments={"after": _check_after, "limit": check_limit}, run=leases),
    Read(name="describe", arguments={"kind": check_kind, "name": check_key}, run=describe),
    Read(
        name="queues",
        arguments={"kind": check_kind, "prefix": check_bound, "limit": check_limit},
        run=queues,
    ),
    Read(
        name="await",
        arguments={
            "kind": check_kind,
            "name": check_key,
            "token": check_token,
            "hold_ms": _check_hold,
        },
        run=await_state,
        waits=True,
    ),
    Read(
        name="observe",
        arguments={"name": check_key, "token": check_revision, "hold_ms": _check_hold},
        run=observe_state,
        waits=True,
    ),
    Read(
        name="proclaimed",
        arguments={
            "name": check_key,
            "token": check_revision,
            "value": check_place_value,
            "hold_ms": _check_hold,
        },
        run=proclaimed_state,
        waits=True,
    ),
)
