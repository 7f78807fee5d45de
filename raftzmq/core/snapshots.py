"""Snapshots: compaction, sending one in chunks, receiving and installing one (thesis 5).

One chunk is in flight to a follower; the driver reads it from the file when a Ready says so.
A chunk, like everything else, may be lost or come twice; the receiver says where it is.
"""

from __future__ import annotations

from typing import Final

from raftzmq.core.identity import NodeId
from raftzmq.core.messages import AppendAccepted, SnapshotChunk, SnapshotReply
from raftzmq.core.progress import Progress, ProgressState
from raftzmq.core.ready import SnapshotMeta, SnapshotSend
from raftzmq.core.state import CONTRADICTION, Handlers, Incoming, RaftState


def compact(raft: RaftState, meta: SnapshotMeta, unwanted: int = 0) -> None:
    """A snapshot of `meta` is durable: forget the entries that it covers, but for the last few; of
    those, whatever is not above the index `unwanted`.

    A follower that is being sent a snapshot older than the newest two starts over, because the
    file will not be there much longer.
    """
    assert meta.index <= raft.applied_index, "a snapshot of what is not applied"
    if raft.snapshot_meta is not None:
        if meta.index <= raft.snapshot_meta.index:
            return
        raft.older_snapshot_index = raft.snapshot_meta.index
    raft.snapshot_meta = meta
    raft.memberships.compact(meta.index)
    unwanted = min(unwanted, meta.index)
    raft.log.compact(max(_first_to_keep(raft, meta.index) - 1, unwanted))
    for progress in raft.progress.values():
        if (
            progress.state is ProgressState.SNAPSHOT
            and progress.snapshot_index < raft.older_snapshot_index
        ):
            progress.begin_snapshot(meta)
            raft.must_replicate = True


def _first_to_keep(raft: RaftState, index: int) -> int:
    """The first entry that stays in memory below a snapshot at `index`."""
    log, config = raft.log, raft.config
    lowest = max(log.first_index, index - config.keep_entries + 1)
    room = config.keep_bytes
    for kept in range(index, lowest - 1, -1):
        room -= len(log.entry(kept).line)
        if room < 0:
            return kept + 1
    return lowest


# The leader.


def begin(raft: RaftState, progress: Progress) -> None:
    """Send the newest snapshot: what the follower needs next is compacted away."""
    assert raft.snapshot_meta is not None, "compacted without a snapshot"
    progress.begin_snapshot(raft.snapshot_meta)


def begin_newer(raft: RaftState, progress: Progress) -> None:
    """Start over if there is a newer snapshot than the one being sent."""
    if raft.snapshot_meta is not None and progress.snapshot_index < raft.snapshot_meta.index:
        progress.begin_snapshot(raft.snapshot_meta)


def send_chunk(raft: RaftState, node: NodeId, progress: Progress) -> None:
    """Have the due chunk sent, if none is in flight."""
    if not progress.chunk_sent:
        progress.chunk_sent = True
        raft.pending.snapshot_sends.append(
            SnapshotSend(
                node, progress.snapshot_index, progress.snapshot_term, progress.snapshot_offset
            )
        )


def _handle_reply(raft: RaftState, message: SnapshotReply) -> None:
    progress = raft.progress.get(message.sender)
    if progress is None:
        raft.dropped["not a leader"] += 1
        return
    progress.heard = True
    if (
        progress.state is ProgressState.SNAPSHOT
        and progress.snapshot_index == message.snapshot_index
    ):
        progress.chunk_acknowledged(message.next_offset)
        raft.must_replicate = True


# The receiver.


def _handle_chunk(raft: RaftState, message: SnapshotChunk) -> None:
    if message.snapshot_index <= raft.commit_index:
        known_term = raft.log.term_at(message.snapshot_index)
        assert known_term in (None, message.snapshot_term), CONTRADICTION
        _acknowledge(raft, message.sender)
        return
    incoming = raft.incoming
    source = message.sender, message.term, message.snapshot_index, message.snapshot_term
    if incoming is None or incoming.source != source:
        if message.offset != 0:
            _ask_for(raft, message, 0)
            return
        incoming = raft.incoming = Incoming(*source)
    if incoming.done:
        return  # the answer follows when it is verified
    if message.offset == incoming.next_offset:
        raft.pending.chunks.append(message)
        incoming.next_offset += len(message.data)
        incoming.done = message.done
        if incoming.done:
            return
    _ask_for(raft, message, incoming.next_offset)


def _ask_for(raft: RaftState, message: SnapshotChunk, offset: int) -> None:
    raft.send_after_save(
        SnapshotReply(raft.id, message.sender, raft.term, message.snapshot_index, offset)
    )


def _acknowledge(raft: RaftState, leader: NodeId) -> None:
    """Whatever is committed here equals the leader's log (thesis 3.6.3)."""
    raft.send_after_save(AppendAccepted(raft.id, leader, raft.term, raft.commit_index, round=0))


def received(raft: RaftState, meta: SnapshotMeta | None) -> bool:
    """The snapshot whose last chunk was in the newest Ready is verified and in place; None: it
    was damaged and must be sent anew. Returns whether the state machine must be replaced by it
    (not when this node had committed as much meanwhile)."""
    incoming, raft.incoming = raft.incoming, None
    if meta is None:
        if incoming is not None:
            raft.send_after_save(
                SnapshotReply(raft.id, incoming.sender, raft.term, incoming.index, next_offset=0)
            )
        return False
    needed = meta.index > raft.commit_index
    if needed:
        _install(raft, meta)
    if incoming is not None and incoming.sender == raft.leader:
        _acknowledge(raft, incoming.sender)
    return needed


def _install(raft: RaftState, meta: SnapshotMeta) -> None:
    """Take the snapshot in place of the log up to its last entry.

    If the log has that very entry, what follows it agrees with nothing less and is kept: it may
    be acknowledged. If not, the whole log goes (thesis 5, figure 5.3).
    """
    keep_suffix = raft.log.term_at(meta.index) == meta.term
    if keep_suffix:
        raft.log.compact(meta.index)
    else:
        raft.log.restore(meta)
        raft.handed_index = raft.stable_index = meta.index
    raft.handed_index = max(raft.handed_index, meta.index)
    raft.stable_index = max(raft.stable_index, meta.index)
    raft.memberships.restore(meta, keep_suffix=keep_suffix)
    raft.older_snapshot_index = 0 if raft.snapshot_meta is None else raft.snapshot_meta.index
    raft.snapshot_meta = meta
    raft.commit_index = raft.applied_index = meta.index


HANDLERS: Final[Handlers] = {
    SnapshotChunk: _handle_chunk,
    SnapshotReply: _handle_reply,
}
