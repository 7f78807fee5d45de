"""What nodes say to one another. One class a message, each field with one meaning.

Names follow Ongaro's thesis where it has one. Every message names its addressee's incarnation
too: a node that lost its disk must not receive what was meant for its predecessor. A field with a
default is one that older builds neither send nor know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.versions import FIRST


@dataclass(frozen=True, slots=True)
class Message:
    """`term` is the sender's current term when it spoke."""

    sender: NodeId
    to: NodeId
    term: int


@dataclass(frozen=True, slots=True)
class PreVoteRequest(Message):
    """Would you vote for me in `next_term`? Changes nobody's term (thesis 9.6)."""

    next_term: int
    last_index: int
    last_term: int


@dataclass(frozen=True, slots=True)
class PreVoteReply(Message):
    """`next_term` repeats the request's."""

    next_term: int
    granted: bool


@dataclass(frozen=True, slots=True)
class VoteRequest(Message):
    """RequestVote (thesis 3.4). `transfer`: the old leader asked for this election, so the
    receiver need not protect it (thesis 3.10)."""

    last_index: int
    last_term: int
    transfer: bool


@dataclass(frozen=True, slots=True)
class VoteReply(Message):
    granted: bool


@dataclass(frozen=True, slots=True)
class AppendEntries(Message):
    """Entries that follow `prev_index` (thesis 3.5). `round` is the leader's newest ReadIndex
    round: an answer that repeats it proves that the sender led when that round began."""

    prev_index: int
    prev_term: int
    commit_index: int
    round: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class AppendAccepted(Message):
    """The sender's log equals the leader's up to `match_index`, durably: the request's
    prev_index plus its number of entries, never the sender's own last index."""

    match_index: int
    round: int


@dataclass(frozen=True, slots=True)
class AppendRejected(Message):
    """The entry at `prev_index` was missing or of another term. `hint_index` and `hint_term`
    name the last entry of the sender that could still agree (thesis 3.5, accelerated);
    `last_index` is the sender's own, and only LogRegressed repeats its `nonce`. With `prev_index`
    0, where every log agrees, it only asks whether that is less than it acknowledged."""

    prev_index: int
    hint_index: int
    hint_term: int
    last_index: int
    round: int
    nonce: int


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """`commit_index` never exceeds what the receiver is known to have. `leader_commit_index` says
    how far entries are committed if that is further, and is 0 otherwise. `unheard`: nothing has
    come from the receiver for an election timeout."""

    commit_index: int
    round: int
    leader_commit_index: int = 0
    unheard: bool = False


@dataclass(frozen=True, slots=True)
class HeartbeatReply(Message):
    """`lowest_version` and `highest_version` are the cluster versions that the sender speaks.
    `program` says which state machine of users' own it has, by a number made of its name, and
    `program_version` which version of that; 0: none."""

    round: int
    lowest_version: int = FIRST.lowest
    highest_version: int = FIRST.highest
    program: int = 0
    program_version: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotChunk(Message):
    """Bytes of a snapshot file from `offset` on. The file is named by its receiver, from
    `snapshot_index` and `snapshot_term`."""

    snapshot_index: int
    snapshot_term: int
    offset: int
    data: bytes
    done: bool


@dataclass(frozen=True, slots=True)
class SnapshotReply(Message):
    """`next_offset` is where the next chunk must begin; 0 starts over. When the snapshot is
    installed the answer is AppendAccepted instead."""

    snapshot_index: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class TimeoutNow(Message):
    """Start an election at once: the leader hands over (thesis 3.10)."""


@dataclass(frozen=True, slots=True)
class LogRegressed(Message):
    """The receiver acknowledged entries up to `acknowledged_index` in this term and has lost
    them since: its directory is stale and it must not vote on the strength of it. Answers the
    AppendRejected whose `nonce` it repeats: nobody else knows that."""

    acknowledged_index: int
    nonce: int


VOTE_REQUESTS: Final = frozenset({PreVoteRequest, VoteRequest})
REPLIES: Final = frozenset(
    {PreVoteReply, VoteReply, AppendAccepted, AppendRejected, HeartbeatReply, SnapshotReply}
)
FROM_LEADER: Final = frozenset({AppendEntries, Heartbeat, SnapshotChunk, TimeoutNow, LogRegressed})
"""Only a leader sends these, so they tell who leads their term."""
