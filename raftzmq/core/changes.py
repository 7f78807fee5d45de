"""Membership changes, one voter at a time (thesis 4)."""

from __future__ import annotations

from raftzmq.core import transfer
from raftzmq.core.entry import CONFIG
from raftzmq.core.membership import Membership, is_single_change
from raftzmq.core.messages import TimeoutNow
from raftzmq.core.state import RaftState
from raftzmq.errors import Refused


def propose(raft: RaftState, new: Membership) -> int:
    """Append `new` as a CONFIG entry, in force from now on; return its index."""
    raft.require_leader()
    reason = _why_not(raft, new)
    if reason is not None:
        raise Refused(reason)
    index = raft.append_new(CONFIG, [new.to_body()])
    raft.track_members()
    return index


def _why_not(raft: RaftState, new: Membership) -> str | None:
    if raft.handover is not None:
        return f"leadership is being handed to {raft.handover.target.name}; try again"
    if not raft.term_committed:
        # Without this two leaders could commit by majorities that do not intersect.
        return "the leader has not committed an entry of its term yet; try again"
    if raft.membership_index > raft.commit_index:
        return "another membership change is under way; try again when it is complete"
    if new == raft.membership:
        return "the membership is already so"
    if not new.voters:
        return "the last voter cannot be removed"
    if len({member.id.name for member in new}) != len(new):
        return "a name can be a member only once"
    if not is_single_change(raft.membership, new):
        return "only one voter can be added or removed at a time"
    return None


def after_commit(raft: RaftState) -> None:
    """LEADER: the commit index has moved. Once its own removal is committed it steps down, and
    asks the most caught-up voter to take over at once (thesis 4.2.2)."""
    if raft.is_voter or raft.membership_index > raft.commit_index:
        return
    successor = transfer.best_successor(raft)
    if successor is not None:
        raft.send(TimeoutNow(raft.id, successor, raft.term))
    raft.become_follower(raft.term, None)
