"""A node's snapshots on their way: its own while it is written, others' in chunks.

What a snapshot means for the log is core/snapshots.py's, and the files are storage's; here is when
one is begun, and that writing it never keeps a turn long.
"""

from __future__ import annotations

from typing import Final

from raftzmq.core.identity import NodeId
from raftzmq.core.messages import SnapshotChunk
from raftzmq.core.ready import SnapshotMeta
from raftzmq.errors import CorruptFile, DiskFull
from raftzmq.node.state import LOG_SHARE, NodeState
from raftzmq.storage import SnapshotWriter

PATIENCE_MOST: Final = 1.25
"""How much further than needed, at most, the log may grow before a snapshot is begun. Each node
draws anew each time: else all would write theirs at the same moment, and no majority be quick."""


SLICE_MOST_BYTES: Final = 4 * 1024 * 1024
"""The most of a snapshot that is written in one turn: it takes some 20 milliseconds."""


class Snapshots:
    """The part of a node that writes, receives and reads snapshots, a slice or chunk at a time."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._patience = self._draw()
        self._writer: tuple[SnapshotWriter, SnapshotMeta] | None = None
        self._log_bytes = 0  # how much log there was when the last slice was written
        self._covered: int | None = None  # what files of the log may still be deleted up to

    @property
    def is_busy(self) -> bool:
        """Whether the next turn has a slice to write, or a file to delete."""
        return self._writer is not None or self._covered is not None

    def _draw(self) -> float:
        return self._node.random.uniform(1, PATIENCE_MOST)

    def turn(self) -> None:
        """Begin a snapshot when the log has grown enough; write the next slice of one; when it is
        in place, delete what it makes superfluous, a file a turn."""
        node, raft = self._node, self._node.raft
        try:
            if self._covered is not None and not node.storage.compact(self._covered):
                self._covered = None
            if self._writer is None:
                if raft.membership_index <= raft.applied_index and self._is_due():
                    self._patience = self._draw()
                    meta = raft.snapshot_meta_at(raft.applied_index)
                    records = node.machine.snapshot()
                    self._writer = node.storage.begin_snapshot(meta, records), meta
                    self._log_bytes = node.storage.log_bytes
                return
            writer, meta = self._writer
            if writer.step(self._slice_bytes()):
                self._writer = None
                node.counts.snapshot_taken(writer.size)
                self._covered = meta.index
                raft.compact(meta, node.machine.state.lowered_index)
        except DiskFull:  # tried again when the log has grown; writes may still fit
            self._covered = None
            self.abort()

    def _is_due(self) -> bool:
        """Whether the log has grown enough, or has entries of a higher cluster version, which a
        snapshot is to cover before an older build comes."""
        node = self._node
        if node.storage.should_snapshot(node.raft.applied_index, self._patience):
            return True
        return not node.version_settled

    def _slice_bytes(self) -> int:
        """How much of the snapshot to write now. What comes meanwhile stays in memory, as log: the
        nearer the store is to its quota, the more is written for each byte that has come."""
        node = self._node
        come = max(0, node.storage.log_bytes - self._log_bytes)
        self._log_bytes = node.storage.log_bytes
        slice_bytes = node.settings.snapshot_slice_bytes
        quota = node.settings.quota_bytes
        if quota is None:
            return slice_bytes
        pace = LOG_SHARE * node.machine.memory / quota
        return max(slice_bytes, min(round(come * pace), SLICE_MOST_BYTES))

    def abort(self) -> None:
        """Give up the snapshot that is being written, if there is one."""
        if self._writer is not None:
            self._writer[0].abort()
            self._writer = None

    def received(self, chunk: SnapshotChunk) -> SnapshotMeta | None:
        """Write a chunk of another's; after the last, return what it is, None if damaged. Raises
        DiskFull."""
        node = self._node
        try:
            meta = node.storage.receive(chunk)
        except CorruptFile:
            node.dropped["damaged_snapshot"] += 1
            meta = None
        node.counts.chunk_received(chunk, installed=chunk.done and meta is not None)
        return meta

    def chunk(self, to: NodeId, index: int, term: int, offset: int) -> SnapshotChunk | None:
        """The chunk at `offset` of a snapshot of ours; None if a newer one has replaced its file
        (the transfer then begins again, with that one), or it cannot be opened now."""
        node = self._node
        try:
            size = node.settings.chunk_bytes
            data, done = node.storage.read_chunk(index, term, offset, size)
        except (FileNotFoundError, DiskFull):
            node.raft.unreachable(to)
            return None
        chunk = SnapshotChunk(node.raft.id, to, node.raft.term, index, term, offset, data, done)
        node.counts.chunk_sent(chunk)
        return chunk
