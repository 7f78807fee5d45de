"""Reads, membership and leader transfer (thesis 3.10, 4, 6.4)."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.core.messages import (
    AppendAccepted,
    AppendEntries,
    Heartbeat,
    HeartbeatReply,
    TimeoutNow,
    VoteRequest,
)
from raftzmq.core.role import Role
from raftzmq.errors import NotLeader, Refused
from tests.core.cluster import membership, node_id
from tests.core.single import (
    A,
    B,
    C,
    D,
    command,
    drain,
    leader,
    node,
    role,
    said,
    settled_leader,
    told,
)


class TestReads:
    def test_no_read_is_released_before_the_terms_first_commit(self) -> None:
        raft = leader()
        raft.read_index("r")
        assert not raft.has_ready
        raft.step(AppendAccepted(B, A, raft.term, 2, 0))
        sent = said(raft)
        beats = [m for m in sent if isinstance(m, Heartbeat)]
        assert {m.round for m in beats} == {1}

    def test_a_round_is_shared_by_all_that_wait(self) -> None:
        raft = settled_leader()
        raft.read_index("r1")
        raft.read_index("r2")
        assert len([m for m in said(raft) if isinstance(m, Heartbeat)]) == 2
        raft.step(HeartbeatReply(B, A, raft.term, 1))
        (ready,) = drain(raft)
        assert [(read.context, read.index) for read in ready.reads] == [("r1", 2), ("r2", 2)]

    def test_an_answer_to_an_older_round_confirms_nothing(self) -> None:
        raft = settled_leader()
        raft.read_index("r1")
        drain(raft)
        raft.read_index("r2")
        drain(raft)
        raft.step(HeartbeatReply(B, A, raft.term, 1))
        assert [read.context for ready in drain(raft) for read in ready.reads] == ["r1"]

    def test_an_answer_to_a_newer_round_confirms_the_older_ones(self) -> None:
        raft = settled_leader()
        raft.read_index("r1")
        drain(raft)
        raft.read_index("r2")
        drain(raft)
        raft.step(HeartbeatReply(C, A, raft.term, 2))
        assert [read.context for ready in drain(raft) for read in ready.reads] == ["r1", "r2"]

    def test_an_append_carries_the_round_instead_of_a_heartbeat(self) -> None:
        raft = settled_leader()
        raft.step(AppendAccepted(C, A, raft.term, 2, 0))
        drain(raft)
        raft.propose(["x"])
        raft.read_index("r")
        sent = said(raft)
        assert [(type(m), m.round) for m in sent if isinstance(m, AppendEntries | Heartbeat)] == [
            (AppendEntries, 1),
            (AppendEntries, 1),
        ]

    def test_reads_fail_when_leadership_is_lost(self) -> None:
        raft = settled_leader()
        raft.read_index("in a round")
        drain(raft)
        raft.read_index("waiting")
        raft.step(Heartbeat(B, A, raft.term + 1, 0, 0))
        assert raft.ready().failed_reads == ["in a round", "waiting"]

    def test_a_follower_answers_a_round_in_every_reply(self) -> None:
        raft = node()
        sent = told(raft, Heartbeat(B, A, 1, 0, 4))
        sent += told(raft, AppendEntries(B, A, 1, 1, 1, 0, 5, ()))
        sent += told(raft, AppendEntries(B, A, 1, 9, 1, 0, 6, ()))
        assert [m.round for m in sent] == [4, 5, 6]  # type: ignore[attr-defined]

    def test_only_a_leader_reads_and_proposes(self) -> None:
        raft = node()
        told(raft, Heartbeat(B, A, 1, 0, 0))
        for action in (
            lambda: raft.read_index("r"),
            lambda: raft.propose(["x"]),
            lambda: raft.propose_membership(membership("ab")),
            lambda: raft.transfer(None),
        ):
            with pytest.raises(NotLeader) as caught:
                action()
            assert caught.value.leader == "b"


class TestMembership:
    def test_no_change_before_the_terms_first_commit(self) -> None:
        raft = leader()
        with pytest.raises(Refused, match="not committed an entry of its term"):
            raft.propose_membership(membership("ab"))

    def test_one_change_at_a_time(self) -> None:
        raft = settled_leader()
        raft.propose_membership(membership("ab"))
        with pytest.raises(Refused, match="under way"):
            raft.propose_membership(membership("abc"))

    @pytest.mark.parametrize(
        ("new", "reason"),
        [
            (membership("a"), "one voter"),
            (membership("abcdx"), "one voter"),
            (membership("", learners="abc"), "last voter"),
            (membership("abc"), "already so"),
        ],
    )
    def test_a_change_of_more_than_one_voter_or_of_none_is_refused(
        self, new: Any, reason: str
    ) -> None:
        raft = settled_leader()
        with pytest.raises(Refused, match=reason):
            raft.propose_membership(new)

    def test_a_name_cannot_be_a_member_twice(self) -> None:
        raft = settled_leader()
        twice = membership("abc", learners="d")
        other = type(twice.members[0])(node_id("d", 2), "d:6000", False)
        with pytest.raises(Refused, match="only once"):
            raft.propose_membership(type(twice)((*twice.members, other)))

    def test_a_change_is_in_force_when_it_is_appended(self) -> None:
        raft = settled_leader()
        raft.propose_membership(membership("abc", learners="d"))
        assert D in raft.progress
        follower = node()
        entry = raft.log.entry(3)
        told(follower, AppendEntries(B, A, 2, 1, 1, 0, 0, (command(2, 2), entry)))
        assert follower.membership == membership("abc", learners="d")

    def test_a_leader_that_removes_itself_leads_until_just_that_is_committed(self) -> None:
        raft = settled_leader()
        raft.propose(["x"])
        index = raft.propose_membership(membership("bc"))
        drain(raft)
        for match_index, leads in ((index - 1, True), (index, False)):
            raft.step(AppendAccepted(B, A, raft.term, match_index, 0))
            assert raft.commit_index == match_index - 1, "its own copy does not count"
            raft.step(AppendAccepted(C, A, raft.term, match_index, 0))
            assert raft.commit_index == match_index
            assert (role(raft) is Role.LEADER) is leads

    def test_a_read_that_waits_for_a_removed_voter_is_released(self) -> None:
        raft = settled_leader(members=membership("ab"))
        raft.read_index("r")
        drain(raft)
        raft.propose_membership(membership("a"))
        assert [read.context for ready in drain(raft) for read in ready.reads] == ["r"]

    def test_an_entry_that_waits_for_a_removed_voter_is_committed(self) -> None:
        raft = settled_leader()
        index = raft.propose(["x"])
        drain(raft)
        raft.step(AppendAccepted(C, A, raft.term, 1, 0))
        assert raft.commit_index == index - 1
        raft.propose_membership(membership("ac", learners="b"))
        assert raft.commit_index == index - 1, "c has it not, and a alone is no majority of two"
        raft = settled_leader(members=membership("ab"))
        index = raft.propose(["x"])
        drain(raft)
        raft.propose_membership(membership("a"))
        assert raft.commit_index == index, "it is durable on the one voter that is left"

    def test_a_new_incarnation_takes_its_predecessors_place_as_a_learner(self) -> None:
        raft = settled_leader()
        raft.propose_membership(raft.membership.with_learner(node_id("c", 2), "c:6000"))
        assert raft.memberships.voters == {A, B}
        raft.step(AppendAccepted(C, A, raft.term, 3, 0))
        assert raft.dropped["not a member"] == 1


class TestTransfer:
    def test_it_waits_until_the_target_has_everything(self) -> None:
        raft = settled_leader()
        raft.transfer("c")
        assert TimeoutNow(A, C, raft.term) not in said(raft)
        assert TimeoutNow(A, C, raft.term) in told(raft, AppendAccepted(C, A, raft.term, 2, 0))

    def test_the_most_caught_up_is_chosen(self) -> None:
        raft = settled_leader()
        raft.transfer(None)
        assert raft.transferring_to == B

    def test_proposals_and_changes_are_refused_meanwhile(self) -> None:
        raft = settled_leader()
        raft.transfer("c")
        with pytest.raises(Refused, match="handed to c"):
            raft.propose(["x"])
        with pytest.raises(Refused, match="handed to c"):
            raft.propose_membership(membership("ab"))
        with pytest.raises(Refused, match="already being handed to c"):
            raft.transfer("b")
        raft.transfer("c")

    @pytest.mark.parametrize(
        ("name", "reason"), [("x", "not a member"), ("a", "leads already"), ("d", "is a learner")]
    )
    def test_it_goes_only_to_another_voter(self, name: str, reason: str) -> None:
        raft = settled_leader(members=membership("abc", learners="d"))
        with pytest.raises(Refused, match=reason):
            raft.transfer(name)

    def test_alone_there_is_nobody_to_hand_over_to(self) -> None:
        raft = node(members=membership("a"))
        raft.tick(1000)
        drain(raft)
        with pytest.raises(Refused, match="no other voter"):
            raft.transfer(None)

    def test_the_word_is_repeated_at_each_heartbeat(self) -> None:
        raft = settled_leader()
        raft.transfer("b")
        drain(raft)
        raft.tick(raft.now_ms + raft.config.heartbeat_ms)
        assert TimeoutNow(A, B, raft.term) in said(raft)

    def test_the_target_stands_at_once_without_pre_vote(self) -> None:
        raft = node()
        asked = told(raft, TimeoutNow(B, A, 1))
        assert asked == [VoteRequest(A, B, 2, 1, 1, True), VoteRequest(A, C, 2, 1, 1, True)]
