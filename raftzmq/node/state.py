"""What all parts of a node share: who it is, its Raft, its state machine, its storage.

The parts beside this file take it, and those of one another that they use, when they are made.
node.py puts them in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, NamedTuple

from raftzmq.core.config import Config
from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.raft import Raft
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.errors import DataError
from raftzmq.lines import encode_entries
from raftzmq.machine import Machine, Program
from raftzmq.naming import client_address
from raftzmq.node.counts import Counts
from raftzmq.node.interfaces import StoreLike
from raftzmq.storage import Restored
from raftzmq.transport.peer_wire import Hello, Neighbour, Welcome
from raftzmq.versions import Spoken

ADDRESSES_MAX: Final = 1024
"""Most addresses remembered from greetings, but for those in a single one."""


LOG_SHARE: Final = 12
"""The log since the last snapshot takes about this part of the quota in memory when the next one is
begun, and as much again may come while that is written."""

HELLO_INTERVAL_MS: Final = 300
"""A node that is not a member greets the others this often."""

HISTORY_SHARE: Final = 16
"""The history for watches takes at most this part of the quota."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """`initial` maps the initial members' names to addresses, `address` is this node's own.
    `may_form` is false for a node that has set an earlier directory aside: it belonged somewhere,
    and must not form a second cluster if nobody is left to tell it where. `work_per_turn` bounds
    what a turn applies, in the units of machine/work.py: ten to forty milliseconds. `quota_bytes`
    is how much the state may take, as machine/memory.py counts; None: whatever there is. `program`
    runs the state machine of the users' own, if this node has one. Between its first two
    hellos are `first_hellos_ms`, and then twice as many each time, up to HELLO_INTERVAL_MS: a node
    that greets at short intervals for ever takes the late answers of a busy machine for none."""

    name: str
    address: str
    initial: Mapping[str, str]
    raft: Config = field(default_factory=Config)
    may_form: bool = True
    chunk_bytes: int = 256 * 1024
    snapshot_slice_bytes: int = 32 * 1024
    work_per_turn: int = 8_000
    quota_bytes: int | None = None
    program: Program | None = None
    first_hellos_ms: int = HELLO_INTERVAL_MS

    @property
    def spoken(self) -> Spoken:
        """The cluster versions that this node speaks."""
        return self.raft.spoken

    @property
    def history_bytes(self) -> int | None:
        """How much the history for watches may take at most; None: what it always may."""
        return None if self.quota_bytes is None else self.quota_bytes // HISTORY_SHARE


class BackupNote(NamedTuple):
    """A good backup that somebody told of: its revision, and seconds since 1970."""

    revision: int
    time_s: int


class NodeState:
    """See the module. Public attributes are for reading, but by the parts of the node."""

    def __init__(
        self,
        settings: NodeSettings,
        storage: StoreLike,
        restored: Restored,
        random: Random,
        now_ms: int,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` tells seconds and is only for measuring; by default it is the time of `tick`."""
        self.settings = settings
        self.name = settings.name
        self.address = settings.address
        self.initial = dict(settings.initial)
        """The initial members, name -> address. Only an operator's restart changes it."""

        self.storage = storage
        self.random = random
        self.now_ms = now_ms
        """The time of the newest tick."""

        self.cluster = restored.cluster
        """The id of the cluster it belongs to, "" while to none. Given once, never taken back."""

        self.removed = False
        """A leader said that this node, which believes to be a member, is none."""

        self.lacks: Literal["", "space", "files"] = ""
        """What was last to be saved found no room on the disk, or no descriptor. Writes are refused
        until something is saved."""

        self.full_since_ms = 0
        """When that began."""

        self.unrecorded = ""
        """Why no audit trail can be written that must be, for people: until it can, what would be
        recorded is refused. The driver's word."""

        self.stopping = False
        """It takes no more work and hands leadership over. Never taken back."""

        self.stop_requested = False
        """An operator asked it to stop, which is the driver's to do."""

        self.addresses: dict[str, str] = {}
        """Name -> address, as nodes of this cluster told this one, which had asked them."""

        self.unresolved: Mapping[str, str] = {}
        """Peer -> its host name, where that has no address now. The driver's word, for people."""

        self.refusing: Mapping[str, str] = {}
        """Peer -> why it takes no link of this node, in words. The driver's word, for people."""

        self.unheard = ""
        """Why the leader does not hear this node, in words; empty if it does, as far as is known.
        The driver's word."""

        self.behind_ms = 0
        """For how long it has lacked an entry that it knows to be committed. The driver's word."""

        self.last_backup: BackupNote | None = None
        """The newest good backup that this process was told of."""

        self.process_id = ""
        """Tells two processes of one directory's copies apart. Given by the driver."""

        self.greetings: list[tuple[str, str, Hello | Welcome]] = []
        """To be sent at the end of the turn: to whom, where, what."""

        self.counts = Counts(clock or (lambda: self.now_ms / 1000))
        self.dropped: Counter[str] = Counter()
        """Messages that were not acted upon, by reason, besides those that Raft counts."""

        self._id = NodeId(settings.name, restored.incarnation)
        self.machine = with_observers(Machine(spoken=settings.spoken, program=settings.program))
        if restored.snapshot is not None:
            self.restore_machine(restored.snapshot)
        entries = self._fit_to_send(restored.entries)
        self.raft = self._new_raft(restored.hard_state, restored.snapshot, entries)
        """Replaced once, when this node forms a cluster: parts ask for it, and keep none."""

    # -- what it is ---------------------------------------------------------------------------

    @property
    def is_member(self) -> bool:
        """Whether the membership it knows has it, in this incarnation, and no leader says that
        it has been removed since."""
        return self._id in self.raft.memberships.ids and not self.removed

    @property
    def version_settled(self) -> bool:
        """Whether nothing that was written before the cluster version was lowered last is needed
        any more: the snapshot covers it."""
        lowered_index = self.machine.state.lowered_index
        if not lowered_index:
            return True
        meta = self.raft.snapshot_meta
        return meta is not None and meta.index >= lowered_index

    @property
    def disk_full(self) -> bool:
        """Whether the last save found no room."""
        return self.lacks == "space"

    @property
    def out_of_files(self) -> bool:
        """Whether the last save found no descriptor for a file."""
        return self.lacks == "files"

    @property
    def store_full(self) -> bool:
        """Whether the state takes all that it may: this node, as leader, refuses what adds."""
        quota = self.settings.quota_bytes
        return quota is not None and self.machine.memory >= quota

    @property
    def role(self) -> str:
        """One of the words in PROTOCOL.md."""
        if not self.is_member and self.raft.role is not Role.LEADER:
            return "joining"
        return "learner" if self.raft.is_learner else self.raft.role.value

    @property
    def peers(self) -> set[str]:
        """The names of the nodes that it wants answers from: the other members, or the initial
        ones while it knows no members."""
        members = {m.id.name for m in self.raft.membership}
        return (members or set(self.initial)) - {self.name}

    @property
    def membership_settled(self) -> bool:
        """Whether this node leads and may propose the next change of membership."""
        raft = self.raft
        committed = raft.term_committed and raft.membership_index <= raft.commit_index
        return committed and raft.transferring_to is None

    def address_of(self, name: str) -> str | None:
        """Where the node of that name listens: as this node was told, else as it registered,
        else as other nodes say. The last is for a leader whose admission has not come here yet:
        it must be answered for that to come."""
        address = self.initial.get(name)
        if address is None and (member := self.raft.membership.named(name)) is not None:
            address = member.address
        return address or self.addresses.get(name)

    def leader_hint(self) -> tuple[str | None, str | None]:
        """The leader's name and the address of its client port, as far as known."""
        leader = self.raft.leader
        if leader is None:
            return None, None
        address = self.address_of(leader.name)
        return leader.name, client_address(address) if address else None

    # -- what the parts share -----------------------------------------------------------------

    def note_addresses(self, neighbours: Iterable[Neighbour]) -> None:
        """A node of this cluster said where others listen."""
        told = {neighbour.id.name: neighbour.address for neighbour in neighbours}
        kept = self.addresses if len(self.addresses) < ADDRESSES_MAX else {}
        self.addresses = {**kept, **told}

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        """Queue a hello or welcome for the end of the turn."""
        self.greetings.append((name, address, greeting))

    def adopt(self, cluster: str) -> None:
        """Belong to a cluster, durably. Raises DiskFull."""
        self.storage.adopt(cluster)
        self.cluster = cluster

    def begin_raft(self, hard_state: HardState, first: Entry) -> None:
        """Form a cluster: make its first entry durable and begin from it. Raises DiskFull."""
        self.storage.save(hard_state, [first])
        self.raft = self._new_raft(hard_state, None, [first])

    def restore_machine(self, meta: SnapshotMeta) -> None:
        """Take the state of the snapshot that storage has. Raises DataError if it is another."""
        spoken, program = self.settings.spoken, self.settings.program
        self.machine = Machine()  # both states at once might be more than there is memory
        records = self.storage.snapshot_records()
        self.machine = with_observers(Machine.restore(records, spoken, program))
        self.machine.check_program()
        if self.machine.applied_index != meta.index:
            raise DataError(
                f"the snapshot at {meta.index} holds the state at {self.machine.applied_index}: "
                "start this node with --rejoin to catch up from its peers"
            )

    def _fit_to_send(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of entries since the cluster version was lowered last: members may not know the
        forms of others, and the snapshot covers them."""
        lowered_index = self.machine.state.lowered_index
        if not lowered_index:
            return entries
        return [entry for entry in entries if entry.index > lowered_index]

    def _new_raft(
        self, hard_state: HardState, snapshot: SnapshotMeta | None, entries: Sequence[Entry]
    ) -> Raft:
        return Raft(
            self._id,
            self.settings.raft,
            random=self.random,
            encode=encode_entries,
            now_ms=self.now_ms,
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
            nonce=self.random.getrandbits(53),
        )


def with_observers(machine: Machine) -> Machine:
    """A machine that tells what its entries change: keys to watches, places to parked reads."""
    machine.observe_changes(True)
    machine.observe_decisions(True)
    return machine
