"""The lists of operations and of results in a message, each checked as a whole.

They are the hot paths of a leader and of a client: no statement here is executed for each item.
"""

from __future__ import annotations

from typing import Any

from raftzmq import limits
from raftzmq.transport.frames import is_count


def are_operations(ops: list[Any]) -> bool:
    """Whether each is `[id, name, ...arguments]`; there is at least one."""
    if set(map(type, ops)) != {list} or min(map(len, ops)) < 2:
        return False
    ids = [op[0] for op in ops]
    return (
        set(map(type, ids)) == {int}
        and min(ids) >= 0
        and max(ids) <= limits.INDEX_MAX
        and set(map(type, [op[1] for op in ops])) == {str}
    )


def ids_of(ops: list[Any]) -> list[int] | None:
    """The ids of all operations, or None if any cannot be read."""
    ids = [op[0] for op in ops if type(op) is list and op and is_count(op[0])]
    return ids if len(ids) == len(ops) else None


def are_results(results: list[Any]) -> bool:
    """Whether each is `[id, code, index, body]`; there is at least one."""
    if set(map(type, results)) != {list} or set(map(len, results)) != {4}:
        return False
    ids, codes, indices, _ = zip(*results, strict=True)
    return (
        set(map(type, ids)) == {int} == set(map(type, indices))
        and min(ids) >= 0 <= min(indices)
        and max(ids) <= limits.INDEX_MAX >= max(indices)
        and set(map(type, codes)) == {str}
    )
