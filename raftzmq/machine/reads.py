"""The reads, alone and within transactions. Their bodies are as in PROTOCOL.md."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

from raftzmq import limits
from raftzmq.errors import UnknownEntry
from raftzmq.machine.keys import Item, KeyTable, prefix_end
from raftzmq.machine.values import binary_size, text_size, to_wire


class Read(NamedTuple):
    """A read: how many arguments it takes, and the function of the keys that gives its body."""

    arguments: int
    run: Callable[..., Any]


def item_body(item: Item | None) -> list[Any] | None:
    """Return `[value, revision]`, or None for an absent key."""
    return None if item is None else [to_wire(item[0]), item[1]]


def get(keys: KeyTable, key: str) -> list[Any] | None:
    """`get key`: `[value, revision]`, or None."""
    return item_body(keys.items.get(expect_text(key)))


def read_range(keys: KeyTable, start: str, end: str, limit: int) -> list[Any]:
    """`range start end limit`: `[[[key, value, revision]…], more]`."""
    expect_text(start)
    expect_text(end)
    if type(limit) is not int or not 0 < limit <= limits.RANGE_LIMIT:
        raise UnknownEntry("a limit is not one that this version knows")
    names = list(islice(keys.span(start, end), limit + 1))
    more = len(names) > limit
    if more:
        names.pop()
    items = keys.items
    if not _all_fit(names, items):
        fitting = _how_many_fit(names, items)
        more = more or fitting < len(names)
        del names[fitting:]
    return [[[name, to_wire(items[name][0]), items[name][1]] for name in names], more]


def prefix(keys: KeyTable, start: str, limit: int) -> list[Any]:
    """`prefix prefix limit`: as a range of all keys that begin with `start`."""
    return read_range(keys, start, prefix_end(expect_text(start)), limit)


def expect_text(argument: Any) -> str:
    """Return a string argument. Raises UnknownEntry if it is something else."""
    if type(argument) is not str:
        raise UnknownEntry("an argument is in a form that this version does not know")
    return argument


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


READS: dict[str, Read] = {
    "get": Read(1, get),
    "range": Read(3, read_range),
    "prefix": Read(2, prefix),
}
