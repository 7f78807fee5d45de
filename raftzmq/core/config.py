"""What can be tuned in the core, with its units."""

from __future__ import annotations

from dataclasses import dataclass

from raftzmq.versions import SPOKEN, Spoken


@dataclass(frozen=True, slots=True)
class Config:
    """Times in milliseconds, sizes in bytes of encoded entries. Raises ValueError if unusable.

    `election_timeout_ms` is the shortest: each wait is drawn from [T, 2T). A vote request within
    T of the leader's last word is ignored; a leader that has not heard from a majority for 2T, the
    longest that a follower waits, steps down.

    `commit_notice_ms` after an entry is committed, followers are told so by a heartbeat, unless an
    append has told them.

    `max_append_bytes` and `max_append_entries` bound one AppendEntries (one entry is sent however
    long it is), `max_inflight` the unacknowledged ones of a follower.

    `max_committed_entries` bounds what one Ready hands out to apply. The driver applies as much of
    it as it has time for.

    `keep_entries` and `keep_bytes` bound what compaction leaves in memory below the snapshot, so
    that a follower a little behind need not be sent the whole snapshot.

    `spoken` are the cluster versions of this node, of which leaders are told. So they are of
    `program`: which state machine of users' own it has, as a number, and its version.
    """

    election_timeout_ms: int = 300
    heartbeat_ms: int = 75
    commit_notice_ms: int = 20
    max_append_bytes: int = 1024 * 1024
    max_append_entries: int = 2048
    max_inflight: int = 64
    max_committed_entries: int = 8192
    keep_entries: int = 4096
    keep_bytes: int = 4 * 1024 * 1024
    spoken: Spoken = SPOKEN
    program: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat_ms * 2 <= self.election_timeout_ms:
            raise ValueError("an election timeout must be at least two heartbeats")
        if min(self.max_append_bytes, self.max_append_entries) < 1:
            raise ValueError("an append must be allowed at least one entry")
        if min(self.max_inflight, self.max_committed_entries) < 1:
            raise ValueError("max_inflight and max_committed_entries must be at least 1")
        if min(self.keep_entries, self.keep_bytes) < 0:
            raise ValueError("keep_entries and keep_bytes must not be negative")
