"""Every method of the clients, once: its arguments checked and encoded, its answer decoded.

A function here returns an `Operation` or a `NodeRequest`: what the session sends, and `decode` for
what comes back. Both clients' methods are one line each on top of these. Whatever a node would
refuse as invalid is refused here, before anything is sent (InvalidRequest).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import orjson

from raftzmq import limits
from raftzmq.client.results import CasResult, Deleted, Item, Range, TxnResult, Value, Written
from raftzmq.client.transactions import (
    Compare,
    Delete,
    DeletePrefix,
    Get,
    GetPrefix,
    GetRange,
    Put,
    TxnOperation,
)
from raftzmq.errors import InvalidRequest
from raftzmq.naming import parse_address, parse_pod_name
from raftzmq.transport.client_wire import (
    Done,
    MemberRequest,
    Request,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
)
from raftzmq.transport.frames import is_count

T = TypeVar("T")

DEFAULT_ENDPOINTS: Final = ("127.0.0.1:6001", "127.0.0.1:6011", "127.0.0.1:6021")
"""The client ports of a local cluster."""

ENVELOPE_BYTES: Final = 512
"""More than a message of operations adds to the operations in it."""


@dataclass(slots=True)
class Answer:
    """A node's result of one operation; `compared` is false if a comparison failed."""

    compared: bool
    index: int
    body: Any
    term: int
    leader: str | None
    cluster: str = ""


@dataclass(slots=True)
class Operation(Generic[T]):
    """One operation of a message of operations. `tail` is its JSON behind the id: encoded once,
    however often it is sent. `endpoint` asks that node; only a stale read may do so."""

    tail: bytes
    decode: Callable[[Answer], T]
    is_write: bool
    stale: bool = False
    endpoint: str | None = None


@dataclass(slots=True)
class NodeRequest(Generic[T]):
    """A request that is a message of its own; `build` makes it from its id. One that is not
    `repeatable` has no serial, and is sent again only after an answer that says "not done"."""

    build: Callable[[int], Request]
    decode: Callable[[StatusReply | Done], T]
    repeatable: bool
    to_leader: bool
    endpoint: str | None = None


Work = Operation[Any] | NodeRequest[Any]


def put(key: str, value: Value) -> Operation[Written]:
    return _write("put", [_key(key), _value(value)], _written)


def cas(key: str, value: Value, revision: int) -> Operation[CasResult]:
    """Put if the key's revision is `revision`; 0 means that it must be absent."""
    if type(revision) is not int or not 0 <= revision <= limits.INDEX_MAX:
        raise InvalidRequest(f"a revision is a whole number, 0 or above, not {revision!r:.40}")

    def decode(answer: Answer) -> CasResult:
        if answer.compared:
            current: Item | None = Item(key, _copied(value), answer.index)
        else:
            current = _item(key, answer.body)
        return CasResult(
            succeeded=answer.compared,
            revision=current.revision if current else 0,
            current=current,
            index=answer.index,
            term=answer.term,
            leader=answer.leader,
        )

    return _write("cas", [_key(key), _value(value), revision], decode)


def put_if_absent(key: str, value: Value) -> Operation[CasResult]:
    return cas(key, value, 0)


def delete(key: str) -> Operation[Deleted]:
    return _write("delete", [_key(key)], _deleted)


def delete_prefix(prefix: str) -> Operation[Deleted]:
    """Delete every key that begins with `prefix`; an empty prefix is every key."""
    return _write("delete_prefix", [_bound("prefix", prefix)], _deleted)


def get(key: str, *, stale: bool, endpoint: str | None) -> Operation[Item | None]:
    return _read("get", [_key(key)], lambda answer: _item(key, answer.body), stale, endpoint)


def range_(
    start: str, end: str, limit: int, *, stale: bool, endpoint: str | None
) -> Operation[Range]:
    args = [_bound("start", start), _bound("end", end), _limit(limit)]
    return _read("range", args, _range, stale, endpoint)


def prefix_(prefix: str, limit: int, *, stale: bool, endpoint: str | None) -> Operation[Range]:
    args = [_bound("prefix", prefix), _limit(limit)]
    return _read("prefix", args, _range, stale, endpoint)


def txn(
    compares: Sequence[Compare], then: Sequence[TxnOperation], otherwise: Sequence[TxnOperation]
) -> Operation[TxnResult]:
    for what, part in (("compares", compares), ("then", then), ("otherwise", otherwise)):
        if not isinstance(part, list | tuple):
            raise InvalidRequest(f"{what} is a list, not {part!r:.40}")
        if len(part) > limits.TRANSACTION_OPERATIONS:
            raise InvalidRequest(
                f"{what} has {len(part)} members; a transaction has at most "
                f"{limits.TRANSACTION_OPERATIONS} of each kind"
            )
    branches = tuple(otherwise), tuple(then)

    def decode(answer: Answer) -> TxnResult:
        succeeded, bodies = answer.body
        results = tuple(
            _branch_result(op, body, answer)
            for op, body in zip(branches[succeeded], bodies, strict=True)
        )
        return TxnResult(succeeded, results, answer.index, answer.term, answer.leader)

    args = [[_compare(c) for c in compares], [_branch(o) for o in then]]
    return _write("txn", [*args, [_branch(o) for o in otherwise]], decode)


def open_session() -> Operation[tuple[int, str]]:
    """Gives the session's number, and the cluster in which it means something."""
    return _write("open", [], _session)


def close_session() -> Operation[None]:
    return _write("close", [], lambda _: None)


def status(endpoint: str | None) -> NodeRequest[dict[str, Any]]:
    return NodeRequest(StatusRequest, _status, True, False, endpoint and check_endpoint(endpoint))


def stop(endpoint: str) -> NodeRequest[str]:
    return NodeRequest(StopRequest, _message, False, False, check_endpoint(endpoint))


def transfer(to: str | None) -> NodeRequest[str]:
    if to is not None:
        _node_name(to)
    return NodeRequest(lambda ident: TransferRequest(ident, to), _message, False, True)


def member(action: str, name: str) -> NodeRequest[str]:
    _node_name(name)
    return NodeRequest(lambda ident: MemberRequest(ident, action, name), _message, False, True)


def check_endpoint(endpoint: str) -> str:
    """Return HOST:PORT, without the `tcp://` that it may be written with."""
    if not isinstance(endpoint, str):
        raise InvalidRequest(f"an endpoint is HOST:PORT, such as db:6001, not {endpoint!r:.40}")
    address = endpoint.strip().removeprefix("tcp://")
    parse_address(address)
    return address


def endpoint_list(endpoints: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the endpoints of a list, or of text with commas in between, each once."""
    if endpoints is None:
        return DEFAULT_ENDPOINTS
    if isinstance(endpoints, str):
        endpoints = [part for part in endpoints.split(",") if part.strip()]
    if not endpoints:
        raise InvalidRequest("no endpoints: name at least one node's client port, as HOST:PORT")
    return tuple(dict.fromkeys(map(check_endpoint, endpoints)))


# -- encoding ---------------------------------------------------------------------------------


def _write(name: str, args: list[Any], decode: Callable[[Answer], T]) -> Operation[T]:
    return Operation(_tail(name, args), decode, True)


def _read(
    name: str, args: list[Any], decode: Callable[[Answer], T], stale: bool, endpoint: str | None
) -> Operation[T]:
    if endpoint is not None:
        endpoint = check_endpoint(endpoint)
        if not stale:
            raise InvalidRequest("only a stale read can ask one endpoint; others ask the leader")
    return Operation(_tail(name, args), decode, False, bool(stale), endpoint)


def _tail(name: str, args: list[Any]) -> bytes:
    try:
        tail = orjson.dumps([name, *args])[1:]
    except orjson.JSONEncodeError:
        raise InvalidRequest("text with lone surrogates is not Unicode; use bytes") from None
    if len(tail) + ENVELOPE_BYTES > limits.FRAME_BYTES:
        raise InvalidRequest(
            f"the operation takes {len(tail)} bytes as JSON; "
            f"a message has at most {limits.FRAME_BYTES}"
        )
    return tail


def _key(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise InvalidRequest(f"a key is text that is not empty, not {key!r:.40}")
    return _bound("key", key)


def _bound(what: str, text: str) -> str:
    if not isinstance(text, str):
        raise InvalidRequest(f"{what} is text, not {text!r:.40}")
    # No character takes more than four bytes, so most keys need not be encoded to be measured.
    if len(text) > limits.KEY_BYTES // 4 and _utf8_bytes(text) > limits.KEY_BYTES:
        raise InvalidRequest(f"{what} has over {limits.KEY_BYTES} bytes of UTF-8")
    return text


def _value(value: Value) -> Any:
    if isinstance(value, str):
        if len(value) > limits.VALUE_BYTES // 4 and _utf8_bytes(value) > limits.VALUE_BYTES:
            raise InvalidRequest(f"the value has over {limits.VALUE_BYTES} bytes of UTF-8")
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        if memoryview(value).nbytes > limits.VALUE_BYTES:
            raise InvalidRequest(f"the value has over {limits.VALUE_BYTES} bytes")
        return {"b64": b64encode(value).decode()}
    raise InvalidRequest(f"a value is text or bytes, not {type(value).__name__}")


def _copied(value: Value) -> Value:
    return value if isinstance(value, str) else bytes(value)


def _utf8_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _limit(limit: int) -> int:
    if type(limit) is not int or not 1 <= limit <= limits.RANGE_LIMIT:
        raise InvalidRequest(f"a limit is 1 to {limits.RANGE_LIMIT}, not {limit!r:.40}")
    return limit


def _node_name(name: str) -> None:
    if not isinstance(name, str):
        raise InvalidRequest(f"a node's name is text, such as raft-1, not {name!r:.40}")
    parse_pod_name(name)


def _compare(compare: Compare) -> list[Any]:
    if not isinstance(compare, Compare):
        raise InvalidRequest(f"compares are made with Compare(...), not {compare!r:.40}")
    key, field, operator, operand = compare.key, compare.field, compare.operator, compare.operand
    if field not in ("value", "revision"):
        raise InvalidRequest(f"a compare's field is value or revision, not {field!r:.40}")
    if operator not in ("=", "!=", "<", ">") or (field == "value" and operator in ("<", ">")):
        raise InvalidRequest(f"{field}s are compared by =, !=, < or >, values only by = and !=")
    if field == "revision":
        if type(operand) is not int or not 0 <= operand <= limits.INDEX_MAX:
            raise InvalidRequest(f"a revision is a whole number, 0 or above, not {operand!r:.40}")
        return [_key(key), field, operator, operand]
    if isinstance(operand, int):
        raise InvalidRequest("a value is compared with text, bytes or None, not with a number")
    return [_key(key), field, operator, None if operand is None else _value(operand)]


def _branch(operation: TxnOperation) -> list[Any]:
    match operation:
        case Put(key, value):
            return ["put", _key(key), _value(value)]
        case Delete(key):
            return ["delete", _key(key)]
        case DeletePrefix(prefix):
            return ["delete_prefix", _bound("prefix", prefix)]
        case Get(key):
            return ["get", _key(key)]
        case GetRange(start, end, limit):
            return ["range", _bound("start", start), _bound("end", end), _limit(limit)]
        case GetPrefix(prefix, limit):
            return ["prefix", _bound("prefix", prefix), _limit(limit)]
    raise InvalidRequest(f"not an operation of a transaction: {operation!r:.40}")


# -- decoding: bodies come from the network; a wrong shape raises TypeError, ValueError and such --


def _decoded(value: Any) -> Value:
    if type(value) is str:
        return value
    return b64decode(value["b64"], validate=True)


def _item(key: str, body: Any) -> Item | None:
    if body is None:
        return None
    value, revision = body
    return Item(key, _decoded(value), revision)


def _session(answer: Answer) -> tuple[int, str]:
    if not is_count(answer.body):  # it will stand in every request
        raise ValueError("not the number of a session")
    return answer.body, answer.cluster


def _written(answer: Answer) -> Written:
    return Written(answer.index, answer.term, answer.leader, answer.index)


def _deleted(answer: Answer) -> Deleted:
    return Deleted(int(answer.body), answer.index, answer.term, answer.leader)


def _range(answer: Answer) -> Range:
    items, more = answer.body
    return Range(tuple(Item(k, _decoded(v), r) for k, v, r in items), bool(more), answer.index)


def _branch_result(
    operation: TxnOperation, body: Any, whole: Answer
) -> Written | Deleted | Item | Range | None:
    answer = Answer(whole.compared, whole.index, body, whole.term, whole.leader)
    match operation:
        case Put():
            return _written(answer)
        case Delete() | DeletePrefix():
            return _deleted(answer)
        case Get(key):
            return _item(key, body)
    return _range(answer)


def _status(reply: StatusReply | Done) -> dict[str, Any]:
    if not isinstance(reply, StatusReply):
        raise TypeError("not a status")
    return reply.status


def _message(reply: StatusReply | Done) -> str:
    if not isinstance(reply, Done):
        raise TypeError("not a message")
    return reply.message
