"""Reading and writing keys."""

from __future__ import annotations

from dataclasses import replace

from raftzmq import limits
from raftzmq.client.operations.arguments import (
    Answer,
    Operation,
    check_bound,
    check_key,
    check_limit,
    copy_value,
    decode_item,
    decode_value,
    encode_value,
    milliseconds,
    quoted,
    read,
    write,
)
from raftzmq.client.operations.fences import AnyFence, guarded
from raftzmq.client.operations.leases import AnyLease, number_of
from raftzmq.client.results import CasResult, Deleted, Item, Range, Value, Written
from raftzmq.errors import InvalidRequest


def put(
    key: str,
    value: Value,
    *,
    ttl: float | None = None,
    lease: AnyLease | None = None,
    fence: AnyFence = None,
    timeout: float = 5,
) -> Operation[Written]:
    """Write a key. It is deleted `ttl` seconds later unless written again, or when the `lease`
    ends."""
    if ttl is not None and lease is not None:
        raise InvalidRequest("a key ends with a lease or after a time to live: give one of them")
    name, args = "put", [check_key(key), encode_value(value)]
    if ttl is not None:
        name = "put_ttl"
        args.append(milliseconds(ttl))
    elif lease is not None:
        name = "put_leased"
        args.append(number_of(lease))
    operation = write(name, args, _written, timeout)
    return operation if fence is None else guarded(operation, fence)  # a hot path: no call more


def get(
    key: str, *, stale: bool = False, endpoint: str | None = None, timeout: float = 5
) -> Operation[Item | None]:
    """Read a key; None if it is absent. Linearizable, unless `stale`: then whichever node is
    asked, or the one at `endpoint`, answers from what it has applied."""

    def decode(answer: Answer) -> Item | None:
        return decode_item(key, answer.body)

    return read("get", [check_key(key)], decode, timeout, stale=stale, endpoint=endpoint)


def delete(key: str, *, fence: AnyFence = None, timeout: float = 5) -> Operation[Deleted]:
    """Delete a key, if it is there."""
    return guarded(write("delete", [check_key(key)], _deleted, timeout), fence)


def delete_prefix(prefix: str, *, fence: AnyFence = None, timeout: float = 5) -> Operation[Deleted]:
    """Delete every key that begins with `prefix`.

    Up to 2,048 keys are deleted at one moment. More are deleted in steps of so many, in order, and
    each step has `timeout`; what is written meanwhile may be deleted too. The result is that of the
    last step, with the `count` of all. If a later step fails, the error says how many keys are
    deleted already: Refused, or OutcomeUnknown whatever the cause. Ask again for the rest.
    """
    args = [check_bound("prefix", prefix), limits.REMOVALS_PER_ENTRY]
    return guarded(write("delete_first", args, _deleted_first, timeout), fence)


def delete_prefix_at_once(prefix: str) -> Operation[Deleted]:
    """As part of a transaction: delete every key that begins with `prefix`. Of a prefix with more
    than 2,048 keys the cluster declines it."""
    return write("delete_prefix", [check_bound("prefix", prefix)], _deleted)


def cas(
    key: str, value: Value, revision: int, *, fence: AnyFence = None, timeout: float = 5
) -> Operation[CasResult]:
    """Write a key if its revision is `revision` (0: if it is absent)."""
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

    args = [check_key(key), encode_value(value), revision]
    return guarded(write("cas", args, decode, timeout), fence)


def put_if_absent(
    key: str, value: Value, *, fence: AnyFence = None, timeout: float = 5
) -> Operation[CasResult]:
    """Write a key if it is absent."""
    return cas(key, value, 0, fence=fence, timeout=timeout)


def range_(
    start: str = "",
    end: str = "",
    limit: int = 1000,
    *,
    stale: bool = False,
    endpoint: str | None = None,
    timeout: float = 5,
) -> Operation[Range]:
    """Read the keys from `start` up to but excluding `end` ("": no end), at most `limit`."""
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
    """Read the keys that begin with `prefix`, at most `limit`."""
    args = [check_bound("prefix", prefix), check_limit(limit)]
    return read("prefix", args, _range, timeout, stale=stale, endpoint=endpoint)


# -- decoding: bodies come from the network; a wrong shape raises TypeError, ValueError and such --


def _written(answer: Answer) -> Written:
    return Written(answer.index, answer.term, answer.leader, answer.revision)


def _deleted(answer: Answer) -> Deleted:
    return Deleted(int(answer.body), answer.index, answer.term, answer.leader, answer.revision)


def _deleted_first(answer: Answer) -> Deleted:
    count, more = answer.body
    return replace(_deleted(replace(answer, body=count)), more=bool(more))


def _range(answer: Answer) -> Range:
    items, more = answer.body
    found = tuple(Item(key, decode_value(value), revision) for key, value, revision in items)
    return Range(found, bool(more), answer.index, answer.revision)
