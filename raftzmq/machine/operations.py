"""The table of commands: by name, what a write does to the state.

A command is a function of the state and its own arguments that gives a code and a body. It runs
on every node, at the same index, on the same state: it may use nothing but these, and raises
nothing but UnknownEntry, before it has changed anything that it would not change otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from raftzmq.errors import UnknownEntry
from raftzmq.machine.keys import prefix_end
from raftzmq.machine.leasing import lease_grant, lease_keep, lease_revoke, put_leased, put_ttl
from raftzmq.machine.outcomes import DONE, Outcome
from raftzmq.machine.queueing import acquire, fence_refusal, forget, release, resize, signal
from raftzmq.machine.reads import item_body
from raftzmq.machine.state import State
from raftzmq.machine.transactions import txn
from raftzmq.machine.values import expect_integers, expect_text, from_wire


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


def delete_prefix(state: State, start: str) -> Outcome:
    """`delete_prefix prefix`: how many keys were deleted."""
    end = prefix_end(expect_text(start))
    return "ok", len(state.keys.remove_span(start, end, state.revision))


def fenced(state: State, fences: Any, operation: Any) -> Outcome:
    """`fenced fences operation`: the operation, if each fence's token holds."""
    if type(operation) is not list or not operation or type(operation[0]) is not str:
        raise UnknownEntry("a fenced operation is in a form that this version does not know")
    name, *arguments = operation
    if name not in FENCED or len(arguments) != COMMANDS[name].length - 2:
        raise UnknownEntry(f"fenced {name[:40]!r} with {len(arguments)} arguments")
    refusal = fence_refusal(state, fences)
    return COMMANDS[name].run(state, *arguments) if refusal is None else refusal


COMMANDS: dict[str, Command] = {
    "put": Command(4, put),
    "cas": Command(5, cas),
    "delete": Command(3, delete),
    "delete_prefix": Command(3, delete_prefix),
    "txn": Command(5, txn),
    "lease_grant": Command(3, lease_grant),
    "lease_keep": Command(3, lease_keep),
    "lease_revoke": Command(3, lease_revoke),
    "put_leased": Command(5, put_leased),
    "put_ttl": Command(5, put_ttl),
    "acquire": Command(9, acquire),
    "release": Command(5, release),
    "signal": Command(4, signal),
    "resize": Command(4, resize),
    "forget": Command(4, forget),
    "fenced": Command(4, fenced),
}

FENCED: Final = ("put", "put_leased", "put_ttl", "cas", "delete", "delete_prefix", "txn")
"""The commands that may stand behind fences."""
