"""What clients that take a snapshot and nodes say to one another, as JSON objects: PROTOCOL.md,
"Snapshots". client_wire.py makes frames of them and checks version and depth."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import WireError
from raftzmq.transport.frames import VERSION, is_cluster, is_count, is_name, is_text

TIME_CHARS: Final = 64
"""The longest time of day, which is text for people."""


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Begin a snapshot of a state that has the revision `start` of `cluster`, or a later one.
    `time` is the client's time of day: it goes into the header. The same again, with the same id,
    begins no other."""

    id: int
    cluster: str
    start: int
    time: str


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Ask for the bytes of a snapshot from `offset` on: those after the newest piece, or that piece
    again."""

    id: int
    snapshot: int
    offset: int


@dataclass(frozen=True, slots=True)
class NoteRequest:
    """Take note of a good backup: of its revision, and of the seconds since 1970 when it was
    taken. Answered by `done`."""

    id: int
    revision: int
    time_s: int


@dataclass(frozen=True, slots=True)
class SnapshotBegun:
    """The node holds the state at `revision`, which has so many `keys`, ready to be pulled under
    the number `snapshot`."""

    id: int
    snapshot: int
    node: str
    cluster: str
    revision: int
    keys: int


@dataclass(frozen=True, slots=True)
class SnapshotPiece:
    """Bytes of the file of a snapshot, from `offset` on; with `done` they are the last."""

    id: int
    offset: int
    data: bytes
    done: bool


SnapshotSays = SnapshotRequest | PullRequest | NoteRequest
SnapshotHears = SnapshotBegun | SnapshotPiece


def request_object(request: SnapshotSays) -> dict[str, Any]:
    """The JSON object of a request."""
    match request:
        case SnapshotRequest(ident, cluster, start, time):
            return {
                "v": VERSION,
                "type": "snapshot",
                "id": ident,
                "cluster": cluster,
                "from": start,
                "time": time,
            }
        case PullRequest(ident, snapshot, offset):
            return {
                "v": VERSION,
                "type": "snapshot_pull",
                "id": ident,
                "snapshot": snapshot,
                "offset": offset,
            }
        case NoteRequest(ident, revision, time_s):
            return {
                "v": VERSION,
                "type": "backup_note",
                "id": ident,
                "revision": revision,
                "time_s": time_s,
            }


def reply_object(reply: SnapshotHears) -> dict[str, Any]:
    """The JSON object of a reply."""
    match reply:
        case SnapshotBegun(ident, snapshot, node, cluster, revision, keys):
            return {
                "v": VERSION,
                "type": "snapshot_begun",
                "id": ident,
                "snapshot": snapshot,
                "node": node,
                "cluster": cluster,
                "revision": revision,
                "keys": keys,
            }
        case SnapshotPiece(ident, offset, data, done):
            return {
                "v": VERSION,
                "type": "snapshot_piece",
                "id": ident,
                "offset": offset,
                "data": b64encode(data).decode("ascii"),
                "done": done,
            }


def _snapshot(ident: int, header: dict[str, Any]) -> SnapshotRequest:
    cluster = header.get("cluster")
    start = header.get("from")
    time = header.get("time")
    if not (is_cluster(cluster) and is_count(start) and is_text(time, TIME_CHARS)):
        raise WireError("invalid", "cluster, from or time is wrong or missing", [ident])
    return SnapshotRequest(ident, cluster, start, time)


def _pull(ident: int, header: dict[str, Any]) -> PullRequest:
    snapshot = header.get("snapshot")
    offset = header.get("offset")
    if not (is_count(snapshot) and is_count(offset)):
        raise WireError("invalid", "snapshot or offset is no whole number", [ident])
    return PullRequest(ident, snapshot, offset)


def _note(ident: int, header: dict[str, Any]) -> NoteRequest:
    revision = header.get("revision")
    time_s = header.get("time_s")
    if not (is_count(revision) and is_count(time_s)):
        raise WireError("invalid", "revision or time_s is no whole number", [ident])
    return NoteRequest(ident, revision, time_s)


def _begun(ident: int, header: dict[str, Any]) -> SnapshotBegun:
    snapshot, node, cluster, revision, keys = (
        header.get(field) for field in ("snapshot", "node", "cluster", "revision", "keys")
    )
    if not (
        is_count(snapshot)
        and is_name(node)
        and is_cluster(cluster)
        and is_count(revision)
        and is_count(keys)
    ):
        raise WireError("form", "not the beginning of a snapshot")
    return SnapshotBegun(ident, snapshot, node, cluster, revision, keys)


def _piece(ident: int, header: dict[str, Any]) -> SnapshotPiece:
    offset = header.get("offset")
    text = header.get("data")
    done = header.get("done")
    if not (is_count(offset) and is_text(text, limits.FRAME_BYTES) and type(done) is bool):
        raise WireError("form", "not a piece of a snapshot")
    try:
        data = b64decode(text, validate=True)
    except (NotBase64, ValueError):
        raise WireError("form", "a piece of a snapshot that is no base64") from None
    return SnapshotPiece(ident, offset, data, done)


REQUESTS: Final[dict[str, Callable[[int, dict[str, Any]], SnapshotSays]]] = {
    "snapshot": _snapshot,
    "snapshot_pull": _pull,
    "backup_note": _note,
}

REPLIES: Final[dict[str, Callable[[int, dict[str, Any]], SnapshotHears]]] = {
    "snapshot_begun": _begun,
    "snapshot_piece": _piece,
}
