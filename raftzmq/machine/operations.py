"""The table of commands: by name, what a write does to the state.

A command is a function of the state and its own arguments that gives a code and a body. It runs
on every node, at the same index, on the same state: it may use nothing but these, and raises
nothing but UnknownEntry, before it has changed anything that it would not change otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from raftzmq.errors import UnknownEntry
from raftzmq.machine.keys import prefix_end
from raftzmq.machine.reads import expect_text, item_body
from raftzmq.machine.state import State
from raftzmq.machine.transactions import txn
from raftzmq.machine.values import from_wire

Outcome = tuple[str, Any]

DONE: Outcome = ("ok", None)


class Command(NamedTuple):
    """A command: how long its operation is (serial, name and arguments), and what it does."""

    length: int
    run: Callable[..., Outcome]


def put(state: State, key: str, value: Any) -> Outcome:
    """`put key value`."""
    if type(key) is not str:
        expect_text(key)
    state.keys.put(key, value if type(value) is str else from_wire(value), state.revision)
    return DONE


def cas(state: State, key: str, value: Any, revision: int) -> Outcome:
    """`cas key value revision`: put, if the key's revision is still `revision` (0: absent)."""
    if type(revision) is not int:
        raise UnknownEntry("a revision is in a form that this version does not know")
    stored = from_wire(value)
    item = state.keys.items.get(expect_text(key))
    if revision != (0 if item is None else item[1]):
        return "compare_failed", item_body(item)
    state.keys.put(key, stored, state.revision)
    return DONE


def delete(state: State, key: str) -> Outcome:
    """`delete key`: how many keys were deleted, 0 or 1."""
    return "ok", int(state.keys.remove(expect_text(key)))


def delete_prefix(state: State, start: str) -> Outcome:
    """`delete_prefix prefix`: how many keys were deleted."""
    return "ok", len(state.keys.remove_span(expect_text(start), prefix_end(start)))


COMMANDS: dict[str, Command] = {
    "put": Command(4, put),
    "cas": Command(5, cas),
    "delete": Command(3, delete),
    "delete_prefix": Command(3, delete_prefix),
    "txn": Command(5, txn),
}
