"""The table of operations, put together from the rows of each subject."""

from __future__ import annotations

from typing import Final

from raftzmq.machine.commands import (
    expiry,
    fences,
    keys,
    leases,
    numbers,
    programs,
    queues,
    reads,
    sessions,
    transactions,
    upgrades,
)
from raftzmq.machine.commands.operation import Command, Read

COMMANDS: Final[dict[str, Command]] = {
    row.name: row
    for row in (
        *keys.COMMANDS,
        *transactions.COMMANDS,
        *leases.COMMANDS,
        *numbers.COMMANDS,
        *queues.COMMANDS,
        *fences.COMMANDS,
        *programs.COMMANDS,
    )
}
"""The commands that a session sends: each is executed once for its serial, by `run` with the state
and the arguments."""

SESSIONLESS: Final[dict[str, Command]] = {
    row.name: row
    for row in (
        *sessions.COMMANDS,
        *expiry.COMMANDS,
        *upgrades.COMMANDS,
        *programs.SESSIONLESS,
    )
}
"""The commands that need no session and whose results are not kept. `run` takes the state and the
number of the session that the entry names."""

READS: Final[dict[str, Read]] = {row.name: row for row in (*reads.READS, *programs.READS)}
