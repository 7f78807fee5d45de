"""Lost data, snapshots, and the order that a Ready promises (thesis 3.8, 5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftzmq import limits
from raftzmq.core.config import Config
from raftzmq.core.entry import COMMAND
from raftzmq.core.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    LogRegressed,
    Message,
    PreVoteReply,
    PreVoteRequest,
    SnapshotChunk,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raftzmq.core.raft import Raft
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.lines import encode_entry
from raftzmq.versions import SPOKEN
from tests.core.cluster import NONCE
from tests.core.single import (
    THREE,
    A,
    B,
    C,
    T,
    command,
    drain,
    node,
    said,
    settled_leader,
    told,
)


class TestLostData:
    def test_a_leader_tells_a_follower_that_lost_what_it_acknowledged(self) -> None:
        raft = settled_leader()
        assert told(raft, AppendRejected(B, A, raft.term, 2, 1, 1, 1, 0, 7)) == [
            LogRegressed(A, B, raft.term, 2, 7)
        ]

    def test_such_a_node_never_votes_or_campaigns_again(self) -> None:
        raft = node()
        assert told(raft, AppendEntries(B, A, 1, 5, 1, 0, 0, ())) == [
            AppendRejected(A, B, 1, 5, 1, 1, 1, 0, NONCE)
        ]
        told(raft, LogRegressed(B, A, 1, 5, NONCE))
        assert raft.regressed == 5
        assert told(raft, VoteRequest(C, A, 2, 9, 9, True)) == [VoteReply(A, C, 2, False)]
        assert told(raft, PreVoteRequest(C, A, 2, 3, 9, 9)) == [PreVoteReply(A, C, 2, 3, False)]
        told(raft, TimeoutNow(B, A, 2))
        raft.tick(100_000)
        raft.tick(200_000)
        assert raft.role is Role.FOLLOWER

    def test_a_heartbeat_beyond_the_log_shows_the_loss_too(self) -> None:
        raft = node()
        (question,) = told(raft, Heartbeat(B, A, 1, 5, 0))
        assert question == AppendRejected(A, B, 1, 0, 0, 0, 1, 0, NONCE)
        assert raft.commit_index == 0
        told(raft, LogRegressed(B, A, 1, 5, NONCE))
        assert raft.regressed == 5
        assert raft.commit_index == 0

    def test_a_leader_answers_such_a_question_only_if_something_is_lost(self) -> None:
        raft = settled_leader()
        question = AppendRejected(B, A, raft.term, 0, 0, 0, 1, 0, 5)
        assert told(raft, question) == [LogRegressed(A, B, raft.term, 2, 5)]
        next_index = raft.progress[B].next_index
        assert told(raft, replace(question, last_index=2)) == []
        assert raft.progress[B].next_index == next_index

    def test_an_old_rejection_does_not_condemn_a_node_that_has_everything(self) -> None:
        raft = node([1, 1, 1, 1])
        told(raft, AppendEntries(B, A, 1, 9, 1, 0, 0, ()))
        told(raft, LogRegressed(B, A, 1, 5, NONCE))
        assert raft.regressed is None

    def test_a_forged_word_condemns_nobody(self) -> None:
        raft = node()
        for nonce in (0, limits.INDEX_MAX):
            told(raft, LogRegressed(B, A, 1, 5, nonce))
        told(raft, Heartbeat(B, A, 1, 5, 0))
        told(raft, LogRegressed(B, A, 1, 5, NONCE + 1))
        assert raft.regressed is None
        assert raft.dropped["answers what was never asked"] == 3

    def test_a_node_that_may_have_lost_something_does_not_vote_until_the_leader_can_have_answered(
        self,
    ) -> None:
        raft = node()
        told(raft, Heartbeat(B, A, 1, 5, 0))
        assert told(raft, VoteRequest(C, A, 2, 9, 9, True)) == [VoteReply(A, C, 2, False)]
        told(raft, TimeoutNow(C, A, 2))
        assert raft.role is Role.FOLLOWER
        raft.wake(raft.now_ms + 2 * T)
        assert told(raft, VoteRequest(C, A, 2, 9, 9, True)) == [VoteReply(A, C, 2, True)]

    def test_forged_heartbeats_do_not_keep_it_from_voting_for_ever(self) -> None:
        raft = node()
        for _ in range(200):
            told(raft, Heartbeat(B, A, 1, 5, 0))
            raft.wake(raft.now_ms + T // 100)
        assert told(raft, VoteRequest(C, A, 2, 9, 9, True)) == [VoteReply(A, C, 2, True)]


class TestSnapshots:
    META = SnapshotMeta(3, 2, 7, THREE)

    def chunk(self, offset: int = 0, data: bytes = b"1234", done: bool = False) -> SnapshotChunk:
        return SnapshotChunk(B, A, 5, 3, 2, offset, data, done)

    def install(self, raft: Raft) -> list[Message]:
        raft.step(self.chunk(done=True))
        assert raft.ready().chunks == [self.chunk(done=True)]
        raft.saved()
        assert raft.snapshot_received(self.META)
        return said(raft)

    def test_a_suffix_that_agrees_is_kept(self) -> None:
        raft = node([1, 2, 4], term=4)
        assert self.install(raft) == [AppendAccepted(A, B, 5, 3, 0)]
        assert (raft.log.base_index, raft.log.last_index, raft.log.last_term) == (3, 4, 4)
        assert raft.commit_index == raft.applied_index == 3

    def test_a_log_that_does_not_agree_is_discarded_whole(self) -> None:
        raft = node([1, 3, 4], term=4)
        self.install(raft)
        assert (raft.log.base_index, raft.log.last_index, raft.log.last_term) == (3, 3, 2)
        assert (raft.log.last_time_ms, raft.membership) == (7, THREE)

    def test_a_snapshot_of_what_is_committed_is_only_acknowledged(self) -> None:
        raft = node([1, 2], term=4)
        told(raft, AppendEntries(B, A, 5, 3, 2, 3, 0, ()))
        assert told(raft, self.chunk()) == [AppendAccepted(A, B, 5, 3, 0)]

    def test_chunks_are_taken_in_order_and_once(self) -> None:
        raft = node(term=5)
        assert told(raft, self.chunk(4)) == [SnapshotReply(A, B, 5, 3, 0)]
        assert told(raft, self.chunk(0)) == [SnapshotReply(A, B, 5, 3, 4)]
        raft.step(self.chunk(0))
        assert raft.ready().chunks == []

    def test_chunks_of_two_senders_are_not_mixed(self) -> None:
        raft = node(term=5)
        told(raft, self.chunk(0))
        other = SnapshotChunk(C, A, 6, 3, 2, 4, b"5678", True)
        assert told(raft, other) == [SnapshotReply(A, C, 6, 3, 0)]

    def test_a_damaged_one_is_asked_for_again(self) -> None:
        raft = node(term=5)
        raft.step(self.chunk(done=True))
        raft.ready()
        raft.saved()
        assert not raft.snapshot_received(None)
        assert said(raft) == [SnapshotReply(A, B, 5, 3, 0)]

    def test_a_repeated_answer_does_not_double_the_chunks(self) -> None:
        raft = settled_leader()
        raft.compact(raft.snapshot_meta_at(2))
        raft.step(AppendRejected(C, A, raft.term, 1, 0, 0, 0, 0, 7))
        assert [s.offset for ready in drain(raft) for s in ready.snapshot_sends] == [0]
        sent = []
        for _ in range(2):
            raft.step(SnapshotReply(C, A, raft.term, 2, 10))
            sent += [send.offset for ready in drain(raft) for send in ready.snapshot_sends]
        assert sent == [10]

    def test_compaction_keeps_the_last_entries_for_slow_followers(self) -> None:
        raft = settled_leader(config=Config(keep_entries=5))
        raft.propose(list(range(20)))
        drain(raft)
        raft.step(AppendAccepted(B, A, raft.term, 22, 0))
        drain(raft)
        raft.compact(raft.snapshot_meta_at(20))
        assert raft.log.first_index == 16
        assert raft.snapshot_meta is not None
        assert raft.snapshot_meta.index == 20


class TestDriver:
    def test_a_term_is_durable_before_anyone_hears_of_it(self) -> None:
        raft = node()
        raft.step(Heartbeat(B, A, 4, 0, 0))
        ready = raft.ready()
        assert ready.hard_state == HardState(4)
        assert ready.messages == []
        assert ready.messages_after_save == [HeartbeatReply(A, B, 4, 0, *SPOKEN)]

    def test_an_acknowledgement_that_a_later_term_overtakes_is_not_sent(self) -> None:
        """A node that was paused hears two leaders in one turn. It never saves what the first sent,
        for the second takes it away."""
        raft = node(term=1)
        raft.step(AppendEntries(B, A, 2, 1, 1, 0, 0, (command(2, 2), command(3, 2))))
        raft.step(AppendEntries(C, A, 3, 1, 1, 0, 0, (command(2, 3),)))
        assert said(raft) == [AppendAccepted(A, C, 3, 2, 0)]

    def test_saved_must_come_between_two_readies(self) -> None:
        raft = node()
        raft.step(Heartbeat(B, A, 4, 0, 0))
        raft.ready()
        with pytest.raises(AssertionError, match="saved"):
            raft.ready()

    def test_what_could_not_be_saved_comes_again(self) -> None:
        raft = node()
        raft.step(AppendEntries(B, A, 4, 1, 1, 2, 0, (command(2, 4),)))
        first = raft.ready()
        raft.save_failed()
        second = raft.ready()
        assert (second.hard_state, second.entries) == (first.hard_state, first.entries)
        assert second.messages_after_save == []
        assert raft.stable_index == 1

    def test_a_leader_whose_disk_is_full_goes_on_committing_with_the_others(self) -> None:
        raft = settled_leader()
        raft.propose(["x"])
        raft.ready()
        raft.save_failed()
        raft.step(AppendAccepted(B, A, raft.term, 3, 0))
        assert raft.commit_index == 2
        raft.step(AppendAccepted(C, A, raft.term, 3, 0))
        assert raft.commit_index == 3
        assert raft.ready().committed == [], "but it applies nothing that it has not saved"

    def test_stamps_follow_the_leaders_clock_and_never_go_back(self) -> None:
        raft = settled_leader()
        raft.step(HeartbeatReply(B, A, raft.term, 0))
        raft.tick(raft.now_ms + 250)
        index = raft.propose(["x"])
        assert raft.log.entry(index).time_ms == 250
        later = node()
        entry = encode_entry(2, 1, 9000, COMMAND, "x")
        told(later, AppendEntries(B, A, 1, 1, 1, 0, 0, (entry,)))
        assert later.stamp_ms == later.log.last_time_ms == 9000

    def test_a_ready_hands_out_a_bounded_number_of_committed_entries(self) -> None:
        raft = node([1] * 9, config=Config(max_committed_entries=4))
        raft.step(AppendEntries(B, A, 1, 10, 1, 10, 0, ()))
        assert [len(ready.committed) for ready in drain(raft)] == [4, 4, 2]

    def test_what_the_driver_has_no_time_to_apply_comes_again_and_reads_wait_for_it(self) -> None:
        raft = settled_leader()
        for k in range(9):
            raft.propose([f"{k}"])
        raft.read_index("early")
        first, last = raft.commit_index + 1, raft.log.last_index
        raft.ready()
        raft.saved()
        raft.step(AppendAccepted(B, A, raft.term, last, raft.reads.round))
        raft.read_index("late")
        raft.ready()
        raft.step(HeartbeatReply(B, A, raft.term, raft.reads.round))
        for applied in (first + 3, first + 7, last):
            ready = raft.ready()
            assert [e.index for e in ready.committed] == [*range(raft.applied_index + 1, last + 1)]
            assert [read.context for read in ready.reads] == []
            assert raft.has_ready
            raft.applied(applied)
        assert [read.context for read in raft.ready().reads] == ["late"]
        assert not raft.has_ready
        with pytest.raises(AssertionError, match="not committed"):
            raft.applied(last + 1)

    def test_a_log_that_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ValueError, match="later term"):
            node([5], term=2)
