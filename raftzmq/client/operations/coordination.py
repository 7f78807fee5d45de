"""The operations of leases, queues, fences and held answers: encoded and decoded.

As keys.py: what a node would refuse as invalid is refused
here, before anything is sent. Times to live are in seconds here, as in the clients.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import orjson

from raftzmq import limits
from raftzmq.client.operations.arguments import (
    LONGEST_TIMEOUT_S,
    Answer,
    Operation,
    check_bound,
    check_key,
    check_limit,
    encode_value,
    read,
    tail_of,
    utf8_bytes,
    write,
)
from raftzmq.client.results import (
    Leader,
    LeaseInfo,
    Leases,
    Place,
    Queue,
    Queues,
    QueueSummary,
    Value,
    Written,
)
from raftzmq.errors import InvalidRequest
from raftzmq.transport.frames import is_count

T = TypeVar("T")

LOCK: Final = "lock"
SEMAPHORE: Final = "semaphore"
COUNTER: Final = "counter"
ELECTION: Final = "election"
KINDS: Final = (LOCK, SEMAPHORE, COUNTER, ELECTION)

Fence = tuple[str, int]
"""The name of a queue, and the token of a place that must hold in it."""


class Leased(ABC):
    """What has a lease: its number is all that the cluster wants to know."""

    @property
    @abstractmethod
    def id(self) -> int: ...


class Fencing(ABC):
    """What holds places of a queue, that a write may be made to depend on."""

    name: str

    @property
    @abstractmethod
    def token(self) -> int:
        """The newest. Raises NotHeld if there is none."""

    @property
    @abstractmethod
    def tokens(self) -> tuple[int, ...]: ...


AnyLease = Leased | int

AnyFence = Fencing | Fence | Sequence[Fencing | Fence] | None
"""What must hold for a write to be done: locks and the like that are held, or names and tokens."""

# -- leases -----------------------------------------------------------------------------------


def lease_grant(ttl: float) -> Operation[int]:
    return write("lease_grant", [milliseconds(ttl)], _number)


def lease_keep(lease: int) -> Operation[float]:
    return write("lease_keep", [_lease(lease)], lambda answer: answer.body / 1000)


def lease_revoke(lease: int) -> Operation[None]:
    return write("lease_revoke", [_lease(lease)], _nothing)


def lease_info(lease: int) -> Operation[LeaseInfo | None]:
    def decode(answer: Answer) -> LeaseInfo | None:
        return None if answer.body is None else _lease_info([lease, *answer.body])

    return read("lease", [_lease(lease)], decode)


def leases(after: int, limit: int) -> Operation[Leases]:
    def decode(answer: Answer) -> Leases:
        items, more = answer.body
        return Leases(tuple(map(_lease_info, items)), bool(more))

    return read("leases", [_count("after", after), check_limit(limit)], decode)


def put_leased(key: str, value: Value, lease: AnyLease) -> Operation[Written]:
    number = lease.id if isinstance(lease, Leased) else lease
    return write("put_leased", [check_key(key), encode_value(value), _lease(number)], _written)


def put_ttl(key: str, value: Value, ttl: float) -> Operation[Written]:
    return write("put_ttl", [check_key(key), encode_value(value), milliseconds(ttl)], _written)


# -- queues -----------------------------------------------------------------------------------


def acquire(
    kind: str,
    name: str,
    lease: int,
    *,
    permits: int = 1,
    capacity: int = 0,
    wait: bool = True,
    value: str | None = None,
) -> Operation[tuple[int, bool]]:
    """Gives the place's token, and whether it holds already."""
    args = [_kind(kind), _name(name), _lease(lease), *_permits_of(kind, permits, capacity)]
    return write("acquire", [*args, bool(wait), _place_value(value)], _place)


def release(kind: str, name: str, token: int) -> Operation[None]:
    return write("release", [_kind(kind), _name(name), _token(token)], _nothing)


def cancel(kind: str, name: str, token: int) -> Operation[None]:
    """As `release`, but takes nothing of what a counter granted."""
    return write("cancel", [_kind(kind), _name(name), _token(token)], _nothing)


def signal(name: str, permits: int) -> Operation[int]:
    return write("signal", [_name(name), _permits("permits", permits)], _number)


def resize(name: str, permits: int) -> Operation[None]:
    return write("resize", [_name(name), _permits("permits", permits)], _nothing)


def forget(kind: str, name: str) -> Operation[None]:
    if kind not in (SEMAPHORE, COUNTER):
        raise InvalidRequest(f"only a semaphore or counter is forgotten, not a {kind!r:.40}")
    return write("forget", [kind, _name(name)], _nothing)


def describe(kind: str, name: str) -> Operation[Queue | None]:
    def decode(answer: Answer) -> Queue | None:
        body = answer.body
        if body is None:
            return None
        holders, waiters = (
            tuple(Place(*place) for place in body[part]) for part in ("holders", "waiters")
        )
        return Queue(
            kind=kind,
            name=name,
            capacity=body["capacity"],
            free=body["free"],
            held=body["held"],
            waiting=body["waiting"],
            holders=holders,
            waiters=waiters,
        )

    return read("describe", [_kind(kind), _name(name)], decode)


def queues(kind: str, prefix: str, limit: int) -> Operation[Queues]:
    def decode(answer: Answer) -> Queues:
        items, more = answer.body
        return Queues(tuple(QueueSummary(*item) for item in items), bool(more))

    return read("queues", [_kind(kind), check_bound("prefix", prefix), check_limit(limit)], decode)


# -- held answers -----------------------------------------------------------------------------


def await_place(kind: str, name: str, token: int) -> Operation[bool]:
    """Whether the place holds; the node keeps the answer back until it does, or for a while."""
    return _held("await", [_kind(kind), _name(name), _token(token)], lambda answer: answer.body)


def observe(name: str, token: int) -> Operation[Leader | bool | None]:
    """Who is elected, once that is not the one with this token (None: nobody); False: still
    the same after a while."""

    def decode(answer: Answer) -> Leader | bool | None:
        return answer.body if answer.body in (None, False) else Leader(*answer.body)

    return _held("observe", [_name(name), _count("token", token)], decode)


def _held(name: str, args: list[Any], decode: Any) -> Operation[Any]:
    operation = read(name, [*args, limits.AWAIT_MS], decode)
    operation.hold_ms = limits.AWAIT_MS
    return operation


# -- fences -----------------------------------------------------------------------------------


def fenced(fences: Sequence[Fence], operation: Operation[T]) -> Operation[T]:
    """The write, done only if every one of the tokens holds; without any, the write as it is."""
    if not fences:
        return operation
    if len(fences) > limits.FENCES:
        raise InvalidRequest(f"a write has at most {limits.FENCES} fences, not {len(fences)}")
    guards = [[_name(name), _token(token)] for name, token in fences]
    inner = orjson.Fragment(b"[" + operation.tail)
    return Operation(tail_of("fenced", [guards, inner]), operation.decode, is_write=True)


def guarded(operation: Operation[T], fence: AnyFence) -> Operation[T]:
    """The write, to be done only if what `fence` names holds. Raises NotHeld if it does not even
    here."""
    return operation if fence is None else fenced(_fences(fence), operation)


def _fences(fence: Any) -> list[Fence]:
    if isinstance(fence, Fencing):
        return [(fence.name, token) for token in fence.tokens] or [(fence.name, fence.token)]
    if isinstance(fence, tuple) and len(fence) == 2 and isinstance(fence[0], str):
        return [(fence[0], fence[1])]
    if isinstance(fence, list | tuple) and fence:
        return [pair for part in fence for pair in _fences(part)]
    raise InvalidRequest(
        f"a fence is a lock that is held, or (name, token), or several, not {fence!r:.40}"
    )


# -- arguments --------------------------------------------------------------------------------


def milliseconds(ttl: float) -> int:
    """A time to live, which is given in seconds."""
    number = isinstance(ttl, int | float) and not isinstance(ttl, bool) and math.isfinite(ttl)
    if number:
        ttl_ms = round(ttl * 1000)
        if limits.LEASE_TTL_MIN_MS <= ttl_ms <= limits.LEASE_TTL_MAX_MS:
            return ttl_ms
    shortest, longest = limits.LEASE_TTL_MIN_MS / 1000, limits.LEASE_TTL_MAX_MS // 1000
    raise InvalidRequest(f"a time to live is {shortest:g} to {longest} seconds, not {ttl!r:.40}")


def timeout_ms(timeout: float | None) -> int | None:
    """The time that somebody is ready to wait, which is given in seconds. Raises
    InvalidRequest."""
    if timeout is None:
        return None
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not (number and math.isfinite(timeout) and timeout >= 0):
        raise InvalidRequest(f"timeout is a number of seconds, 0 or above, not {timeout!r:.40}")
    return math.ceil(min(timeout, LONGEST_TIMEOUT_S) * 1000)


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise InvalidRequest(f"a kind is {', '.join(KINDS)}, not {kind!r:.40}")
    return kind


def _name(name: str) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"a name is text that is not empty, not {name!r:.40}")
    return check_bound("name", name)


def _lease(lease: int) -> int:
    if type(lease) is not int or not 1 <= lease <= limits.INDEX_MAX:
        raise InvalidRequest(f"a lease is the number that granting it gave, not {lease!r:.40}")
    return lease


def _token(token: int) -> int:
    if type(token) is not int or not 1 <= token <= limits.INDEX_MAX:
        raise InvalidRequest(f"a token is the number that acquiring gave, not {token!r:.40}")
    return token


def _count(what: str, number: int) -> int:
    if type(number) is not int or not 0 <= number <= limits.INDEX_MAX:
        raise InvalidRequest(f"{what} is a whole number, 0 or above, not {number!r:.40}")
    return number


def _permits_of(kind: str, permits: int, capacity: int) -> tuple[int, int]:
    if kind in (LOCK, ELECTION):
        if permits != 1 or capacity != 0:
            raise InvalidRequest("a lock and an election have one permit: leave permits out")
        return 1, 0
    _permits("permits", permits)
    if type(capacity) is not int or capacity != 0:
        _permits("a capacity", capacity)
        if kind == SEMAPHORE and permits > capacity:
            raise InvalidRequest(f"{permits} permits are more than the {capacity} that there are")
    return permits, capacity


def _permits(what: str, permits: int) -> int:
    if type(permits) is not int or not 1 <= permits <= limits.PERMITS:
        raise InvalidRequest(f"{what} is 1 to {limits.PERMITS}, not {permits!r:.40}")
    return permits


def _place_value(value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"the value of a place is text, not {value!r:.40}")
    controls = sum(character < " " or character == "\x7f" for character in value)
    escapes = value.count('"') + value.count("\\") + 5 * controls
    size = 2 + utf8_bytes(value) + escapes  # as JSON, in its longest form
    if size > limits.PLACE_VALUE_BYTES:
        raise InvalidRequest(
            f"the value of a place takes {size} bytes as JSON, over {limits.PLACE_VALUE_BYTES}"
        )
    return value


# -- decoding ---------------------------------------------------------------------------------


def _nothing(answer: Answer) -> None:
    del answer


def _written(answer: Answer) -> Written:
    return Written(answer.index, answer.term, answer.leader, answer.revision)


def _number(answer: Answer) -> int:
    return _whole(answer.body)


def _place(answer: Answer) -> tuple[int, bool]:
    token, held = answer.body
    return _whole(token), held is True


def _whole(number: Any) -> int:
    if not is_count(number):  # it will stand in requests
        raise ValueError("not a whole number")
    return number


def _lease_info(body: list[Any]) -> LeaseInfo:
    lease, ttl_ms, remaining_ms, keys, places = body
    return LeaseInfo(lease, ttl_ms / 1000, remaining_ms / 1000, keys, places)
