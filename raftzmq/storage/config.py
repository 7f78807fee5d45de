"""How big segments get, and when a snapshot is worth taking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Sizes are in bytes.

    A new segment begins when the last one has reached `segment_bytes` or `segment_entries`.
    A snapshot is due when the log after the last snapshot has reached `snapshot_bytes` or
    `snapshot_entries`, and is at least as big as that snapshot. So snapshots never cost more than
    the log itself. But however big that was, one is due when the log, which nodes have in memory
    too, takes about `log_memory_bytes` there. Compaction leaves at least `keep_entries` entries,
    of up to a megabyte, for followers that lag a little.
    """

    segment_bytes: int = 8 * 1024 * 1024
    segment_entries: int = 50_000
    snapshot_bytes: int = 64 * 1024 * 1024
    snapshot_entries: int = 100_000
    keep_entries: int = 128
    log_memory_bytes: int | None = None
