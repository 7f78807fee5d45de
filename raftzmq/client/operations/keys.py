"""Reading and writing keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from raftzmq import limits
from raftzmq.client.leased import AnyLease
from raftzmq.client.operations.arguments import (
    TIMEOUT_S,
    Answer,
    Operation,
    check_bound,
    check_key,
    check_limit,
    copy_value,
    decode_item,
    decode_number,
    decode_value,
    encode_value,
    milliseconds,
    quoted,
    read,
    write,
)
from raftzmq.client.operations.fences import AnyFence, guarded
from raftzmq.client.operations.leases import number_of
from raftzmq.client.results import (
    CasResult,
    Deleted,
    Incremented,
    Item,
    Keys,
    Range,
    Value,
    Written,
)
from raftzmq.errors import InvalidRequest

T = TypeVar("T")


def put(
    key: str,
    value: Value,
    *,
    ttl: float | None = None,
    lease: AnyLease | None = None,
    keep_end: bool = False,
    if_absent: bool = False,
    fence: AnyFence = None,
    timeout: float = 5,
) -> Operation[Written]:
    """Write a key. It is deleted `ttl` seconds later (0.5 to ten years of them) unless written
    again, or when the `lease` ends. With `keep_end` it ends as it did before; without any of these
    it stays.

    With `if_absent` nothing is written if the key is there: the result then has `succeeded` False,
    and in `current` what stood in the way. So a request is done once, and forgotten in a day:

        if db.put(f"seen/{request}", worker, if_absent=True, ttl=86_400).succeeded: ...

    `keep_end`, and `if_absent` with a `ttl` or `lease`, need cluster version 2: Unsupported.
    """
    if ttl is None and lease is None and keep_end is False and if_absent is False:
        args = [check_key(key), encode_value(value)]
        operation = write("put", args, _written, timeout)
        return operation if fence is None else guarded(operation, fence)  # a hot path: no call more
    if type(if_absent) is not bool:
        raise InvalidRequest(f"if_absent is True or False, not {quoted(if_absent)}")
    end = _end(ttl, lease, keep_end)
    if if_absent:
        operation = _put_if(key, value, 0, end, _written_if(key), timeout)
    elif keep_end:
        operation = _put_if(key, value, None, end, _written, timeout)
    else:
        name = {"ttl": "put_ttl", "lease": "put_leased"}[end[0]]
        operation = write(name, [check_key(key), encode_value(value), end[1]], _written, timeout)
    return guarded(operation, fence)


def put_in_transaction(
    key: str,
    value: Value,
    ttl: float | None,
    lease: AnyLease | None,
    keep_end: bool,
) -> Operation[Written]:
    """As part of a transaction: write a key."""
    end = _end(ttl, lease, keep_end)
    return put(key, value) if end is None else _put_if(key, value, None, end, _written)


def get(
    key: str,
    *,
    details: bool = False,
    stale: bool = False,
    endpoint: str | None = None,
    timeout: float = 5,
) -> Operation[Item | None]:
    """Read a key; None if it is absent. Linearizable, unless `stale`: then whichever node is
    asked, or the one at `endpoint`, answers from what it has applied. With `details` the item has
    the key's `lease`, `remaining` time and `version` too; a node of release 0.2.0 does not know
    them, and Unsupported is raised.

        if item := db.get("greeting"):
            print(item.value, item.revision)
    """

    def decode(answer: Answer) -> Item | None:
        return decode_item(key, answer.body)

    def decode_details(answer: Answer) -> Item | None:
        if answer.body is None:
            return None
        value, revision, lease, remaining_ms, version = answer.body
        remaining = None if remaining_ms is None else remaining_ms / 1000
        value = decode_value(value)
        return Item(key, value, revision, lease or None, remaining, version or None)

    name, decoder = ("item", decode_details) if details else ("get", decode)
    return read(name, [check_key(key)], decoder, timeout, stale=stale, endpoint=endpoint)


def count(
    prefix: str = "", *, stale: bool = False, endpoint: str | None = None, timeout: float = 5
) -> Operation[int]:
    """How many keys begin with `prefix`, of all of them at one moment and without reading them.

    Raises Unsupported where a node of release 0.2.0 is asked.

        print(db.count("jobs/"))
    """
    args = [check_bound("prefix", prefix)]
    return read("count", args, decode_number, timeout, stale=stale, endpoint=endpoint)


def keys_(
    prefix: str = "",
    after: str = "",
    limit: int = 1000,
    *,
    stale: bool = False,
    endpoint: str | None = None,
    timeout: float = 5,
) -> Operation[Keys]:
    """Read the keys that begin with `prefix` and come behind `after`, at most `limit`, without
    their values. Raises Unsupported where a node of release 0.2.0 is asked.

        for key in db.keys("jobs/", limit=100):
            print(key)
    """
    args = [check_bound("prefix", prefix), check_bound("after", after), check_limit(limit)]
    return read("keys", args, _keys, timeout, stale=stale, endpoint=endpoint)


def delete(
    key: str, *, previous: bool = False, fence: AnyFence = None, timeout: float = 5
) -> Operation[Deleted]:
    """Delete a key, if it is there. With `previous` the result has what it was.
    For example:

        print(db.delete("greeting", previous=True).previous)
    """
    if not previous:
        return guarded(write("delete", [check_key(key)], _deleted, timeout), fence)

    def decode(answer: Answer) -> Deleted:
        _, (item, count) = answer.body
        return replace(_deleted(replace(answer, body=count)), previous=decode_item(key, item))

    steps = [["get", check_key(key)], ["delete", key]]
    return guarded(write("txn", [[], steps, []], decode, timeout), fence)


def delete_prefix(prefix: str, *, fence: AnyFence = None, timeout: float = 5) -> Operation[Deleted]:
    """Delete every key that begins with `prefix`.

    Up to 2,048 keys are deleted at one moment. More are deleted in steps of so many, in order, and
    each step has `timeout`; what is written meanwhile may be deleted too. The result is that of the
    last step, with the `count` of all. If a later step fails, the error says how many keys are
    deleted already: Refused, or OutcomeUnknown whatever the cause. Ask again for the rest.

        print(db.delete_prefix("cart/9/").count)
    """
    args = [check_bound("prefix", prefix), limits.REMOVALS_PER_ENTRY]
    return guarded(write("delete_first", args, _deleted_first, timeout), fence)


def delete_prefix_at_once(prefix: str) -> Operation[Deleted]:
    """As part of a transaction: delete every key that begins with `prefix`. Of a prefix with more
    than 2,048 keys the cluster declines it."""
    return write("delete_prefix", [check_bound("prefix", prefix)], _deleted)


def cas(
    key: str,
    value: Value,
    revision: int,
    *,
    ttl: float | None = None,
    lease: AnyLease | None = None,
    keep_end: bool = False,
    fence: AnyFence = None,
    timeout: float = 5,
) -> Operation[CasResult]:
    """Write a key if its revision is `revision` (0: if it is absent). `ttl`, `lease` and `keep_end`
    say when it ends, as of `put`; with one of them it needs cluster version 2: Unsupported.

        if item := db.get("visits"):
            done = db.cas("visits", str(int(item.value) + 1), item.revision)
            print(done.succeeded)
    """
    if type(revision) is not int or not 0 <= revision <= limits.INDEX_MAX:
        raise InvalidRequest(f"a revision is a whole number, 0 or above, not {quoted(revision)}")

    def decode(answer: Answer) -> CasResult:
        if answer.compared:
            current: Item | None = Item(key, copy_value(value), answer.revision)
        else:
            current = decode_item(key, answer.body)
        return CasResult(
            succeeded=answer.compared,
            revision=current.revision if current else 0,
            current=current,
            index=answer.index,
            term=answer.term,
            leader=answer.leader,
        )

    end = _end(ttl, lease, keep_end)
    return guarded(_put_if(key, value, revision, end, decode, timeout), fence)


def put_if_absent(
    key: str,
    value: Value,
    *,
    ttl: float | None = None,
    lease: AnyLease | None = None,
    fence: AnyFence = None,
    timeout: float = 5,
) -> Operation[CasResult]:
    """Write a key if it is absent. `ttl` and `lease` as of `cas`.
    For example:

        print(db.put_if_absent("config", "first").succeeded)
    """
    return cas(key, value, 0, ttl=ttl, lease=lease, fence=fence, timeout=timeout)


def incr(
    key: str,
    by: int = 1,
    *,
    ttl: float | None = None,
    lease: AnyLease | None = None,
    fence: AnyFence = None,
    timeout: float = 5,
) -> Operation[Incremented]:
    """Add `by`, which may be below 0, to the number that a key holds as decimal text; the result
    has the sum as `value`. It is added once, however often the request had to be sent. An absent
    key counts as 0, and ends as `ttl` or `lease` say; a key that is there goes on to end as it did.

        if db.incr("calls/7/12:03", ttl=120).value > 100:
            print("too many calls in this minute")

    InvalidRequest: the key holds something else, or would get further from 0 than 2**53 - 1. It
    needs cluster version 2: Unsupported.
    """
    if type(by) is not int or abs(by) > limits.NUMBER_MAX:
        raise InvalidRequest(
            f"by is a whole number, at most {limits.NUMBER_MAX} up and down, not {quoted(by)}"
        )
    args = [check_key(key), by, _end(ttl, lease, keep_end=False)]
    return guarded(write("incr", args, _incremented, timeout), fence)


def _end(ttl: float | None, lease: AnyLease | None, keep_end: bool) -> Any:
    """When a key ends, as `put_if` says it in PROTOCOL.md; None: never."""
    if type(keep_end) is not bool:
        raise InvalidRequest(f"keep_end is True or False, not {quoted(keep_end)}")
    if ttl is None and lease is None:
        return "keep" if keep_end else None
    if ttl is not None and lease is None and not keep_end:
        return ["ttl", milliseconds(ttl, limits.KEY_TTL_MAX_MS)]
    if lease is not None and ttl is None and not keep_end:
        return ["lease", number_of(lease)]
    raise InvalidRequest(
        "a key ends with a lease, or after a time to live, or as before: give one of them"
    )


def _put_if(
    key: str,
    value: Value,
    revision: int | None,
    end: Any,
    decode: Callable[[Answer], T],
    timeout: float = TIMEOUT_S,
) -> Operation[T]:
    """A put on a condition: a `cas`, which every cluster knows, if that says it."""
    args = [check_key(key), encode_value(value), revision]
    if end is None and revision is not None:
        return write("cas", args, decode, timeout)
    return write("put_if", [*args, end], decode, timeout)


def range_(
    start: str = "",
    end: str = "",
    limit: int = 1000,
    *,
    stale: bool = False,
    endpoint: str | None = None,
    timeout: float = 5,
) -> Operation[Range]:
    """Read the keys from `start` up to but excluding `end` ("": no end), at most `limit`.
    For example:

        for item in db.range("jobs/a", "jobs/n"):
            print(item.key, item.value)
    """
    args = [check_bound("start", start), check_bound("end", end), check_limit(limit)]
    return read("range", args, _range, timeout, stale=stale, endpoint=endpoint)


def prefix(
    prefix: str,
    limit: int = 1000,
    *,
    stale: bool = False,
    endpoint: str | None = None,
    timeout: float = 5,
) -> Operation[Range]:
    """Read the keys that begin with `prefix`, at most `limit`.
    For example:

        for item in db.prefix("config/"):
            print(item.key, item.value)
    """
    args = [check_bound("prefix", prefix), check_limit(limit)]
    return read("prefix", args, _range, timeout, stale=stale, endpoint=endpoint)


# -- decoding: bodies come from the network; a wrong shape raises TypeError, ValueError and such --


def _written(answer: Answer) -> Written:
    return Written(answer.index, answer.term, answer.leader, answer.revision)


def _incremented(answer: Answer) -> Incremented:
    if type(answer.body) is not int:
        raise TypeError("not a whole number")
    return Incremented(answer.body, answer.index, answer.term, answer.leader, answer.revision)


def _written_if(key: str) -> Callable[[Answer], Written]:
    def decode(answer: Answer) -> Written:
        if answer.compared:
            return _written(answer)
        current = decode_item(key, answer.body)
        revision = current.revision if current else 0
        return Written(answer.index, answer.term, answer.leader, revision, False, current)

    return decode


def _deleted(answer: Answer) -> Deleted:
    return Deleted(int(answer.body), answer.index, answer.term, answer.leader, answer.revision)


def _deleted_first(answer: Answer) -> Deleted:
    count, more = answer.body
    return replace(_deleted(replace(answer, body=count)), more=bool(more))


def _keys(answer: Answer) -> Keys:
    items, more = answer.body
    if not all(type(key) is str for key in items):
        raise TypeError("a key is no text")
    return Keys(tuple(items), bool(more), answer.index, answer.revision)


def _range(answer: Answer) -> Range:
    items, more = answer.body
    found = tuple(Item(key, decode_value(value), revision) for key, value, revision in items)
    return Range(found, bool(more), answer.index, answer.revision)
