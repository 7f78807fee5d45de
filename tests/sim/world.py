"""A world: machines, a network, clients, faults and time, all of it from one seed.

Phase one: faults, and safety is checked at every step. Phase two: the faults stop, a majority
heals, and it must elect, answer everything and converge within a bound. Then the history is judged.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any, Final, Self

from raftzmq import limits
from raftzmq.core.entry import COMMAND, COMMANDS
from raftzmq.lines import with_body
from raftzmq.machine import Machine
from raftzmq.state_machine.checks import NotDeterministic
from tests.sim import options as opts
from tests.sim.banking import checked_program_of
from tests.sim.builds import Builds
from tests.sim.clients import SimClient
from tests.sim.coordinators import Coordinator
from tests.sim.faults import Faults
from tests.sim.healing import heal
from tests.sim.hearing import Hearing
from tests.sim.history import History, key_names
from tests.sim.invariants import Rules
from tests.sim.ledger import Ledger
from tests.sim.linearizability import check_keys, check_log
from tests.sim.network import Network
from tests.sim.options import Options
from tests.sim.pool import Account
from tests.sim.process import SimProcess
from tests.sim.scale import Scale
from tests.sim.story import SimFailure, Story, failure
from tests.sim.stranger import Stranger

SECONDS: Final = 30.0
CALM_MS: Final = 30_000
"""Within this time after the faults have stopped everything must be well."""

_DELIVERY, _TURN = 0, 1


class World:
    """See the module. `run` plays the seed and raises SimFailure; counts are there afterwards."""

    bank_share = 0.3
    """Share of the worlds that have a bank, if all machines have the same build."""
    network_kind = Network

    def __init__(
        self,
        seed: int,
        seconds: float = SECONDS,
        *,
        aloud: bool = False,
        options: Options | None = None,
    ) -> None:
        self.seed = seed
        self.seconds = seconds
        self.random = Random(f"raftzmq {seed}")
        self.options = options or opts.draw(self.random, seconds)
        self.story = Story(aloud=aloud)
        self.counts: Counter[str] = Counter()
        """Of what happened, faults included."""
        self.faults_done: Counter[str] = Counter()
        self.steps = 0
        self.now_ms = 0
        self.seen: dict[str, tuple[Any, int]] = {}
        """key -> a value and its revision, as a client last saw them."""
        self.history = History(keys=key_names(self.options.keys))
        self._moments = count(1)
        self._order = count()
        self._names = {True: count(), False: count()}
        self._events: list[tuple[int, int, int, Callable[[], None]]] = []
        self.network = self.network_kind(
            self.options, Random(self.random.getrandbits(64)), self.at, self.counts
        )
        self.initial = {
            f"raft-{n}": f"raft-{n}.raft-service:6000" for n in range(self.options.size)
        }
        self.processes: dict[str, SimProcess] = {}
        self.by_address: dict[str, SimProcess] = {}
        self.by_client_address: dict[str, SimProcess] = {}
        self.clients: dict[str, SimClient] = {}
        self.ledger = Ledger(self) if self.options.coordinators else None
        """What coordinates, where somebody does."""
        self.rules = Rules(self.processes, self.ledger)
        self.hearing = Hearing(self)
        self.faults = Faults(self, Random(self.random.getrandbits(64)))
        self.scale = Scale(self, Random(self.random.getrandbits(64)))
        self.builds = Builds(self, Random(f"builds in {seed}"))
        self.stranger = Stranger(self, Random(f"stranger in {seed}"))

    # -- what there is --------------------------------------------------------------------------

    def add_process(self, name: str) -> SimProcess:
        process = SimProcess(self, name)
        self.processes[name] = process
        self.by_address[process.address] = process
        self.by_client_address[process.client_address] = process
        return process

    def add_client(self, *, idle: bool = False, reader: bool = False) -> SimClient:
        kind = "admin" if idle else "reader" if reader else "client"
        name = f"{kind}-{next(self._names[idle])}"
        client = self.clients[name] = SimClient(self, name, idle=idle, reader=reader)
        return client

    def add_coordinator(self) -> Coordinator:
        name = f"coordinator-{next(self._names[False])}"
        client = self.clients[name] = Coordinator(self, name)
        return client

    def coordinators(self) -> list[Coordinator]:
        """Those that live."""
        clients = self.clients.values()
        return [one for one in clients if isinstance(one, Coordinator) and not one.dead]

    def accounts(self) -> list[Account]:
        """What the coordinators have of the pool, those included that have died."""
        return [one.account for one in self.clients.values() if isinstance(one, Coordinator)]

    def is_deaf(self, client: str) -> bool:
        """Whether so much waits unread for a client that it gets no further events."""
        found = self.clients.get(client)
        return isinstance(found, Coordinator) and found.deaf

    def moment(self) -> int:
        """A number that says what came before what, finer than milliseconds."""
        return next(self._moments)

    # -- time -----------------------------------------------------------------------------------

    def at(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Have something happen later."""
        event = (self.now_ms + delay_ms, _DELIVERY, next(self._order), what)
        heapq.heappush(self._events, event)

    def turn_at(self, process: SimProcess, when_ms: int) -> None:
        """Let a process run at that time, after everything that arrives by then."""
        boot = process.boot

        def turn() -> None:
            if process.boot == boot and process.turn_at == when_ms:
                process.turn()

        heapq.heappush(self._events, (when_ms, _TURN, next(self._order), turn))

    def run_until(self, end_ms: int, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass; stop early, and return True, when `done` says so (asked now and then)."""
        events = self._events
        look_ms = self.now_ms
        while events and events[0][0] <= end_ms:
            when_ms = events[0][0]
            if done is not None and when_ms > look_ms:
                look_ms = when_ms + 50
                if done():
                    return True
            _, _, _, what = heapq.heappop(events)
            self.now_ms = self.story.now_ms = when_ms
            self.happen(what)
        self.now_ms = self.story.now_ms = end_ms
        return done is not None and done()

    def happen(self, what: Callable[[], None]) -> None:
        """Let the next event happen; who looks on does it here (tests/show)."""
        what()

    def links_changed(self, process: SimProcess) -> None:
        """Connections to a process broke: its clients notice soon."""
        for client in self.clients.values():
            self.at(1, client.turn)

    # -- the two phases -------------------------------------------------------------------------

    def run(self) -> Self:
        """Play the seed. Raises SimFailure."""
        try:
            with self._limits():
                self._play()
        except SimFailure:
            raise
        except (Exception, NotDeterministic) as error:
            raise self._failure(error) from error
        return self

    @contextmanager
    def _limits(self) -> Iterator[None]:
        """Some limits are part of the options; all nodes share them, as they share a version."""
        drawn = {
            "SESSION_TTL_MS": self.options.session_ttl_ms,
            "SESSIONS": self.options.sessions,
            "SESSION_EVICTABLE_MS": 1000,
            "VALUE_BYTES": 100,
            "TRANSACTION_BYTES": 800,
            "PROPOSALS_IN_FLIGHT": self.options.proposals,
            "WATCH_HISTORY_EVENTS": self.options.watch_events,
            "WATCH_MESSAGE_BYTES": self.options.watch_bytes,
            "PLACES": self.options.places,
            "REMOVALS_PER_ENTRY": self.options.removals,
            "PARKED_READS": self.options.parked,
        }
        before = {name: getattr(limits, name) for name in drawn}
        try:
            for name, value in drawn.items():
                setattr(limits, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(limits, name, value)

    def begin(self) -> None:
        """Start everything, faults included."""
        self.story.tell("world", f"of seed {self.seed}: {self.options}")
        self.builds.begin()
        for name in self.initial:
            self.add_process(name).start()
        for _ in range(self.options.clients):
            self.add_client()
        for _ in range(self.options.readers):
            self.add_client(reader=True)
        for _ in range(self.options.coordinators):
            self.add_coordinator()
        self.faults.begin()
        self.stranger.begin(int(self.seconds * 1000))

    def _play(self) -> None:
        self.begin()
        end_ms = int(self.seconds * 1000)
        self.run_until(max(end_ms // 2, end_ms - 12 * self.options.raft.election_timeout_ms))
        self.faults.last_one()
        self.run_until(end_ms)
        heal(self, CALM_MS)
        self._judge()

    def _judge(self) -> None:
        """Look at the whole run once more."""
        self.story.tell("world", "is judged")
        self.stranger.judge()
        rules = self.rules
        machine = Machine(program=checked_program_of(self))
        for entry in rules.entries:
            if entry.kind in (COMMAND, COMMANDS):
                machine.apply_all([with_body(entry)])
            else:
                machine.advance(entry.index, entry.time_ms)
            if entry.index in rules.hashes:
                rules.compare_state("a replay of the log", machine)
        compared = check_log(self.history, rules.entries, rules.results)
        searched = check_keys(self.history)
        self.counts["operations"] += len(self.history.ops)
        self.counts["operations checked"] += searched
        self.counts["results compared"] += compared
        self.counts["entries"] += len(rules.entries)
        self.counts["rule checks"] += rules.checks
        self.counts["states compared"] += len(rules.hashes)

    def _failure(self, error: BaseException) -> SimFailure:
        problem = str(error) or type(error).__name__
        if not isinstance(error, AssertionError):
            problem = f"{type(error).__name__}: {problem}"
        return failure(self.seed, self.seconds, str(self.options), problem, self.story)


def run(seed: int, seconds: float = SECONDS, *, aloud: bool = False) -> World:
    """Play one seed. Raises SimFailure."""
    return World(seed, seconds, aloud=aloud).run()
