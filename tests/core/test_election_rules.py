"""Votes, stickiness and timers: the rules of elections (thesis 3.4, 4.2.3, 6.2, 9.6)."""

from __future__ import annotations

from random import Random

import pytest

from raftzmq import limits
from raftzmq.core.config import Config
from raftzmq.core.messages import (
    AppendEntries,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    PreVoteRequest,
    SnapshotChunk,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raftzmq.core.raft import Raft
from raftzmq.core.ready import HardState
from raftzmq.core.role import Role
from raftzmq.lines import encode_entries
from tests.core.cluster import Middle, membership, node_id
from tests.core.single import (
    A,
    B,
    C,
    D,
    T,
    drain,
    leader,
    node,
    role,
    said,
    settled_leader,
    told,
)


class TestVotes:
    def test_a_vote_is_given_once_in_a_term(self) -> None:
        raft = node()
        assert told(raft, VoteRequest(B, A, 2, 1, 1, False)) == [VoteReply(A, B, 2, True)]
        assert told(raft, VoteRequest(C, A, 2, 1, 1, False)) == [VoteReply(A, C, 2, False)]
        assert told(raft, VoteRequest(B, A, 2, 1, 1, False)) == [VoteReply(A, B, 2, True)]

    def test_a_restart_does_not_give_a_second_vote(self) -> None:
        raft = node()
        raft.step(VoteRequest(B, A, 2, 1, 1, False))
        saved = raft.ready().hard_state
        assert saved == HardState(2, B)
        again = node()
        again.term, again.vote = saved.term, saved.vote
        assert told(again, VoteRequest(C, A, 2, 1, 1, False)) == [VoteReply(A, C, 2, False)]

    def test_a_vote_leaves_only_after_it_is_durable(self) -> None:
        raft = node()
        raft.step(VoteRequest(B, A, 2, 1, 1, False))
        ready = raft.ready()
        assert ready.messages == []
        assert ready.messages_after_save == [VoteReply(A, B, 2, True)]

    @pytest.mark.parametrize(
        ("last_index", "last_term", "granted"),
        [(3, 2, True), (4, 2, True), (2, 2, False), (9, 1, False), (1, 3, True)],
    )
    def test_votes_go_only_to_logs_at_least_as_up_to_date(
        self, last_index: int, last_term: int, granted: bool
    ) -> None:
        raft = node([2, 2], term=2)
        assert told(raft, PreVoteRequest(B, A, 3, 4, last_index, last_term)) == [
            PreVoteReply(A, B, 2, 4, granted)
        ]
        assert told(raft, VoteRequest(B, A, 4, last_index, last_term, False)) == [
            VoteReply(A, B, 4, granted)
        ]

    def test_a_pre_vote_changes_nobodys_term_or_vote(self) -> None:
        raft = node()
        told(raft, PreVoteRequest(B, A, 8, 9, 1, 1))
        assert (raft.term, raft.vote) == (1, None)

    def test_a_candidate_counts_its_own_vote_once_it_is_durable(self) -> None:
        raft = node(members=membership("a"))
        raft.tick(1000)
        ready = raft.ready()
        assert ready.hard_state == HardState(2, A)
        assert role(raft) is Role.CANDIDATE
        raft.saved()
        assert role(raft) is Role.LEADER

    def test_votes_of_strangers_and_learners_do_not_count(self) -> None:
        raft = node(members=membership("abc", learners="d"))
        raft.tick(raft.next_deadline_ms)
        raft.step(PreVoteReply(D, A, 1, 2, True))
        raft.step(PreVoteReply(node_id("b", 2), A, 1, 2, True))
        assert role(raft) is Role.PRE_CANDIDATE
        raft.step(PreVoteReply(C, A, 1, 2, True))
        assert role(raft) is Role.CANDIDATE

    def test_a_vote_repeated_counts_once(self) -> None:
        raft = node(members=membership("abcdx"))
        raft.tick(raft.next_deadline_ms)
        for _ in range(3):
            raft.step(PreVoteReply(B, A, 1, 2, True))
        assert role(raft) is Role.PRE_CANDIDATE

    def test_a_candidate_refused_by_a_majority_follows_again(self) -> None:
        raft = node()
        raft.tick(raft.next_deadline_ms)
        raft.step(PreVoteReply(B, A, 1, 2, False))
        raft.step(PreVoteReply(C, A, 1, 2, False))
        assert (raft.role, raft.term) == (Role.FOLLOWER, 1)

    def test_learners_and_strangers_never_campaign(self) -> None:
        for members in (membership("bc", learners="a"), membership("bc")):
            raft = node(members=members)
            raft.tick(10_000)
            assert role(raft) is Role.FOLLOWER
            assert said(raft) == []

    def test_a_node_that_knows_nobody_votes_when_asked(self) -> None:
        raft = Raft(
            A,
            Config(),
            random=Middle(),
            encode=encode_entries,
            now_ms=0,
            hard_state=HardState(),
            snapshot=None,
            entries=[],
            nonce=7,
        )
        raft.vouch({B}, 0)
        assert told(raft, VoteRequest(B, A, 1, 1, 1, False)) == [VoteReply(A, B, 1, True)]


class TestStickiness:
    def test_a_pre_vote_is_judged_by_the_time_at_which_it_is_asked_for(self) -> None:
        raft = node()
        raft.step(Heartbeat(B, A, 1, 0, 0))
        drain(raft)
        raft.tick(1010)
        request = PreVoteRequest(C, A, 1, 2, 5, 5)
        raft.wake(1010 + T - 1)
        assert told(raft, request) == [PreVoteReply(A, C, 1, 2, False)]
        raft.wake(1010 + T)
        assert told(raft, request) == [PreVoteReply(A, C, 1, 2, True)]

    def test_a_node_that_hears_its_leader_helps_nobody_to_depose_it(self) -> None:
        raft = node()
        raft.step(Heartbeat(B, A, 1, 0, 0))
        drain(raft)
        raft.tick(1010)
        raft.tick(1010 + T - 1)
        assert told(raft, PreVoteRequest(C, A, 1, 2, 5, 5)) == [PreVoteReply(A, C, 1, 2, False)]
        assert told(raft, VoteRequest(C, A, 2, 5, 5, False)) == []
        assert raft.term == 1

    def test_after_the_shortest_election_timeout_it_does(self) -> None:
        raft = node()
        raft.step(Heartbeat(B, A, 1, 0, 0))
        drain(raft)
        raft.tick(1010)
        raft.tick(1010 + T)
        assert told(raft, PreVoteRequest(C, A, 1, 2, 5, 5)) == [PreVoteReply(A, C, 1, 2, True)]
        assert told(raft, VoteRequest(C, A, 2, 5, 5, False)) == [VoteReply(A, C, 2, True)]

    def test_a_transfer_asked_for_by_the_leader_is_helped_at_once(self) -> None:
        raft = node()
        raft.step(Heartbeat(B, A, 1, 0, 0))
        drain(raft)
        assert told(raft, VoteRequest(C, A, 2, 5, 5, True)) == [VoteReply(A, C, 2, True)]

    def test_a_leader_holds_to_itself(self) -> None:
        raft = settled_leader()
        assert told(raft, VoteRequest(C, A, 9, 9, 9, False)) == []
        assert role(raft) is Role.LEADER

    def test_a_deposed_leader_is_told_of_the_later_term(self) -> None:
        for message in (
            Heartbeat(B, A, 3, 0, 0),
            AppendEntries(B, A, 3, 0, 0, 0, 0, ()),
            SnapshotChunk(B, A, 3, 9, 3, 0, b"", False),
        ):
            raft = node(term=7)
            assert told(raft, message) == [HeartbeatReply(A, B, 7, 0)]


class TestTimers:
    def test_a_paused_follower_waits_once_more_before_it_suspects_its_leader(self) -> None:
        raft = node()
        raft.step(Heartbeat(B, A, 1, 0, 0))
        drain(raft)
        raft.tick(1010)
        raft.tick(60_000)
        assert role(raft) is Role.FOLLOWER
        raft.tick(120_000)
        assert role(raft) is Role.PRE_CANDIDATE, "only once: it may be slow for good"

    def test_what_arrived_during_a_pause_counts_as_heard_at_its_end(self) -> None:
        raft = node()
        raft.tick(1010)
        raft.step(Heartbeat(B, A, 1, 0, 0))
        raft.tick(60_000)
        assert role(raft) is Role.FOLLOWER
        assert raft.next_deadline_ms >= 60_000 + T

    def test_a_leader_steps_down_when_no_majority_is_heard(self) -> None:
        raft = settled_leader()
        raft.tick(raft.now_ms + 10)
        raft.tick(raft.now_ms + 2 * T - 1)
        assert role(raft) is Role.LEADER
        raft.tick(raft.now_ms + 1)
        assert (raft.role, raft.leader) == (Role.FOLLOWER, None)

    def test_a_leader_that_wakes_from_a_pause_steps_down_unless_it_had_mail(self) -> None:
        paused, with_mail = settled_leader(), settled_leader()
        with_mail.tick(with_mail.now_ms + 10)
        paused.tick(paused.now_ms + 10)
        with_mail.step(HeartbeatReply(C, A, with_mail.term, 0))
        for raft in (paused, with_mail):
            raft.tick(raft.now_ms + 60_000)
        assert paused.role is Role.FOLLOWER
        assert with_mail.role is Role.LEADER

    def test_learners_do_not_keep_a_leader_in_office(self) -> None:
        raft = settled_leader(members=membership("abc", learners="d"))
        raft.tick(raft.now_ms + 10)
        for _ in range(2 * T // 60):
            raft.step(HeartbeatReply(D, A, raft.term, 0))
            raft.tick(raft.now_ms + 60)
        assert role(raft) is Role.FOLLOWER

    def test_election_timeouts_are_drawn_anew_between_one_and_two(self) -> None:
        raft = node()
        raft.random = Random(1)
        drawn = set()
        for _ in range(50):
            raft.step(Heartbeat(B, A, 1, 0, 0))
            raft.tick(raft.now_ms + 10)
            drawn.add(raft.next_deadline_ms - raft.now_ms)
        assert len(drawn) > 20
        assert T <= min(drawn) <= max(drawn) < 2 * T

    def test_time_never_goes_backwards(self) -> None:
        raft = node()
        raft.tick(500)
        assert raft.now_ms == 1000


class TestTheLastTerm:
    """A term beyond the bound of all terms could be neither said nor read back from disk."""

    def test_nobody_stands_after_it(self) -> None:
        raft = node(term=limits.TERM_MAX - 1)
        told(raft, Heartbeat(B, A, limits.TERM_MAX - 1, 0, 0))
        raft.step(TimeoutNow(B, A, limits.TERM_MAX - 1))
        assert (role(raft), raft.term) == (Role.CANDIDATE, limits.TERM_MAX)
        told(raft, Heartbeat(B, A, limits.TERM_MAX, 0, 0))
        assert told(raft, TimeoutNow(B, A, limits.TERM_MAX)) == []
        raft.tick(raft.now_ms + 60_000)
        raft.tick(raft.now_ms + 60_000)
        assert (role(raft), raft.term, said(raft)) == (Role.FOLLOWER, limits.TERM_MAX, [])

    def test_not_even_the_only_voter_does(self) -> None:
        raft = leader(members=membership("a"))
        raft.vouch({B}, limits.TERM_MAX)
        told(raft, VoteRequest(B, A, limits.TERM_MAX, 1, 1, True))
        raft.tick(raft.now_ms + 60_000)
        assert (role(raft), raft.term) == (Role.FOLLOWER, limits.TERM_MAX)
