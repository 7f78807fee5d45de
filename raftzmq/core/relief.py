"""A leader whose own disk cannot do its work hands over to one whose disk can.

A leader sends entries before it saves them, so the others show what its own disk could not do. A
majority without it has stored what this node could not store: its disk is full. Or a majority had
stored it before this node had, and again, and this node took long each time: its disk is slow.
Nothing else is needed: no message says how much room a node has.

Where no such majority exists the leader stays. It still serves reads, and a successor would need
just those disks for its votes and its first entry. So leadership never goes back and forth between
full disks: it only goes to a node that has stored more than the one before it.
"""

from __future__ import annotations

from raftzmq import limits
from raftzmq.core import replication, transfer
from raftzmq.core.role import Role
from raftzmq.core.state import RaftState


def saved(raft: RaftState, took_ms: int) -> None:
    """What was handed out is durable, after `took_ms`. Whether the others were faster shows at the
    next tick, when their answers have been stepped."""
    disk = raft.own_disk
    disk.refused = False
    if took_ms >= limits.SLOW_SAVE_MS and raft.role is Role.LEADER:
        disk.slow_index = raft.stable_index


def refused(raft: RaftState) -> None:
    """The disk is full."""
    raft.own_disk.refused = True


def tick(raft: RaftState) -> None:
    """LEADER: hand over if the others can do what this node's disk cannot."""
    disk = raft.own_disk
    if disk.refused:
        elsewhere = replication.stored_elsewhere(raft)
        if elsewhere > raft.stable_index:
            _hand_over(raft, elsewhere)
    elif disk.slow_index is not None:
        elsewhere = replication.stored_elsewhere(raft)
        if elsewhere >= disk.slow_index:
            disk.slow_ms.append(raft.now_ms)
            if _is_slow(raft):
                disk.slow_ms.clear()
                _hand_over(raft, elsewhere)
        disk.slow_index = None


def _is_slow(raft: RaftState) -> bool:
    times_ms = raft.own_disk.slow_ms
    since_ms = raft.now_ms - limits.SLOW_SAVES_WITHIN_MS
    return len(times_ms) == limits.SLOW_SAVES and times_ms[0] >= since_ms


def _hand_over(raft: RaftState, index: int) -> None:
    """Begin a transfer to a voter that has stored everything up to `index`; each in turn, for the
    first may have no room for a vote."""
    if raft.handover is not None:
        return
    tried = raft.own_disk.tried
    able = [node for node in transfer.successors(raft) if raft.progress[node].match_index >= index]
    if tried.issuperset(able):
        tried.clear()
    for target in able:
        if target not in tried:
            tried.add(target)
            transfer.begin(raft, target)
            return
