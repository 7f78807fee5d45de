"""What clients and nodes say to one another, as frames: PROTOCOL.md, "Between clients and nodes".

Both ends use this module, and it does not import zmq. It checks the shape of a message and of
the list of operations; what an operation's arguments must be, the state machine says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from raftzmq import limits
from raftzmq.errors import InvalidRequest, WireError
from raftzmq.transport import operator_wire, scan_wire, snapshot_wire, watch_wire
from raftzmq.transport.frames import (
    VERSION,
    check_depth,
    check_version,
    is_address,
    is_cluster,
    is_count,
    is_name,
    is_text,
    load_object,
    openers,
    too_deep,
)
from raftzmq.transport.operation_lists import (
    are_entries,
    are_operations,
    are_results,
    are_traces,
    ids_of,
    split_entries,
)
from raftzmq.transport.operator_wire import (
    Done,
    LogLevelRequest,
    MemberRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
    UpgradeRequest,
)
from raftzmq.transport.scan_wire import ScanEnd, ScanNext, ScanPage, ScanRequest
from raftzmq.transport.snapshot_wire import (
    NoteRequest,
    PullRequest,
    SnapshotBegun,
    SnapshotPiece,
    SnapshotRequest,
)
from raftzmq.transport.watch_wire import (
    Events,
    UnwatchRequest,
    Watching,
    WatchLost,
    WatchRequest,
)


@dataclass(frozen=True, slots=True)
class OperationsRequest:
    """Operations of one client. Each is `[id, name, ...arguments]`; for a write the id is its
    serial. Every write with a serial below `ack` has been answered. `stale` lets the node that
    is asked answer reads from what it has applied. `cluster` is the one that the session belongs
    to, because numbers of sessions mean nothing elsewhere; "" without a session. `traces` are
    `[id, traceparent]` of those operations that are traced."""

    session: int
    ack: int
    stale: bool
    ops: Sequence[Sequence[Any]]
    cluster: str = ""
    traces: Sequence[Sequence[Any]] = ()


Request = (
    OperationsRequest
    | StatusRequest
    | StopRequest
    | TransferRequest
    | MemberRequest
    | UpgradeRequest
    | LogLevelRequest
    | WatchRequest
    | UnwatchRequest
    | SnapshotRequest
    | PullRequest
    | NoteRequest
    | ScanRequest
    | ScanNext
    | ScanEnd
)


@dataclass(frozen=True, slots=True)
class Results:
    """Answers to operations, in any order. Each is `[id, code, revision, body]`. `leader` is the
    name of the leader, as `node` knows it in `term`, and `cluster` the id of the cluster.
    `entries` says `[index, count]`: so many results, in their order, are of the log entry at that
    index."""

    node: str
    term: int
    leader: str | None
    results: Sequence[Sequence[Any]]
    cluster: str = ""
    entries: Sequence[Sequence[int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The requests `ids` (None: the message could not be read) were not done, or were perhaps
    done; `code` says which. `address` is HOST:PORT of the leader's client port."""

    ids: Sequence[int] | None
    code: str
    message: str
    node: str
    term: int
    leader: str | None
    address: str | None


Single = StatusReply | Done | SnapshotBegun | SnapshotPiece | ScanPage
"""Replies that end the one request that they answer."""

Reply = Results | ErrorReply | Single | Watching | Events | WatchLost


def encode_request(request: Request) -> bytes:
    """Return the frame of a request. Raises InvalidRequest for what JSON cannot hold."""
    match request:
        case OperationsRequest():
            return _dump(_operations_object(request))
        case (
            StatusRequest()
            | StopRequest()
            | TransferRequest()
            | MemberRequest()
            | UpgradeRequest()
            | LogLevelRequest()
        ):
            return _dump(operator_wire.request_object(request))
        case WatchRequest() | UnwatchRequest():
            return _dump(watch_wire.request_object(request))
        case SnapshotRequest() | PullRequest() | NoteRequest():
            return _dump(snapshot_wire.request_object(request))
        case ScanRequest() | ScanNext() | ScanEnd():
            return _dump(scan_wire.request_object(request))


def _operations_object(request: OperationsRequest) -> dict[str, Any]:
    made = {
        "v": VERSION,
        "type": "operations",
        "cluster": request.cluster,
        "session": request.session,
        "ack": request.ack,
        "stale": request.stale,
        "ops": request.ops,
    }
    if request.traces:
        made["traces"] = request.traces
    return made


def encode_reply(reply: Reply) -> bytes:
    """Return the frame of a reply; `encode_results` is for results that may exceed a frame."""
    match reply:
        case Results(node, term, leader, results, cluster, entries):
            return _dump(
                {
                    "v": VERSION,
                    "type": "results",
                    "cluster": cluster,
                    "node": node,
                    "term": term,
                    "leader": leader,
                    "results": results,
                    "entries": entries,
                }
            )
        case ErrorReply(ids, code, message, node, term, leader, address):
            return _dump(
                {
                    "v": VERSION,
                    "type": "error",
                    "ids": ids,
                    "code": code,
                    "message": message,
                    "node": node,
                    "term": term,
                    "leader": leader,
                    "address": address,
                }
            )
        case StatusReply() | Done():
            return _dump(operator_wire.reply_object(reply))
        case Watching() | Events() | WatchLost():
            return _dump(watch_wire.reply_object(reply))
        case SnapshotBegun() | SnapshotPiece():
            return _dump(snapshot_wire.reply_object(reply))
        case ScanPage():
            return _dump(scan_wire.reply_object(reply))


def encode_results(reply: Results) -> list[bytes]:
    """Return the frames of messages, one each, that together carry the results.

    Usually one; more if one would be longer than a frame may be. A single result that is too long
    for any frame is answered as outcome_unknown, because it may be of a write that was done.
    """
    frame = encode_reply(reply)
    if len(frame) <= limits.FRAME_BYTES:
        return [frame]
    results = list(reply.results)
    if len(results) == 1:
        body = {"message": "the answer is longer than a message may be: ask for less at a time"}
        results = [[results[0][0], "outcome_unknown", results[0][2], body]]
        return [encode_reply(replace(reply, results=results))]
    half = len(results) // 2
    return [
        frame
        for part, entries in zip(
            (results[:half], results[half:]), split_entries(reply.entries, half), strict=True
        )
        for frame in encode_results(replace(reply, results=part, entries=entries))
    ]


def decode_request(frame: bytes) -> Request:
    """Return the request of a frame. Raises WireError, with the request's ids if they can be
    read, and the code to answer with."""
    header = load_object(frame)
    word = header.get("type")
    if word == "operations":
        return _operations(frame, header)
    ident = header.get("id")
    ids = [ident] if is_count(ident) else None
    check_depth(frame, header, ids)
    check_version(header, ids)
    decode = _REQUESTS.get(word) if type(word) is str else None
    if decode is None:
        raise WireError("type", "unknown request type", ids)
    if ids is None:
        raise WireError("form", "id is not a whole number")
    return decode(ids[0], header)


def decode_reply(frame: bytes) -> Reply:
    """Return the reply of a frame. Raises WireError."""
    header = load_object(frame)
    word = header.get("type")
    if word == "results":
        return _results(frame, header)
    check_depth(frame, header)
    check_version(header)
    decode = _REPLIES.get(word) if type(word) is str else None
    if decode is None:
        raise WireError("type", "unknown reply type")
    return decode(header)


def _dump(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(f"cannot be sent as JSON: {error}") from None


def _operations(frame: bytes, header: dict[str, Any]) -> OperationsRequest:
    """The hot path of a leader: no statement is executed for each operation."""
    ops = header.get("ops")
    if type(ops) is not list or len(ops) > limits.OPERATIONS_PER_MESSAGE:
        check_version(header)
        raise WireError(
            "form", f"ops is not a list of at most {limits.OPERATIONS_PER_MESSAGE} operations"
        )
    if ops and not are_operations(ops):
        ids = ids_of(ops)
        check_version(header, ids)
        raise WireError("form", "an operation is [id, name, ...arguments]", ids)
    # Flat operations open one bracket each, and the message two. Deeper nesting needs 30 more.
    if openers(frame) >= len(ops) + limits.JSON_DEPTH and too_deep(header):
        raise WireError("depth", f"nested more than {limits.JSON_DEPTH} levels deep", ids_of(ops))
    if header.get("v") != VERSION or type(header["v"]) is not int:
        check_version(header, ids_of(ops))
    session = header.get("session")
    ack = header.get("ack")
    stale = header.get("stale")
    cluster = header.get("cluster", "")
    if not (
        is_count(session, limits.SESSION_MAX)
        and is_count(ack)
        and type(stale) is bool
        and is_cluster(cluster)
    ):
        raise WireError("form", "cluster, session, ack or stale is wrong or missing", ids_of(ops))
    traces = header.get("traces", ())
    if traces != () and not are_traces(traces):
        raise WireError("form", "traces is not a list of [id, traceparent]", ids_of(ops))
    return OperationsRequest(session, ack, stale, ops, cluster, traces or ())


_REQUESTS: Final[dict[str, Callable[[int, dict[str, Any]], Request]]] = {
    **operator_wire.REQUESTS,
    **watch_wire.REQUESTS,
    **snapshot_wire.REQUESTS,
    **scan_wire.REQUESTS,
}


def _results(frame: bytes, header: dict[str, Any]) -> Results:
    check_version(header)
    results = header.get("results")
    if type(results) is not list:
        raise WireError("form", "results is not a list")
    if results and not are_results(results):
        raise WireError("form", "a result is [id, code, revision, body]")
    entries = header.get("entries", [])
    if type(entries) is not list:
        raise WireError("form", "entries is not a list")
    if openers(frame) >= len(results) + len(entries) + limits.JSON_DEPTH and too_deep(header):
        raise WireError("depth", f"nested more than {limits.JSON_DEPTH} levels deep")
    if not are_entries(entries, len(results)):
        raise WireError("form", "entries is not [index, count] of all results")
    cluster = header.get("cluster", "")
    if not is_cluster(cluster):
        raise WireError("form", "cluster is not a cluster id")
    return Results(*_origin(header), results, cluster, entries)


def _origin(header: dict[str, Any]) -> tuple[str, int, str | None]:
    node = header.get("node")
    term = header.get("term")
    leader = header.get("leader")
    if not (is_name(node) and is_count(term, limits.TERM_MAX)):
        raise WireError("form", "node or term is missing or of a wrong type")
    if not (leader is None or is_name(leader)):
        raise WireError("form", "leader is not a node's name or null")
    return node, term, leader


def _error(header: dict[str, Any]) -> ErrorReply:
    ids = header.get("ids")
    code = header.get("code")
    message = header.get("message")
    if not (ids is None or (type(ids) is list and all(map(is_count, ids)))):
        raise WireError("form", "ids is not a list of whole numbers or null")
    if not (is_text(code) and is_text(message, limits.FRAME_BYTES)):
        raise WireError("form", "code or message is not a text")
    address = header.get("address")
    if not (address is None or is_address(address)):
        raise WireError("form", "address is not HOST:PORT or null")
    return ErrorReply(ids, code, message, *_origin(header), address)


def _with_id(
    decode: Callable[[int, dict[str, Any]], Reply],
) -> Callable[[dict[str, Any]], Reply]:
    return lambda header: decode(_id(header), header)


def _id(header: dict[str, Any]) -> int:
    ident = header.get("id")
    if is_count(ident):
        return ident
    raise WireError("form", "id is not a whole number")


_REPLIES: Final[dict[str, Callable[[dict[str, Any]], Reply]]] = {
    "error": _error,
    **{word: _with_id(decode) for word, decode in operator_wire.REPLIES.items()},
    **{word: _with_id(decode) for word, decode in watch_wire.REPLIES.items()},
    **{word: _with_id(decode) for word, decode in snapshot_wire.REPLIES.items()},
    **{word: _with_id(decode) for word, decode in scan_wire.REPLIES.items()},
}
