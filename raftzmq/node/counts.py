"""What a node has done since it started, in numbers that only grow. Nothing decides by them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from raftzmq.core.messages import SnapshotChunk
from raftzmq.histogram import Histogram

WRITE: Final = "write"
READ: Final = "read"
STALE_READ: Final = "stale_read"
ADMIN: Final = "admin"
KINDS: Final = (WRITE, READ, STALE_READ, ADMIN)
"""What clients ask for: an operation of one of the first three kinds, or one of operators'."""

COMMIT_BOUNDS_S: Final = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)


class Counts:
    """Public attributes are for reading, but by the parts of the node.

    `clock` tells seconds, from no particular moment on. It is only for measuring.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.answered: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        """Requests answered, by kind, then by the code of the result."""

        self.proposals_applied = 0
        """Writes of clients that this node proposed, saw committed and applied, and answered."""

        self.proposals_failed = 0
        """Writes of clients that it did not propose after all, or whose outcome it did not see."""

        self.commit_seconds = Histogram(COMMIT_BOUNDS_S)
        """From proposing a write of a client to having applied it."""

        self.snapshots_taken = 0
        self.snapshots_taken_bytes = 0
        self.snapshots_received = 0
        self.snapshots_received_bytes = 0
        self.snapshots_sent = 0
        self.snapshots_sent_bytes = 0

    def snapshot_taken(self, size: int) -> None:
        """A snapshot of `size` bytes is durable."""
        self.snapshots_taken += 1
        self.snapshots_taken_bytes += size

    def chunk_received(self, chunk: SnapshotChunk, *, installed: bool) -> None:
        """A chunk is written, and, if it was the last, perhaps the whole snapshot in place."""
        self.snapshots_received += installed
        self.snapshots_received_bytes += len(chunk.data)

    def chunk_sent(self, chunk: SnapshotChunk) -> None:
        """A chunk was sent, perhaps not for the first time."""
        self.snapshots_sent += chunk.done
        self.snapshots_sent_bytes += len(chunk.data)
