"""The state as records, back from records, and its hash.

    ["machine", 2, applied_index, time_ms, revision]   the first record; 2 is the format
    ["version", version, pinned, lowered_index]        the cluster version, if it is above 1 or was
    ["program", name, version, state]                  the state machine of users' own, if any
    ["session", number, ack, used_ms]
    ["result", number, serial, code, revision, body]   after its session
    ["lease", number, ttl_ms, end_ms, owner]           without the owner if it is anybody's
    ["ending", number]                                 a lease that has ended, and has some left
    ["swept", key]                                     where the search for its keys goes on
    ["queue", kind, name, permits]                     of a counter the count, else the capacity
    ["place", kind, name, token, lease, permits, value, held]    after its queue and lease
    ["key", key, value, revision, version]             without the version if nobody counted
    ["bond", key, lease, end_ms]                       after its key and lease

Records come in order of session numbers, serials, leases, kinds and names, tokens and keys: equal
states give equal records. Format 1 had no revision in its header, for it was the applied index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import chain
from json import JSONEncoder
from typing import Any, NamedTuple

from raftzmq.errors import DataError, UnknownEntry
from raftzmq.machine.state import State
from raftzmq.machine.tables.bonds import Bond
from raftzmq.machine.tables.frozen_keys import FrozenKeys
from raftzmq.machine.tables.keys import KeyTable
from raftzmq.machine.tables.leases import Leases
from raftzmq.machine.tables.places import KINDS, Lease, Place
from raftzmq.machine.tables.program import ProgramState
from raftzmq.machine.tables.queues import Queues
from raftzmq.machine.tables.sessions import Result, Session, Sessions
from raftzmq.machine.values import Item, from_wire, to_wire
from raftzmq.versions import FIRST, SPOKEN, Spoken

FORMAT = 2

_SessionCopy = tuple[int, int, int, dict[int, Result]]


class _QueueCopy(NamedTuple):
    """A queue as it was. Of its places nothing changes but whether they hold."""

    kind: str
    name: str
    permits: int
    holders: list[Place]
    waiters: list[Place]


def records(state: State) -> Iterator[list[Any]]:
    """Return the records of the state as it is now; later changes do not show in them."""
    table = state.sessions.table
    sessions = [
        (number, session.ack, session.used_ms, session.results.copy())
        for number, session in sorted(table.items())
    ]
    header = ["machine", FORMAT, state.applied_index, state.time_ms, state.revision]
    leases = [
        (lease.number, lease.ttl_ms, lease.end_ms, lease.owner)
        for lease in state.leases.table.values()
    ]
    ending: list[list[Any]] = [["ending", number] for number in state.leases.ending]
    if state.leases.swept:
        ending.append(["swept", state.leases.swept])
    queues = [
        _QueueCopy(kind, name, queue.capacity, [*queue.holders.values()], [*queue.waiters.values()])
        for kind in KINDS
        for name, queue in state.queues.tables[kind].items()
    ]
    version: list[list[Any]] = []
    if state.version != FIRST.highest or state.pinned or state.lowered_index:
        version.append(["version", state.version, state.pinned, state.lowered_index])
    own = state.program
    program: list[list[Any]] = []
    if own.name:
        program.append(["program", own.name, own.version, own.text])
    keys = state.keys
    return chain(
        [header],
        version,
        program,
        _session_records(sessions),
        _lease_records(leases),
        ending,
        _queue_records(queues),
        _key_records(keys.freeze(), keys.bonds.of_key.copy()),
    )


def _session_records(sessions: list[_SessionCopy]) -> Iterator[list[Any]]:
    for number, ack, used_ms, results in sessions:
        yield ["session", number, ack, used_ms]
        for serial in sorted(results):
            yield ["result", number, serial, *results[serial]]


def _lease_records(leases: list[tuple[int, int, int, str]]) -> Iterator[list[Any]]:
    for number, ttl_ms, end_ms, owner in leases:
        yield ["lease", number, ttl_ms, end_ms, *([owner] if owner else [])]


def _queue_records(queues: list[_QueueCopy]) -> Iterator[list[Any]]:
    queues.sort(key=lambda copy: (KINDS.index(copy.kind), copy.name))
    for kind, name, permits, holders, waiters in queues:
        yield ["queue", kind, name, permits]
        # Of one queue those that hold came before those that wait: these are in order of tokens.
        for places, held in ((holders, True), (waiters, False)):
            for place in places:
                lease = place.lease.number
                yield ["place", kind, name, place.token, lease, place.permits, place.value, held]


def _key_records(keys: FrozenKeys, bonds: dict[str, Bond]) -> Iterator[list[Any]]:
    for name, (value, revision, version) in keys:
        if version:
            yield ["key", name, to_wire(value), revision, version]
        else:
            yield ["key", name, to_wire(value), revision]
        if name in bonds:
            yield ["bond", name, *bonds[name]]


def restore(source: Iterable[list[Any]], spoken: Spoken = SPOKEN) -> State:
    """Return the state that the records describe, in a build that speaks those cluster versions.

    Raises DataError if they are not those of a snapshot, or hold what this version does not know.
    """
    stream = iter(source)
    header = next(stream, None)
    match header:
        case ["machine", 2, int(applied_index), int(time_ms), int(revision)]:
            pass
        case ["machine", 1, int(applied_index), int(time_ms)]:
            revision = applied_index
        case ["machine", int(found), *_] if found not in (1, FORMAT):
            raise DataError(f"the snapshot has format {found}; this version reads up to {FORMAT}")
        case _:
            raise DataError("the snapshot does not begin with the state machine's record")
    draft = _Draft(spoken)
    for record in stream:
        try:
            draft.take(record)
        except UnknownEntry as error:
            raise DataError(f"the snapshot: {error}") from None
        except (LookupError, TypeError, ValueError, RecursionError):
            raise DataError(f"the snapshot has a record that is none: {_kind(record)}") from None
    return draft.state(applied_index, time_ms, revision)


class _Draft:
    """The tables as far as they are read. What derives from them is made at the end."""

    def __init__(self, spoken: Spoken) -> None:
        self._spoken = spoken
        self._version: tuple[int, bool, int] | None = None
        self._items: dict[str, Item] = {}
        self._bonds: dict[str, Bond] = {}
        self._sessions: dict[int, Session] = {}
        self._leases: dict[int, Lease] = {}
        self._swept = ""
        self._program = ProgramState()
        self._queues = Queues()
        self._places: list[tuple[Place, bool]] = []

    def take(self, record: Any) -> None:  # noqa: PLR0912 -- a case for each kind of record
        """Add what a record says. Raises UnknownEntry, or whatever its nonsense leads to."""
        if record[0] == "key":  # most are, and a match takes three times as long
            _, key, value, revision, version = record if len(record) == 5 else [*record, 0]
            if type(key) is str and type(revision) is type(version) is int:
                stored = value if type(value) is str else from_wire(value)
                self._items[key] = (stored, revision, version)
                return
        match record:
            case ["session", int(number), int(ack), int(used_ms)]:
                self._sessions[number] = Session(number, used_ms, ack)
            case ["result", int(number), int(serial), str(code), int(at), body]:
                self._take_result(self._sessions[number], serial, (code, at, body))
            case ["version", int(version), bool(pinned), int(lowered_index)]:
                self._take_version(version, pinned, lowered_index)
            case ["program", str(name), int(version), str(text)]:
                self._program = ProgramState(name, version, text)
            case ["lease", int(), int(), int()] | ["lease", int(), int(), int(), str()]:
                self._leases[record[1]] = Lease(*record[1:])
            case ["ending", int(number)]:
                self._leases[number] = Lease(number, 0, 0, ended=True)
            case ["swept", str(key)]:
                self._swept = key
            case ["bond", str(key), int(lease), int(end_ms)]:
                self._take_bond(key, Bond(lease, end_ms))
            case ["queue", str(kind), str(name), int(permits)]:
                self._queues.create(kind, name, permits)
            case ["place", str(), str(), int(), int(), int(), str() | None, bool()]:
                self._take_place(*record[1:])
            case _:
                raise UnknownEntry(
                    f"it has a record of a kind that this version does not know: {_kind(record)}"
                )

    def _take_version(self, version: int, pinned: bool, lowered_index: int) -> None:
        if version not in self._spoken:
            raise UnknownEntry(
                f"the cluster has version {version}, and this build of raftzmq speaks "
                f"{self._spoken}: run one that speaks it; nothing was changed"
            )
        self._version = version, pinned, lowered_index

    def _take_result(self, session: Session, serial: int, result: Result) -> None:
        session.results[serial] = result
        session.count(result[2])

    def _take_bond(self, key: str, bond: Bond) -> None:
        if key not in self._items or (bond.lease and bond.lease not in self._leases):
            raise LookupError(key)
        self._bonds[key] = bond

    def _take_place(
        self,
        kind: str,
        name: str,
        token: int,
        lease: int,
        permits: int,
        value: str | None,
        held: bool,
    ) -> None:
        queue = self._queues.tables[kind][name]
        place = Place(queue, token, self._leases[lease], permits, value)
        self._places.append((place, held))

    def state(self, applied_index: int, time_ms: int, revision: int) -> State:
        """Return the state that all the records make."""
        for place, held in sorted(self._places, key=lambda found: found[0].token):
            self._queues.restore(place, held=held)
        keys = KeyTable(self._items)
        for key, bond in self._bonds.items():
            keys.bonds.bind(key, bond)
        table = {number: lease for number, lease in sorted(self._leases.items()) if not lease.ended}
        ending = {number: lease for number, lease in self._leases.items() if lease.ended}
        leases = Leases(table, ending, self._swept)
        sessions = Sessions(self._sessions)
        queues, program = self._queues, self._program
        state = State(applied_index, time_ms, revision, keys, sessions, leases, queues, program)
        state.spoken = self._spoken
        if self._version is not None:
            state.version, state.pinned, state.lowered_index = self._version
        return state


def _kind(record: Any) -> str:
    """What kind of record it says it is, for a person."""
    kind = record[0] if type(record) is list and record else None
    return f"{kind[:40]!r}" if type(kind) is str else "it has no name"


def state_hash(state: State) -> str:
    """Return the SHA-256 of the state's records, in hexadecimal."""
    encode = JSONEncoder(sort_keys=True, separators=(",", ":")).encode
    digest = sha256()
    for record in records(state):
        digest.update(encode(record).encode())
        digest.update(b"\n")
    return digest.hexdigest()
