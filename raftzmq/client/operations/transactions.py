"""Transactions: several operations at one index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raftzmq import limits
from raftzmq.client.operations import keys
from raftzmq.client.operations.arguments import (
    Answer,
    Operation,
    check_key,
    encode_value,
    quoted,
    write,
)
from raftzmq.client.operations.fences import AnyFence, guarded
from raftzmq.client.results import TxnResult
from raftzmq.errors import InvalidRequest

if TYPE_CHECKING:
    from raftzmq.client.transactions import Compare, TxnOperation


def txn(
    compares: Sequence[Compare] = (),
    then: Sequence[TxnOperation] = (),
    otherwise: Sequence[TxnOperation] = (),
    *,
    fence: AnyFence = None,
    timeout: float = 5,
) -> Operation[TxnResult]:
    """Do the operations of `then` if every compare holds, else those of `otherwise`, all at one
    index.

        db.txn(
            compares=[Compare("config", "revision", "=", 0)],
            then=[Put("config", "first"), Put("owner", "me")],
            otherwise=[Get("owner")],
        )
    """
    for what, part in (("compares", compares), ("then", then), ("otherwise", otherwise)):
        if not isinstance(part, list | tuple):
            raise InvalidRequest(f"{what} is a list, not {quoted(part)}")
        if len(part) > limits.TRANSACTION_OPERATIONS:
            raise InvalidRequest(
                f"{what} has {len(part)} members; a transaction has at most "
                f"{limits.TRANSACTION_OPERATIONS} of each kind"
            )
    conditions = [_encode_compare(compare) for compare in compares]
    held, failed = [_request(o) for o in then], [_request(o) for o in otherwise]

    def decode(answer: Answer) -> TxnResult:
        succeeded, bodies = answer.body
        results = tuple(
            request.decode(replace(answer, body=body))
            for request, body in zip((failed, held)[succeeded], bodies, strict=True)
        )
        return TxnResult(
            succeeded, results, answer.index, answer.term, answer.leader, answer.revision
        )

    args = [conditions, [r.as_part for r in held], [r.as_part for r in failed]]
    return guarded(write("txn", args, decode, timeout), fence)


def _encode_compare(compare: Compare) -> list[Any]:
    from raftzmq.client.transactions import Compare

    if not isinstance(compare, Compare):
        raise InvalidRequest(f"compares are made with Compare(...), not {quoted(compare)}")
    key, field, operator, operand = compare.key, compare.field, compare.operator, compare.operand
    if field not in ("value", "revision"):
        raise InvalidRequest(f"a compare's field is value or revision, not {quoted(field)}")
    if operator not in ("=", "!=", "<", ">") or (field == "value" and operator in ("<", ">")):
        raise InvalidRequest(f"{field}s are compared by =, !=, < or >, values only by = and !=")
    if field == "revision":
        if type(operand) is not int or not 0 <= operand <= limits.INDEX_MAX:
            raise InvalidRequest(f"a revision is a whole number, 0 or above, not {quoted(operand)}")
        return [check_key(key), field, operator, operand]
    if isinstance(operand, int):
        raise InvalidRequest("a value is compared with text, bytes or None, not with a number")
    return [check_key(key), field, operator, None if operand is None else encode_value(operand)]


def _request(operation: TxnOperation) -> Operation[Any]:
    """What the same would be by itself."""
    # Imported late: whoever has such an operation has imported them.
    from raftzmq.client.transactions import (
        Delete,
        DeletePrefix,
        Get,
        GetPrefix,
        GetRange,
        Incr,
        Put,
    )

    match operation:
        case Put(key, value, ttl, lease, keep_end):
            return keys.put_in_transaction(key, value, ttl, lease, keep_end)
        case Incr(key, by, ttl, lease):
            return keys.incr(key, by, ttl=ttl, lease=lease)
        case Delete(key):
            return keys.delete(key)
        case DeletePrefix(prefix):
            return keys.delete_prefix_at_once(prefix)
        case Get(key):
            return keys.get(key)
        case GetRange(start, end, limit):
            return keys.range_(start, end, limit)
        case GetPrefix(prefix, limit):
            return keys.prefix(prefix, limit)
    raise InvalidRequest(f"not an operation of a transaction: {quoted(operation)}")
