"""The commands on keys."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from raftzmq import limits
from raftzmq.machine.commands.checks import (
    check_bound,
    check_integer,
    check_key,
    check_revision,
    check_value,
)
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import DONE, Outcome, no_room, refused
from raftzmq.machine.state import State
from raftzmq.machine.values import expect_integers, expect_text, from_wire, item_body
from raftzmq.prefixes import prefix_end


def put(state: State, key: str, value: Any) -> Outcome:
    """`put key value`."""
    if type(key) is not str:
        expect_text(key)
    state.keys.put(key, value if type(value) is str else from_wire(value), state.revision)
    return DONE


def cas(state: State, key: str, value: Any, revision: int) -> Outcome:
    """`cas key value revision`: put, if the key's revision is still `revision` (0: absent)."""
    expect_integers(revision)
    stored = from_wire(value)
    item = state.keys.items.get(expect_text(key))
    if revision != (0 if item is None else item[1]):
        return "compare_failed", item_body(item)
    state.keys.put(key, stored, state.revision)
    return DONE


def delete(state: State, key: str) -> Outcome:
    """`delete key`: how many keys were deleted, 0 or 1."""
    return "ok", int(state.keys.remove(expect_text(key), state.revision))


def delete_prefix(state: State, start: str, bound: int | None = None) -> Outcome:
    """`delete_prefix prefix`: how many keys were deleted. All or, if they are more than `bound`,
    none."""
    end = prefix_end(expect_text(start))
    if bound is not None:
        expect_integers(bound)
        count = state.keys.count(start, end)
        if count > bound:
            return refused(
                "invalid",
                f"delete_prefix: {count} keys begin with {start[:40]!r}, and at most {bound} are "
                "deleted at once; none was; delete the first with delete_first until none is left",
            )
        if count > state.room(bound):
            return no_room()
        state.removals += count
    return "ok", len(state.keys.remove_span(start, end, state.revision))


def delete_first(state: State, start: str, limit: int) -> Outcome:
    """`delete_first prefix limit`: `[deleted, more]`: of the keys that begin so those that come
    first, as many as this entry has room for, and whether there are more."""
    expect_integers(limit)
    keys = state.keys
    end = prefix_end(expect_text(start))
    room = state.room(limit)
    following = next(islice(keys.span(start, end), room, None), None)
    removed = keys.remove_span(start, end if following is None else following, state.revision)
    state.removals += len(removed)
    return "ok", [len(removed), following is not None]


def _check_removals(limit: Any, what: str) -> None:
    check_integer(limit, what, 1, limits.REMOVALS_PER_ENTRY)


def the_key(_state: State, key: str, *_rest: Any) -> tuple[str]:
    """What an operation on one key touches."""
    return (expect_text(key),)


def _keys_of_the_prefix(state: State, start: str) -> Iterator[str]:
    return state.keys.span(expect_text(start), prefix_end(start))


COMMANDS: Final = (
    Command(
        name="put",
        arguments={"key": check_key, "value": check_value},
        run=put,
        fenced=True,
        adds=True,
        touches=the_key,
    ),
    Command(
        name="cas",
        arguments={"key": check_key, "value": check_value, "revision": check_revision},
        run=cas,
        fenced=True,
        adds=True,
    ),
    Command(
        name="delete",
        arguments={"key": check_key},
        run=delete,
        fenced=True,
        touches=the_key,
    ),
    Command(
        name="delete_prefix",
        arguments={"prefix": check_bound},
        run=delete_prefix,
        fenced=True,
        bounded=True,
        touches=_keys_of_the_prefix,
    ),
    Command(
        name="delete_first",
        arguments={"prefix": check_bound, "limit": _check_removals},
        run=delete_first,
        fenced=True,
    ),
)
