"""Which messages get in: the term rules that hold for every message (thesis 3.3).

A later term in a message ends this node's own, an earlier one makes the message void. The
exceptions are what pre-vote and leader stickiness consist of (thesis 4.2.3, 9.6), and the answer
to a deposed leader is what keeps the two from blocking each other.
"""

from __future__ import annotations

from raftzmq.core import election
from raftzmq.core.messages import (
    FROM_LEADER,
    REPLIES,
    VOTE_REQUESTS,
    HeartbeatReply,
    Message,
    PreVoteReply,
    PreVoteRequest,
    VoteRequest,
)
from raftzmq.core.state import RaftState


def admit(raft: RaftState, message: Message) -> bool:
    """Whether `message` goes on to its handler; brings this node to its term if that is later."""
    kind = type(message)
    if kind in REPLIES and message.sender not in raft.memberships.ids:
        raft.dropped["not a member"] += 1
        return False
    if message.term > raft.term:
        return _admit_later(raft, message)
    if message.term < raft.term:
        return _admit_earlier(raft, message)
    if kind in FROM_LEADER:
        return _hear_leader(raft, message)
    return True


def _admit_later(raft: RaftState, message: Message) -> bool:
    if isinstance(message, PreVoteRequest):
        return True  # asks for the future: changes nobody's term
    if isinstance(message, VoteRequest) and not message.transfer and election.is_sticky(raft):
        raft.dropped["a leader is alive"] += 1
        return False
    raft.become_follower(message.term, None)
    return _hear_leader(raft, message) if type(message) in FROM_LEADER else True


def _admit_earlier(raft: RaftState, message: Message) -> bool:
    kind = type(message)
    if kind in VOTE_REQUESTS or kind is PreVoteReply:
        return True  # refused by the handler; a pre-vote may be granted from an earlier term
    if kind in FROM_LEADER:
        # A node that came back with a later term ignores this leader, and as the others hear
        # that leader, they ignore the node. The leader must learn that it has been deposed.
        raft.send_after_save(HeartbeatReply(raft.id, message.sender, raft.term, round=0))
    raft.dropped["an earlier term"] += 1
    return False


def _hear_leader(raft: RaftState, message: Message) -> bool:
    """Note who leads this term. There is one: the word of a second is not taken."""
    if raft.leader != message.sender:
        if raft.leader is not None:
            raft.dropped["a second leader"] += 1
            return False
        raft.become_follower(raft.term, message.sender)
    raft.heard_leader = True
    return True
