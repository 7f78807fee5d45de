"""Queues, of which locks, semaphores, counters and elections are kinds: places in them, for those
who keep tokens themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from raftzmq import limits
from raftzmq.client.operations.arguments import (
    LONGEST_TIMEOUT_S,
    Answer,
    Operation,
    check_bound,
    check_count,
    check_lease,
    check_limit,
    check_name,
    check_token,
    decode_count,
    decode_nothing,
    decode_number,
    quoted,
    read,
    utf8_bytes,
    write,
)
from raftzmq.client.results import Leader, Place, Queue, Queues, QueueSummary
from raftzmq.errors import InvalidRequest

T = TypeVar("T")

LOCK: Final = "lock"
SEMAPHORE: Final = "semaphore"
COUNTER: Final = "counter"
ELECTION: Final = "election"
KINDS: Final = (LOCK, SEMAPHORE, COUNTER, ELECTION)


def release(kind: str, name: str, token: int, *, timeout: float = 5) -> Operation[None]:
    """Give up a place, whether it holds or waits. Raises NotHeld if it does neither.
    For example:

        token = db.acquire("lock", "nightly", db.lease_grant(60))
        db.release("lock", "nightly", token)
    """
    args = [_kind(kind), check_name(name), check_token(token)]
    return write("release", args, decode_nothing, timeout)


def signal(name: str, permits: int = 1, *, timeout: float = 5) -> Operation[int]:
    """Add permits to a plain semaphore, made if there is none; return how many it has.
    For example:

        print(db.signal("tickets", 3))
    """
    args = [check_name(name), _permits("permits", permits)]
    return write("signal", args, decode_number, timeout)


def resize(name: str, permits: int, *, timeout: float = 5) -> Operation[None]:
    """Let a semaphore have so many permits; it is made if there is none.
    For example:

        db.resize("mail", 5)
    """
    args = [check_name(name), _permits("permits", permits)]
    return write("resize", args, decode_nothing, timeout)


def forget(kind: str, name: str, *, timeout: float = 5) -> Operation[None]:
    """Remove a semaphore or counter. Raises NotFound, or NotAcquired while it is in use.
    For example:

        db.resize("mail", 5)
        db.forget("semaphore", "mail")
    """
    if kind not in (SEMAPHORE, COUNTER):
        raise InvalidRequest(f"only a semaphore or counter is forgotten, not a {quoted(kind)}")
    return write("forget", [kind, check_name(name)], decode_nothing, timeout)


def describe(kind: str, name: str, *, timeout: float = 5) -> Operation[Queue | None]:
    """Who holds and who waits; None if there is no such queue.
    For example:

        if queue := db.describe("lock", "nightly"):
            print([place.value for place in queue.holders], queue.waiting)
    """

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

    return read("describe", [_kind(kind), check_name(name)], decode, timeout)


def queues(
    kind: str, prefix: str = "", limit: int = 1000, *, timeout: float = 5
) -> Operation[Queues]:
    """The queues of a kind whose names begin with `prefix`, at most `limit`.
    For example:

        for queue in db.queues("lock", "report-"):
            print(queue.name, queue.held, queue.waiting)
    """

    def decode(answer: Answer) -> Queues:
        items, more = answer.body
        return Queues(tuple(QueueSummary(*item) for item in items), bool(more))

    args = [_kind(kind), check_bound("prefix", prefix), check_limit(limit)]
    return read("queues", args, decode, timeout)


# -- what handles and the session ask; no methods of a client ---------------------------------


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

    def decode(answer: Answer) -> tuple[int, bool]:
        token, held = answer.body
        return decode_count(token), held is True

    args = [_kind(kind), check_name(name), check_lease(lease)]
    how = [*_permits_of(kind, permits, capacity), bool(wait), _place_value(value)]
    return write("acquire", [*args, *how], decode)


def cancel(kind: str, name: str, token: int) -> Operation[None]:
    """As `release`, but takes nothing of what a counter granted."""
    return write("cancel", [_kind(kind), check_name(name), check_token(token)], decode_nothing)


def await_place(kind: str, name: str, token: int) -> Operation[bool]:
    """Whether the place holds; the node keeps the answer back until it does, or for a while."""
    args = [_kind(kind), check_name(name), check_token(token)]
    return _held("await", args, lambda answer: answer.body)


def observe(name: str, token: int) -> Operation[Leader | bool | None]:
    """Who is elected, once that is not the one with this token (None: nobody); False: still
    the same after a while."""

    return _held("observe", [check_name(name), check_count("token", token)], _leader)


def proclaimed(name: str, token: int, value: str | None) -> Operation[Leader | bool | None]:
    """As `observe`, and also once the one with this token is known by another value. Raises
    Unsupported where a node of release 0.2.0 leads."""
    args = [check_name(name), check_count("token", token), _place_value(value)]
    return _held("proclaimed", args, _leader)


def proclaim(name: str, token: int, value: str | None, timeout_s: float) -> Operation[None]:
    """Let the leader of an election be known by another value."""
    args = [check_name(name), check_token(token), _place_value(value)]
    return write("proclaim", args, decode_nothing, timeout_s)


def _leader(answer: Answer) -> Leader | bool | None:
    return answer.body if answer.body in (None, False) else Leader(*answer.body)


def _held(name: str, args: list[Any], decode: Callable[[Answer], T]) -> Operation[T]:
    return read(name, [*args, limits.AWAIT_MS], decode, LONGEST_TIMEOUT_S, hold_ms=limits.AWAIT_MS)


# -- arguments --------------------------------------------------------------------------------


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise InvalidRequest(f"a kind is {', '.join(KINDS)}, not {quoted(kind)}")
    return kind


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
        raise InvalidRequest(f"{what} is 1 to {limits.PERMITS}, not {quoted(permits)}")
    return permits


def _place_value(value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"the value of a place is text, not {quoted(value)}")
    controls = sum(character < " " or character == "\x7f" for character in value)
    escapes = value.count('"') + value.count("\\") + 5 * controls
    size = 2 + utf8_bytes(value) + escapes  # as JSON, in its longest form
    if size > limits.PLACE_VALUE_BYTES:
        raise InvalidRequest(
            f"the value of a place takes {size} bytes as JSON, over {limits.PLACE_VALUE_BYTES}"
        )
    return value
