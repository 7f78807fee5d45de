"""Leader election: pre-vote, votes, the election timer, stickiness (thesis 3.4, 4.2.3, 9.6)."""

from __future__ import annotations

from typing import Final

from raftzmq import limits
from raftzmq.core import clock
from raftzmq.core.messages import PreVoteReply, PreVoteRequest, VoteReply, VoteRequest
from raftzmq.core.quorum import majority
from raftzmq.core.role import Role
from raftzmq.core.state import Handlers, RaftState


def is_sticky(raft: RaftState) -> bool:
    """Whether a leader is known to be alive, so that nobody should be helped to depose it.

    A leader holds to itself: if it is cut off, check-quorum ends it (thesis 4.2.3).
    """
    if raft.role is Role.LEADER:
        return True
    if raft.leader is None or clock.stands_still(raft):
        return False
    heard_ms = raft.leader_heard_ms
    timeout_ms = raft.config.election_timeout_ms
    return raft.heard_leader or (heard_ms is not None and raft.now_ms - heard_ms < timeout_ms)


def tick(raft: RaftState) -> None:
    """Start an election if the leader has been silent for too long.

    A node that wakes far behind its deadline was itself paused, and its leader's word may be
    about to arrive: it waits once more. Only once, so that a node each of whose turns is slow
    still stands for election in the end.
    """
    if raft.heard_leader:
        raft.heard_leader = False
        raft.leader_heard_ms = raft.now_ms
        raft.excused = False
        raft.restart_timer()
        return
    late_ms = raft.now_ms - raft.election_deadline_ms
    if late_ms < 0:
        return
    paused = late_ms > raft.config.election_timeout_ms
    if paused and raft.leader is not None and not raft.excused:
        raft.excused = True
        raft.restart_timer()
        return
    raft.excused = False
    campaign(raft)


def campaign(raft: RaftState) -> None:
    """The election timeout has passed: give up on the leader, and ask for pre-votes."""
    raft.become_follower(raft.term, None)
    raft.restart_timer()
    if not may_campaign(raft):
        return
    raft.role = Role.PRE_CANDIDATE
    raft.votes = {raft.id: True}
    last_index, last_term = raft.log.last_index, raft.log.last_term
    for voter in sorted(raft.memberships.voters - {raft.id}):
        raft.send(PreVoteRequest(raft.id, voter, raft.term, raft.term + 1, last_index, last_term))
    _tally(raft)


def may_campaign(raft: RaftState) -> bool:
    """Learners, strangers, a node that has lost what it acknowledged, and one whose clock is broken
    do not stand; nor does anybody when there is no term left."""
    return (
        raft.may_trust_log
        and not clock.stands_still(raft)
        and raft.term < limits.TERM_MAX
        and raft.memberships.may_campaign(raft.id, raft.commit_index)
    )


def stand(raft: RaftState, *, transfer: bool = False) -> None:
    """Become a candidate in a new term and ask for votes (thesis 3.4)."""
    raft.become_follower(raft.term + 1, None)
    raft.role = Role.CANDIDATE
    raft.vote = raft.id
    raft.restart_timer()
    last_index, last_term = raft.log.last_index, raft.log.last_term
    for voter in sorted(raft.memberships.voters - {raft.id}):
        raft.send_after_save(
            VoteRequest(raft.id, voter, raft.term, last_index, last_term, transfer)
        )


def count_own_vote(raft: RaftState) -> None:
    """CANDIDATE: the new term and the vote in it are durable."""
    if raft.id not in raft.votes:
        raft.votes[raft.id] = True
        _tally(raft)


def _tally(raft: RaftState) -> None:
    """Win, lose, or go on waiting. Only voters of the membership in force count."""
    voters = raft.memberships.voters
    needed = majority(len(voters))
    answers = [raft.votes[voter] for voter in voters if voter in raft.votes]
    granted = sum(answers)
    if granted >= needed:
        if raft.role is Role.PRE_CANDIDATE:
            stand(raft)
        else:
            raft.become_leader()
    elif len(answers) - granted > len(voters) - needed:
        raft.become_follower(raft.term, None)  # the timer runs on


def _may_vote_for(raft: RaftState, request: PreVoteRequest | VoteRequest) -> bool:
    return raft.may_trust_log and raft.log.is_not_ahead_of(request.last_index, request.last_term)


def _handle_pre_vote_request(raft: RaftState, message: PreVoteRequest) -> None:
    granted = (
        raft.term < message.next_term <= raft.term_max
        and not is_sticky(raft)
        and _may_vote_for(raft, message)
    )
    raft.send(PreVoteReply(raft.id, message.sender, raft.term, message.next_term, granted))


def _handle_pre_vote_reply(raft: RaftState, message: PreVoteReply) -> None:
    asked = raft.role is Role.PRE_CANDIDATE and message.next_term == raft.term + 1
    _count(raft, message, asked=asked)


def _handle_vote_request(raft: RaftState, message: VoteRequest) -> None:
    granted = (
        message.term == raft.term
        and raft.vote in (None, message.sender)
        and _may_vote_for(raft, message)
    )
    if granted:
        raft.vote = message.sender
        raft.restart_timer()
    raft.send_after_save(VoteReply(raft.id, message.sender, raft.term, granted))


def _handle_vote_reply(raft: RaftState, message: VoteReply) -> None:
    _count(raft, message, asked=raft.role is Role.CANDIDATE)


def _count(raft: RaftState, reply: PreVoteReply | VoteReply, *, asked: bool) -> None:
    """Take the first answer of each voter to what this node asks for now."""
    if not asked:
        raft.dropped["an old election"] += 1
        return
    raft.votes.setdefault(reply.sender, reply.granted)
    _tally(raft)


HANDLERS: Final[Handlers] = {
    PreVoteRequest: _handle_pre_vote_request,
    PreVoteReply: _handle_pre_vote_reply,
    VoteRequest: _handle_vote_request,
    VoteReply: _handle_vote_reply,
}
