"""Everything that is replicated, in one place: what commands change and snapshots hold."""

from __future__ import annotations

from raftzmq.machine.keys import KeyTable
from raftzmq.machine.leases import Leases
from raftzmq.machine.queues import Queues
from raftzmq.machine.sessions import Sessions


class State:
    """The replicated state after the entry at `applied_index`.

    While a command runs, `applied_index` and `time_ms` are those of its own entry: the revision
    to write, and the only clock there is.
    """

    __slots__ = ("applied_index", "keys", "leases", "queues", "sessions", "time_ms")

    def __init__(
        self,
        applied_index: int = 0,
        time_ms: int = 0,
        keys: KeyTable | None = None,
        sessions: Sessions | None = None,
        leases: Leases | None = None,
        queues: Queues | None = None,
    ) -> None:
        self.applied_index = applied_index
        self.time_ms = time_ms
        self.keys = KeyTable() if keys is None else keys
        self.sessions = Sessions() if sessions is None else sessions
        self.leases = Leases() if leases is None else leases
        self.queues = Queues() if queues is None else queues

    @property
    def revision(self) -> int:
        """The revision of what the running command writes, leases, and grants: it only grows."""
        return self.applied_index
