"""Transactions: compares of the state before, then one of two branches, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raftzmq import limits
from raftzmq.errors import UnknownEntry
from raftzmq.machine.bonds import Bond
from raftzmq.machine.keys import KeyTable, prefix_end
from raftzmq.machine.reads import KEY_READS
from raftzmq.machine.state import State
from raftzmq.machine.values import Item, body_size, expect_text, from_wire


def txn(state: State, compares: Any, then: Any, otherwise: Any) -> tuple[str, Any]:
    """`txn compares then else`: `[succeeded, [body of each operation of the branch]]`.

    If the bodies together are over limits.TRANSACTION_BYTES, nothing is done and the code is
    `invalid`: the answer would not fit a message.
    """
    if not (type(compares) is type(then) is type(otherwise) is list):
        raise _unknown()
    held = [_holds(state.keys, compare) for compare in compares]
    succeeded = all(held)
    branch = _Branch(state)
    bodies: list[Any] = []
    size = 0
    for operation in then if succeeded else otherwise:
        bodies.append(branch.run(operation))
        size += body_size(bodies[-1])
        if size > limits.TRANSACTION_BYTES:
            branch.roll_back()
            return "invalid", {
                "message": f"txn: its reads return more than {limits.TRANSACTION_BYTES} bytes; "
                "nothing was done; read less in one transaction"
            }
    return "ok", [succeeded, bodies]


def _holds(keys: KeyTable, compare: Any) -> bool:
    if type(compare) is not list or len(compare) != 4:
        raise _unknown()
    key, field, operator, operand = compare
    item = keys.items.get(expect_text(key))
    if field == "value":
        wanted = None if operand is None else from_wire(operand)
        equal = (None if item is None else item[0]) == wanted
    elif field == "revision" and type(operand) is int:
        revision = 0 if item is None else item[1]
        if operator == "<":
            return revision < operand
        if operator == ">":
            return revision > operand
        equal = revision == operand
    else:
        raise _unknown()
    if operator == "=":
        return equal
    if operator == "!=":
        return not equal
    raise _unknown()


class _Branch:
    """The operations of a branch, run one after the other, with what takes them back."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._keys = state.keys
        self._before: list[tuple[str, Item | None, Bond | None]] = []
        changes = state.keys.changes
        self._changes = 0 if changes is None else len(changes)

    def run(self, operation: Any) -> Any:
        """Run one operation and return its body."""
        if type(operation) is not list or not operation or type(operation[0]) is not str:
            raise _unknown()
        name, *arguments = operation
        read = KEY_READS.get(name)
        if read is not None and len(arguments) == read.arguments:
            return read.run(self._state, *arguments)
        keys, revision = self._keys, self._state.revision
        match operation:
            case ["put", str(key), value]:
                self._remember([key])
                keys.put(key, from_wire(value), revision)
                return None
            case ["delete", str(key)]:
                self._remember([key])
                return int(keys.remove(key, revision))
            case ["delete_prefix", str(start)]:
                end = prefix_end(start)
                self._remember(keys.span(start, end))
                return len(keys.remove_span(start, end, revision))
        raise _unknown()

    def _remember(self, names: Iterable[str]) -> None:
        items, bonds = self._keys.items, self._keys.bonds.of_key
        self._before += [(name, items.get(name), bonds.get(name)) for name in names]

    def roll_back(self) -> None:
        """Restore every key that the branch has touched, the last change first."""
        keys = self._keys
        for key, item, bond in reversed(self._before):
            if item is None:
                keys.remove(key, self._state.revision)
            else:
                keys.put(key, *item)
            if bond is not None:
                keys.bonds.bind(key, bond)
        if keys.changes is not None:
            del keys.changes[self._changes :]


def _unknown() -> UnknownEntry:
    return UnknownEntry("a transaction is in a form that this version does not know")
