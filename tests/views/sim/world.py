"""A world of the older design, all of it from one seed: a view server, servers, clients, a network.

The events, the network and the judge of histories are those of tests/sim. A careful world crashes
a server only while there is a primary with a backup that has everything, and waits until that is so
again: what the design covers, after which nothing may be lost and all must go on. A wild one
crashes as it likes; then the service may come to stand, and that must be for the reason it says.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Final

from raftzmq.views import replication
from raftzmq.views.view import Timing
from tests.sim import options as opts
from tests.sim.history import History
from tests.sim.network import Network
from tests.sim.story import SimFailure, Story, Violation, commit
from tests.views.sim.faults import Faults
from tests.views.sim.parties import LIST, VIEWS, Party, SimClient, SimStore, SimViewServer
from tests.views.sim.rules import Rules, judge

SECONDS: Final = 20.0
CALM_MS: Final = 30_000
"""Within this time after the faults have stopped everything must be well."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is drawn once. Times in milliseconds of virtual time."""

    stores: int
    clients: int
    timing: Timing
    careful: bool
    think_ms: int
    fault_mean_ms: int
    chunk_bytes: int
    window_bytes: int
    network: opts.Options

    def __str__(self) -> str:
        net = self.network
        return (
            f"{'careful' if self.careful else 'wild'}; {self.stores} servers, {self.clients} "
            f"clients; dead after {self.timing.dead_ms} ms; delay {net.delay_ms[0]} to "
            f"{net.delay_ms[1]} ms, loss {net.loss:g}, duplication {net.duplication:g}, slow "
            f"{net.slow_share:g}; chunks of {self.chunk_bytes} bytes; a fault every "
            f"{self.fault_mean_ms} ms"
        )


def draw(random: Random, seconds: float) -> Options:
    network = opts.draw(random, seconds)
    pick = random.choice
    return Options(
        stores=pick([2, 3, 3, 3, 4]),
        clients=random.randint(2, 5),
        timing=Timing(100, pick([500, 1000, 1000]), 2000, pick([50, 200, 200])),
        careful=random.random() < 0.6,
        think_ms=pick([30, 80, 150]),
        fault_mean_ms=pick([300, 700, 1500]),
        chunk_bytes=pick([100, 400, 1 << 20]),
        window_bytes=pick([100, 1000, 1 << 20]),
        network=replace(network, loss=min(network.loss, 0.05)),
    )


class World:
    """See the module. `run` plays the seed and raises SimFailure; counts are there afterwards."""

    def __init__(self, seed: int, seconds: float = SECONDS, *, aloud: bool = False) -> None:
        self.seed = seed
        self.seconds = seconds
        self.random = Random(f"views {seed}")
        self.options = draw(self.random, seconds)
        self.story = Story(aloud=aloud)
        self.counts: Counter[str] = Counter()
        self.faults_done: Counter[str] = Counter()
        self.steps = 0
        self.now_ms = 0
        self.is_ending = False
        self.is_over = False
        """A view server that could not know of a service has begun another one."""
        keys = [f"k{n}" for n in range(3)] + [f"{LIST}{n}" for n in range(2)]
        self.history = History(keys=keys)
        self._moments = count(1)
        self._order = count()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        net = Random(self.random.getrandbits(64))
        self.network = Network(self.options.network, net, self.at, self.counts)
        self.view_server = SimViewServer(self, VIEWS)
        self.stores = [SimStore(self, f"storage-{n}") for n in range(self.options.stores)]
        self.clients = [SimClient(self, f"client-{n}") for n in range(self.options.clients)]
        everybody: list[Party] = [self.view_server, *self.stores, *self.clients]
        self.parties = {party.name: party for party in everybody}
        self.rules = Rules(self)
        self.faults = Faults(self, Random(self.random.getrandbits(64)))

    def moment(self) -> int:
        """A number that says what came before what, finer than milliseconds."""
        return next(self._moments)

    def random_id(self) -> str:
        return f"{self.random.getrandbits(64):016x}"

    def at(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Have something happen later."""
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self._order), what))

    def begun_anew(self) -> None:
        """Only in a wild world: the view server lost its memory while nobody reached it."""
        if self.options.careful:
            raise Violation("the view server has begun a new service, and there was one")
        self.is_over = True

    def run_until(self, end_ms: int, done: Callable[[], bool] | None = None) -> bool:
        look_ms = self.now_ms
        while self._events and self._events[0][0] <= end_ms and not self.is_over:
            when_ms, _, what = heapq.heappop(self._events)
            if done is not None and when_ms > look_ms:
                look_ms = when_ms + 50
                if done():
                    return True
            self.now_ms = self.story.now_ms = when_ms
            what()
        self.now_ms = self.story.now_ms = max(self.now_ms, end_ms)
        return done is not None and done()

    def run(self) -> World:
        """Play the seed. Raises SimFailure."""
        sizes = replication.CHUNK_BYTES, replication.FORWARD_BYTES, replication.WINDOW_BYTES
        window = self.options.window_bytes
        try:
            replication.CHUNK_BYTES = self.options.chunk_bytes  # type: ignore[misc]
            replication.FORWARD_BYTES = replication.WINDOW_BYTES = window  # type: ignore[misc]
            self._play()
        except Exception as error:
            raise self._failure(error) from error
        finally:
            replication.CHUNK_BYTES, replication.FORWARD_BYTES, replication.WINDOW_BYTES = sizes  # type: ignore[misc]
        return self

    def _play(self) -> None:
        self.story.tell("world", f"of seed {self.seed}: {self.options}")
        for party in self.parties.values():
            self.at(self.random.randrange(300), party.start)
        self.faults.begin()
        self.run_until(int(self.seconds * 1000))
        self.is_ending = True
        self._heal()
        self.counts["operations"] += len(self.history.ops)
        if self.is_over:
            self.counts["begun anew"] += 1
            return
        self.counts["operations checked"] += judge(self.history)

    def _heal(self) -> None:
        """No more faults: everything must be well again, or stand for a reason that is true."""
        self.story.tell("world", "heals")
        self.faults.end()
        end_ms = self.now_ms + CALM_MS
        well = self.run_until(end_ms, self._is_well)
        if self.is_over:
            return
        if not well:
            self.faults.check_stands()
            self.counts["stands"] += 1
            self.run_until(self.now_ms + 6000)
            return
        for key in self.history.keys:
            self.clients[0].ask("get", key, 20.0)
            self.run_until(self.now_ms + 20_000, lambda: not self.clients[0].waits)
            if self.history.ops[-1].outcome != "ok" and not self.is_over:
                raise Violation(f"all is well, and {key} cannot be read: {self.history.ops[-1]}")
        self.counts["well in the end"] += 1

    def _is_well(self) -> bool:
        waits = any(client.waits for client in self.clients)
        return self.view_server.service.is_healthy and not waits

    def _failure(self, error: Exception) -> SimFailure:
        problem = str(error) or type(error).__name__
        if not isinstance(error, AssertionError):
            problem = f"{type(error).__name__}: {problem}"
        told = "\n".join(
            [
                f"seed {self.seed} failed at commit {commit()}: {problem}",
                "",
                f"The world: {self.options}",
                "",
                "The last events:",
                str(self.story),
                "",
                f"To see it again: python -m tests.views.sim run {self.seed} -v",
            ]
        )
        return SimFailure(self.seed, problem, told)


def run(seed: int, seconds: float = SECONDS, *, aloud: bool = False) -> World:
    """Play one seed. Raises SimFailure."""
    return World(seed, seconds, aloud=aloud).run()
