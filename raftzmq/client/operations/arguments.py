"""What requests are made of: the parts that are sent, how answers are read, arguments checked.

The other files here have the requests, one file for each subject, as in machine/commands/. A
function with a `timeout`, which is in seconds, is a method of both clients: arguments and defaults,
what is sent, and how the answer is read. As a method it raises InvalidRequest (nothing was sent),
Refused (the cluster declined), Unavailable (nothing was done) or OutcomeUnknown (a write that may
have been done, or be done yet). Whatever a node would refuse as invalid is refused here.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import orjson

from raftzmq import limits
from raftzmq.client.results import Item, Value
from raftzmq.errors import InvalidRequest
from raftzmq.naming import check_endpoint
from raftzmq.transport.client_wire import Request, Single
from raftzmq.transport.frames import is_count

T = TypeVar("T")

TIMEOUT_S: Final = 5.0
LONGEST_TIMEOUT_S: Final = 7 * 24 * 3600.0

ENVELOPE_BYTES: Final = 512
"""More than a message of operations adds to the operations in it."""

SHORT_TEXT: Final = limits.KEY_BYTES // 4
"""No character takes more than four bytes: a text of so many needs no encoding to be measured."""


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
    how long a node may keep the answer back, until there is something to say. It is to be done
    within `timeout_s`, unless whoever hands it in says otherwise."""

    tail: bytes
    decode: Callable[[Answer], T]
    is_write: bool
    timeout_s: float = TIMEOUT_S
    stale: bool = False
    endpoint: str | None = None
    hold_ms: int = 0

    @property
    def as_part(self) -> orjson.Fragment:
        """Its JSON as part of another operation, without an id."""
        return orjson.Fragment(b"[" + self.tail)


@dataclass(slots=True)
class NodeRequest(Generic[T]):
    """A request that is a message of its own; `build` makes it from its id. One that is not
    `repeatable` has no serial, and is sent again only after an answer that says "not done".
    `lane` names the one it travels in, if that is neither the leader's nor anybody's."""

    build: Callable[[int], Request]
    decode: Callable[[Single], T]
    repeatable: bool
    to_leader: bool
    endpoint: str | None = None
    lane: str = ""
    timeout_s: float = TIMEOUT_S


Work = Operation[Any] | NodeRequest[Any]


def write(
    name: str, args: list[Any], decode: Callable[[Answer], T], timeout: float = TIMEOUT_S
) -> Operation[T]:
    """An operation that changes something: it gets a serial, and is executed once."""
    return Operation(tail_of(name, args), decode, True, timeout)


def read(
    name: str,
    args: list[Any],
    decode: Callable[[Answer], T],
    timeout: float = TIMEOUT_S,
    *,
    stale: bool = False,
    endpoint: str | None = None,
    hold_ms: int = 0,
) -> Operation[T]:
    """An operation that changes nothing."""
    if endpoint is not None:
        endpoint = check_endpoint(endpoint)
        if not stale:
            raise InvalidRequest("only a stale read can ask one endpoint; others ask the leader")
    return Operation(tail_of(name, args), decode, False, timeout, bool(stale), endpoint, hold_ms)


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
    if isinstance(key, str) and 0 < len(key) <= SHORT_TEXT:
        return key
    if not isinstance(key, str) or not key:
        raise InvalidRequest(f"a key is text that is not empty, not {quoted(key)}")
    return check_bound("key", key)


def check_bound(what: str, text: str) -> str:
    if not isinstance(text, str):
        raise InvalidRequest(f"{what} is text, not {quoted(text)}")
    if len(text) > SHORT_TEXT and utf8_bytes(text) > limits.KEY_BYTES:
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
        raise InvalidRequest(f"a limit is 1 to {limits.RANGE_LIMIT}, not {quoted(limit)}")
    return limit


def check_name(name: str) -> str:
    """The name of a queue."""
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"a name is text that is not empty, not {quoted(name)}")
    return check_bound("name", name)


def check_lease(lease: int) -> int:
    if type(lease) is not int or not 1 <= lease <= limits.INDEX_MAX:
        raise InvalidRequest(f"a lease is the number that granting it gave, not {quoted(lease)}")
    return lease


def check_token(token: int) -> int:
    if type(token) is not int or not 1 <= token <= limits.INDEX_MAX:
        raise InvalidRequest(f"a token is the number that acquiring gave, not {quoted(token)}")
    return token


def check_count(what: str, number: int) -> int:
    if type(number) is not int or not 0 <= number <= limits.INDEX_MAX:
        raise InvalidRequest(f"{what} is a whole number, 0 or above, not {quoted(number)}")
    return number


def quoted(value: object) -> str:
    """The beginning of what it looks like, for the text of an error."""
    try:
        return repr(value)[:40]
    except Exception:  # an integer of thousands of digits, or a class of the caller's own
        return f"this {type(value).__name__}"


def is_finite(number: object) -> bool:
    """Whether it is a number that one can reckon with, of whatever size."""
    if isinstance(number, float):
        return math.isfinite(number)
    return isinstance(number, int) and not isinstance(number, bool)


@lru_cache(maxsize=64, typed=True)  # a program has few timeouts, and True is not 1
def cached_call_ms(timeout: float) -> int:
    if not (is_finite(timeout) and timeout > 0):
        raise InvalidRequest(f"timeout is a number of seconds above 0, not {quoted(timeout)}")
    return math.ceil(min(timeout, LONGEST_TIMEOUT_S) * 1000)


def call_ms(timeout: float) -> int:
    """The time within which a call is to be answered, which is given in seconds. Raises
    InvalidRequest. As the cached one, of anything."""
    try:
        return cached_call_ms(timeout)
    except TypeError:  # it cannot even be looked up
        raise InvalidRequest(
            f"timeout is a number of seconds above 0, not {quoted(timeout)}"
        ) from None


def check_callback(on_lost: object) -> None:
    """Raise InvalidRequest unless it is a function, or None."""
    if not (on_lost is None or callable(on_lost)):
        raise InvalidRequest(f"on_lost is a function without arguments, not {quoted(on_lost)}")


def milliseconds(ttl: float, most_ms: int = limits.LEASE_TTL_MAX_MS) -> int:
    """A time to live, which is given in seconds; of a lease, or of something with another bound."""
    if is_finite(ttl):
        ttl_ms = round(min(ttl, most_ms) * 1000)  # no number is too large to reckon with
        if limits.LEASE_TTL_MIN_MS <= ttl_ms <= most_ms:
            return ttl_ms
    shortest, longest = limits.LEASE_TTL_MIN_MS / 1000, most_ms // 1000
    raise InvalidRequest(f"a time to live is {shortest:g} to {longest} seconds, not {quoted(ttl)}")


def timeout_ms(timeout: float | None) -> int | None:
    """The time that somebody is ready to wait, which is given in seconds. Raises
    InvalidRequest."""
    if timeout is None:
        return None
    if not (is_finite(timeout) and timeout >= 0):
        raise InvalidRequest(f"timeout is a number of seconds, 0 or above, not {quoted(timeout)}")
    return math.ceil(min(timeout, LONGEST_TIMEOUT_S) * 1000)


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


def decode_nothing(answer: Answer) -> None:
    del answer


def decode_number(answer: Answer) -> int:
    return decode_count(answer.body)


def decode_count(number: Any) -> int:
    if not is_count(number):  # it will stand in requests
        raise ValueError("not a whole number")
    return number
