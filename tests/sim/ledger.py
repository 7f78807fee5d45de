"""What coordinates, followed at the front of the log: each entry when somebody first applies it.

The entry goes to the plain model of tests/machine, and the machine that applied it is held to the
model and to the rules themselves: who holds what, in which order it was granted, that nothing is
lost. What clients believe, and what watchers are told, is compared with the same front.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from raftzmq.client.session.acquisition import HELD, Acquisition
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.session.verdicts import DONE
from raftzmq.core.entry import Entry
from raftzmq.machine import Machine
from raftzmq.machine.tables.places import COUNTER, SEMAPHORE, SIZED, Queue
from tests.machine.entries import commands_of
from tests.machine.model import Model
from tests.sim.linearizability import check_result
from tests.sim.pool import POOL, check_pool
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.process import SimProcess
    from tests.sim.world import World

REGISTER: Final = "register"
"""A key that is written only by those who hold a lock: each adds one to what it read."""

RWLOCK: Final = "rwlock"
WRITES: Final = "writes"
"""A read/write lock, and what a writer's place says of itself."""

ROUNDING_MS: Final = 10
"""Clocks show whole milliseconds, and each leader begins with the stamp of the one before."""

Change = tuple[str, Any, Any]
"""A key, its value (None: deleted), and the value before; values in their wire form."""


class _Keys(dict[str, Any]):
    """Keys of the model, which note how they change."""

    def __init__(self, items: Mapping[str, Any], changes: list[Change]) -> None:
        super().__init__(items)
        self.changes = changes

    def _value(self, key: str) -> Any:
        return self[key][0] if key in self else None

    def __setitem__(self, key: str, item: Any) -> None:
        self.changes.append((key, item[0], self._value(key)))
        super().__setitem__(key, item)

    def __delitem__(self, key: str) -> None:
        self.changes.append((key, None, self._value(key)))
        super().__delitem__(key)

    def pop(self, key: str, *_: Any) -> Any:
        item = self[key]
        del self[key]
        return item

    def copy(self) -> _Keys:
        return _Keys(self, self.changes)


class Ledger:
    """The newest state that any node has applied, and how it came about. Raises Violation."""

    def __init__(self, world: World) -> None:
        self._world = world
        options = world.options
        fastest = options.drift or (0.01 if "clock" in options.faults else 0.0)
        self._haste = fastest / (1 + fastest)
        """By this share of itself a lease may end early, by the clocks of clients: they show the
        true time, and those of nodes may gain on it. See DESIGN.md."""
        self._changes: list[Change] = []
        self.model = Model()
        self.model.keys = _Keys({}, self._changes)
        self._granted: dict[tuple[str, str], int] = {}
        self._resized: set[tuple[str, str]] = set()  # more may be held than there are, for now
        self._seen: dict[int, tuple[str, str]] = {}
        self._permits: dict[str, int] = {}
        """Of each counter: how many were added, and not taken."""
        self.index = 0
        self.by_revision: defaultdict[int, list[Change]] = defaultdict(list)
        self.revisions: list[int] = []
        """Those that changed keys, in order."""

    # -- the log --------------------------------------------------------------------------------

    def follow(self, entry: Entry, results: Sequence[Any]) -> None:
        """An entry was applied for the first time anywhere, and its commands gave `results`."""
        model = self.model
        self.index = entry.index
        model.time_ms = max(model.time_ms, entry.time_ms)
        found_of = zip(commands_of(entry), results, strict=True)
        for place, (command, found) in enumerate(found_of):
            leases = set(model.leases)
            revision = max(model.index + 1, entry.index)
            counters = self._counters_after(*command[2][1:])
            result = model.apply(revision, entry.time_ms, command, first=place == 0)
            check_result(entry, command, result, found)
            if result[:2] == ("ok", revision):  # and it was not the repetition of an earlier one
                self._permits = counters
            if self._changes:
                if result[0] in DONE:
                    self._changed(revision)
                self._changes.clear()
            name, *arguments = command[2][1:]
            if name == "expire":
                self._ended(sorted(leases - set(model.leases)))
            elif name == "resize":
                self._resized.add((SEMAPHORE, arguments[0]))

    def _counters_after(self, name: str, *arguments: Any) -> dict[str, int]:
        """How many permits the counters have after a command, if it is executed. Nothing but these
        four changes it, whoever comes or goes."""
        permits = self._permits
        match name, *arguments:
            case "signal", counter, added:
                return permits | {counter: permits.get(counter, 0) + added}
            case "acquire", "counter", counter, _, _, capacity, *_ if counter not in permits:
                return permits | {counter: capacity}
            case "release", "counter", counter, token:
                place = self.model.places.get(token)
                taken = place[2] if place is not None and place[4] else 0
                return permits | {counter: permits.get(counter, 0) - taken}
            case "forget", "counter", counter:
                return {name: count for name, count in permits.items() if name != counter}
        return permits

    def _changed(self, revision: int) -> None:
        # Which key of several comes first within one command is for tests/machine to say.
        changes = sorted(self._changes, key=lambda change: change[0])
        self.by_revision[revision] += changes
        self.revisions.append(revision)
        for key, value, before in changes:
            if key == REGISTER and value != str(int(before or 0) + 1):
                raise Violation(
                    f"an update of the register was lost: at revision {revision} {value!r} "
                    f"follows {before!r}"
                )

    def _ended(self, leases: list[int]) -> None:
        """Leases ended because their time had passed: it has, for those who had them."""
        now_ms = self._world.now_ms
        for client in self._world.coordinators():
            for lease in client.leases():
                if lease.id in leases and self._is_trusted(lease):
                    raise Violation(
                        f"lease {lease.id} of {client.name} ended "
                        f"{lease.deadline_ms - now_ms} ms before its time"
                    )

    def _is_trusted(self, lease: HeldLease) -> bool:
        """Whether its client may rely on it now, on the assumption about clocks."""
        early_ms = lease.ttl_ms * self._haste + ROUNDING_MS
        return lease.alive(int(self._world.now_ms + early_ms))

    # -- the machine that is at the front -------------------------------------------------------

    def look(self, process: SimProcess, machine: Machine) -> None:
        """The process has applied the newest entry."""
        state = machine.state
        places: dict[int, list[Any]] = {}
        there = {**state.leases.table, **state.leases.ending}
        for table in state.queues.tables.values():
            for queue in table.values():
                self._check_queue(process, queue)
                for place in (*queue.holders.values(), *queue.waiters.values()):
                    if there.get(place.lease.number) is not place.lease:
                        raise Violation(
                            f"{process.name} has place {place.token} of {_named(queue)} under "
                            f"lease {place.lease.number}, which has ended"
                        )
                    owned = (queue.kind, queue.name), place.lease.number
                    places[place.token] = [*owned, place.permits, place.value, place.held]
        if places != self.model.places:
            raise Violation(f"{process.name} has the places {places}, not {self.model.places}")
        leases = {one.number: (one.ttl_ms, one.end_ms) for one in state.leases.table.values()}
        if leases != self.model.leases:
            raise Violation(f"{process.name} has the leases {leases}, not {self.model.leases}")
        if list(state.leases.ending) != self.model.ending:
            raise Violation(f"{process.name} ends {list(state.leases.ending)}, not the model's")
        for client in self._world.coordinators():
            for wanted in client.places():
                self.believed(client.name, wanted)

    def _check_queue(self, process: SimProcess, queue: Queue) -> None:
        """The rules of one queue. Those that look back know the queue by its name, also while it
        is forgotten."""
        name = (queue.kind, queue.name)
        held = sum(place.permits for place in queue.holders.values())
        last = self._granted.get(name, 0)
        new = [token for token in queue.holders if self._seen.get(token) != name]
        told = f"{process.name}: {_named(queue)}"
        if queue.kind != COUNTER and queue.free != queue.capacity - held:
            raise Violation(f"{told} has {queue.free} of {queue.capacity} free, and {held} held")
        if queue.kind == COUNTER and queue.free + held != self._permits[queue.name]:
            raise Violation(
                f"{told}: {queue.free} permits are free and {held} granted, of "
                f"{self._permits[queue.name]} that were added and not taken"
            )
        if queue.kind not in SIZED and len(queue.holders) != 1:
            raise Violation(f"{told} has the holders {list(queue.holders)}")
        if queue.kind == SEMAPHORE and held > queue.capacity and name not in self._resized:
            raise Violation(f"{told} has {queue.capacity} permits, and {held} are held")
        if held <= queue.capacity:
            self._resized.discard(name)
        if new and (min(new) <= last or new != sorted(new)):
            raise Violation(f"{told} was granted to the tokens {new} after {last}")
        if queue.name == RWLOCK and len(queue.holders) > 1:
            of = [place.value for place in queue.holders.values()]
            if WRITES in of:
                raise Violation(f"{told} is held by a writer and by others: {of}")
        waiters = list(queue.waiters.values())
        most = max((waiter.permits for waiter in waiters), default=0)
        if queue.kind == SEMAPHORE and most > queue.capacity:
            raise Violation(f"{told} has {queue.capacity} permits, and somebody waits for {most}")
        if waiters and queue.holders and waiters[0].token < max(queue.holders):
            raise Violation(f"{told}: token {waiters[0].token} waits and was overtaken")
        if waiters and waiters[0].permits <= queue.free:
            raise Violation(f"{told}: token {waiters[0].token} waits for what is free")
        for token in new:
            self._seen[token] = name
        self._granted[name] = max([last, *new])

    # -- what others believe --------------------------------------------------------------------

    def believed(self, client: str, place: Acquisition) -> None:
        """A client relies on a place: it holds, unless its lease may have ended by now."""
        if place.phase != HELD or place.lost or place.lease is None:
            return
        found = self.model.places.get(place.token)
        holds = found is not None and found[4] and found[0] == (place.kind, place.name)
        if not holds and self._is_trusted(place.lease):
            raise Violation(
                f"{client} relies on token {place.token} of {place.kind} {place.name}, "
                f"and it holds nothing: {found}"
            )

    def between(self, after: int, through: int) -> Iterable[int]:
        """The revisions that changed keys, above the one and up to the other."""
        revisions = self.revisions
        return revisions[bisect_right(revisions, after) : bisect_right(revisions, through)]

    def check_empty(self, machine: Machine) -> None:
        """Everybody has gone, and all leases have ended: everything is free again."""
        state = machine.state
        if not is_empty(machine):
            raise Violation(
                f"nobody is left, and there are still the places {list(state.queues.places)}, the "
                f"leases {list(state.leases.table)} and the keys {list(state.keys.bonds.of_key)}"
            )
        for queue in state.queues.tables[SEMAPHORE].values():
            if queue.free != queue.capacity:
                raise Violation(f"nobody holds {_named(queue)}, and {queue.free} are free")
        if POOL in self._permits:
            check_pool(self._permits[POOL], self._world.accounts())


def is_empty(machine: Machine) -> bool:
    """Whether there is nothing that ends: no places, no leases, no keys that are bound."""
    bonds = machine.state.keys.bonds.of_key
    return not (machine.place_count or machine.lease_count or bonds)


def _named(queue: Queue) -> str:
    return f"{queue.kind} {queue.name}"
