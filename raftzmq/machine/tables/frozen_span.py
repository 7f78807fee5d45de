"""The keys with a prefix as they were at one moment, for a reader that takes them page by page."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from raftzmq.machine.memory import KEY, memory_of
from raftzmq.machine.values import Item


class Page(NamedTuple):
    """Keys in order, each with its item. `last`: nothing comes behind them."""

    keys: list[str]
    items: list[Item]
    last: bool


class FrozenSpan:
    """What a KeyTable held from `start` up to before `end` ("": no end) at `revision`, when its
    `freeze_span` made this. The rules are those of FrozenKeys; besides, nothing is kept that lies
    outside, that was written later, or that the reader has passed: pages come in order.
    """

    __slots__ = (
        "__weakref__",
        "_buckets",
        "_end",
        "_given",
        "_items",
        "_lasts",
        "_replaced",
        "_start",
        "after",
        "kept_bytes",
        "revision",
    )

    def __init__(
        self,
        buckets: Sequence[Sequence[str]],
        items: Mapping[str, Item],
        start: str,
        end: str,
        revision: int,
    ) -> None:
        self._buckets = buckets
        self._lasts = [bucket[-1] for bucket in buckets]
        self._items = items
        self._start = start
        self._end = end
        self._replaced: dict[str, Item] = {}
        self._given: Sequence[str] = ()
        self.revision = revision
        self.after = ""
        """Up to here the reader has everything."""
        self.kept_bytes = 0
        """About what the items take that have gone since, as memory.py counts."""

    def keep(self, key: str, item: Item) -> None:
        """Take an item that is about to go, if the reader wants it yet."""
        if (
            item[1] <= self.revision
            and self.after < key
            and key not in self._replaced
            and self._start <= key
            and (not self._end or key < self._end)
        ):
            self._replaced[key] = item
            self.kept_bytes += _bytes_of(key, item)

    def page(self, after: str, most: int, most_size: int) -> Page:
        """Return what comes behind `after`: at most `most` keys, and with their values at most
        `most_size` characters and bytes, or a single key. The reader has everything up to `after`,
        which is not before the last one."""
        assert after >= self.after, "the reader goes back"
        self._pass(after)
        replaced, items = self._replaced, self._items
        page = Page([], [], last=True)
        size = 0
        for key in self._behind(after):
            item = replaced.get(key) or items[key]
            size += len(key) + len(item[0])
            if page.keys and (len(page.keys) >= most or size > most_size):
                page = page._replace(last=False)
                break
            page.keys.append(key)
            page.items.append(item)
        self._given = page.keys
        return page

    def _pass(self, after: str) -> None:
        """Give up what was kept of keys up to `after`: they are among those of the last page."""
        for key in self._given[: bisect_right(self._given, after)]:
            item = self._replaced.pop(key, None)
            if item is not None:
                self.kept_bytes -= _bytes_of(key, item)
        self.after = after

    def _behind(self, after: str) -> Iterator[str]:
        if after < self._start:
            at = bisect_left(self._lasts, self._start)
            place = bisect_left(self._buckets[at], self._start) if at < len(self._buckets) else 0
        else:
            at = bisect_right(self._lasts, after)
            place = bisect_right(self._buckets[at], after) if at < len(self._buckets) else 0
        for bucket in self._buckets[at:]:
            for key in bucket[place:]:
                if self._end and key >= self._end:
                    return
                yield key
            place = 0


def _bytes_of(key: str, item: Item) -> int:
    return KEY + memory_of(key) + memory_of(item[0])
