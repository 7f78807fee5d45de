"""Who is heard: members, those that somebody vouches for, and terms that elections can reach."""

from __future__ import annotations

import pytest

from raftzmq import limits
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Membership
from raftzmq.core.messages import (
    AppendAccepted,
    AppendEntries,
    Heartbeat,
    HeartbeatReply,
    LogRegressed,
    Message,
    PreVoteReply,
    PreVoteRequest,
    SnapshotChunk,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raftzmq.core.role import Role
from raftzmq.versions import SPOKEN
from tests.core.cluster import config_entry, membership
from tests.core.single import A, B, C, D, T, X, command, leader, node, role, told

FAR = limits.TERM_JUMP
WRONG = NodeId(B.name, "2")
"""A member's name, in another incarnation."""


def words(sender: NodeId, term: int) -> list[Message]:
    """What one might say to node a to depose, elect, append, truncate, install or regress."""
    return [
        PreVoteRequest(sender, A, term, term + 1, 99, term),
        VoteRequest(sender, A, term, 99, term, False),
        VoteRequest(sender, A, term, 99, term, True),
        AppendEntries(sender, A, term, 1, 1, 99, 0, (command(2, term),)),
        Heartbeat(sender, A, term, 99, 0),
        SnapshotChunk(sender, A, term, 99, term, 0, b"all of it", True),
        TimeoutNow(sender, A, term),
        LogRegressed(sender, A, term, 99, 7),
    ]


@pytest.mark.parametrize("sender", [X, WRONG])
@pytest.mark.parametrize("later", [0, 1, FAR])
@pytest.mark.parametrize("number", range(8))
def test_a_stranger_changes_nothing(sender: NodeId, later: int, number: int) -> None:
    raft = node([1, 1])
    told(raft, Heartbeat(B, A, 1, 1, 0))
    before = (raft.term, raft.vote, raft.leader, raft.log.last_index, raft.commit_index)
    assert told(raft, words(sender, 1 + later)[number]) == []
    assert (raft.term, raft.vote, raft.leader, raft.log.last_index, raft.commit_index) == before
    assert raft.regressed is None
    assert raft.dropped["not a member"] == 1


@pytest.mark.parametrize("number", range(8))
def test_a_stranger_does_not_depose_a_leader(number: int) -> None:
    raft = leader()
    assert told(raft, words(X, raft.term + 1)[number]) == []
    assert role(raft) is Role.LEADER
    assert not raft.must_ask


@pytest.mark.parametrize("number", range(8))
def test_a_node_without_a_leader_asks_who_a_stranger_is(number: int) -> None:
    raft = node()
    assert not raft.must_ask
    raft.step(words(X, 2)[number])
    assert raft.must_ask


def test_a_node_whose_leader_is_alive_does_not_ask() -> None:
    raft = node()
    told(raft, Heartbeat(B, A, 1, 1, 0))
    told(raft, Heartbeat(X, A, 2, 1, 0))
    assert not raft.must_ask
    raft.tick(raft.now_ms + 10)
    raft.tick(raft.now_ms + T)  # by now the leader has been silent
    told(raft, Heartbeat(X, A, 2, 1, 0))
    assert raft.must_ask


def test_whom_a_member_vouches_for_is_followed_and_voted_for() -> None:
    raft = node()
    raft.vouch({A, B, C, D}, 2)
    assert told(raft, VoteRequest(D, A, 3, 1, 1, False)) == [VoteReply(A, D, 3, True)]
    assert told(raft, Heartbeat(D, A, 3, 1, 4)) == [HeartbeatReply(A, D, 3, 4, *SPOKEN)]
    assert raft.leader == D


def test_a_node_that_has_just_joined_follows_whom_a_member_vouches_for() -> None:
    raft = node(members=Membership())
    entry = config_entry(membership("bc", "a"), index=2, term=2)
    told(raft, AppendEntries(B, A, 2, 1, 1, 1, 0, (entry,)))
    assert raft.leader is None
    raft.vouch({B, C}, 2)
    assert told(raft, AppendEntries(B, A, 2, 1, 1, 1, 0, (entry,))) == [
        AppendAccepted(A, B, 2, 2, 0)
    ]
    assert raft.is_learner


def test_the_answers_of_those_vouched_for_are_not_counted() -> None:
    raft = node()
    raft.vouch({X, D}, 1)
    raft.tick(raft.next_deadline_ms)
    for voter in (D, X):
        told(raft, PreVoteReply(voter, A, 1, 2, True))
    assert role(raft) is Role.PRE_CANDIDATE


def test_a_leader_that_removes_itself_is_heard_until_that_is_committed() -> None:
    raft = node()
    told(raft, Heartbeat(B, A, 1, 1, 0))
    told(raft, AppendEntries(B, A, 1, 1, 1, 1, 0, (config_entry(membership("ac"), 2),)))
    assert told(raft, AppendEntries(B, A, 1, 2, 1, 2, 1, ())) == [AppendAccepted(A, B, 1, 2, 1)]
    assert raft.commit_index == 2
    assert told(raft, Heartbeat(B, A, 1, 2, 2)) == []


@pytest.mark.parametrize("number", range(8))
def test_a_term_is_at_most_so_much_later(number: int) -> None:
    raft = node([1, 1])
    told(raft, words(B, 1 + FAR + 1)[number])
    assert (raft.term, raft.vote) == (1, None)
    assert raft.dropped["a term too far ahead"] == 1
    assert raft.must_ask


def test_no_pre_vote_is_given_for_a_term_too_far_ahead() -> None:
    raft = node()
    for next_term, granted in ((1 + FAR, True), (1 + FAR + 1, False), (limits.TERM_MAX, False)):
        request = PreVoteRequest(B, A, 1, next_term, 1, 1)
        assert told(raft, request) == [PreVoteReply(A, B, 1, next_term, granted)]


@pytest.mark.parametrize("members", [Membership(), membership("abc")])
def test_a_node_far_behind_takes_the_term_that_a_member_names(members: Membership) -> None:
    term = 5 * FAR
    raft = node(members=members)
    told(raft, Heartbeat(B, A, term, 1, 0))
    assert raft.term == 1
    raft.vouch({B, C}, term - 7)
    told(raft, Heartbeat(B, A, term, 1, 0))
    assert (raft.term, raft.leader) == (term, B)


def test_it_is_bounded_whom_others_vouch_for() -> None:
    raft = node()
    for k in range(50):
        raft.vouch({NodeId("x", f"{k} {n}") for n in range(1024)}, 1)
    assert len(raft.vouched) <= 4096 + 1024
