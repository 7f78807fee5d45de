"""The keys as they were at one moment, for a snapshot that is written while they change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from raftzmq.machine.values import Item


class FrozenKeys:
    """What a KeyTable held when its `freeze` made this: iterate to get keys, in order, and items.

    A million keys take a tenth of a second to copy, in which a node does nothing else. So nothing
    is copied but the list of buckets; as long as this lives, the table copies a bucket before it
    changes which keys are in it, and hands over an item before it replaces or removes it.
    """

    __slots__ = ("__weakref__", "_buckets", "_items", "_replaced")

    def __init__(self, buckets: Sequence[Sequence[str]], items: Mapping[str, Item]) -> None:
        self._buckets = buckets
        self._items = items
        self._replaced: dict[str, Item] = {}

    def keep(self, key: str, item: Item) -> None:
        """Take an item that is about to go. Only the first of a key is of that moment."""
        self._replaced.setdefault(key, item)

    def __iter__(self) -> Iterator[tuple[str, Item]]:
        replaced = self._replaced
        items = self._items
        for key in chain.from_iterable(self._buckets):
            yield key, replaced.get(key) or items[key]
