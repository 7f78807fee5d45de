"""What a snapshot is made of: the revision that it must have, its beginning, and its pieces. No
methods of a client: `handles/snapshot.py` puts them together."""

from __future__ import annotations

from typing import Final

from raftzmq import limits
from raftzmq.client.operations.arguments import NodeRequest, Operation, check_count, read
from raftzmq.transport.client_wire import Single
from raftzmq.transport.operator_wire import Done
from raftzmq.transport.snapshot_wire import (
    NoteRequest,
    PullRequest,
    SnapshotBegun,
    SnapshotPiece,
    SnapshotRequest,
)

NOTE_S: Final = 2.0
"""How long a node may take to note a backup."""


def newest(*, timeout: float) -> Operation[tuple[str, int]]:
    """The cluster, and the revision that a snapshot must have so that no write is missing which was
    answered before: that of a linearizable read, of nothing. It takes an admin, as snapshots do."""
    arguments = [limits.INDEX_MAX, 1]
    return read("leases", arguments, lambda answer: (answer.cluster, answer.revision), timeout)


def begin(
    endpoint: str, cluster: str, start: int, time: str, *, timeout: float
) -> NodeRequest[SnapshotBegun]:
    """Have the node at `endpoint` hold its state, once that has the revision `start`."""
    return NodeRequest(
        lambda ident: SnapshotRequest(ident, cluster, start, time),
        _begun,
        repeatable=True,
        to_leader=False,
        endpoint=endpoint,
        timeout_s=timeout,
    )


def pull(
    endpoint: str, snapshot: int, offset: int, *, timeout: float
) -> NodeRequest[SnapshotPiece]:
    """The piece of a snapshot that begins at `offset`."""
    return NodeRequest(
        lambda ident: PullRequest(ident, snapshot, offset),
        lambda reply: _piece(reply, offset),
        repeatable=True,
        to_leader=False,
        endpoint=endpoint,
        timeout_s=timeout,
    )


def note(endpoint: str, revision: int, time_s: int) -> NodeRequest[str]:
    """Tell the node at `endpoint` of a good backup."""
    check_count("revision", revision)
    check_count("time_s", time_s)
    return NodeRequest(
        lambda ident: NoteRequest(ident, revision, time_s),
        _message,
        repeatable=True,
        to_leader=False,
        endpoint=endpoint,
        timeout_s=NOTE_S,
    )


def _message(reply: Single) -> str:
    if not isinstance(reply, Done):
        raise TypeError("not a message")
    return reply.message


def _begun(reply: Single) -> SnapshotBegun:
    if not isinstance(reply, SnapshotBegun):
        raise TypeError("not the beginning of a snapshot")
    return reply


def _piece(reply: Single, offset: int) -> SnapshotPiece:
    if not (isinstance(reply, SnapshotPiece) and reply.offset == offset and reply.data):
        raise TypeError("not the piece that was asked for")
    return reply
