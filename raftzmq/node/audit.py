"""What the audit trail says of clients' requests: who asked for what, and what came of it. Pure.

A request is noted when it comes, and recorded when it is answered, by the node that answers. So a
record says what the client was told: what is done, what was refused, and also that nobody knows.
Values are in no record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from raftzmq.access.users import User
from raftzmq.errors import Denied, Forming, NotLeader, Overloaded, SessionExpired
from raftzmq.machine import WRITES, arguments_of
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Reply, Request, Results
from raftzmq.transport.operator_wire import (
    Done,
    LogLevelRequest,
    MemberRequest,
    OperatorSays,
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
    SnapshotSays,
)
from raftzmq.transport.watch_wire import UnwatchRequest, Watching, WatchLost, WatchRequest

SHOWN_CHARACTERS: Final = 256
"""Of a longer key or name a record has the beginning, and says how long it is."""

ASKED_MOST: Final = 100_000
"""The most requests that wait for their answers. A node holds fewer; if one were never answered,
it would not stay here for ever."""

SENT_AGAIN: Final = frozenset(
    error.code for error in (NotLeader, Forming, Overloaded, SessionExpired)
)
"""Answers after which clients send the same again, elsewhere or later: nothing was done, and what
comes of it is recorded then."""

_SHOWN: Final = frozenset(
    {
        *("key", "prefix", "start", "end", "kind", "name", "token", "lease"),
        *("limit", "ttl_ms", "permits", "capacity", "revision"),
    }
)
"""The arguments that are recorded as they are."""

_ONLY_DENIED: Final = frozenset({"status", "watch", "snapshot_pull", "scan", "scan_next"})
"""The requests beside operations that are recorded only if they are denied. A snapshot changes
nothing either, and whoever has taken one has read everything."""


class Record(NamedTuple):
    """One request and its outcome."""

    user: str
    address: str
    operation: str
    subject: dict[str, Any]
    """What it is about, by the names of arguments: keys, names, numbers."""
    revision: int
    """Of a write that was executed; else 0."""
    outcome: str
    """A code of PROTOCOL.md."""


class _Asked(NamedTuple):
    """A request, or one of the operations in it."""

    user: str
    address: str
    op: Sequence[Any]
    """`[id, name, …arguments]`."""
    subject: dict[str, Any] | None = None
    """What a request that is no operation is about."""


class Audit:
    """The requests that wait for their answers, and the records that nobody has taken yet."""

    def __init__(self) -> None:
        self._asked: dict[tuple[bytes, int], _Asked] = {}
        self._records: list[Record] = []

    def asked(self, client: bytes, request: Request, user: User, address: str) -> None:
        """A user's request has come from an address."""
        asked = self._asked
        if isinstance(request, OperationsRequest):
            for op in request.ops:
                asked[client, op[0]] = _Asked(user.name, address, op)
        elif not isinstance(request, UnwatchRequest | ScanEnd):
            name, subject = _request_described(request)
            op = [request.id, name]
            asked[client, request.id] = _Asked(user.name, address, op, subject)
        while len(asked) > ASKED_MOST:
            del asked[next(iter(asked))]

    def answered(self, client: bytes, reply: Reply) -> None:
        """An answer goes to a client."""
        match reply:
            case Results():
                for ident, code, revision, body in reply.results:
                    self._record(client, ident, code, revision, body)
            case ErrorReply():
                for ident in reply.ids or ():
                    self._record(client, ident, reply.code)
            case Done():
                self._record(client, reply.id, "ok")
            case WatchLost():
                self._record(client, reply.id, reply.code)
            case SnapshotBegun():
                self._record(client, reply.id, "ok")
            case StatusReply() | Watching() | SnapshotPiece() | ScanPage():
                self._asked.pop((client, reply.id), None)

    def _record(
        self, client: bytes, ident: int, code: str, revision: int = 0, body: Any = None
    ) -> None:
        asked = self._asked.pop((client, ident), None)
        if asked is None or code in SENT_AGAIN:
            return
        name, subject = asked.op[1], asked.subject
        writes = name in WRITES if subject is None else name not in _ONLY_DENIED
        if code != Denied.code and not writes:
            return
        if subject is None:
            name, subject = _described(asked.op)
            if name == "txn" and code == "ok":
                subject["succeeded"] = body[0]
        done = revision if writes else 0
        self._records.append(Record(asked.user, asked.address, name, subject, done, code))

    def take(self) -> list[Record]:
        """Return the records since the last call."""
        records, self._records = self._records, []
        return records


def _request_described(
    request: OperatorSays | WatchRequest | SnapshotSays | ScanRequest | ScanNext,
) -> tuple[str, dict[str, Any]]:
    """Return the name and the subject of a request that is no operation."""
    match request:
        case WatchRequest():
            return "watch", {"prefix" if request.prefix else "key": _cut(request.key)}
        case ScanRequest():
            return "scan", {"prefix": _cut(request.prefix)}
        case ScanNext():
            return "scan_next", {}
        case SnapshotRequest():
            return "snapshot", {}
        case PullRequest():
            return "snapshot_pull", {}
        case NoteRequest():
            return "backup_note", {}
        case StatusRequest():
            return "status", {}
        case StopRequest():
            return "stop", {}
        case TransferRequest():
            return "transfer", {} if request.to is None else {"name": _cut(request.to)}
        case MemberRequest():
            return f"member_{request.action}", {"name": _cut(request.name)}
        case UpgradeRequest():
            return f"upgrade_{request.action}", {}
        case LogLevelRequest():
            return "log_level", {"level": request.level}


def _described(op: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return the name and the subject of an operation, which need not be valid."""
    name = op[1]
    arguments = arguments_of(op)
    if name == "fenced":
        nested: Any = arguments.get("operation")
        if _is_operation(nested):
            inner, subject = _described([op[0], *nested])
            return inner, {"fences": _fences(arguments["fences"]), **subject}
    if name == "txn":
        return name, _of_transaction(arguments)
    return str(name)[:SHOWN_CHARACTERS], _shown(arguments)


def _shown(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        what: _cut(argument)
        for what, argument in arguments.items()
        if what in _SHOWN and type(argument) in (str, int)
    }


def _of_transaction(arguments: dict[str, Any]) -> dict[str, Any]:
    """Name each key of a transaction: those it compares, and those of both branches."""
    subject: dict[str, Any] = {"compares": [], "then": [], "else": []}
    for part, found in subject.items():
        members = arguments.get(part)
        for member in members if type(members) is list else ():
            if not _is_operation(member):
                continue
            if part == "compares":  # `[key, …]`
                found.append(_cut(member[0]))
            else:
                name, named = _described([0, *member])
                found.append({"operation": name, **named})
    return {part: found for part, found in subject.items() if found}


def _fences(fences: Any) -> list[Any]:
    if type(fences) is not list:
        return []
    return [[_cut(part) for part in fence] for fence in fences if type(fence) is list]


def _is_operation(value: Any) -> bool:
    return type(value) is list and bool(value) and type(value[0]) is str


def _cut(value: Any) -> Any:
    """A key, a name or a number as a record has it. Anything else stands for itself by its type."""
    if type(value) is str:
        if len(value) <= SHOWN_CHARACTERS:
            return value
        return f"{value[:SHOWN_CHARACTERS]}… ({len(value)} characters)"
    return value if type(value) is int else type(value).__name__
