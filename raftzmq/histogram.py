"""Counting how long things take, for metrics: cheap enough for the loop of a node."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of a Histogram at some moment. `counts` has one number for each of `bounds`, of
    the values up to that bound and above the one before, and a last number for all larger
    values."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float
    """The sum of all that was observed."""

    def since(self, earlier: Tally) -> Tally:
        """What was counted after `earlier`, a tally of the same histogram."""
        counts = tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True))
        return Tally(self.bounds, counts, self.total - earlier.total)

    def quantile(self, share: float) -> float | None:
        """The value that `share` of all values do not exceed, as exactly as the bounds allow: in
        between it is interpolated, and above the last bound it is that. None without any value.

        >>> Tally((1.0, 2.0), (50, 50, 0), 100.0).quantile(0.75)
        1.5
        """
        rank = share * sum(self.counts)
        if not rank:
            return None
        low = 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count >= rank:
                return low + (bound - low) * rank / count
            rank -= count
            low = bound
        return low


class Histogram:
    """Counts of observations between fixed bounds. One thread may use an instance; a `tally` may
    go to any."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` increase."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value`, as if it had been observed `times` times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._total += value * times

    def tally(self) -> Tally:
        """The counts up to now."""
        return Tally(self._bounds, tuple(self._counts), self._total)
