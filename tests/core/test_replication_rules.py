"""Appending and committing: the rules of log replication (thesis 3.5, 3.6)."""

from __future__ import annotations

from random import Random

import pytest

from raftzmq.core.config import Config
from raftzmq.core.entry import NOOP
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
)
from raftzmq.core.raft import Raft
from tests.core.cluster import membership, node_id
from tests.core.single import (
    A,
    B,
    C,
    D,
    T,
    X,
    command,
    drain,
    leader,
    node,
    said,
    settled_leader,
    told,
)


class TestAppending:
    def test_an_append_is_refused_unless_it_fits_and_the_answer_says_where_it_might(self) -> None:
        raft = node([1, 2, 2], term=2)
        assert told(raft, AppendEntries(B, A, 3, 7, 3, 0, 5, ())) == [
            AppendRejected(A, B, 3, 7, 4, 2, 4, 5, 7)
        ]
        assert told(raft, AppendEntries(B, A, 3, 4, 1, 0, 5, ())) == [
            AppendRejected(A, B, 3, 4, 2, 1, 4, 5, 7)
        ]

    def test_entries_are_acknowledged_after_they_are_durable(self) -> None:
        raft = node()
        raft.step(AppendEntries(B, A, 1, 1, 1, 0, 0, (command(2, 1),)))
        ready = raft.ready()
        assert ready.messages == []
        assert ready.entries == [command(2, 1)]
        assert ready.messages_after_save == [AppendAccepted(A, B, 1, 2, 0)]

    def test_an_answer_names_what_was_sent_not_the_own_last_index(self) -> None:
        raft = node([1, 1, 1, 1])
        assert told(raft, AppendEntries(B, A, 1, 1, 1, 0, 0, (command(2, 1),))) == [
            AppendAccepted(A, B, 1, 2, 0)
        ]

    def test_a_late_append_removes_nothing_that_does_not_conflict(self) -> None:
        raft = node([1, 1, 1, 1])
        told(raft, AppendEntries(B, A, 1, 1, 1, 0, 0, (command(2, 1), command(3, 1))))
        assert raft.log.last_index == 5

    def test_a_conflicting_entry_goes_with_all_that_follow(self) -> None:
        raft = node([1, 2, 2, 2], term=2)
        entries = (command(2, 1), command(3, 3, "new"))
        raft.step(AppendEntries(B, A, 3, 1, 1, 0, 0, entries))
        ready = raft.ready()
        assert ready.entries == [command(3, 3, "new")]
        assert (raft.log.last_index, raft.log.last_term) == (3, 3)

    def test_a_committed_entry_is_never_truncated(self) -> None:
        raft = node([1, 1])
        told(raft, AppendEntries(B, A, 1, 3, 1, 3, 0, ()))
        assert raft.commit_index == 3
        with pytest.raises(AssertionError, match="contradicts what is committed"):
            raft.step(AppendEntries(B, A, 2, 1, 1, 0, 0, (command(2, 2), command(3, 2))))
        assert [raft.log.term_at(index) for index in (2, 3)] == [1, 1]
        assert drain(raft)[0].messages_after_save == [], "and nothing is acknowledged"

    @pytest.mark.parametrize("seed", range(300))
    def test_an_append_agrees_with_what_is_committed_or_ends_the_node(self, seed: int) -> None:
        chance = Random(seed)
        raft = node(sorted(chance.choices([1, 2, 3], k=chance.randint(1, 8))), term=4)
        last = raft.log.last_index
        mine = [raft.log.term_at(index) or 0 for index in range(last + 1)]
        told(raft, Heartbeat(B, A, 4, chance.randint(1, last), 0))
        if chance.random() < 0.3:
            raft.compact(raft.snapshot_meta_at(chance.randint(1, raft.applied_index)))
        base, commit = raft.log.base_index, raft.commit_index
        # The sender's log is the same up to where it parts from this one.
        parting = chance.randint(1, last + 1)
        theirs = mine[:parting] + [5] * (last + 4 - parting)
        prev = chance.randint(0, last + 1)
        end = chance.randint(prev, last + 2)
        entries = tuple(command(index, theirs[index]) for index in range(prev + 1, end + 1))
        append = AppendEntries(C, A, 5, prev, theirs[prev], commit, 0, entries)
        if any(parting <= index <= commit for index in range(max(prev, base), end + 1)):
            with pytest.raises(AssertionError, match="contradicts what is committed"):
                raft.step(append)
            assert [raft.log.term_at(index) for index in range(base, last + 1)] == mine[base:]
            return
        answers = told(raft, append)
        accepted = [m.match_index for m in answers if isinstance(m, AppendAccepted)]
        for index in range(base, max(accepted, default=base - 1) + 1):
            assert raft.log.term_at(index) == theirs[index]
        kept = [raft.log.term_at(index) for index in range(base, commit + 1)]
        assert kept == mine[base : commit + 1]

    def test_no_more_is_committed_than_the_append_has_shown_to_agree(self) -> None:
        raft = node([1, 2, 2], term=2)
        told(raft, AppendEntries(B, A, 3, 2, 1, 4, 0, ()))
        assert raft.commit_index == 2

    def test_committed_entries_are_applied_once_and_only_when_durable_here(self) -> None:
        raft = node()
        raft.step(AppendEntries(B, A, 1, 1, 1, 2, 0, (command(2, 1),)))
        first = raft.ready()
        assert [entry.index for entry in first.committed] == [1]
        raft.applied(1)
        assert not raft.has_ready
        raft.saved()
        assert [entry.index for entry in raft.ready().committed] == [2]
        raft.applied(2)
        assert drain(raft) == []

    def test_a_second_leader_in_a_term_is_not_believed(self) -> None:
        raft = node()
        told(raft, Heartbeat(B, A, 1, 0, 0))
        assert told(raft, AppendEntries(C, A, 1, 1, 1, 0, 0, (command(2, 1),))) == []
        assert raft.dropped["a second leader"] == 1

    def test_messages_for_another_incarnation_are_dropped(self) -> None:
        raft = node()
        assert told(raft, Heartbeat(B, node_id("a", 2), 1, 0, 0)) == []
        assert raft.dropped["not for this node"] == 1


class TestBeingHeard:
    """A follower that hears the leader cannot know by itself whether it is heard."""

    def heartbeats(self, raft: Raft, pass_ms: int) -> dict[NodeId, Heartbeat]:
        """The last one to each node, as time passes."""
        sent: dict[NodeId, Heartbeat] = {}
        for now_ms in range(raft.now_ms, raft.now_ms + pass_ms + 1, 10):
            raft.step(HeartbeatReply(B, A, raft.term, 0))
            raft.tick(now_ms)
            sent |= {m.to: m for m in said(raft) if isinstance(m, Heartbeat)}
        return sent

    def test_a_leader_tells_who_has_been_silent_for_an_election_timeout(self) -> None:
        raft = settled_leader()
        assert not any(m.unheard for m in self.heartbeats(raft, T - 50).values())
        later = self.heartbeats(raft, T)
        assert {to: m.unheard for to, m in later.items()} == {B: False, C: True}
        raft.step(HeartbeatReply(C, A, raft.term, 0))
        assert not any(m.unheard for m in self.heartbeats(raft, 100).values())

    def test_a_learner_is_told_as_well(self) -> None:
        raft = settled_leader(members=membership("ab", "c"))
        assert self.heartbeats(raft, 2 * T)[C].unheard

    def test_a_leader_tells_how_far_is_committed_what_the_follower_may_lack(self) -> None:
        raft = settled_leader()
        sent = self.heartbeats(raft, 100)
        assert (sent[B].commit_index, sent[B].leader_commit_index) == (raft.commit_index, 0)
        assert (sent[C].commit_index, sent[C].leader_commit_index) == (0, raft.commit_index)

    def test_a_follower_believes_the_newest_word_of_its_leader(self) -> None:
        raft = node()
        assert not raft.unheard
        told(raft, Heartbeat(B, A, 1, 0, 0, 7, unheard=True))
        assert raft.unheard
        assert (raft.commit_index, raft.leader_commit_index) == (0, 7)
        told(raft, Heartbeat(B, A, 1, 0, 0))
        assert not raft.unheard
        assert raft.leader_commit_index == 7

    def test_what_an_earlier_leader_said_means_nothing_of_the_next_one(self) -> None:
        raft = node()
        told(raft, Heartbeat(B, A, 1, 0, 0, 7, unheard=True))
        told(raft, AppendEntries(C, A, 2, 1, 1, 0, 0, ()))
        assert raft.leader == C
        assert not raft.unheard


class TestCommitting:
    def test_a_leader_begins_its_term_with_a_no_op(self) -> None:
        raft = leader([1])
        assert raft.log.entry(3).kind == NOOP
        assert raft.log.entry(3).term == raft.term

    def test_the_leader_counts_itself_only_once_it_has_saved(self) -> None:
        raft = settled_leader()
        raft.propose(["x"])
        raft.ready()
        raft.step(AppendAccepted(B, A, raft.term, 3, 0))
        assert raft.commit_index == 2
        raft.saved()
        assert raft.commit_index == 3

    def test_entries_of_earlier_terms_are_not_committed_by_counting(self) -> None:
        raft = leader([1, 1])
        raft.step(AppendAccepted(B, A, raft.term, 3, 0))
        raft.step(AppendAccepted(C, A, raft.term, 3, 0))
        assert raft.commit_index == 0
        raft.step(AppendAccepted(C, A, raft.term, 4, 0))
        assert raft.commit_index == 4

    def test_learners_do_not_count(self) -> None:
        raft = settled_leader(members=membership("abc", learners="d"))
        index = raft.propose(["x"])
        drain(raft)
        raft.step(AppendAccepted(D, A, raft.term, index, 0))
        assert raft.commit_index < index

    def test_a_proposal_in_a_batch_travels_in_one_append_to_each(self) -> None:
        raft = settled_leader()
        raft.step(AppendAccepted(C, A, raft.term, 2, 0))
        drain(raft)
        raft.propose(["x"])
        raft.propose(["y", "z"])
        sent = [m for m in said(raft) if isinstance(m, AppendEntries)]
        assert [(m.to, len(m.entries)) for m in sent] == [(B, 3), (C, 3)]
        assert sent[0].entries is sent[1].entries

    def test_appends_leave_before_the_leaders_own_save(self) -> None:
        raft = settled_leader()
        raft.propose(["x"])
        ready = raft.ready()
        assert [m.to for m in ready.messages] == [B]
        assert ready.entries != []

    def test_the_window_bounds_what_is_in_flight(self) -> None:
        raft = settled_leader(config=Config(max_inflight=2, max_append_entries=3))
        raft.propose(list(range(20)))
        sent = [m for m in said(raft) if isinstance(m, AppendEntries) and m.to == B]
        assert [len(m.entries) for m in sent] == [3, 3]
        assert len(told(raft, AppendAccepted(B, A, raft.term, 5, 0))) == 1

    def test_an_append_is_bounded_in_bytes_but_takes_at_least_one_entry(self) -> None:
        raft = settled_leader(config=Config(max_append_bytes=100))
        raft.propose(["x" * 40, "y" * 40, "z" * 500])
        sent = [m for m in said(raft) if isinstance(m, AppendEntries) and m.to == B]
        assert [[e.body[0] for e in m.entries] for m in sent] == [["x"], ["y"], ["z"]]

    def test_what_is_not_acknowledged_within_three_heartbeats_is_sent_again(self) -> None:
        raft = settled_leader()
        raft.propose(["x"])
        drain(raft)
        resent = []
        for _ in range(3):
            raft.step(HeartbeatReply(B, A, raft.term, 0))
            raft.tick(raft.now_ms + raft.config.heartbeat_ms)
            resent += [m for m in said(raft) if isinstance(m, AppendEntries) and m.to == B]
        assert [m.entries[0].index for m in resent] == [3]

    def test_a_follower_that_seems_dead_gets_heartbeats_only_and_everything_once_it_is_back(
        self,
    ) -> None:
        raft = settled_leader()
        for _ in range(10):
            raft.step(HeartbeatReply(B, A, raft.term, 0))
            raft.tick(raft.now_ms + raft.config.heartbeat_ms)
            drain(raft)
        raft.propose(["x"])
        assert {m.to for m in said(raft) if isinstance(m, AppendEntries)} == {B}
        back = told(raft, HeartbeatReply(C, A, raft.term, 0))
        assert [(m.to, len(m.entries)) for m in back if isinstance(m, AppendEntries)] == [(C, 2)]

    def test_a_heartbeat_never_claims_more_than_the_receiver_has(self) -> None:
        raft = settled_leader()
        raft.tick(raft.now_ms + raft.config.heartbeat_ms)
        beats = {m.to: m.commit_index for m in said(raft) if isinstance(m, Heartbeat)}
        assert beats == {B: 2, C: 0}

    def test_old_and_impossible_answers_change_nothing(self) -> None:
        raft = settled_leader()
        before = raft.progress[B].match_index
        raft.step(AppendAccepted(B, A, raft.term, 1, 0))
        raft.step(AppendAccepted(B, A, raft.term, 99, 0))
        raft.step(AppendRejected(B, A, raft.term, 1, 0, 0, 9, 0, 7))
        raft.step(AppendRejected(B, A, raft.term, 99, 98, 1, 98, 0, 7))
        assert raft.progress[B].match_index == before
        assert raft.dropped["acknowledges what was never sent"] == 1
        assert raft.dropped["an old rejection"] == 2

    def test_an_answer_counts_only_for_rounds_that_have_begun(self) -> None:
        raft = settled_leader()
        for answer in (
            HeartbeatReply(B, A, raft.term, 7),
            AppendAccepted(B, A, raft.term, raft.log.last_index, 7),
            AppendRejected(B, A, raft.term, 1, 0, 0, 9, 7, 7),
        ):
            raft.step(answer)
        assert raft.dropped["answers what was never asked"] == 3
        raft.read_index("r")
        assert [ready.reads for ready in drain(raft)] == [[]]
        raft.step(HeartbeatReply(B, A, raft.term, 1))
        assert [read.context for ready in drain(raft) for read in ready.reads] == ["r"]

    def test_a_probe_that_could_not_be_sent_begins_no_lower_the_next_time(self) -> None:
        raft = leader([1, 1, 1])
        raft.unreachable(B)
        raft.tick(raft.now_ms + raft.config.heartbeat_ms)
        again = [m for m in said(raft) if isinstance(m, AppendEntries)]
        assert [(m.to, m.prev_index) for m in again] == [(B, 4)]

    def test_unreachable_is_tried_again_at_the_next_heartbeat(self) -> None:
        raft = settled_leader()
        raft.propose(["x"])
        drain(raft)
        raft.unreachable(B)
        raft.unreachable(X)
        assert [m for m in said(raft) if isinstance(m, AppendEntries)] == []
        raft.step(HeartbeatReply(B, A, raft.term, 0))
        raft.tick(raft.now_ms + raft.config.heartbeat_ms)
        assert [m.to for m in said(raft) if isinstance(m, AppendEntries)] == [B]


class TestTellingOfCommits:
    def test_followers_are_told_soon_that_an_entry_is_committed(self) -> None:
        raft = settled_leader()
        committed_ms = raft.now_ms
        due_ms = committed_ms + raft.config.commit_notice_ms
        assert raft.next_deadline_ms == due_ms < raft.heartbeat_deadline_ms
        raft.tick(due_ms - 1)
        assert said(raft) == []
        raft.tick(due_ms)
        term, index = raft.term, raft.commit_index
        assert said(raft) == [Heartbeat(A, B, term, index, 0), Heartbeat(A, C, term, 0, 0, index)]
        assert raft.next_deadline_ms == raft.heartbeat_deadline_ms

    def test_an_append_that_all_get_tells_them_as_well(self) -> None:
        raft = settled_leader()
        raft.step(AppendAccepted(C, A, raft.term, raft.log.last_index, 0))
        raft.propose(["x"])
        assert len(said(raft)) == 2
        assert raft.next_deadline_ms == raft.heartbeat_deadline_ms

    def test_who_leads_no_more_tells_nobody(self) -> None:
        raft = settled_leader()
        told(raft, Heartbeat(B, A, raft.term + 1, 0, 0))
        raft.tick(raft.now_ms + raft.config.commit_notice_ms)
        assert said(raft) == []
