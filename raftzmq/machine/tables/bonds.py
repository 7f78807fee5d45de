"""What keys are bound to: a lease, or an end of their own. When that comes, the key goes."""

from __future__ import annotations

from collections.abc import Set
from heapq import heapify, heappop, heappush
from typing import NamedTuple

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
    for each key with an end of its own the heap `by_end` has `(end_ms, key)`. What else the heap
    has is of bonds that were, and is dropped when it gets to the top. Both are derived: `bind` and
    `unbind` alone change them.
    """

    __slots__ = ("by_end", "by_lease", "of_key")

    def __init__(self) -> None:
        self.of_key: dict[str, Bond] = {}
        self.by_lease: dict[int, set[str]] = {}
        self.by_end: list[tuple[int, str]] = []

    def bind(self, key: str, bond: Bond) -> None:
        """Bind a key that is not bound."""
        self.of_key[key] = bond
        lease, end_ms = bond
        if lease:
            self.by_lease.setdefault(lease, set()).add(key)
            return
        if len(self.by_end) > 2 * len(self.of_key) + 64:  # mostly of bonds that were
            self.by_end = [(bond.end_ms, at) for at, bond in self.of_key.items() if bond.end_ms]
            heapify(self.by_end)
        else:
            heappush(self.by_end, (end_ms, key))

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
        return self.by_end[0][0] if self.by_end else None

    def ended(self, time_ms: int) -> str | None:
        """Return the key that should end next (of several, the first in order), if its time has
        come."""
        by_end = self.by_end
        while by_end and by_end[0][0] <= time_ms:
            end_ms, key = by_end[0]
            bond = self.of_key.get(key)
            if bond is not None and bond.end_ms == end_ms:
                return key
            heappop(by_end)
        return None
