"""Log replication and commitment (thesis 3.5, 3.6), heartbeats, check-quorum (thesis 6.2).

Followers learn that the commit index has moved from the next append: under load one leaves every
turn. If none does for Config.commit_notice_ms, a heartbeat tells them, for whoever reads from a
follower or watches there.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Final

from raftzmq.core import changes, clock, snapshots, transfer
from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    LogRegressed,
)
from raftzmq.core.progress import PATIENCE_HEARTBEATS, Progress, ProgressState
from raftzmq.core.quorum import reached_by_majority
from raftzmq.core.state import CONTRADICTION, Handlers, RaftState
from raftzmq.versions import Spoken

_heard_ms_of = attrgetter("heard_ms")
_match_index_of = attrgetter("match_index")
_round_of = attrgetter("round")

# The leader.


def tick(raft: RaftState) -> None:
    """Step down if a majority is out of reach, or if that could not be noticed; send heartbeats
    when they are due."""
    for progress in raft.progress.values():
        if progress.heard:
            progress.heard = False
            progress.heard_ms = raft.now_ms
    heard_ms = _majority_of(raft, raft.now_ms, _heard_ms_of)
    silent = raft.now_ms - heard_ms >= 2 * raft.config.election_timeout_ms
    if silent or clock.stands_still(raft):
        raft.become_follower(raft.term, None)
        return
    transfer.tick(raft)
    if raft.now_ms >= raft.heartbeat_deadline_ms:
        raft.heartbeat_deadline_ms = raft.now_ms + raft.config.heartbeat_ms
        _send_heartbeats(raft)
        for progress in raft.progress.values():
            if progress.heartbeat_sent():
                raft.must_replicate = True
        if raft.handover is not None:  # the word may have been lost
            transfer.caught_up(raft, raft.handover.target)
    elif raft.notice_deadline_ms is not None and raft.now_ms >= raft.notice_deadline_ms:
        _send_heartbeats(raft)


def send(raft: RaftState) -> None:
    """At a ready(): begin a ReadIndex round if reads wait, and send what followers are due."""
    begins_round = raft.reads.waiting and raft.term_committed
    if begins_round:
        raft.reads.begin_round(raft.commit_index)
    served = _send_appends(raft) if raft.must_replicate else frozenset()
    if begins_round:
        # An append carries the round as well as a heartbeat does.
        for voter in sorted(raft.memberships.voters - served - {raft.id}):
            _send_heartbeat(raft, voter, raft.progress[voter])
        _confirm_reads(raft)


def _send_heartbeats(raft: RaftState) -> None:
    raft.notice_deadline_ms = None
    for node, progress in raft.progress.items():
        _send_heartbeat(raft, node, progress)


def _send_heartbeat(raft: RaftState, node: NodeId, progress: Progress) -> None:
    committed = raft.commit_index
    commit_index = min(committed, progress.match_index)
    beyond = committed if committed > commit_index else 0
    unheard = progress.is_silent(raft.now_ms, raft.config.election_timeout_ms)
    told = (commit_index, raft.reads.round, beyond, unheard)
    raft.send(Heartbeat(raft.id, node, raft.term, *told))


def _send_appends(raft: RaftState) -> frozenset[NodeId]:
    """Send to each follower all that its window lets through; return who got any append.

    Followers that are equally far get the same tuple of entries, which lets the transport encode
    it once.
    """
    raft.must_replicate = False
    config, last_index = raft.config, raft.log.last_index
    slices: dict[int, tuple[Entry, ...]] = {}
    served = set()
    for node, progress in raft.progress.items():
        if progress.is_silent(raft.now_ms, config.election_timeout_ms):
            continue
        while progress.may_append(last_index, config.max_inflight):
            first = progress.next_index
            prev_term = raft.log.term_at(first - 1)
            if prev_term is None:
                snapshots.begin(raft, progress)
                break
            entries = slices.get(first)
            if entries is None:
                most, most_bytes = config.max_append_entries, config.max_append_bytes
                entries = slices[first] = tuple(raft.log.slice(first, most, most_bytes))
            raft.send(
                AppendEntries(
                    raft.id,
                    node,
                    raft.term,
                    first - 1,
                    prev_term,
                    raft.commit_index,
                    raft.reads.round,
                    entries,
                )
            )
            progress.appended(first - 1 + len(entries))
            served.add(node)
        if progress.state is ProgressState.SNAPSHOT:
            snapshots.send_chunk(raft, node, progress)
    if len(served) == len(raft.progress):
        raft.notice_deadline_ms = None  # they have the commit index with it
    return frozenset(served)


def advance_commit(raft: RaftState) -> None:
    """Commit what a majority has stored, if its last entry is of this term.

    Entries of earlier terms are committed with it, never by counting (thesis 3.6.2, figure 3.7).
    """
    index = _majority_of(raft, raft.stable_index, _match_index_of)
    if index > raft.commit_index and raft.log.term_at(index) == raft.term:
        raft.commit_index = index
        if raft.notice_deadline_ms is None:
            raft.notice_deadline_ms = raft.now_ms + raft.config.commit_notice_ms
        changes.after_commit(raft)


def stored_elsewhere(raft: RaftState) -> int:
    """LEADER: how far a majority has the log on disk even without this node."""
    return _majority_of(raft, 0, _match_index_of)


def unreachable(raft: RaftState, node: NodeId) -> None:
    """A message to `node` could not be sent, or its snapshot's file is gone: what was in flight
    counts as lost. The next heartbeat, not sooner, is the time to try again: from what it has
    acknowledged, or with the newest snapshot."""
    progress = raft.progress.get(node)
    if progress is None:
        return
    if progress.state is ProgressState.SNAPSHOT:
        snapshots.begin_newer(raft, progress)
        progress.chunk_sent = True
    else:
        if progress.state is ProgressState.REPLICATE:
            progress.probe()
        progress.probe_sent = True
    progress.waited = PATIENCE_HEARTBEATS


def _majority_of(raft: RaftState, own: int, of: Callable[[Progress], int]) -> int:
    """What a majority of voters has reached. A leader that is removing itself does not count
    itself (thesis 4.2.2)."""
    me, progress = raft.id, raft.progress
    return reached_by_majority(
        [own if voter == me else of(progress[voter]) for voter in raft.memberships.voters]
    )


def count_anew(raft: RaftState) -> None:
    """The membership has changed, and so has what is a majority of it: what had waited for one
    answer more may have enough. Check-quorum and elections count anew each time by themselves."""
    advance_commit(raft)
    _confirm_reads(raft)


def _confirm_reads(raft: RaftState) -> None:
    if raft.reads.unconfirmed is not None:
        raft.reads.confirm(_majority_of(raft, raft.reads.round, _round_of))


def _hear_follower(
    raft: RaftState, message: AppendAccepted | AppendRejected | HeartbeatReply
) -> Progress | None:
    """Note a sign of life and the ReadIndex round it repeats; None when this node leads no more."""
    progress = raft.progress.get(message.sender)
    if progress is None:
        raft.dropped["not a leader"] += 1
        return None
    if message.round > raft.reads.round:
        raft.dropped["answers what was never asked"] += 1
        return None
    if not progress.heard:
        if progress.is_silent(raft.now_ms, raft.config.election_timeout_ms):
            progress.resend()  # back from the dead: nothing that was sent before is on its way
            raft.must_replicate = True
        progress.heard = True
    if message.round > progress.round:
        progress.round = message.round
        _confirm_reads(raft)
    return progress


def _handle_heartbeat_reply(raft: RaftState, message: HeartbeatReply) -> None:
    progress = _hear_follower(raft, message)
    if progress is not None:
        progress.spoken = Spoken(message.lowest_version, message.highest_version)
        progress.program = (message.program, message.program_version)


def _handle_accepted(raft: RaftState, message: AppendAccepted) -> None:
    index = message.match_index
    if index > raft.log.last_index:
        raft.dropped["acknowledges what was never sent"] += 1
        return
    progress = _hear_follower(raft, message)
    if progress is None:
        return
    if (
        progress.state is ProgressState.SNAPSHOT
        and index < progress.snapshot_index
        and raft.log.term_at(index) is None
    ):
        return  # an old answer, not far enough to go on from: the snapshot is still needed
    raft.must_replicate = True
    if progress.accepted(index):
        transfer.caught_up(raft, message.sender)
        advance_commit(raft)


def _handle_rejected(raft: RaftState, message: AppendRejected) -> None:
    progress = _hear_follower(raft, message)
    if progress is None:
        return
    if message.last_index < progress.match_index:
        # Either an old message, or the follower has lost what it acknowledged. It can tell.
        index, nonce = progress.match_index, message.nonce
        raft.send(LogRegressed(raft.id, message.sender, raft.term, index, nonce))
        return
    probed = progress.next_index - 1
    if (
        not progress.match_index < message.prev_index <= raft.log.last_index
        or progress.state is ProgressState.SNAPSHOT
        or (progress.state is ProgressState.PROBE and message.prev_index != probed)
    ):
        raft.dropped["an old rejection"] += 1
        return
    index, _ = raft.log.last_possible_match(message.hint_index, message.hint_term)
    index = min(index, message.hint_index)  # what is compacted here may lie above the hint
    progress.probe(next_index=min(index + 1, message.prev_index))
    raft.must_replicate = True


# The follower.


def _handle_append(raft: RaftState, message: AppendEntries) -> None:
    prev_index, entries, log = message.prev_index, message.entries, raft.log
    raft.leader_commit_index = max(raft.leader_commit_index, message.commit_index)
    last_new = prev_index + len(entries)
    if prev_index < log.base_index:
        # What is compacted is committed, so every leader's log has it (thesis 3.4): pass over it.
        compacted = entries[: log.base_index - prev_index]
        assert all(log.term_at(e.index) in (None, e.term) for e in compacted), CONTRADICTION
        entries = entries[len(compacted) :]
        prev_index = log.base_index
    elif log.term_at(prev_index) != message.prev_term:
        assert prev_index > raft.commit_index, CONTRADICTION
        _reject(raft, message)
        return
    _append_new(raft, prev_index, entries)
    raft.commit_index = max(raft.commit_index, min(message.commit_index, last_new))
    raft.send_after_save(
        AppendAccepted(raft.id, message.sender, raft.term, last_new, message.round)
    )


def _append_new(raft: RaftState, prev_index: int, entries: tuple[Entry, ...]) -> None:
    """Store `entries`, which follow the agreed `prev_index`, removing only what conflicts.

    An append that arrives late may hold less than the log does. What lies beyond it stays: it
    may already be acknowledged (thesis 3.5).
    """
    log = raft.log
    overlap = min(len(entries), log.last_index - prev_index)
    if overlap > 0:
        last = entries[overlap - 1]
        if log.term_at(last.index) == last.term:
            entries = entries[overlap:]  # Log Matching: then everything before it agrees too
        else:
            agreeing = 0
            while log.term_at(entries[agreeing].index) == entries[agreeing].term:
                agreeing += 1
            entries = entries[agreeing:]
            raft.truncate_from(entries[0].index)
    raft.append(entries)


def _reject(raft: RaftState, message: AppendEntries) -> None:
    hint = raft.log.last_possible_match(message.prev_index, message.prev_term)
    raft.send(
        AppendRejected(
            raft.id,
            message.sender,
            raft.term,
            message.prev_index,
            *hint,
            raft.log.last_index,
            message.round,
            raft.nonce,
        )
    )


def _handle_heartbeat(raft: RaftState, message: Heartbeat) -> None:
    raft.unheard = message.unheard
    raft.leader_commit_index = max(raft.leader_commit_index, message.leader_commit_index)
    if message.commit_index > raft.log.last_index:
        # The leader only says so of what this node acknowledged in this term.
        _ask_about_loss(raft, message.sender)
        return
    raft.commit_index = max(raft.commit_index, message.commit_index)
    told = (*raft.config.spoken, *raft.config.program)
    raft.send(HeartbeatReply(raft.id, message.sender, raft.term, message.round, *told))


def _ask_about_loss(raft: RaftState, leader: NodeId) -> None:
    """If the leader did say that this node has lost entries, let it say so again, as an answer.

    Until then this node does not vote, but not for long, and only once in a term: the leader may
    have gone, or have said nothing of the kind.
    """
    if raft.doubted_term != raft.term:
        raft.doubted_term = raft.term
        raft.doubt_ends_ms = raft.now_ms + 2 * raft.config.election_timeout_ms
    last_index = raft.log.last_index
    raft.send(AppendRejected(raft.id, leader, raft.term, 0, 0, 0, last_index, 0, raft.nonce))


def _handle_log_regressed(raft: RaftState, message: LogRegressed) -> None:
    """This node has lost entries that it acknowledged. Its log may now lack what is committed, so
    its vote could elect a leader that lacks it too: it is never given again."""
    if message.nonce != raft.nonce:
        raft.dropped["answers what was never asked"] += 1
        return
    # In this term an acknowledged entry is never truncated: if it is here, the leader went by an
    # old rejection.
    if message.acknowledged_index > raft.log.last_index:
        raft.regressed = max(raft.regressed or 0, message.acknowledged_index)


HANDLERS: Final[Handlers] = {
    AppendEntries: _handle_append,
    AppendAccepted: _handle_accepted,
    AppendRejected: _handle_rejected,
    Heartbeat: _handle_heartbeat,
    HeartbeatReply: _handle_heartbeat_reply,
    LogRegressed: _handle_log_regressed,
}
