"""The reads, alone and within transactions. Their bodies are as in PROTOCOL.md."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final, NamedTuple

from raftzmq import limits
from raftzmq.errors import UnknownEntry
from raftzmq.machine import coordination_reads as coordination
from raftzmq.machine.keys import prefix_end
from raftzmq.machine.state import State
from raftzmq.machine.values import Item, binary_size, expect_text, text_size, to_wire


class Read(NamedTuple):
    """A read: how many arguments it takes, and the function of the state that gives its body.

    Of a read that `waits` the function gives code and body, or None as long as there is nothing
    to say.
    """

    arguments: int
    run: Callable[..., Any]
    waits: bool = False


UNDECIDED: Final = False
"""The body of a read that waits, as long as there is nothing to say (`false` in PROTOCOL.md)."""


def item_body(item: Item | None) -> list[Any] | None:
    """Return `[value, revision]`, or None for an absent key."""
    return None if item is None else [to_wire(item[0]), item[1]]


def get(state: State, key: str) -> list[Any] | None:
    """`get key`: `[value, revision]`, or None."""
    return item_body(state.keys.items.get(expect_text(key)))


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


KEY_READS: dict[str, Read] = {
    "get": Read(1, get),
    "range": Read(3, read_range),
    "prefix": Read(2, prefix),
}
"""The reads that transactions may use too."""

READS: dict[str, Read] = {
    **KEY_READS,
    "lease": Read(1, coordination.lease),
    "leases": Read(2, coordination.leases),
    "describe": Read(2, coordination.describe),
    "queues": Read(3, coordination.queues),
    "await": Read(4, coordination.await_state, waits=True),
    "observe": Read(3, coordination.observe_state, waits=True),
}
