"""Everything that is replicated, in one place: what commands change and snapshots hold."""

from __future__ import annotations

from raftzmq.machine.keys import KeyTable
from raftzmq.machine.sessions import Sessions


class State:
    """The replicated state after the entry at `applied_index`.

    While a command runs, `applied_index` and `time_ms` are those of its own entry: the revision
    to write, and the only clock there is.
    """

    __slots__ = ("applied_index", "keys", "sessions", "time_ms")

    def __init__(self, applied_index: int, time_ms: int, keys: KeyTable, sessions: Sessions):
        self.applied_index = applied_index
        self.time_ms = time_ms
        self.keys = keys
        self.sessions = sessions

    @property
    def revision(self) -> int:
        """The revision of what the running command writes, leases, and grants: it only grows."""
        return self.applied_index
