"""Draws that are the same on every node and in every version of Python: SHA-256 of a counter."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from hashlib import sha256
from typing import Any, TypeVar

T = TypeVar("T")


class Draws:
    """What `self.random` of a state machine is. `random.Random` does not promise that the same seed
    gives the same numbers in the next version of Python."""

    __slots__ = ("_count", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1. Raises ValueError unless `bound` is 1 or above."""
        if bound < 1:
            raise ValueError("a bound must be 1 or above")
        size = (bound.bit_length() + 7) // 8 + 8  # so many more that none is more likely
        data = b""
        while len(data) < size:
            self._count += 1
            data += sha256(f"{self._seed} {self._count}".encode()).digest()
        return int.from_bytes(data[:size], "big") % bound

    def choice(self, items: Sequence[T]) -> T:
        """One of the items. Raises ValueError if there is none."""
        return items[self.below(len(items))]

    def shuffle(self, items: MutableSequence[Any]) -> None:
        """Bring the items into another order."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]
