"""The table of keys: a dictionary, and beside it the keys in order, and what they are bound to.

Every change of a key goes through `put`, `put_all`, `remove` or `remove_span`, and each of them
ends the key's bond. Whoever wants to know of the changes sets `changes` to a list.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from weakref import ref

from raftzmq.machine.memory import BOND, KEY, memory_of, memory_of_all
from raftzmq.machine.tables.bonds import Bonds
from raftzmq.machine.tables.frozen_keys import FrozenKeys
from raftzmq.machine.tables.frozen_span import FrozenSpan
from raftzmq.machine.values import Item, Value

Change = tuple[str, Value | None, int, Value | None]
"""A key, its value (None: it was deleted), the revision that did it, and the value before."""

BUCKET_KEYS = 512
"""Keys of a freshly made bucket; it is split when it holds twice as many."""


class KeyTable:
    """Keys with their values and revisions, in order of code points.

    The order is kept in buckets, so that a new or a removed key moves a few kilobytes and not the
    whole list: no operation on one key ever has to put a million keys in order.
    Invariants: the buckets, one after the other, are the sorted keys of `items`; none is empty
    or holds more than 2 * BUCKET_KEYS; `_lasts[i]` is the last key of `_buckets[i]`.
    """

    __slots__ = (
        "_bound",
        "_buckets",
        "_bytes",
        "_first",
        "_frozen",
        "_lasts",
        "_own",
        "bonds",
        "changes",
        "items",
    )

    def __init__(self, items: dict[str, Item] | None = None) -> None:
        self.items: dict[str, Item] = {} if items is None else items
        self.bonds = Bonds()
        self._first = 0
        """The version of a key that is created: 1, or 0 as long as nobody counts."""
        self._bound = self.bonds.of_key
        self.changes: list[Change] | None = None
        """All changes in order, while somebody observes; None while nobody does."""
        ordered = sorted(self.items)
        self._buckets = [
            ordered[start : start + BUCKET_KEYS] for start in range(0, len(ordered), BUCKET_KEYS)
        ]
        self._lasts = [bucket[-1] for bucket in self._buckets]
        self._bytes = sum(map(memory_of, self.items))
        self._bytes += sum(memory_of(value) for value, _, _ in self.items.values())
        """What the keys and their values take, by memory.py."""
        self._frozen: list[ref[FrozenKeys | FrozenSpan]] = []
        """Those that somebody still reads."""
        self._own: set[int] = set()
        """Which buckets have been copied since the last of them was made. An id is of use here as
        long as the frozen keys live, and all buckets that they share with this."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def memory(self) -> int:
        """About how many bytes the table takes, as memory.py counts."""
        return self._bytes + KEY * len(self.items) + BOND * len(self._bound)

    def count_versions(self, counts: bool) -> None:
        """Count from now on how often keys that are created are written, or forget all counts.

        Forgetting goes through all keys: it is part of a downgrade.
        """
        self._first = int(counts)
        if counts:
            return
        items = self.items
        if self._frozen:
            self._keep(items.keys(), items.values())
        for key in chain.from_iterable(self._buckets):
            value, revision, _ = items[key]
            items[key] = (value, revision, 0)

    def put(self, key: str, value: Value, revision: int, version: int | None = None) -> None:
        """Write a key, new or not. It is bound to nothing afterwards. With a `version` it is
        restored, and has that one."""
        items = self.items
        if self._bound:
            self.bonds.unbind(key)
        item = items.get(key)
        before = None if item is None else item[0]
        if self.changes is not None:
            self.changes.append((key, value, revision, before))
        if self._frozen:
            self._keep([key], [item])
        items[key] = (value, revision, self._next(item) if version is None else version)
        self._bytes += memory_of(value)
        if before is None:
            self._bytes += memory_of(key)
            self._insert(key)
        else:
            self._bytes -= memory_of(before)

    def put_all(self, keys: Sequence[str], values: Sequence[Value], revisions: range) -> None:
        """Write keys, none of them bound, one after the other. The hot path of every node."""
        before = list(map(self.items.get, keys))
        old = [None if item is None else item[0] for item in before]
        first = self._first
        versions = [first if item is None else item[2] and item[2] + 1 for item in before]
        if len(set(keys)) < len(keys):  # one is there twice: the first is before the second
            newest = dict(zip(keys, before, strict=True))
            for at, (key, value) in enumerate(zip(keys, values, strict=True)):
                item = newest[key]
                old[at] = None if item is None else item[0]
                versions[at] = self._next(item)
                newest[key] = (value, 0, versions[at])
        if self.changes is not None:
            self.changes += zip(keys, values, revisions, old, strict=True)
        if self._frozen:
            self._keep(keys, before)
        self.items.update(zip(keys, zip(values, revisions, versions, strict=True), strict=True))
        self._bytes += memory_of_all(values)
        self._bytes -= memory_of_all([value for value in old if value is not None])
        if None in before:
            new = dict.fromkeys(key for key, item in zip(keys, before, strict=True) if item is None)
            self._bytes += memory_of_all(new)
            for key in new:
                self._insert(key)

    def _next(self, item: Item | None) -> int:
        """The version of a key that is written, of which there was this."""
        return self._first if item is None else item[2] and item[2] + 1

    def are_bound(self, keys: Sequence[str]) -> bool:
        """Whether any of the keys is bound to something."""
        return bool(self._bound) and not self._bound.keys().isdisjoint(keys)

    def value(self, key: str) -> Value | None:
        """The value of a key; None if it is absent."""
        item = self.items.get(key)
        return None if item is None else item[0]

    def remove(self, key: str, revision: int) -> bool:
        """Remove a key; return whether it was there."""
        item = self.items.pop(key, None)
        if item is None:
            return False
        self._removed(key, item, revision)
        at = bisect_left(self._lasts, key)
        bucket = self._bucket(at)
        del bucket[bisect_left(bucket, key)]
        if not bucket:
            del self._buckets[at], self._lasts[at]
        else:
            self._lasts[at] = bucket[-1]
            if len(bucket) < BUCKET_KEYS // 4:
                self._merge(at)
        return True

    def _removed(self, key: str, item: Item, revision: int) -> None:
        self._bytes -= memory_of(key) + memory_of(item[0])
        if self._bound:
            self.bonds.unbind(key)
        if self.changes is not None:
            self.changes.append((key, None, revision, item[0]))
        if self._frozen:
            self._keep([key], [item])

    def remove_span(self, start: str, end: str, revision: int) -> list[tuple[str, Item]]:
        """Remove all keys from `start` up to before `end` ("": no end); return what was there."""
        first, skip = self._position(start)
        last, keep = self._position(end) if end else (len(self._buckets), 0)
        if (first, skip) >= (last, keep):
            return []
        removed = [(key, self.items.pop(key)) for key in list(self.span(start, end))]
        for key, item in removed:
            self._removed(key, item, revision)
        before = self._buckets[first][:skip]
        after = self._buckets[last][keep:] if last < len(self._buckets) else []
        if len(before) + len(after) <= BUCKET_KEYS:
            before, after = before + after, []
        rest = [bucket for bucket in (before, after) if bucket]
        self._buckets[first : last + 1] = rest
        self._lasts[first : last + 1] = [bucket[-1] for bucket in rest]
        return removed

    def count(self, start: str, end: str) -> int:
        """How many keys there are from `start` up to before `end` ("": no end)."""
        first, skip = self._position(start)
        last, keep = self._position(end) if end else (len(self._buckets), 0)
        return max(0, sum(map(len, self._buckets[first:last])) - skip + keep)

    def span(self, start: str, end: str) -> Iterator[str]:
        """Yield the keys from `start` up to before `end` ("": no end), in order.

        The table must not change meanwhile.
        """
        first, skip = self._position(start)
        last, keep = self._position(end) if end else (len(self._buckets), 0)
        if (first, skip) >= (last, keep):
            return iter(())
        if first == last:
            return iter(self._buckets[first][skip:keep])
        tail = self._buckets[last][:keep] if keep else []
        middle = (self._buckets[at] for at in range(first + 1, last))
        return chain(self._buckets[first][skip:], chain.from_iterable(middle), tail)

    def freeze(self) -> FrozenKeys:
        """Return the keys and their items as they are now; later changes do not show in it."""
        frozen = FrozenKeys(self._buckets.copy(), self.items)
        self._add_frozen(frozen)
        return frozen

    def freeze_span(self, start: str, end: str, revision: int) -> FrozenSpan:
        """Return those from `start` up to before `end` ("": no end) as they are now, at `revision`,
        to be read page by page."""
        first, _ = self._position(start)
        last = self._position(end)[0] + 1 if end else len(self._buckets)
        frozen = FrozenSpan(self._buckets[first:last], self.items, start, end, revision)
        self._add_frozen(frozen)
        return frozen

    def _add_frozen(self, frozen: FrozenKeys | FrozenSpan) -> None:
        self._frozen.append(ref(frozen, self._frozen.remove))
        self._own.clear()

    @property
    def frozen_count(self) -> int:
        """How many frozen keys somebody still reads: each makes changes cost more."""
        return len(self._frozen)

    def _keep(self, keys: Iterable[str], items: Iterable[Item | None]) -> None:
        """Save what is about to be replaced or removed for those who read the keys of before."""
        old = [(key, item) for key, item in zip(keys, items, strict=True) if item is not None]
        for one in self._frozen:
            if (frozen := one()) is not None:
                for key, item in old:
                    frozen.keep(key, item)

    def _bucket(self, at: int) -> list[str]:
        """Return a bucket to be changed, which is nobody else's: it is copied once for those who
        read the keys of before."""
        bucket = self._buckets[at]
        if self._frozen and id(bucket) not in self._own:
            bucket = self._buckets[at] = bucket.copy()
            self._own.add(id(bucket))
        return bucket

    def _position(self, key: str) -> tuple[int, int]:
        """Return the bucket, and the place in it, of the first key that is not below `key`."""
        at = bisect_left(self._lasts, key)
        return at, bisect_left(self._buckets[at], key) if at < len(self._buckets) else 0

    def _insert(self, key: str) -> None:
        lasts = self._lasts
        at = bisect_left(lasts, key)
        if at < len(lasts):
            bucket = self._bucket(at)
            insort(bucket, key)
        elif lasts:
            at -= 1
            bucket = self._bucket(at)
            bucket.append(key)
            lasts[at] = key
        else:
            self._buckets.append([key])
            lasts.append(key)
            return
        if len(bucket) > 2 * BUCKET_KEYS:
            self._buckets.insert(at + 1, bucket[BUCKET_KEYS:])
            del bucket[BUCKET_KEYS:]
            lasts.insert(at, bucket[-1])

    def _merge(self, at: int) -> None:
        """Join a small bucket to a small neighbour, so that deletions leave no crumbs."""
        left = at if at + 1 < len(self._buckets) else at - 1
        if left < 0 or len(self._buckets[left]) + len(self._buckets[left + 1]) > BUCKET_KEYS:
            return
        self._bucket(left).extend(self._buckets.pop(left + 1))
        del self._lasts[left]
