"""The parts that Raft is made of, each by itself."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.core.config import Config
from raftzmq.core.entry import COMMAND, Entry
from raftzmq.core.history import MembershipHistory
from raftzmq.core.log import RaftLog
from raftzmq.core.progress import Progress, ProgressState
from raftzmq.core.quorum import majority, reached_by_majority
from raftzmq.core.ready import SnapshotMeta
from raftzmq.lines import encode_entry
from tests.core.cluster import config_entry, log_of, membership, node_id


def entries(*terms: int, first: int = 1) -> list[Entry]:
    return [encode_entry(i, term, i * 10, COMMAND, "x") for i, term in enumerate(terms, first)]


def meta(index: int, term: int) -> SnapshotMeta:
    return SnapshotMeta(index, term, index * 10, membership("abc"))


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_more_than_half(voters: int, needed: int) -> None:
    assert majority(voters) == needed


@pytest.mark.parametrize(
    ("values", "reached"),
    [([7], 7), ([7, 3], 3), ([7, 3, 9], 7), ([9, 9, 1, 2], 2), ([1, 2, 3, 4, 5], 3)],
)
def test_what_a_majority_has_reached(values: list[int], reached: int) -> None:
    assert reached_by_majority(values) == reached
    assert sum(value >= reached for value in values) >= majority(len(values))


@pytest.mark.parametrize(
    "wrong",
    [
        {"heartbeat_ms": 200},
        {"heartbeat_ms": 0},
        {"max_inflight": 0},
        {"max_append_bytes": 0},
        {"keep_entries": -1},
    ],
)
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Config(**wrong)


class TestLog:
    def test_it_knows_terms_from_the_base_on(self) -> None:
        log = RaftLog(meta(3, 2), entries(2, 4, first=4))
        assert [log.term_at(i) for i in range(2, 7)] == [None, 2, 2, 4, None]
        assert (log.first_index, log.last_index, log.last_term) == (4, 5, 4)
        assert log.last_time_ms == 50

    def test_an_empty_log_ends_where_its_snapshot_does(self) -> None:
        log = RaftLog(meta(3, 2), [])
        assert (log.last_index, log.last_term, log.last_time_ms) == (3, 2, 30)
        empty = RaftLog(None, [])
        assert (empty.last_index, empty.last_term, empty.last_time_ms) == (0, 0, 0)

    def test_a_log_on_disk_that_overlaps_the_snapshot_is_kept_for_slow_followers(self) -> None:
        whole = RaftLog(meta(3, 2), entries(1, 1, 2, 2))
        assert (whole.base_index, whole.last_index) == (0, 4)
        partial = RaftLog(meta(3, 2), entries(1, 2, 2, first=2))
        assert (partial.base_index, partial.base_term, partial.last_index) == (2, 1, 4)

    def test_a_log_that_the_snapshot_contradicts_or_exceeds_is_left_out(self) -> None:
        for leftover in (entries(1, 1, 1, 1), entries(1, 1)):
            log = RaftLog(meta(3, 2), leftover)
            assert (log.base_index, log.last_index) == (3, 3)

    def test_a_gap_after_the_snapshot_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="begins at 6"):
            RaftLog(meta(3, 2), entries(2, first=6))

    def test_a_slice_is_bounded_but_never_empty(self) -> None:
        log = RaftLog(None, entries(1, 1, 1, 1))
        size = len(log.entry(1).line)
        assert len(log.slice(2, 100, 10_000)) == 3
        assert len(log.slice(2, 2, 10_000)) == 2
        assert len(log.slice(1, 100, size * 3)) == 3
        assert len(log.slice(1, 100, size * 3 - 1)) == 2
        assert len(log.slice(1, 100, 1)) == 1
        assert log.slice(5, 100, 1) == []

    @pytest.mark.parametrize(
        ("index", "term", "found"),
        [(6, 4, (6, 4)), (9, 4, (6, 4)), (6, 3, (4, 2)), (3, 2, (3, 2)), (6, 1, (2, 1))],
    )
    def test_the_last_possible_match_skips_whole_terms(
        self, index: int, term: int, found: tuple[int, int]
    ) -> None:
        log = RaftLog(None, entries(1, 1, 2, 2, 4, 4))
        assert log.last_possible_match(index, term) == found

    def test_the_last_possible_match_ends_at_the_base(self) -> None:
        log = RaftLog(meta(3, 2), entries(4, first=4))
        assert log.last_possible_match(4, 3) == (3, 2)
        assert log.last_possible_match(1, 1) == (3, 2)

    def test_compaction_keeps_indices_and_terms(self) -> None:
        log = RaftLog(None, entries(1, 1, 2, 2))
        log.compact(3)
        log.compact(2)
        assert (log.base_index, log.base_term, log.base_time_ms) == (3, 2, 30)
        assert [log.term_at(i) for i in (2, 3, 4)] == [None, 2, 2]
        with pytest.raises(IndexError):
            log.entry(3)

    def test_gaps_and_truncation_of_the_base_are_bugs(self) -> None:
        log = RaftLog(meta(3, 2), entries(2, first=4))
        with pytest.raises(AssertionError):
            log.append(entries(2, first=6))
        with pytest.raises(AssertionError):
            log.truncate_from(3)


class TestProgress:
    def replicating(self) -> Progress:
        progress = Progress(next_index=5, heard_ms=0)
        progress.accepted(4)
        assert (progress.state, progress.next_index) == (ProgressState.REPLICATE, 5)
        return progress

    def test_a_probe_goes_out_once(self) -> None:
        progress = Progress(next_index=5, heard_ms=0)
        assert progress.may_append(9, 10)
        progress.appended(9)
        assert not progress.may_append(9, 10)

    def test_acknowledgements_free_the_window_in_order(self) -> None:
        progress = self.replicating()
        for last in (6, 8, 10):
            progress.appended(last)
        assert not progress.may_append(20, 3)
        assert progress.accepted(8)
        assert list(progress.inflight) == [10]
        assert not progress.accepted(6)
        assert progress.match_index == 8

    def test_patience_is_counted_in_heartbeats(self) -> None:
        progress = self.replicating()
        assert [progress.heartbeat_sent() for _ in range(5)] == [False] * 5
        progress.appended(6)
        assert [progress.heartbeat_sent() for _ in range(3)] == [False, False, True]
        assert (progress.state, progress.next_index) == (ProgressState.PROBE, 5)

    def test_a_probe_never_goes_below_what_is_acknowledged(self) -> None:
        progress = self.replicating()
        progress.probe(next_index=2)
        assert progress.next_index == 5

    def test_silence_begins_after_the_timeout_and_ends_with_a_word(self) -> None:
        progress = Progress(next_index=1, heard_ms=100)
        assert not progress.is_silent(399, 300)
        assert progress.is_silent(400, 300)
        progress.heard = True
        assert not progress.is_silent(400, 300)


class TestMembershipHistory:
    def history(self) -> MembershipHistory:
        log = log_of(membership("ab"), [1])
        log += [config_entry(membership("ab", "c"), 3), config_entry(membership("abc"), 4)]
        return MembershipHistory(None, log)

    def test_the_newest_is_in_force_and_the_older_are_remembered(self) -> None:
        history = self.history()
        assert (history.index, history.membership) == (4, membership("abc"))
        assert history.at(3) == membership("ab", "c")
        assert history.at(2) == membership("ab")
        assert len(history.at(0)) == 0

    def test_truncation_takes_back(self) -> None:
        history = self.history()
        history.truncate_from(4)
        assert (history.index, history.membership) == (3, membership("ab", "c"))
        history.truncate_from(1)
        assert len(history.membership) == 0

    def test_compaction_keeps_what_is_in_force_at_the_snapshot(self) -> None:
        history = self.history()
        history.compact(3)
        assert history.at(3) == membership("ab", "c")
        with pytest.raises(IndexError):
            history.at(2)

    def test_a_node_whose_removal_may_be_taken_back_may_campaign(self) -> None:
        history = self.history()
        history.append([config_entry(membership("bc"), 5)])
        a = node_id("a")
        assert history.may_campaign(a, commit_index=4)
        assert not history.may_campaign(a, commit_index=5)
        assert not history.may_campaign(node_id("x"), commit_index=0)
