"""The figures of the last minute."""

from __future__ import annotations

from raftzmq.histogram import Histogram
from raftzmq.server.recent import LEADERS_MS, SLICE_MS, WINDOW_MS, Recent


class Driven:
    """A Recent whose time passes by a step at a time."""

    def __init__(self) -> None:
        self.sync = Histogram((0.001, 0.01, 0.1))
        self.commit = Histogram((0.001,))
        self.now_ms = 1_000_000
        self.recent = Recent(self.sync.tally(), self.commit.tally(), self.now_ms)

    def run(self, ms: int, late_ms: int = 0) -> None:
        for _ in range(ms // 250):
            self.now_ms += 250
            self.recent.add(self.sync.tally(), self.commit.tally(), late_ms, self.now_ms)


def test_a_slow_minute_shows_and_is_forgotten() -> None:
    driven = Driven()
    driven.sync.observe(0.0005, 100_000)
    driven.run(WINDOW_MS * 2)
    assert driven.recent.sync_seconds.quantile(0.99) is None
    driven.sync.observe(0.09, 3)
    driven.run(250)
    slow = driven.recent.sync_seconds.quantile(0.99)
    assert slow is not None
    assert slow > 0.05
    driven.run(WINDOW_MS - SLICE_MS)
    assert driven.recent.sync_seconds.quantile(0.99) == slow
    driven.run(2 * SLICE_MS)
    assert driven.recent.sync_seconds.quantile(0.99) is None


def test_the_longest_pause_of_the_minute_counts() -> None:
    driven = Driven()
    driven.run(1000)
    driven.run(250, late_ms=4000)
    driven.run(1000, late_ms=7)
    assert driven.recent.paused_ms == 4000
    driven.run(WINDOW_MS + SLICE_MS)
    assert driven.recent.paused_ms == 0


def test_changes_of_the_leader_are_remembered_for_a_quarter_of_an_hour() -> None:
    driven = Driven()
    for _ in range(3):
        driven.recent.leader_found(driven.now_ms)
        driven.run(60_000)
    assert driven.recent.leader_changes == 3
    driven.run(LEADERS_MS - 120_000)
    assert driven.recent.leader_changes == 2
