"""The lists of operations and of results in a message, each checked as a whole.

They are the hot paths of a leader and of a client: no statement here is executed for each item.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def are_traces(traces: Any) -> bool:
    """Whether each is `[id, traceparent]`, for at most as many as there may be operations."""
    return (
        type(traces) is list
        and len(traces) <= limits.OPERATIONS_PER_MESSAGE
        and all(
            type(trace) is list
            and len(trace) == 2
            and is_count(trace[0])
            and type(trace[1]) is str
            and len(trace[1]) <= limits.TRACE_CHARACTERS
            for trace in traces
        )
    )


def are_results(results: list[Any]) -> bool:
    """Whether each is `[id, code, revision, body]`; there is at least one."""
    if set(map(type, results)) != {list} or set(map(len, results)) != {4}:
        return False
    ids, codes, revisions, _ = zip(*results, strict=True)
    return (
        set(map(type, ids)) == {int} == set(map(type, revisions))
        and min(ids) >= 0 <= min(revisions)
        and max(ids) <= limits.INDEX_MAX >= max(revisions)
        and set(map(type, codes)) == {str}
    )


def are_entries(entries: list[Any], results: int) -> bool:
    """Whether each is `[index, count]`, and the counts make up `results`; or there are none, as
    from a node that does not say them."""
    if len(entries) > results:
        return False
    for entry in entries:
        if type(entry) is not list or len(entry) != 2:
            return False
        index, count = entry
        if not (is_count(index) and is_count(count) and count):
            return False
    return not entries or sum(count for _, count in entries) == results


def split_entries(
    entries: Sequence[Sequence[int]], first: int
) -> tuple[list[Sequence[int]], list[Sequence[int]]]:
    """The entries of the `first` results, and those of the others."""
    before: list[Sequence[int]] = []
    after: list[Sequence[int]] = []
    for index, count in entries:
        taken = min(count, first)
        first -= taken
        if taken:
            before.append([index, taken])
        if count > taken:
            after.append([index, count - taken])
    return before, after
