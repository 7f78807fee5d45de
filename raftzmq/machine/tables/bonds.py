"""What keys are bound to: a lease, or an end of their own. When that comes, the key goes."""

from __future__ import annotations

from collections.abc import Set
from heapq import heappop, heappush
from typing import NamedTuple

MOVED_AT_ONCE = 4
"""The entries of the outgrown heap that each new bond goes through."""

_NONE: frozenset[str] = frozenset()


class Bond(NamedTuple):
    """To what a key is bound. One of the two is 0."""

    lease: int
    """The number of the lease."""
    end_ms: int
    """The replicated time at which the key ends by itself."""


class Bonds:
    """The bonds of keys; those that have none are not here.

    Invariants: `by_lease` has exactly the keys that are bound to each lease, and no empty set;
    for each key with an end of its own the heap `by_end` or the heap `_outgrown` has
    `(end_ms, key)`. What else they have is of bonds that were, and is dropped when it gets to the
    top. All are derived: `bind` and `unbind` alone change them.
    """

    __slots__ = ("_outgrown", "by_end", "by_lease", "of_key")

    def __init__(self) -> None:
        self.of_key: dict[str, Bond] = {}
        self.by_lease: dict[int, set[str]] = {}
        self.by_end: list[tuple[int, str]] = []
        self._outgrown: list[tuple[int, str]] = []
        """What `by_end` was when most of it was of bonds that were. With a million keys it would
        take a second to go through it: so each new bond goes through a few."""

    def bind(self, key: str, bond: Bond) -> None:
        """Bind a key that is not bound."""
        self.of_key[key] = bond
        lease, end_ms = bond
        if lease:
            self.by_lease.setdefault(lease, set()).add(key)
            return
        if not self._outgrown and len(self.by_end) > 2 * len(self.of_key) + 64:
            self._outgrown, self.by_end = self.by_end, []
        heappush(self.by_end, (end_ms, key))
        for _ in range(min(MOVED_AT_ONCE, len(self._outgrown))):
            entry = self._outgrown.pop()  # a heap without its last entry is a heap
            if self._is_of_now(entry):
                heappush(self.by_end, entry)

    def _is_of_now(self, entry: tuple[int, str]) -> bool:
        bond = self.of_key.get(entry[1])
        return bond is not None and bond.end_ms == entry[0]

    def unbind(self, key: str) -> None:
        """Forget the bond of a key, if it has one."""
        bond = self.of_key.pop(key, None)
        if bond is not None and bond.lease:
            keys = self.by_lease[bond.lease]
            keys.remove(key)
            if not keys:
                del self.by_lease[bond.lease]

    def keys_of(self, lease: int) -> Set[str]:
        """The keys that are bound to a lease, in no order."""
        return self.by_lease.get(lease, _NONE)

    @property
    def next_end_ms(self) -> int | None:
        """A time before which no key ends by itself; None if none ever does."""
        return min((heap[0][0] for heap in (self.by_end, self._outgrown) if heap), default=None)

    def ended(self, time_ms: int) -> str | None:
        """Return the key that should end next (of several, the first in order), if its time has
        come."""
        heaps = (self.by_end, self._outgrown)
        for heap in heaps:
            while heap and heap[0][0] <= time_ms and not self._is_of_now(heap[0]):
                heappop(heap)
        end_ms, key = min((heap[0] for heap in heaps if heap), default=(time_ms + 1, ""))
        return key if end_ms <= time_ms else None
