"""Checks of client operations before they reach the log.

What passes here can be applied by every node, whatever the state; so nothing that an operation
may be refused for by its form or size is left to `Machine.apply`. What each operation looks like is
said by its row of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq.machine.commands import table
from raftzmq.machine.commands.checks import INTEGER, kind_of
from raftzmq.machine.commands.operation import Operation, unknown_operation

_READS: Final[Mapping[str, Operation]] = table.READS

_WRITES: Final[Mapping[str, Operation]] = {
    **{name: row for name, row in table.SESSIONLESS.items() if not row.internal},
    **table.COMMANDS,
}

READS: Final = frozenset(_READS)
"""The names of the reads."""

WRITES: Final = frozenset(_WRITES)
"""The names of the writes that clients may send."""


def validate_write(op: Any) -> None:
    """Check a write `[serial, name, …arguments]`. Raises InvalidRequest with what is wrong."""
    _validate(op, _WRITES, _READS, "write", "read")


def validate_read(op: Any) -> None:
    """Check a read `[id, name, …arguments]`. Raises InvalidRequest with what is wrong."""
    _validate(op, _READS, _WRITES, "read", "write")


def arguments_of(op: Sequence[Any]) -> dict[str, Any]:
    """Return the arguments of an operation by their names. It need not be valid: what it has too
    few or too many of is left out, and an unknown one has none."""
    row = _WRITES.get(op[1]) or _READS.get(op[1])
    return {} if row is None else dict(zip(row.arguments, op[2:], strict=False))


def are_plain_puts(ops: Sequence[Any]) -> bool:
    """Whether each of these operations, of which there is one at least, is a put of ASCII text
    that `validate_write` lets pass: what most are, told by a few calls for all of them."""
    if set(map(len, ops)) != {4} or any(op[1] != "put" for op in ops):
        return False
    return _are_ascii([op[2] for op in ops], 1, limits.KEY_BYTES) and _are_ascii(
        [op[3] for op in ops], 0, limits.VALUE_BYTES
    )


def are_plain_gets(ops: Sequence[Any]) -> bool:
    """The same of gets, and `validate_read`."""
    if set(map(len, ops)) != {3} or any(op[1] != "get" for op in ops):
        return False
    return _are_ascii([op[2] for op in ops], 1, limits.KEY_BYTES)


def _are_ascii(texts: list[Any], least: int, most: int) -> bool:
    return (
        set(map(type, texts)) == {str}
        and all(map(str.isascii, texts))
        and least <= min(map(len, texts))
        and max(map(len, texts)) <= most
    )


def _validate(
    op: Any,
    rows: Mapping[str, Operation],
    others: Mapping[str, Operation],
    kind: str,
    other_kind: str,
) -> None:
    check_id(op)
    name = op[1]
    row = rows.get(name) if type(name) is str else None
    if row is None:
        if type(name) is str and name in others:
            raise InvalidRequest(f"{name} is a {other_kind}, not a {kind}")
        raise unknown_operation(kind, name, rows)
    row.check(op[2:])


def check_id(op: Any) -> None:
    """Check that an operation is a list, of an id and something else at least. Raises
    InvalidRequest."""
    if type(op) is not list or len(op) < 2:
        raise InvalidRequest("an operation is a list: [id, name, arguments…]")
    ident = op[0]
    if type(ident) is not int or not 0 <= ident <= limits.INDEX_MAX:
        raise InvalidRequest(f"an operation's id must be {INTEGER}, not {kind_of(ident)}")
