"""What a leader knows about one follower, and how much it may send to it.

    PROBE      where the logs agree is not known: one append at a time, until one is accepted
    REPLICATE  the logs agree up to match_index: appends go out without waiting, up to a window
    SNAPSHOT   what the follower needs is compacted away: one snapshot chunk at a time

Messages may be lost. Whatever is outstanding is counted in heartbeats, not in milliseconds: a
leader that was paused has sent none, and so suspects nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from raftzmq.core.ready import SnapshotMeta
from raftzmq.versions import Spoken

PATIENCE_HEARTBEATS: Final = 2
"""How many whole heartbeat intervals may pass with nothing acknowledged before it is resent."""


class ProgressState(Enum):
    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


@dataclass(slots=True)
class Progress:
    """One follower or learner, as this term's leader sees it.

    Invariant: match_index < next_index, and match_index never decreases.
    """

    next_index: int
    """The first entry of the next append."""

    heard_ms: int
    """When the follower was last heard from; `heard` is set between two ticks."""

    heard: bool = False
    match_index: int = 0
    """The log equals the leader's up to here, durably, as acknowledged in this term."""

    state: ProgressState = ProgressState.PROBE
    inflight: deque[int] = field(default_factory=deque)
    """REPLICATE: the last index of every append that is not acknowledged yet."""

    probe_sent: bool = False
    """PROBE: an append is out."""

    snapshot_index: int = 0
    snapshot_term: int = 0
    snapshot_offset: int = 0
    """SNAPSHOT: which snapshot, and where the chunk that is out, or due, begins."""

    chunk_sent: bool = False
    waited: int = 0
    """Heartbeats sent since the oldest outstanding message with nothing acknowledged."""

    round: int = 0
    """The newest ReadIndex round that the follower has repeated."""

    spoken: Spoken | None = None
    """The cluster versions that it speaks, as it said last; None until it has."""

    program: tuple[int, int] = (0, 0)
    """Which state machine of users' own it has, and its version, as it said last."""

    def is_silent(self, now_ms: int, timeout_ms: int) -> bool:
        """Whether it seems to be down: it then gets heartbeats and nothing else, because entries
        would only pile up in the queues of a link that leads nowhere."""
        return not self.heard and now_ms - self.heard_ms >= timeout_ms

    def may_append(self, last_index: int, max_inflight: int) -> bool:
        """Whether an append should go out now, in a log that ends at `last_index`."""
        if self.state is ProgressState.REPLICATE:
            return self.next_index <= last_index and len(self.inflight) < max_inflight
        # An empty probe is worth its message: it finds where the logs agree.
        return (
            self.state is ProgressState.PROBE
            and not self.probe_sent
            and self.match_index < last_index
        )

    def appended(self, last_index: int) -> None:
        """An append of entries from next_index to `last_index` has gone out."""
        if self.state is ProgressState.PROBE:
            self.probe_sent = True
            self.waited = 0
            return
        if not self.inflight:
            self.waited = 0
        self.inflight.append(last_index)
        self.next_index = last_index + 1

    def accepted(self, index: int) -> bool:
        """The follower's log agrees up to `index`. Returns whether that was news."""
        news = index > self.match_index
        if news:
            self.match_index = index
            self.waited = 0
        if self.state is ProgressState.REPLICATE:
            while self.inflight and self.inflight[0] <= index:
                self.inflight.popleft()
            self.next_index = max(self.next_index, self.match_index + 1)
        elif index >= self.match_index:
            self._enter(ProgressState.REPLICATE)
        return news

    def probe(self, next_index: int = 0) -> None:
        """Find anew where the logs agree, beginning with `next_index`, or if that is higher, with
        what follows the last acknowledged entry."""
        self._enter(ProgressState.PROBE)
        self.next_index = max(next_index, self.match_index + 1)

    def begin_snapshot(self, meta: SnapshotMeta) -> None:
        """Send the snapshot `meta` from its beginning."""
        self._enter(ProgressState.SNAPSHOT)
        self.snapshot_index = meta.index
        self.snapshot_term = meta.term
        self.snapshot_offset = 0

    def chunk_acknowledged(self, next_offset: int) -> None:
        """The receiver expects the chunk at `next_offset`.

        That of the chunk already out is a duplicate of an older answer: sending once more for
        it would double every chunk from then on. Loss of a chunk is what `waited` is for.
        """
        if next_offset != self.snapshot_offset:
            self.snapshot_offset = next_offset
            self.chunk_sent = False
            self.waited = 0

    def heartbeat_sent(self) -> bool:
        """Count a heartbeat. Returns whether what is outstanding must be taken for lost, and has
        been made due again."""
        if not (self.inflight or self.probe_sent or self.chunk_sent):
            return False
        self.waited += 1
        if self.waited <= PATIENCE_HEARTBEATS:
            return False
        self.resend()
        return True

    def resend(self) -> None:
        """What is outstanding counts as lost: make it due again."""
        if self.state is ProgressState.REPLICATE and self.inflight:
            self.probe()
        self.probe_sent = self.chunk_sent = False
        self.waited = 0

    def _enter(self, state: ProgressState) -> None:
        self.state = state
        self.next_index = self.match_index + 1
        self.inflight.clear()
        self.probe_sent = self.chunk_sent = False
        self.waited = 0
