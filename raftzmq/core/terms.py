"""Which messages get in: who may speak, and the term rules for every message (thesis 3.3).

Only members are heard. A node that lags, or has just joined, does not know all of them: it must
follow a leader and vote for a candidate that its log does not name (thesis 4.1). Who is none of
those it knows is heard once somebody vouches for it: the driver asks nodes whose addresses it was
given, and hands their answer over with `vouch`. The same answer says how far the terms have come;
without it a message is at most limits.TERM_JUMP ahead.

A later term in a message ends this node's own, an earlier one makes the message void. The
exceptions are what pre-vote and leader stickiness consist of (thesis 4.2.3, 9.6), and the answer
to a deposed leader is what keeps the two from blocking each other.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from raftzmq.core import election
from raftzmq.core.identity import NodeId
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

VOUCHED_MAX: Final = 4096
"""The most nodes that are kept of those vouched for."""


def vouch(raft: RaftState, members: AbstractSet[NodeId], term: int) -> None:
    """A node that this one trusts, because it asked it, has these members and is in `term`."""
    kept = raft.vouched if len(raft.vouched) < VOUCHED_MAX else frozenset()
    raft.vouched = kept | members
    raft.vouched_term = max(raft.vouched_term, term)


def admit(raft: RaftState, message: Message) -> bool:
    """Whether `message` goes on to its handler; brings this node to its term if that is later."""
    kind = type(message)
    if message.sender not in raft.memberships.ids and not _may_speak(raft, message):
        raft.dropped["not a member"] += 1
        return False
    if message.term > raft.term:
        return _admit_later(raft, message)
    if message.term < raft.term:
        return _admit_earlier(raft, message)
    if kind in FROM_LEADER:
        return _hear_leader(raft, message)
    return True


def _may_speak(raft: RaftState, message: Message) -> bool:
    """Whether to hear one that is not in the membership in force. Not its answers: they would be
    counted."""
    sender = message.sender
    if type(message) in REPLIES:
        return False
    if sender in raft.vouched or raft.memberships.may_speak(sender, raft.commit_index):
        return True
    _ask(raft)
    return False


def _ask(raft: RaftState) -> None:
    """Have the driver ask who belongs to the cluster. There is no need while a leader is alive: if
    it was deposed by one that this node does not know, it will soon be silent."""
    raft.must_ask = raft.must_ask or not election.is_sticky(raft)


def _admit_later(raft: RaftState, message: Message) -> bool:
    if message.term > raft.term_max:
        raft.dropped["a term too far ahead"] += 1
        _ask(raft)
        return False
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
