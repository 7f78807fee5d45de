"""How much work an entry was, counted and not measured: whoever applies a long log stops in time.

A unit takes one to five microseconds of an ordinary processor. What is counted grows with all that
an entry can have much of: operations, bytes, keys and places that it changed. Transactions and
`expire`, which can do more than that shows, add to `State.work` themselves.
"""

from __future__ import annotations

from typing import Final

from raftzmq.machine.state import State

ENTRY: Final = 8
"""The units of an entry, whatever is in it."""

ENTRY_BYTES: Final = 128
RESULT_BYTES: Final = 16
"""So many bytes of an entry, or of what a transaction reads, are one unit."""


def noted(state: State) -> int:
    """Return how many changes of keys and places the observers have not taken yet."""
    changes, decisions = state.keys.changes, state.queues.decisions
    return (0 if changes is None else len(changes)) + (0 if decisions is None else len(decisions))
