"""Bugs of consensus and storage, as they happen in real life, in the least code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from raftzmq.core import changes, election, relief, replication, snapshots, terms
from raftzmq.core.history import MembershipHistory
from raftzmq.core.messages import VOTE_REQUESTS, AppendAccepted, Heartbeat, VoteReply
from raftzmq.core.progress import Progress, ProgressState
from raftzmq.core.raft import Raft
from raftzmq.core.reads import Reads
from raftzmq.core.role import Role
from raftzmq.node import Node
from raftzmq.storage import Storage
from raftzmq.storage import log as log_module
from raftzmq.storage.log import Log
from raftzmq.storage.segments import Segment, segment_path
from raftzmq.storage.snapshot_files import SnapshotFile
from tests.planted.defect import Defect

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from raftzmq.core.membership import Membership
    from raftzmq.core.messages import Message
    from raftzmq.core.ready import Ready, SnapshotMeta
    from raftzmq.storage.files import Files
    from raftzmq.storage.segments import LoadedLog

# What a node promises, and when.


def vote_before_it_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Raft.ready

    def ready(raft: Raft) -> Ready:
        result = take(raft)
        votes = [m for m in result.messages_after_save if isinstance(m, VoteReply)]
        result.messages += votes
        result.messages_after_save = [m for m in result.messages_after_save if m not in votes]
        return result

    monkeypatch.setattr(Raft, "ready", ready)


def append_before_it_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    after_save = Raft.send_after_save

    def send(raft: Raft, message: Message) -> None:
        (Raft.send if isinstance(message, AppendAccepted) else after_save)(raft, message)

    monkeypatch.setattr(Raft, "send_after_save", send)


def segment_without_a_durable_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def rotate(log: Log) -> Segment:
        first = log.last_index + 1
        segment = Segment(segment_path(log._directory, first), first)
        log._file.close()
        log._file = log._files.create(segment.path)
        log._segments.append(segment)
        return segment

    monkeypatch.setattr(Log, "_rotate", rotate)


def cache_believed_after_a_failed_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(files: Files, directory: Path, loaded: LoadedLog) -> None:
        files.append(loaded.segments[-1].path).sync()
        files.sync_dir(directory)

    monkeypatch.setattr(log_module, "_make_durable", sync)


def applied_before_the_log_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Raft.ready

    def ready(raft: Raft) -> Ready:
        stable, raft.stable_index = raft.stable_index, raft.commit_index
        result = take(raft)
        raft.stable_index = stable
        return result

    def applied(raft: Raft, index: int) -> None:
        raft.applied_index = index

    monkeypatch.setattr(Raft, "ready", ready)
    monkeypatch.setattr(Raft, "applied", applied)


def applied_ahead_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot moves the indices, and its state is forgotten."""
    restore = Node.restore_machine

    def restore_machine(node: Node, meta: SnapshotMeta) -> None:
        if not hasattr(node, "raft"):  # at a start, where it was thought of
            restore(node, meta)

    monkeypatch.setattr(Node, "restore_machine", restore_machine)


# What is committed, and with whom.


def old_term_committed_by_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    def advance(raft: Raft) -> None:
        index = replication._majority_of(raft, raft.stable_index, lambda p: p.match_index)
        if index > raft.commit_index:
            raft.commit_index = index
            changes.after_commit(raft)

    monkeypatch.setattr(replication, "advance_commit", advance)


def change_before_the_no_op(monkeypatch: pytest.MonkeyPatch) -> None:
    why_not = changes._why_not

    def unless(raft: Raft, new: Membership) -> str | None:
        start, raft.term_start_index = raft.term_start_index, 0
        reason = why_not(raft, new)
        raft.term_start_index = start
        return reason

    def settled(node: Node) -> bool:
        raft = node.raft
        return (
            raft.role is Role.LEADER
            and raft.membership_index <= raft.commit_index
            and raft.transferring_to is None
        )

    monkeypatch.setattr(changes, "_why_not", unless)
    monkeypatch.setattr(Node, "membership_settled", property(settled))


def change_not_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MembershipHistory, "truncate_from", lambda _history, _index: None)


# Who leads.


def deposed_leader_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of an earlier term are dropped, all of them, without a word."""

    def admit_earlier(raft: Raft, message: Message) -> bool:
        return type(message) in VOTE_REQUESTS

    monkeypatch.setattr(terms, "_admit_earlier", admit_earlier)


# Snapshots.


def conflicting_suffix_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies after the snapshot is kept, whatever it follows."""
    install = snapshots._install

    def keeping(raft: Raft, meta: SnapshotMeta) -> None:
        term = raft.log.term_at(meta.index)
        install(raft, meta if term is None else replace(meta, term=term))
        raft.snapshot_meta = meta
        raft.log.base_term = meta.term

    def agrees(storage: Storage, meta: SnapshotMeta) -> bool:
        return storage.log.term_at(meta.index) is not None

    monkeypatch.setattr(snapshots, "_install", keeping)
    monkeypatch.setattr(Storage, "_log_agrees", agrees)


def log_deleted_before_the_snapshot_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SnapshotFile, "sync", lambda _file: None)


# Reads.


def read_without_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Reads.begin_round

    def begin_round(reads: Reads, commit_index: int) -> None:
        begin(reads, commit_index)
        reads.confirm(reads.round)

    monkeypatch.setattr(Reads, "begin_round", begin_round)


def round_of_an_earlier_read(monkeypatch: pytest.MonkeyPatch) -> None:
    add = Reads.add

    def join(reads: Reads, context: object) -> None:
        if reads._rounds:
            reads._rounds[-1].contexts.append(context)
        else:
            add(reads, context)

    monkeypatch.setattr(Reads, "add", join)


def index_of_an_earlier_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that has committed nothing yet takes the index it knew as a follower."""
    monkeypatch.setattr(Raft, "term_committed", property(lambda raft: raft.role is Role.LEADER))


# Messages that are thought to arrive.


def appends_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "heartbeat_sent", lambda _progress: False)
    monkeypatch.setattr(Progress, "resend", lambda _progress: None)


def votes_are_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tick = election.tick

    def waiting(raft: Raft) -> None:
        if raft.heard_leader or raft.role is Role.FOLLOWER:
            tick(raft)

    monkeypatch.setattr(election, "tick", waiting)


def chunks_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, resend = Progress.heartbeat_sent, Progress.resend

    def heartbeat_sent(progress: Progress) -> bool:
        return progress.state is not ProgressState.SNAPSHOT and sent(progress)

    def again(progress: Progress) -> None:
        if progress.state is not ProgressState.SNAPSHOT:
            resend(progress)

    monkeypatch.setattr(Progress, "heartbeat_sent", heartbeat_sent)
    monkeypatch.setattr(Progress, "resend", again)


def leads_on_with_a_bad_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relief, "tick", lambda _raft: None)


_CALM: Final = "of calm|calm, and yet"
_STALE: Final = "older than what had been told"


def lets_the_unheard_believe_that_they_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Raft.send

    def say_nothing_of_it(raft: Raft, message: Message) -> None:
        send(raft, replace(message, unheard=False) if isinstance(message, Heartbeat) else message)

    monkeypatch.setattr(Raft, "send", say_nothing_of_it)


DEFECTS: Final = (
    Defect(
        1,
        "a vote is sent before it is durable",
        vote_before_it_is_durable,
        "(votes for|tells of term) .*durable is",
        20,
    ),
    Defect(
        2,
        "an append is acknowledged before its fsync",
        append_before_it_is_durable,
        "acknowledges entry .* its disk would hold",
        20,
        half="a",
    ),
    Defect(
        2,
        "the directory of a new log segment is not fsynced",
        segment_without_a_durable_name,
        "durable|disk would hold",
        20,
        half="b",
    ),
    Defect(
        2,
        "a restart believes what a failed fsync left in the cache",
        cache_believed_after_a_failed_fsync,
        "durable|disk would hold",
        150,
        half="c",
    ),
    Defect(
        5,
        "entries are applied before the node's own log has them",
        applied_before_the_log_is_durable,
        "applied entry .* before it is durable",
        300,
        half="a",
    ),
    Defect(
        5,
        "a received snapshot moves the applied index, and not the state",
        applied_ahead_of_the_state,
        "others got|different states",
        30,
        half="b",
    ),
    Defect(
        6,
        "an entry of an old term is committed by counting",
        old_term_committed_by_counting,
        "by counting",
        60,
    ),
    Defect(
        7,
        "the membership is changed before the term's no-op is committed",
        change_before_the_no_op,
        "changes the membership before it may",
        500,
        half="a",
        start=5017,
    ),
    Defect(
        7,
        "a membership change is not rolled back on truncation",
        change_not_rolled_back,
        "goes by the membership of entry|has a snapshot SnapshotMeta",
        300,
        half="b",
        start=5072,
    ),
    Defect(
        8,
        "pre-vote and check-quorum lock each other: a deposed leader is never told",
        deposed_leader_is_not_told,
        _CALM,
        150,
        start=5017,
    ),
    Defect(
        9,
        "an installed snapshot keeps a conflicting suffix",
        conflicting_suffix_kept,
        "it was written after one of term|refuses a directory that nothing has harmed",
        800,
        start=5058,
    ),
    Defect(
        10,
        "the log is deleted before the snapshot is durable",
        log_deleted_before_the_snapshot_is_durable,
        "deletes its log",
        20,
    ),
    Defect(
        11,
        "a deposed leader serves reads without a quorum round",
        read_without_a_round,
        _STALE,
        200,
        half="a",
    ),
    Defect(
        11,
        "a read joins the round of an earlier one, and takes its index",
        round_of_an_earlier_read,
        _STALE,
        200,
        half="b",
    ),
    Defect(
        11,
        "a new leader reads at the index of an earlier term",
        index_of_an_earlier_term,
        _STALE,
        200,
        half="c",
    ),
    Defect(
        18,
        "appends are assumed to arrive",
        appends_are_not_repeated,
        _CALM,
        100,
        half="a",
    ),
    Defect(
        18,
        "requests for votes are assumed to arrive",
        votes_are_not_asked_for_again,
        _CALM,
        50,
        half="b",
    ),
    Defect(
        18,
        "chunks of snapshots are assumed to arrive",
        chunks_are_not_repeated,
        _CALM,
        150,
        half="c",
        start=5040,
    ),
    Defect(
        27,
        "a leader whose disk alone is full, or slow, leads on",
        leads_on_with_a_bad_disk,
        "the leader( raft-[0-9]+)? has the only (full|bad) disk",
        200,
    ),
    Defect(
        31,
        "a follower whose messages are all lost is not told so",
        lets_the_unheard_believe_that_they_are_heard,
        "says that .* hears it, which has not heard it",
        60,
    ),
)
