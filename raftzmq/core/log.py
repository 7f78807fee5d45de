"""The log in memory: every entry since the base, up to which it has been compacted."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter

from raftzmq.core.entry import Entry
from raftzmq.core.ready import SnapshotMeta

_term_of = attrgetter("term")


class RaftLog:
    """Entries `first_index` to `last_index`; of the base, just before, only index, term and stamp.

    The base is (0, 0, 0) until the log is first compacted. Knows nothing of what is durable or
    committed: Raft does.
    """

    def __init__(self, snapshot: SnapshotMeta | None, entries: Sequence[Entry]) -> None:
        """Restore from a snapshot and the entries found on disk, which may begin below it.

        Raises ValueError when entries are missing between the two.
        """
        self.entries: list[Entry] = []
        self.base_index = 0
        self.base_term = 0
        self.base_time_ms = 0
        if snapshot is not None:
            self.restore(snapshot)
        if not entries:
            return
        first = entries[0]
        if first.index > self.base_index + 1:
            raise ValueError(
                f"the log begins at {first.index} but the snapshot ends at {self.base_index}"
            )
        if first.index <= self.base_index:
            # The log on disk overlaps the snapshot. Without the snapshot's last entry in it, it
            # is what a crash left between installing a snapshot and clearing the log.
            position = self.base_index - first.index
            if position >= len(entries) or entries[position].term != self.base_term:
                return
            self.base_index = self.base_term = self.base_time_ms = 0
            if first.index > 1:  # the term before it is not known, so it becomes the base
                self.base_index, self.base_term, self.base_time_ms = first[:3]
                entries = entries[1:]
        self.entries = list(entries)

    @property
    def first_index(self) -> int:
        return self.base_index + 1

    @property
    def last_index(self) -> int:
        return self.base_index + len(self.entries)

    @property
    def last_term(self) -> int:
        return self.entries[-1].term if self.entries else self.base_term

    @property
    def last_time_ms(self) -> int:
        """The stamp of the last entry, 0 in an empty log."""
        return self.entries[-1].time_ms if self.entries else self.base_time_ms

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`; None where it is compacted away or does not exist."""
        position = index - self.base_index - 1
        if position == -1:
            return self.base_term
        return self.entries[position].term if 0 <= position < len(self.entries) else None

    def entry(self, index: int) -> Entry:
        """The entry at `index`. Raises IndexError where there is none."""
        position = index - self.base_index - 1
        if position < 0:
            raise IndexError(index)
        return self.entries[position]

    def is_not_ahead_of(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends so is at least as up-to-date as this one (thesis 3.6.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def last_possible_match(self, index: int, term: int) -> tuple[int, int]:
        """(index, term) of the last entry at or before `index` whose term is at most `term`.

        Terms never decrease along a log, so nothing between the two can agree with a log that
        has `term` at `index`: both sides skip whole terms this way (thesis 3.5). Ends at the base.
        """
        count = min(index, self.last_index) - self.base_index
        position = bisect_right(self.entries, term, 0, max(count, 0), key=_term_of) - 1
        if position < 0:
            return self.base_index, self.base_term
        found = self.entries[position]
        return found.index, found.term

    def between(self, low: int, high: int) -> list[Entry]:
        """The entries from `low` to `high`, both included; `low` must not be compacted."""
        start = low - self.base_index - 1
        assert start >= 0, "compacted entries were asked for"
        return self.entries[start : high - self.base_index]

    def slice(self, low: int, max_entries: int, max_bytes: int) -> list[Entry]:
        """The entries from `low`, as many as the bounds allow but at least one if there is one."""
        entries = self.between(low, low + max_entries - 1)
        sizes = [len(entry.line) for entry in entries]
        if sum(sizes) > max_bytes:
            fitting = bisect_right(list(accumulate(sizes)), max_bytes)
            del entries[max(fitting, 1) :]
        return entries

    def append(self, entries: Sequence[Entry]) -> None:
        """Append entries that follow the last one directly."""
        if entries:
            assert entries[0].index == self.last_index + 1, "a gap in the log"
            self.entries.extend(entries)

    def forget_bodies(self, entries: Sequence[Entry]) -> None:
        """Keep of these entries of commands, which are applied and in the log, only the lines,
        which followers are sent."""
        base = self.base_index + 1
        for entry in entries:
            self.entries[entry.index - base] = entry._replace(body=None)

    def truncate_from(self, index: int) -> None:
        """Forget the entry at `index` and all after it."""
        assert index > self.base_index, "the base cannot be truncated"
        del self.entries[index - self.base_index - 1 :]

    def compact(self, index: int) -> None:
        """Forget the entries up to `index`, which becomes the base."""
        if index > self.base_index:
            base = self.entry(index)
            del self.entries[: index - self.base_index]
            self.base_index, self.base_term, self.base_time_ms = base[:3]

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Forget everything; the log goes on from the snapshot."""
        self.entries = []
        self.base_index = snapshot.index
        self.base_term = snapshot.term
        self.base_time_ms = snapshot.time_ms
