"""Which cluster version a write needs: what of it is new in the log, by the table of versions."""

from __future__ import annotations

from typing import Any

from raftzmq.machine.commands.fences import FENCED
from raftzmq.machine.commands.table import COMMANDS
from raftzmq.machine.commands.transactions import BRANCH
from raftzmq.versions import FIRST, since

_OPERATIONS = {
    name: since(f"operation {name}/{len(row.arguments)}") for name, row in COMMANDS.items()
}
_BRANCH = {name: since(f"branch {name}") for name in BRANCH}
_FENCED = {name: since(f"fenced {name}") for name in FENCED}


def version_of(op: list[Any]) -> int:
    """The lowest cluster version in whose log a validated write `[serial, name, …arguments]` may
    be, with what stands within it."""
    name = op[1]
    if name == "fenced":
        inner = op[3]
        return max(_FENCED[inner[0]], version_of([op[0], *inner]))
    if name == "txn":
        parts = (operation for branch in op[3:5] for operation in branch)
        return max((_BRANCH[operation[0]] for operation in parts), default=FIRST.lowest)
    return _OPERATIONS.get(name, FIRST.lowest)
