"""What the leader writes into an entry beside a client's arguments: a bound to what may have much
to remove, and to whom belongs what is made."""

from __future__ import annotations

from typing import Any

from raftzmq import limits
from raftzmq.machine.commands.table import COMMANDS
from raftzmq.machine.commands.transactions import BRANCH


def bounded(op: list[Any]) -> list[Any]:
    """Return a validated write `[serial, name, …arguments]` with its bound, if it needs one."""
    serial, name, *arguments = op
    if name == "fenced":
        fences, operation = arguments
        return [serial, name, fences, bounded([serial, *operation])[1:]]
    row = COMMANDS.get(name)
    if row is None or not row.bounded or (name == "txn" and not _removes_many(*arguments[1:])):
        return op
    return [*op, limits.REMOVALS_PER_ENTRY]


def owned(op: list[Any], user: str) -> list[Any]:
    """Return a validated write with the name of its user, if what it makes belongs to one."""
    row = COMMANDS.get(op[1])
    return [*op, user] if user and row is not None and row.owned else op


def _removes_many(*branches: list[Any]) -> bool:
    """Whether there is more in a transaction than what each of its operations names."""
    rows = (BRANCH[operation[0]] for branch in branches for operation in branch)
    return any(getattr(row, "bounded", False) for row in rows)
