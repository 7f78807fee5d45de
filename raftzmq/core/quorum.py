"""Majority arithmetic, in one place."""

from __future__ import annotations

from collections.abc import Iterable


def majority(count: int) -> int:
    """How many of `count` voters are more than half."""
    return count // 2 + 1


def reached_by_majority(values: Iterable[int]) -> int:
    """The highest value that more than half of `values` have reached.

    One value a voter: of match indices it is the index stored on a majority, of times the latest
    moment since when a majority has been heard. Raises IndexError when there is no voter.
    """
    ordered = sorted(values, reverse=True)
    return ordered[len(ordered) // 2]
