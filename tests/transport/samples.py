"""One of everything that travels, and generators of more."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from raftzmq import limits
from raftzmq.core import messages
from raftzmq.core.entry import COMMAND, CONFIG, NOOP, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.core.messages import AppendEntries, Message, SnapshotChunk
from raftzmq.lines import encode_entry
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Reply, Request, Results
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
from raftzmq.transport.peer_wire import Hello, Neighbour, Welcome
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

CLUSTER = "6f1c0a5e9b7d4c21"
ALICE = NodeId("raft-0", "1b9e000000000001")
BOB = NodeId("raft-1", "77aa000000000002")

MEMBERSHIP = Membership(
    (Member(ALICE, "raft-0.raft:6000", True), Member(BOB, "10.0.0.7:6000", False)), ("raft-2",)
)

ENTRIES = (
    encode_entry(5, 2, 1000, NOOP, None),
    encode_entry(6, 2, 1001, CONFIG, MEMBERSHIP.to_body()),
    encode_entry(7, 3, 1001, COMMAND, [12, 17, [17, "put", "greeting", "hellö\r\n\u2028"]]),
    encode_entry(8, 3, 1002, COMMAND, [12, 17, [18, "put", "b", {"b64": "aGVsbG8="}]]),
    encode_entry(9, 3, 1003, COMMAND, [0, 0, [0, "expire"]]),
)

APPEND = AppendEntries(ALICE, BOB, 3, 4, 2, 4, 9, ENTRIES)
CHUNK = SnapshotChunk(ALICE, BOB, 3, 4, 2, 1048576, b"\x00\xff\r\n any bytes", False)
NONCE = "00c0ffee00c0ffee"
HELLO = Hello("", BOB, "raft-1.raft-service:6000", NONCE)
WELCOME = Welcome(
    CLUSTER,
    ALICE,
    "127.0.0.1:6000",
    BOB,
    NONCE,
    3,
    "raft-0",
    (Neighbour(ALICE, "raft-0.raft:6000"), Neighbour(BOB, "10.0.0.7:6000")),
    "wait for raft-2",
)

MESSAGE_CLASSES = sorted(
    (c for c in vars(messages).values() if isinstance(c, type) and issubclass(c, Message)),
    key=lambda cls: cls.__name__,
)
MESSAGE_CLASSES.remove(Message)


def sample(cls: type[Message]) -> Message:
    """A message of the class, every field with a value of its own."""
    if cls is AppendEntries:
        return APPEND
    if cls is SnapshotChunk:
        return CHUNK
    values: dict[str, Any] = {"sender": ALICE, "to": BOB, "term": 3}
    for number, field in enumerate(fields(cls)):
        if field.name not in values:
            values[field.name] = True if field.type == "bool" else 100 + number
    return cls(**values)


REQUESTS: list[Request] = [
    OperationsRequest(
        12, 17, False, [[17, "put", "greeting", "hello"], [18, "get", "greeting"]], CLUSTER
    ),
    OperationsRequest(0, 0, True, [[1, "txn", [["k", "value", "=", None]], [["get", "k"]], []]]),
    OperationsRequest(0, 0, False, []),
    OperationsRequest(0, 0, False, [[1, "get", "k"]], "", [[1, "00-ab-cd-01"]]),
    StatusRequest(1),
    StopRequest(2),
    TransferRequest(3, "raft-2"),
    TransferRequest(4, None),
    MemberRequest(5, "add", "raft-3"),
    UpgradeRequest(5, "finish"),
    LogLevelRequest(5, "DEBUG"),
    WatchRequest(6, "greet", True, 4711, True, CLUSTER),
    WatchRequest(7, "greeting", False, None, False),
    UnwatchRequest(7),
    SnapshotRequest(8, CLUSTER, 4711, "2026-11-30T14:34:00Z"),
    PullRequest(9, 8231, 262144),
    NoteRequest(10, 4712, 1_796_052_591),
    ScanRequest(11, CLUSTER, 4711, "jobs/", "", None, False),
    ScanRequest(12, "", 0, "", "jobs/7", 100, True),
    ScanNext(13, 8231, "jobs/7", 99),
    ScanNext(14, 8231, "", None),
    ScanEnd(15, 8231),
]

REPLIES: list[Reply] = [
    Results(
        "raft-0",
        3,
        "raft-0",
        [[17, "ok", 4711, None], [18, "ok", 4711, ["hello", 4711]]],
        CLUSTER,
        [[240, 1], [241, 1]],
    ),
    Results("raft-0", 0, None, []),
    ErrorReply([17, 18], "not_leader", "ask raft-0", "raft-1", 3, "raft-0", "raft-0.raft:6001"),
    ErrorReply(None, "malformed", "not JSON", "raft-1", 3, None, None),
    StatusReply(1, {"node": "raft-0", "members": [{"name": "raft-0"}], "healthy": True}),
    Done(2, "raft-2 leads"),
    Watching(6, 4710, "raft-1", CLUSTER),
    Events(
        6,
        4710,
        4713,
        [[4711, "greeting", "hello", None], [4713, "greeting", None, {"b64": "aGVsbG8="}]],
    ),
    Events(6, 4713, 4713, [[4714, "greet", None, "x"], [4714, "greeting", None, "y"]], 3),
    Events(7, 4711, 4720, []),
    WatchLost(6, "compacted", "the history begins at revision 4000", 4000),
    SnapshotBegun(8, 8231, "raft-1", CLUSTER, 4712, 2),
    SnapshotPiece(9, 262144, b"\x00\xff\r\n any bytes", True),
    ScanPage(11, 8231, "raft-1", 4712, ["a", "b"], ["x", {"b64": "aGVsbG8="}], [4711, 3], False),
    ScanPage(12, 8231, "raft-1", 4712, ["a", "b"], [], [], True),
    ScanPage(13, 8231, "raft-1", 4712, [], [], [], True),
]

terms = st.integers(1, limits.TERM_MAX)
counts = st.integers(0, limits.INDEX_MAX)
nodes = st.builds(
    NodeId,
    st.from_regex(r"[a-z]{1,8}-(0|[1-9][0-9]{0,2})", fullmatch=True),
    st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@st.composite
def appends(draw: st.DrawFn) -> AppendEntries:
    """Appends that a leader could send."""
    prev_index, prev_term = draw(st.integers(0, 2**40)), draw(st.integers(0, 2**40))
    term, entries = max(prev_term, 1), []
    for index in range(prev_index + 1, prev_index + 1 + draw(st.integers(0, 6))):
        term += draw(st.integers(0, 1))
        entries.append(draw(_entries(index, term)))
    return AppendEntries(
        draw(nodes), draw(nodes), term, prev_index, prev_term, draw(counts), 0, tuple(entries)
    )


@st.composite
def _entries(draw: st.DrawFn, index: int, term: int) -> Entry:
    kind = draw(st.sampled_from([NOOP, COMMAND, CONFIG]))
    body: Any = None
    if kind == COMMAND:
        body = [draw(counts), draw(counts), [draw(counts), "put", draw(st.text(max_size=9)), "v"]]
    elif kind == CONFIG:
        body = MEMBERSHIP.to_body()
    return encode_entry(index, term, draw(counts), kind, body)


@st.composite
def peer_messages(draw: st.DrawFn) -> Message:
    """Any Raft message."""
    cls = draw(st.sampled_from(MESSAGE_CLASSES))
    if cls is AppendEntries:
        return draw(appends())
    values: dict[str, Any] = {"sender": draw(nodes), "to": draw(nodes)}
    for field in fields(cls):
        if field.name not in values:
            kind = {"bool": st.booleans(), "bytes": st.binary(max_size=50)}.get(
                str(field.type), counts
            )
            values[field.name] = draw(kind)
    return cls(**values)
