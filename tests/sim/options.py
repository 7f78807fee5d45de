"""What kind of world a seed makes: everything about it that is drawn once, at the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from raftzmq.core.config import Config
from raftzmq.storage import StorageConfig

FAULTS: Final[dict[str, float]] = {
    "crash": 3,
    "kill": 2,
    "crash while writing": 3,
    "crash all": 0.5,
    "pause": 2,
    "freeze": 1,
    "clock": 1,
    "slow disk": 1,
    "full disk": 1.5,
    "fsync error": 1,
    "bit rot": 2,
    "lost directory": 2,
    "stale directory": 1,
    "partition": 2,
    "isolate": 2,
    "one way": 2,
    "bridge": 1,
    "ring": 1,
    "clog": 1.5,
    "depose": 4,
    "late answers": 4,
    "lost kinds": 2,
    "lost handover": 1,
    "lost chunks": 1,
    "heal": 3,
    "noise": 0.5,
    "transfer": 1,
    "stop": 1,
    "add member": 2.5,
    "remove member": 1.5,
    "scale": 1.5,
    "client dies": 0.5,
}
"""Every kind of fault with its weight among those that a seed makes use of."""

PLAIN_SECONDS: Final = 5.0
"""How long a plain world lives under faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Times in milliseconds of virtual time."""

    size: int
    seconds: float
    raft: Config
    storage: StorageConfig
    chunk_bytes: int
    slice_bytes: int
    session_ttl_ms: int
    sessions: int
    proposals: int
    delay_ms: tuple[int, int]
    slow_share: float
    """Of messages that take up to ten times as long, and are so overtaken."""
    loss: float
    duplication: float
    drift: float
    """Largest deviation of a node's clock from the true rate, as a share."""
    disk_ms: tuple[int, int]
    """How long a sync takes."""
    clients: int
    readers: int
    """Of clients that do nothing but read, one read after the other."""
    outstanding: int
    think_ms: int
    keys: int
    fault_mean_ms: int
    faults_from_ms: int
    last_ambush: bool
    faults: dict[str, float] = field(default_factory=dict)
    coordinators: int = 0
    """Of clients that use leases, locks, semaphores, elections and watches."""
    claims: int = 0
    """How many claims of each to locks and the like are under way at a time."""
    lease_ttls_ms: tuple[int, ...] = (1000,)
    watch_events: int = 100_000
    watch_bytes: int = 256 * 1024
    """How much of the past a node remembers, and how much goes into a message of events."""
    places: int = 100_000
    removals: int = 2048
    parked: int = 20_000
    alone: bool = False
    """Whether the world has one build of raftzmq, no bank, no stranger, no sick disk in the end,
    whatever its seed says."""

    def __str__(self) -> str:
        faults = f"a fault every {self.fault_mean_ms} ms: {', '.join(self.faults)}"
        parts = [
            f"{self.size} nodes",
            f"{self.clients} clients, {self.readers} readers and {self.coordinators} coordinators",
            f"election timeout {self.raft.election_timeout_ms} ms",
            f"delay {self.delay_ms[0]} to {self.delay_ms[1]} ms",
            f"loss {self.loss:g}",
            f"duplication {self.duplication:g}",
            f"drift {self.drift:g}",
            f"snapshot every {self.storage.snapshot_entries} entries",
            faults if self.faults else "no faults",
        ]
        return "; ".join(parts)


def draw(random: Random, seconds: float) -> Options:
    """Draw the options of a world that is to live for so many seconds under faults."""
    pick = random.choice
    # A world of few kinds of faults has each of them often, and finds what many kinds cover up.
    share = pick([0.1, 0.25, 0.6])
    coordinators = pick([0, 0, 0, 2, 3])
    election_ms = pick([150, 300, 300, 600, 1000])
    snapshot_entries = pick([8, 8, 20, 50, 200, 100_000])
    keep = pick([0, 0, 1, 5, 50])
    slowest_ms = pick([1, 5, 10, 30, 60, election_ms // 2])
    return Options(
        size=pick([1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]),
        seconds=seconds,
        raft=Config(
            election_timeout_ms=election_ms,
            heartbeat_ms=election_ms // pick([3, 5]),
            max_append_bytes=pick([200, 2000, 1 << 20]),
            max_append_entries=pick([1, 3, 20, 2048]),
            max_inflight=pick([1, 2, 8, 64]),
            max_committed_entries=pick([1, 4, 8192]),
            keep_entries=keep,
            keep_bytes=pick([0, 500, 1 << 20]),
        ),
        storage=StorageConfig(
            segment_bytes=pick([300, 2000, 1 << 20]),
            segment_entries=pick([1, 3, 10, 100]),
            snapshot_bytes=1 << 30,
            snapshot_entries=snapshot_entries,
            keep_entries=keep,
        ),
        chunk_bytes=pick([50, 200, 2000, 1 << 18]),
        slice_bytes=pick([50, 500, 1 << 18]),
        session_ttl_ms=pick([3_000, 10_000, 3_600_000, 3_600_000]),
        sessions=pick([6, 10_000, 10_000]),
        proposals=pick([3, 16_384, 16_384]),
        delay_ms=(pick([0, 0, 1]), max(1, slowest_ms)),
        slow_share=pick([0, 0, 0.01, 0.05]),
        loss=pick([0, 0, 0.01, 0.05, 0.2]),
        duplication=pick([0, 0, 0.01, 0.1]),
        drift=pick([0, 0.0002, 0.02, 0.1]),
        disk_ms=pick([(0, 0), (0, 2), (1, 10), (0, 40)]),
        clients=max(1, random.randint(2, 6) - coordinators),
        readers=pick([0, 1, 2]),
        outstanding=random.randint(1, 3),
        think_ms=pick([80, 150, 300]),
        keys=pick([2, 3, 5, 8]),
        fault_mean_ms=pick([300, 700, 1500]),
        faults_from_ms=pick([0, 0, 3000, 3000]),
        last_ambush=pick([False, True]),
        faults={name: weight for name, weight in FAULTS.items() if random.random() < share},
        coordinators=coordinators,
        claims=pick([1, 2, 4]),
        lease_ttls_ms=pick([(1000,), (2000,), (1500, 4000), (500, 4000)]),
        watch_events=pick([5, 40, 100_000]),
        watch_bytes=pick([1, 300, 256 * 1024]),
        places=pick([6, 100_000, 100_000]),
        removals=pick([1, 2, 2048]),
        parked=pick([2, 20_000, 20_000]),
    )


def narrowed(
    options: Options, *, nodes: int | None = None, faults: Sequence[str] | None = None
) -> Options:
    """The same with so many nodes, and with only these kinds of faults. Raises ValueError for a
    kind that there is not."""
    if nodes is not None:
        options = replace(options, size=nodes)
    if faults is not None:
        for kind in faults:
            if kind not in FAULTS:
                raise ValueError(
                    f"no kind of fault is called {kind!r}; there are {', '.join(FAULTS)}"
                )
        chosen = {kind: FAULTS[kind] for kind in faults}
        options = replace(options, faults=chosen, last_ambush=False)
    return options


def plain(seconds: float) -> Options:
    """A world for the first look: three nodes, one of them killed now and then, two clients, and
    a network that loses nothing and is slow enough to be watched."""
    return Options(
        size=3,
        seconds=seconds,
        raft=Config(keep_entries=5),
        storage=StorageConfig(
            segment_bytes=1 << 20,
            segment_entries=100,
            snapshot_bytes=1 << 30,
            snapshot_entries=20,
            keep_entries=5,
        ),
        chunk_bytes=1 << 18,
        slice_bytes=1 << 18,
        session_ttl_ms=3_600_000,
        sessions=10_000,
        proposals=16_384,
        delay_ms=(10, 30),
        slow_share=0,
        loss=0,
        duplication=0,
        drift=0,
        disk_ms=(0, 0),
        clients=2,
        readers=0,
        outstanding=1,
        think_ms=300,
        keys=3,
        fault_mean_ms=1800,
        faults_from_ms=1800,
        last_ambush=False,
        faults={"kill": FAULTS["kill"]},
        alone=True,
    )


def chosen(
    seed: int,
    seconds: float,
    *,
    first_look: bool = False,
    nodes: int | None = None,
    faults: Sequence[str] | None = None,
) -> Options | None:
    """The options that a command line asks for; None: what the seed draws, as in a swarm."""
    if not first_look and nodes is None and faults is None:
        return None
    drawn = plain(seconds) if first_look else draw(Random(f"raftzmq {seed}"), seconds)
    return narrowed(drawn, nodes=nodes, faults=faults)
