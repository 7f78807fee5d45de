"""What is sent for a call, and how its answer is read: arguments encoded, values decoded.

keys.py, coordination.py and cluster.py make their operations of these. Whatever a node would refuse
as invalid is refused here (InvalidRequest).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import orjson

from raftzmq import limits
from raftzmq.client.results import Item, Value
from raftzmq.errors import InvalidRequest
from raftzmq.naming import parse_address
from raftzmq.transport.client_wire import Done, Request, StatusReply

T = TypeVar("T")

LONGEST_TIMEOUT_S: Final = 7 * 24 * 3600.0

ENVELOPE_BYTES: Final = 512
"""More than a message of operations adds to the operations in it."""


@dataclass(slots=True)
class Answer:
    """A node's result of one operation; `compared` is false if a comparison failed. `index` is
    that of the write's log entry, or the one up to which a read saw the log applied; 0 if the
    node did not say."""

    compared: bool
    revision: int
    body: Any
    term: int
    leader: str | None
    cluster: str = ""
    index: int = 0


@dataclass(slots=True)
class Operation(Generic[T]):
    """One operation of a message of operations. `tail` is its JSON behind the id: encoded once,
    however often it is sent. `endpoint` asks that node; only a stale read may do so. `hold_ms` is
    how long a node may keep the answer back, until there is something to say."""

    tail: bytes
    decode: Callable[[Answer], T]
    is_write: bool
    stale: bool = False
    endpoint: str | None = None
    hold_ms: int = 0


@dataclass(slots=True)
class NodeRequest(Generic[T]):
    """A request that is a message of its own; `build` makes it from its id. One that is not
    `repeatable` has no serial, and is sent again only after an answer that says "not done".
    `lane` names the one it travels in, if that is neither the leader's nor anybody's."""

    build: Callable[[int], Request]
    decode: Callable[[StatusReply | Done], T]
    repeatable: bool
    to_leader: bool
    endpoint: str | None = None
    lane: str = ""


Work = Operation[Any] | NodeRequest[Any]


def write(name: str, args: list[Any], decode: Callable[[Answer], T]) -> Operation[T]:
    """An operation that changes something: it gets a serial, and is executed once."""
    return Operation(tail_of(name, args), decode, True)


def read(
    name: str,
    args: list[Any],
    decode: Callable[[Answer], T],
    stale: bool = False,
    endpoint: str | None = None,
) -> Operation[T]:
    """An operation that changes nothing."""
    if endpoint is not None:
        endpoint = check_endpoint(endpoint)
        if not stale:
            raise InvalidRequest("only a stale read can ask one endpoint; others ask the leader")
    return Operation(tail_of(name, args), decode, False, bool(stale), endpoint)


def tail_of(name: str, args: list[Any]) -> bytes:
    """The JSON of `[id, name, ...args]` behind the id."""
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


def check_key(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise InvalidRequest(f"a key is text that is not empty, not {key!r:.40}")
    return check_bound("key", key)


def check_bound(what: str, text: str) -> str:
    if not isinstance(text, str):
        raise InvalidRequest(f"{what} is text, not {text!r:.40}")
    # No character takes more than four bytes, so most keys need not be encoded to be measured.
    if len(text) > limits.KEY_BYTES // 4 and utf8_bytes(text) > limits.KEY_BYTES:
        raise InvalidRequest(f"{what} has over {limits.KEY_BYTES} bytes of UTF-8")
    return text


def encode_value(value: Value) -> Any:
    if isinstance(value, str):
        if len(value) > limits.VALUE_BYTES // 4 and utf8_bytes(value) > limits.VALUE_BYTES:
            raise InvalidRequest(f"the value has over {limits.VALUE_BYTES} bytes of UTF-8")
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        if memoryview(value).nbytes > limits.VALUE_BYTES:
            raise InvalidRequest(f"the value has over {limits.VALUE_BYTES} bytes")
        return {"b64": b64encode(value).decode()}
    raise InvalidRequest(f"a value is text or bytes, not {type(value).__name__}")


def copy_value(value: Value) -> Value:
    return value if isinstance(value, str) else bytes(value)


def utf8_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def check_limit(limit: int) -> int:
    if type(limit) is not int or not 1 <= limit <= limits.RANGE_LIMIT:
        raise InvalidRequest(f"a limit is 1 to {limits.RANGE_LIMIT}, not {limit!r:.40}")
    return limit


def check_endpoint(endpoint: str) -> str:
    """Return HOST:PORT, without the `tcp://` that it may be written with."""
    if not isinstance(endpoint, str):
        raise InvalidRequest(f"an endpoint is HOST:PORT, such as db:6001, not {endpoint!r:.40}")
    address = endpoint.strip().removeprefix("tcp://")
    parse_address(address)
    return address


# -- decoding: bodies come from the network; a wrong shape raises TypeError, ValueError and such --


def decode_value(value: Any) -> Value:
    if type(value) is str:
        return value
    return b64decode(value["b64"], validate=True)


def decode_item(key: str, body: Any) -> Item | None:
    if body is None:
        return None
    value, revision = body
    return Item(key, decode_value(value), revision)
