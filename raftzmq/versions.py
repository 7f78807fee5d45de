"""The cluster version, and since which one each form exists that nodes share: the one table.

All nodes of a cluster must understand what is in its log, in its snapshots and in the messages
between its nodes. So the cluster has a version, a number in the replicated state. A node uses a
form only while that number is not below the version since which the form exists. It is raised when
all members speak a higher one (node/upgrades.py).

To add a form, write it into the table under the highest version. tests/upgrade/test_table.py finds
whatever is missing. Where the form is used, ask first:

    if node.upgrades.allows("operation note/1"):     # what a leader proposes
    if state.version >= since("record origin/2"):    # what the state does at an entry

What lies in the log or in a snapshot needs the question, and so does a new kind of message. A new
field of a message does not, if it has a default: it is left out while it has that, and a build that
does not know it ignores it.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Spoken(NamedTuple):
    """The cluster versions that a build speaks: both ends and all between."""

    lowest: int
    highest: int

    def __contains__(self, version: object) -> bool:
        return type(version) is int and self.lowest <= version <= self.highest

    def __str__(self) -> str:
        low, high = self
        return f"cluster version {low}" if low == high else f"cluster versions {low} to {high}"


FIRST: Final = Spoken(1, 1)
"""What a node speaks that does not say what it speaks."""

SPOKEN: Final = Spoken(1, 2)
"""What this build speaks."""

# Each line: a family, then the names of forms. An operation is named with how many arguments it has
# in the log, a record with the length of its list in machine/snapshots.py. "branch": operations in
# a transaction; "fenced": those behind a fence; "field": of a message; "file": in a data directory.
_FORMS: Final[dict[int, tuple[str, ...]]] = {
    1: (
        "entry command commands config noop",
        "operation acquire/7 cancel/3 cas/3 close/0 cluster_version/2 delete/1 delete_first/2",
        "operation delete_prefix/1 delete_prefix/2 expire/0 expire/1 fenced/2 forget/2",
        "operation lease_grant/1 lease_grant/2 lease_keep/1 lease_revoke/1 lease_revoke/2",
        "operation open/0 open/1 put/2 put_leased/3 put_ttl/3 release/3 resize/2 signal/2",
        "operation txn/3 txn/4",
        "branch delete delete_prefix get prefix put range",
        "fenced cas delete delete_first delete_prefix put put_leased put_ttl txn",
        "record bond/3 ending/2 key/4 lease/5 machine/5 place/8 queue/4 result/4 session/4",
        "record swept/2 version/4",
        "message AppendAccepted AppendEntries AppendRejected Heartbeat HeartbeatReply Hello",
        "message LogRegressed Message PreVoteReply PreVoteRequest SnapshotChunk SnapshotReply",
        "message TimeoutNow VoteReply VoteRequest Welcome",
        "field AppendAccepted.match_index AppendAccepted.round AppendEntries.commit_index",
        "field AppendEntries.entries AppendEntries.prev_index AppendEntries.prev_term",
        "field AppendEntries.round AppendRejected.hint_index AppendRejected.hint_term",
        "field AppendRejected.last_index AppendRejected.nonce AppendRejected.prev_index",
        "field AppendRejected.round Heartbeat.commit_index Heartbeat.round",
        "field HeartbeatReply.highest_version HeartbeatReply.lowest_version HeartbeatReply.round",
        "field Hello.address Hello.cluster Hello.nonce Hello.sender Hello.spoken",
        "field LogRegressed.acknowledged_index LogRegressed.nonce Message.sender Message.term",
        "field Message.to PreVoteReply.granted PreVoteReply.next_term PreVoteRequest.last_index",
        "field PreVoteRequest.last_term PreVoteRequest.next_term SnapshotChunk.data",
        "field SnapshotChunk.done SnapshotChunk.offset SnapshotChunk.snapshot_index",
        "field SnapshotChunk.snapshot_term SnapshotReply.next_offset SnapshotReply.snapshot_index",
        "field VoteReply.granted VoteRequest.last_index VoteRequest.last_term",
        "field VoteRequest.transfer Welcome.address Welcome.cluster Welcome.leader",
        "field Welcome.members Welcome.nonce Welcome.reason Welcome.sender Welcome.term",
        "field Welcome.to Welcome.version",
        "file format/1 hard_state.term hard_state.vote header.format header.index",
        "file header.membership header.term header.time_ms identity.cluster identity.format",
        "file identity.incarnation identity.node lock log machine/2 node.json snapshots",
        "file founding.json stale.json state.json",
    ),
    2: (
        "field Heartbeat.leader_commit_index Heartbeat.unheard",
        "field HeartbeatReply.program HeartbeatReply.program_version",
        "operation call/3 incr/3 proclaim/3 program/2 put_if/4",
        "branch incr put_if",
        "fenced incr put_if",
        "record key/5 program/4",
    ),
}

SINCE: Final[dict[str, int]] = {
    f"{family} {name}": version
    for version, lines in _FORMS.items()
    for family, *names in map(str.split, lines)
    for name in names
}
"""A form, such as "operation put/2", and the cluster version since which it exists."""


def since(form: str) -> int:
    """The cluster version since which a form exists. Raises KeyError for one that is not in the
    table.

    >>> since("entry noop")
    1
    """
    return SINCE[form]


def later_than(version: int, family: str) -> frozenset[str]:
    """The names of a family's forms that a cluster of that version does not have yet.

    >>> later_than(1, "entry")
    frozenset()
    """
    return frozenset(
        form.removeprefix(f"{family} ")
        for form, first in SINCE.items()
        if first > version and form.startswith(f"{family} ")
    )
