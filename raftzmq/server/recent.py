"""What a node has been through lately: the figures of the last minute, as opposed to those since it
started, which a bad minute hardly changes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from raftzmq.histogram import Tally

WINDOW_MS: Final = 60_000
"""How long "lately" is, give or take SLICE_MS."""

SLICE_MS: Final = 5_000
"""Durations and pauses are forgotten so much at a time."""

LEADERS_MS: Final = 15 * 60_000
"""For how long a change of the leader is remembered."""


@dataclass(slots=True)
class _Slice:
    began_ms: int
    sync_seconds: Tally  # as they were then
    commit_seconds: Tally
    paused_ms: int = 0


class Recent:
    """Times in milliseconds of the loop's clock. For one thread."""

    def __init__(self, sync_seconds: Tally, commit_seconds: Tally, now_ms: int) -> None:
        """Both as they are at the start."""
        self._slices = deque([_Slice(now_ms, sync_seconds, commit_seconds)])
        self._sync_seconds = sync_seconds
        self._commit_seconds = commit_seconds
        self._leaders_ms: deque[int] = deque()

    def leader_found(self, now_ms: int) -> None:
        """The node has learned of a leader that it did not know."""
        self._leaders_ms.append(now_ms)

    def add(self, sync_seconds: Tally, commit_seconds: Tally, late_ms: int, now_ms: int) -> None:
        """Take the tallies as they are now, and how much later than it should the loop came to
        take them: so long it stood still."""
        newest = self._slices[-1]
        newest.paused_ms = max(newest.paused_ms, late_ms)
        self._sync_seconds = sync_seconds
        self._commit_seconds = commit_seconds
        if now_ms - newest.began_ms >= SLICE_MS:
            self._slices.append(_Slice(now_ms, sync_seconds, commit_seconds))
        while len(self._slices) > 1 and now_ms - self._slices[1].began_ms >= WINDOW_MS:
            self._slices.popleft()
        while self._leaders_ms and now_ms - self._leaders_ms[0] > LEADERS_MS:
            self._leaders_ms.popleft()

    @property
    def sync_seconds(self) -> Tally:
        """How long saving took in the last minute."""
        return self._sync_seconds.since(self._slices[0].sync_seconds)

    @property
    def commit_seconds(self) -> Tally:
        """How long clients' writes took in the last minute."""
        return self._commit_seconds.since(self._slices[0].commit_seconds)

    @property
    def paused_ms(self) -> int:
        """The longest time in the last minute that the loop stood still, whatever held it up."""
        return max(part.paused_ms for part in self._slices)

    @property
    def leader_changes(self) -> int:
        """How often the node learned of another leader in the last LEADERS_MS; fewer if it has not
        run for so long."""
        return len(self._leaders_ms)
