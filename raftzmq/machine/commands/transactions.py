"""Transactions: compares of the state before, then one of two branches, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest, UnknownEntry
from raftzmq.machine import work
from raftzmq.machine.commands import keys as key_commands
from raftzmq.machine.commands import leases, numbers, queues, reads
from raftzmq.machine.commands.checks import check_key, check_revision, check_value, kind_of, shown
from raftzmq.machine.commands.operation import Command, Read, check_nested
from raftzmq.machine.commands.outcomes import Outcome, no_room, refused
from raftzmq.machine.state import State
from raftzmq.machine.tables.bonds import Bond
from raftzmq.machine.tables.keys import KeyTable
from raftzmq.machine.values import (
    Item,
    body_size,
    expect_integers,
    expect_text,
    from_wire,
    text_size,
    wire_size,
)

_Row = Command | Read

BRANCH: Final[dict[str, _Row]] = {
    **{
        row.name: row
        for row in (
            *key_commands.COMMANDS,
            *leases.COMMANDS,
            *numbers.COMMANDS,
            *queues.COMMANDS,
        )
        if row.touches is not None
    },
    **{row.name: row for row in reads.READS if row.in_transaction},
}
"""The operations that may stand within a transaction."""


def txn(
    state: State, compares: Any, then: Any, otherwise: Any, bound: int | None = None
) -> Outcome:
    """`txn compares then else`: `[succeeded, [body of each operation of the branch]]`.

    An operation that is refused takes back those before it, and its outcome is that of the whole.
    If the bodies together are over limits.TRANSACTION_BYTES, nothing is done and the code is
    `invalid`: the answer would not fit a message. So it is if over `bound` keys were changed.
    """
    if not (type(compares) is type(then) is type(otherwise) is list):
        raise _unknown()
    if bound is not None:
        expect_integers(bound)
    held = [_holds(state.keys, compare) for compare in compares]
    succeeded = all(held)
    branch = _Branch(state, bound)
    state.work += len(compares)
    bodies: list[Any] = []
    size = 0
    for operation in then if succeeded else otherwise:
        state.work += 1
        code, body = branch.run(operation)
        if code != "ok":
            branch.roll_back()
            return code, body
        bodies.append(body)
        bytes_read = body_size(body)
        state.work += bytes_read // work.RESULT_BYTES
        size += bytes_read
        if size > limits.TRANSACTION_BYTES:
            branch.roll_back()
            return refused(
                "invalid",
                f"txn: its reads return more than {limits.TRANSACTION_BYTES} bytes; "
                "nothing was done; read less in one transaction",
            )
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

    def __init__(self, state: State, bound: int | None) -> None:
        self._state = state
        self._bound = bound
        self._keys = state.keys
        self._before_it = state.removals  # what others have removed in this entry
        self._before: list[tuple[str, Item | None, Bond | None]] = []
        changes = state.keys.changes
        self._changes = 0 if changes is None else len(changes)

    def run(self, operation: Any) -> Outcome:
        """Run one operation and return its outcome."""
        if type(operation) is not list or not operation or type(operation[0]) is not str:
            raise _unknown()
        name, *arguments = operation
        row = BRANCH.get(name)
        if row is None or len(arguments) != len(row.arguments):
            raise _unknown()
        if isinstance(row, Read):
            return "ok", row.run(self._state, *arguments)
        assert row.touches is not None, "it would not be in BRANCH"
        touched = row.touches(self._state, *arguments)
        if self._bound is not None:
            room = self._state.room(self._bound)
            touched = list(islice(touched, room + 1))
            if len(touched) > room:
                return self._too_many(self._bound)
            self._state.removals += len(touched)
        self._remember(touched)
        return row.run(self._state, *arguments)

    def _too_many(self, bound: int) -> Outcome:
        """Return the outcome of a transaction that has no room left in its entry. What is counted
        stays counted, for it was done, and is taken back."""
        if self._before_it:
            return no_room()
        return refused(
            "invalid",
            f"txn: it changes more than {bound} keys, by delete_prefix; nothing was done; "
            "delete the first of them with delete_first until few are left",
        )

    def _remember(self, names: Iterable[str]) -> None:
        items = self._keys.items
        bonds = self._keys.bonds.of_key
        self._before += [(name, items.get(name), bonds.get(name)) for name in names]

    def roll_back(self) -> None:
        """Restore every key that the branch has touched, the last change first."""
        keys = self._keys
        self._state.work += 2 * len(self._before)
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


def _check_compares(compares: Any, what: str) -> None:
    _check_members(compares, what, _check_compare)


def _check_branch(branch: Any, what: str) -> None:
    _check_members(branch, what, _check_operation)


def _check_members(members: Any, what: str, check: Callable[[Any], None]) -> None:
    if type(members) is not list:
        raise InvalidRequest(f"{what} must be a list, not {kind_of(members)}")
    if len(members) > limits.TRANSACTION_OPERATIONS:
        raise InvalidRequest(
            f"{what} has {len(members)} members, the limit is {limits.TRANSACTION_OPERATIONS}"
        )
    for place, member in enumerate(members):
        try:
            check(member)
        except InvalidRequest as error:
            raise InvalidRequest(f"{what}[{place}]: {error}") from None


def _check_compare(compare: Any) -> None:
    if type(compare) is not list or len(compare) != 4:
        raise InvalidRequest("a compare is a list: [key, field, operator, operand]")
    key, field, operator, operand = compare
    check_key(key, "key")
    # A list is not hashable, so that the words are looked for in tuples, by equality.
    if field not in ("value", "revision"):
        raise InvalidRequest(f"the field must be value or revision, not {shown(field)}")
    if operator not in ("=", "!=", "<", ">"):
        raise InvalidRequest(f"the operator must be =, !=, < or >, not {shown(operator)}")
    if field == "revision":
        check_revision(operand, "revision")
    elif operator in ("<", ">"):
        raise InvalidRequest(f"a value is compared by = or !=, not {operator}")
    elif operand is not None:
        check_value(operand, "operand")


def _check_operation(operation: Any) -> None:
    check_nested(operation, BRANCH, "in a branch")
    if operation[0] == "put_if" and operation[3] is not None:
        raise InvalidRequest(
            "put_if: the revision must be null in a branch: compare it in the compares"
        )


def _check_size(*parts: list[Any]) -> None:
    size = sum(sum(map(_argument_size, member)) for part in parts for member in part)
    if size > limits.TRANSACTION_BYTES:
        raise InvalidRequest(
            f"its keys and values take {size} bytes, the limit is {limits.TRANSACTION_BYTES}"
        )


def _argument_size(argument: Any) -> int:
    if type(argument) is str:
        return text_size(argument)
    return wire_size(argument) if type(argument) is dict else 17


COMMANDS: Final = (
    Command(
        name="txn",
        arguments={"compares": _check_compares, "then": _check_branch, "else": _check_branch},
        run=txn,
        check_together=_check_size,
        fenced=True,
        bounded=True,
    ),
)
