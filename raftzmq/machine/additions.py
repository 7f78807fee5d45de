"""Which writes may make the state take more memory, and are refused while the store is full.

To overwrite a value with a smaller one counts as adding, as the table does not know what it is. To
open a session does not: without one nobody could delete anything.
"""

from __future__ import annotations

from typing import Any

from raftzmq.machine.commands.table import COMMANDS
from raftzmq.machine.commands.transactions import BRANCH


def adds(op: list[Any]) -> bool:
    """Whether a validated write `[serial, name, …arguments]` may add to the state; of a
    transaction, whether either branch may."""
    name = op[1]
    if name == "fenced":
        return adds([op[0], *op[3]])
    if name == "txn":
        branches = (op[3], op[4])
        rows = (BRANCH[operation[0]] for branch in branches for operation in branch)
        return any(getattr(row, "adds", False) for row in rows)
    row = COMMANDS.get(name)
    return row is not None and row.adds
