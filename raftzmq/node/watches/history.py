"""The newest changes of keys, for watches: a bounded list in the order of their revisions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from raftzmq import limits
from raftzmq.machine.tables.keys import Change


def revision_of(change: Change) -> int:
    return change[2]


def weight(change: Change) -> int:
    """About how many bytes a change takes, in memory or in a message."""
    key, value, _, previous = change
    return 64 + len(key) + (len(value) if value else 0) + (len(previous) if previous else 0)


class History:
    """All changes with revisions above `floor`, up to and with `through`.

    It has at most limits.WATCH_HISTORY_EVENTS and WATCH_HISTORY_BYTES, or `most_bytes` if that is
    less, and about an eighth more before the oldest are forgotten, all at once: to forget one by
    one would cost more.
    """

    def __init__(self, floor: int, most_bytes: int | None = None) -> None:
        self.floor = self.through = floor
        self.changes: list[Change] = []
        self._bytes = 0
        self._most_bytes = most_bytes

    def add(self, changes: Sequence[Change], through: int) -> None:
        """Append changes; there are no others up to the revision `through`."""
        self.through = through
        if changes:
            self.changes += changes
            # As `weight` of each, but without a call: all writes of a node come along here.
            self._bytes += 64 * len(changes) + sum(
                [
                    len(key) + (len(value) if value else 0) + (len(previous) if previous else 0)
                    for key, value, _, previous in changes
                ]
            )
            events, size = limits.WATCH_HISTORY_EVENTS, self._room
            if len(self.changes) > events + events // 8 or self._bytes > size + size // 8:
                self._trim()

    @property
    def _room(self) -> int:
        most = limits.WATCH_HISTORY_BYTES
        return most if self._most_bytes is None else min(most, self._most_bytes)

    def place(self, after: int) -> int:
        """Where in `changes` the first one is that has a revision above `after`."""
        return bisect_right(self.changes, after, key=revision_of)

    def _trim(self) -> None:
        """Forget the oldest revisions, each whole."""
        changes, size = self.changes, self._bytes
        count = max(0, len(changes) - limits.WATCH_HISTORY_EVENTS)
        size -= sum(map(weight, changes[:count]))
        while size > self._room:
            size -= weight(changes[count])
            count += 1
        self.floor = revision_of(changes[count - 1])
        end = self.place(self.floor)
        self._bytes = size - sum(map(weight, changes[count:end]))
        del changes[:end]
