"""What a data directory has to offer when the majority is lost: read, compared, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from raftzmq.core.entry import COMMAND, COMMANDS, CONFIG, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Membership
from raftzmq.errors import CorruptFile, DataError
from raftzmq.lines import with_body
from raftzmq.machine import Machine, Program
from raftzmq.offline.founding import interrupted
from raftzmq.storage.directory import Found, Layout, data_errors, read_all, user_of
from raftzmq.storage.files import Files
from raftzmq.storage.records import Identity, decode_record, read_identity
from raftzmq.storage.snapshot_files import read_records, snapshot_path

APPLIED_AT_ONCE: Final = 1000
"""The bodies of so many entries are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Remains:
    """All that a directory holds, and the state after the last entry of its log. Whether the last
    entries were committed is not written down anywhere: an acknowledged write may be among them."""

    identity: Identity
    found: Found
    machine: Machine
    membership: Membership

    @property
    def last_index(self) -> int:
        return self.machine.applied_index

    @property
    def last_term(self) -> int:
        snapshot, entries = self.found.snapshot, self.found.entries
        if entries and entries[-1].index == self.last_index:
            return entries[-1].term
        return snapshot.term if snapshot else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """What a directory has, in figures. `damage` says why it cannot be used, "" if it can;
    the figures are then 0. `user` is the process that runs on it, "" without one. Entries up to
    `lacks_index` were acknowledged by its node and are missing, if it is an old copy."""

    path: Path
    node: str = ""
    incarnation: str = ""
    cluster: str = ""
    term: int = 0
    last_term: int = 0
    last_index: int = 0
    snapshot_index: int = 0
    keys: int = 0
    revision: int = 0
    torn_bytes: int = 0
    lacks_index: int = 0
    address: str = ""
    voters: frozenset[NodeId] = frozenset()
    interrupted: bool = False
    user: str = ""
    damage: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """Last term and last index: by these an election compares logs (thesis 3.6.1)."""
        return self.last_term, self.last_index


def old_layout(files: Files, path: Path) -> Layout:
    """Where a node's files are: in the directory, or already in the folder in which a recovery
    that was interrupted has begun to set them aside. Raises CorruptFile, OSError."""
    layout = Layout(path)
    aside = interrupted(files, layout)
    if aside:
        for name in ("node", "state", "log", "snapshots", "stale"):
            moved = path / aside / getattr(layout, name).name
            if files.exists(moved):
                setattr(layout, name, moved)
    return layout


def read_remains(files: Files, path: Path, program: Program | None = None) -> Remains:
    """Read a directory and apply its whole log; `program` runs calls of a state machine of the
    users' own. Raises CorruptFile, UnknownEntry, MissingProgram, DataError."""
    with data_errors(path):
        layout = old_layout(files, path)
        if not files.exists(layout.node):
            raise DataError(_nothing(files, path))
        identity = read_identity(files, layout.node)
        layout.stale = path / "no such file"  # an old copy may be all there is
        found = read_all(files, layout, identity.node)
        if found.snapshot:
            at = found.snapshot.index, found.snapshot.term
            records = read_records(files, snapshot_path(layout.snapshots, *at))
            machine = Machine.restore(records, program=program)
        else:
            machine = Machine(program=program)
    membership = found.snapshot.membership if found.snapshot else Membership()
    entries = [entry for entry in found.entries if entry.index > machine.applied_index]
    for entry in entries:
        if entry.kind == CONFIG:
            membership = Membership.from_body(entry.body)
    apply_entries(machine, entries)
    return Remains(identity, found, machine, membership)


def apply_entries(machine: Machine, entries: Sequence[Entry]) -> None:
    """Apply the entries of a log, of all kinds, as a node does. Raises UnknownEntry."""
    source = iter(entries)
    while some := list(islice(source, APPLIED_AT_ONCE)):
        machine.apply_all(with_body(e) for e in some if e.kind in (COMMAND, COMMANDS))
        last = some[-1]
        if machine.applied_index < last.index:
            machine.advance(last.index, last.time_ms)


def _nothing(files: Files, path: Path) -> str:
    aside = [name for name in files.names(path) if name.startswith("aside-")]
    if aside:
        return f"{path} holds no node's data, but {', '.join(aside)} may: name {path / aside[-1]}"
    return f"{path} holds no node's data: there is no node.json"


def survey(files: Files, path: Path, program: Program | None = None) -> Survivor:
    """Look at a directory. Whatever is wrong with it is said in what is returned."""
    layout = Layout(path)
    user = user_of(files, layout)
    try:
        unfinished = interrupted(files, layout) is not None
        remains = read_remains(files, path, program)
        lacks_index = _lacks(files, old_layout(files, path))
    except (DataError, OSError) as error:
        owner = _owner(files, path)
        return Survivor(
            path=path,
            node=owner.node,
            incarnation=owner.incarnation,
            cluster=owner.cluster,
            user=user,
            damage=_damage(error, user),
        )
    identity, found, membership = remains.identity, remains.found, remains.membership
    member = membership.named(identity.node)
    return Survivor(
        path=path,
        node=identity.node,
        incarnation=identity.incarnation,
        cluster=identity.cluster,
        term=found.hard_state.term,
        last_term=remains.last_term,
        last_index=remains.last_index,
        snapshot_index=found.snapshot.index if found.snapshot else 0,
        keys=len(remains.machine),
        revision=remains.machine.revision,
        torn_bytes=len(found.log.torn.tail) if found.log.torn else 0,
        lacks_index=lacks_index,
        address=member.address if member else "",
        voters=membership.voters,
        interrupted=unfinished,
        user=user,
    )


def _lacks(files: Files, layout: Layout) -> int:
    if not files.exists(layout.stale):
        return 0
    record = decode_record(layout.stale, files.read(layout.stale))
    return int(record.get("acknowledged_index", 0))


def _damage(error: Exception, user: str) -> str:
    if user:
        return f"in use by {user}, and could not be read at one moment: stop that one ({error})"
    if isinstance(error, CorruptFile):  # without its advice, which needs a majority
        return f"{error.path}, line {error.line}, byte {error.byte}: {error.problem}"
    return str(error)


def _owner(files: Files, path: Path) -> Identity:
    """Whose a damaged directory is, if that can be read."""
    try:
        return read_identity(files, old_layout(files, path).node)
    except (DataError, OSError):
        return Identity("", "", "")


def newest(survivors: Iterable[Survivor]) -> Survivor | None:
    """The one whose log an election would prefer, of those that can be read."""
    whole = [survivor for survivor in survivors if not survivor.damage]
    return max(whole, key=lambda survivor: survivor.place, default=None)


def is_majority(survivors: Sequence[Survivor]) -> bool:
    """Whether these nodes could elect a leader, and so nothing would have to be lost: they are most
    of the voters that the newest of them knows, and none has forgotten anything."""
    best = newest(survivors)
    if best is None:
        return False
    here = {
        NodeId(survivor.node, survivor.incarnation)
        for survivor in survivors
        if survivor.cluster == best.cluster and not (survivor.damage or survivor.lacks_index)
    }
    return 2 * len(best.voters & here) > len(best.voters)


def objections(chosen: Survivor, others: Sequence[Survivor]) -> list[str]:
    """Why it may be wrong to make a new cluster from the chosen one, in view of the others."""
    found = []
    if is_majority([chosen, *others]):
        found.append("these are a majority: start them as they are, and nothing is lost")
    for other in others:
        if other.damage:
            found.append(f"{other.path} cannot be read, and may have more ({other.damage})")
        elif other.cluster != chosen.cluster:
            found.append(f"{other.path} is of another cluster, {other.cluster or 'none yet'}")
        elif other.place > chosen.place:
            found.append(
                f"{other.path} is newer: term {other.last_term}, index {other.last_index}, and not "
                f"term {chosen.last_term}, index {chosen.last_index}"
            )
    return found
