"""The operations of keys and transactions: encoded and decoded.

A function here returns an `Operation`: what the session sends, and `decode` for what comes back.
Whatever a node would refuse as invalid is refused here, before anything is sent (InvalidRequest).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
    read,
    write,
)
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


def put(key: str, value: Value) -> Operation[Written]:
    return write("put", [check_key(key), encode_value(value)], _written)


def cas(key: str, value: Value, revision: int) -> Operation[CasResult]:
    """Put if the key's revision is `revision`; 0 means that it must be absent."""
    if type(revision) is not int or not 0 <= revision <= limits.INDEX_MAX:
        raise InvalidRequest(f"a revision is a whole number, 0 or above, not {revision!r:.40}")

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

    return write("cas", [check_key(key), encode_value(value), revision], decode)


def put_if_absent(key: str, value: Value) -> Operation[CasResult]:
    return cas(key, value, 0)


def delete(key: str) -> Operation[Deleted]:
    return write("delete", [check_key(key)], _deleted)


def delete_prefix(prefix: str) -> Operation[Deleted]:
    """Delete every key that begins with `prefix`; an empty prefix is every key."""
    return write("delete_prefix", [check_bound("prefix", prefix)], _deleted)


def get(key: str, *, stale: bool, endpoint: str | None) -> Operation[Item | None]:
    return read(
        "get", [check_key(key)], lambda answer: decode_item(key, answer.body), stale, endpoint
    )


def range_(
    start: str, end: str, limit: int, *, stale: bool, endpoint: str | None
) -> Operation[Range]:
    args = [check_bound("start", start), check_bound("end", end), check_limit(limit)]
    return read("range", args, _range, stale, endpoint)


def prefix_(prefix: str, limit: int, *, stale: bool, endpoint: str | None) -> Operation[Range]:
    args = [check_bound("prefix", prefix), check_limit(limit)]
    return read("prefix", args, _range, stale, endpoint)


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
        return TxnResult(
            succeeded, results, answer.index, answer.term, answer.leader, answer.revision
        )

    args = [[encode_compare(c) for c in compares], [encode_branch(o) for o in then]]
    return write("txn", [*args, [encode_branch(o) for o in otherwise]], decode)


def encode_compare(compare: Compare) -> list[Any]:
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
        return [check_key(key), field, operator, operand]
    if isinstance(operand, int):
        raise InvalidRequest("a value is compared with text, bytes or None, not with a number")
    return [check_key(key), field, operator, None if operand is None else encode_value(operand)]


def encode_branch(operation: TxnOperation) -> list[Any]:
    match operation:
        case Put(key, value):
            return ["put", check_key(key), encode_value(value)]
        case Delete(key):
            return ["delete", check_key(key)]
        case DeletePrefix(prefix):
            return ["delete_prefix", check_bound("prefix", prefix)]
        case Get(key):
            return ["get", check_key(key)]
        case GetRange(start, end, limit):
            return [
                "range",
                check_bound("start", start),
                check_bound("end", end),
                check_limit(limit),
            ]
        case GetPrefix(prefix, limit):
            return ["prefix", check_bound("prefix", prefix), check_limit(limit)]
    raise InvalidRequest(f"not an operation of a transaction: {operation!r:.40}")


# -- decoding: bodies come from the network; a wrong shape raises TypeError, ValueError and such --


def _written(answer: Answer) -> Written:
    return Written(answer.index, answer.term, answer.leader, answer.revision)


def _deleted(answer: Answer) -> Deleted:
    return Deleted(int(answer.body), answer.index, answer.term, answer.leader, answer.revision)


def _range(answer: Answer) -> Range:
    items, more = answer.body
    found = tuple(Item(key, decode_value(value), revision) for key, value, revision in items)
    return Range(found, bool(more), answer.index, answer.revision)


def _branch_result(
    operation: TxnOperation, body: Any, whole: Answer
) -> Written | Deleted | Item | Range | None:
    answer = replace(whole, body=body)
    match operation:
        case Put():
            return _written(answer)
        case Delete() | DeletePrefix():
            return _deleted(answer)
        case Get(key):
            return decode_item(key, body)
    return _range(answer)
