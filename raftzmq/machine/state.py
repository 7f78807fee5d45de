"""Everything that is replicated, in one place: what commands change and snapshots hold."""

from __future__ import annotations

from raftzmq.machine.tables.keys import KeyTable
from raftzmq.machine.tables.leases import Leases
from raftzmq.machine.tables.program import Program, ProgramState
from raftzmq.machine.tables.queues import Queues
from raftzmq.machine.tables.sessions import Sessions
from raftzmq.versions import FIRST, SPOKEN, Spoken, since


class State:
    """The replicated state after the entry at `applied_index`.

    While a command runs, `revision` is its own number, and `time_ms` that of its entry, the only
    clock there is. Revisions grow by one with each command, and are never below the index of the
    entry: where entries hold one command each, the two are the same.
    """

    __slots__ = (
        "_version",
        "applied_index",
        "keys",
        "leases",
        "lowered_index",
        "pinned",
        "program",
        "queues",
        "removals",
        "revision",
        "runner",
        "sessions",
        "spoken",
        "time_ms",
        "work",
    )

    def __init__(
        self,
        applied_index: int = 0,
        time_ms: int = 0,
        revision: int = 0,
        keys: KeyTable | None = None,
        sessions: Sessions | None = None,
        leases: Leases | None = None,
        queues: Queues | None = None,
        program: ProgramState | None = None,
    ) -> None:
        self.applied_index = applied_index
        self.time_ms = time_ms
        self.revision = revision
        self.keys = KeyTable() if keys is None else keys
        self.sessions = Sessions() if sessions is None else sessions
        self.leases = Leases() if leases is None else leases
        self.queues = Queues() if queues is None else queues
        self.program = ProgramState() if program is None else program
        self.work = 0
        """How much has been done, in the units of work.py. It is this process's, not replicated."""
        self.removals = 0
        """What commands that have a bound have removed in the present entry. It means nothing
        between entries, and is in no snapshot."""
        self._version = FIRST.highest
        self.pinned = False
        """An operator has lowered it: no leader raises it by itself."""
        self.lowered_index = 0
        """The entry that lowered it last. Entries before may have forms that older builds do not
        know."""
        self.spoken: Spoken = SPOKEN
        """The versions that this build speaks. It is this process's, not replicated."""
        self.runner: Program | None = None
        """What runs the program's methods. It is this process's, not replicated."""

    @property
    def version(self) -> int:
        """The cluster version: which forms entries and snapshots may have."""
        return self._version

    @version.setter
    def version(self, version: int) -> None:
        counts = version >= since("record key/5")
        if counts is not (self._version >= since("record key/5")):
            self.keys.count_versions(counts)
        self._version = version

    @property
    def memory(self) -> int:
        """About how many bytes all this takes, as memory.py counts."""
        tables = self.keys.memory + self.sessions.memory + self.leases.memory + self.queues.memory
        return tables + self.program.memory

    def room(self, bound: int) -> int:
        """How much more may be removed in an entry in which `bound` may."""
        return max(0, bound - self.removals)
