"""Both kinds of clients at work while something happens to the cluster, every operation recorded.

What they saw is checked as in the simulation (tests/sim/linearizability.py), and what they were
told is looked for on every node.
"""

from __future__ import annotations

import threading
import time
from asyncio import Runner, TaskGroup
from asyncio import sleep as async_sleep
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import astuple, dataclass, replace
from random import Random
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from raftzmq.client.transactions import Compare, Delete, Get, Put
from raftzmq.core.entry import Entry
from raftzmq.errors import RaftzmqError
from tests.sim.clients import unwired
from tests.sim.history import FAILED, OK, UNKNOWN, History, Op
from tests.sim.linearizability import check_keys, check_log
from tests.sim.story import Violation
from tests.system.logs import Logbook, results_of
from tests.system.processes import Cluster, wait_for
from tests.system.raw import Stored
from tests.system.recorder import RecordedAsyncClient, RecordedClient, Recorder

PROGRESS_S: Final = 60.0
"""Within this time work must go on, on a machine however busy."""

TIMEOUTS_S: Final = (0.5, 2.0, 5.0, 15.0)
"""Of single operations: some give up while the cluster is away, some outlast anything."""

WORKERS_EACH: Final = 2
"""So many use one client at the same time."""

THINK_S: Final = 0.02
HOT_KEYS: Final = 4
EPOCH_OPS: Final = 1000
"""After so many operations the hot keys get new names: a search looks at a few hundred each."""

WEIGHTS: Final = {
    "once": 30,
    "put": 18,
    "get": 25,
    "cas": 12,
    "delete": 4,
    "stale get": 2,
    "txn": 6,
    "move": 3,
}


class Want(NamedTuple):
    """A method of both clients, and what to call it with."""

    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class Worker:
    """What one caller wants next: drawn from its seed, and from what has been seen of the keys."""

    def __init__(self, name: str, seed: int, prefix: str, recorder: Recorder) -> None:
        self.name = name
        self._random = Random(f"{seed} {name}")
        self._prefix = prefix
        self._recorder = recorder
        self._count = 0

    def think_s(self) -> float:
        return self._random.expovariate(1 / THINK_S)

    def want(self) -> Want:
        random, recorder = self._random, self._recorder
        kind = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        epoch = len(recorder.history.ops) // EPOCH_OPS
        key, other = (f"{self._prefix}hot/{epoch}/{k}" for k in random.sample(range(HOT_KEYS), 2))
        expected, revision = recorder.seen(key)
        compare = Compare(key, "value", random.choice(["=", "=", "!="]), unwired(expected))
        arguments: tuple[Any, ...]
        match kind:
            case "once":
                value = self._value()
                arguments = f"{self._prefix}once/{value}", value
                kind = "put"
            case "put":
                text = self._value()
                arguments = key, text.encode() if random.random() < 0.1 else text
            case "cas":
                arguments = key, self._value(), revision
            case "txn":
                arguments = [compare], [Put(key, self._value()), Get(key)], [Get(key)]
            case "move":
                compare = replace(compare, operator="=")
                arguments = [compare], [Delete(key), Put(other, self._value())], []
                kind = "txn"
            case _:
                arguments = (key,)
        options = {"timeout": random.choice(TIMEOUTS_S)}
        if kind == "stale get":
            kind, options["stale"] = "get", True
        return Want(kind, arguments, options)

    def _value(self) -> str:
        """A value that nobody else writes, and nobody writes again."""
        self._count += 1
        return f"{self.name}/{self._count}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a workload did, and how much of it was checked."""

    operations: int = 0
    acknowledged: int = 0
    """Writes."""
    unknown: int = 0
    failed: int = 0
    kept: int = 0
    """Writes of keys written once that were acknowledged, and found on every node."""
    steps: int = 0
    """Checked by the search for an order of each key."""
    compared: int = 0
    """Checked against the log; 0 if its beginning was compacted away."""
    longest_gap_s: float = 0.0
    """Between two acknowledged writes, whoever got them."""

    def __add__(self, other: Figures) -> Figures:
        """Of both together."""
        return Figures(
            *(
                max(a, b) if isinstance(a, float) else a + b
                for a, b in zip(astuple(self), astuple(other), strict=True)
            )
        )

    def __str__(self) -> str:
        return (
            f"{self.operations} operations: {self.acknowledged} writes acknowledged, "
            f"{self.unknown} unknown, {self.failed} failed; {self.kept} found everywhere, "
            f"{self.steps} steps ordered, {self.compared} compared with the log; "
            f"longest gap {self.longest_gap_s:.2f} s"
        )


class Workload:
    """Clients at work from entering the context to leaving it, or to `stop`.

    `blocking` Clients are used by threads and `asyncio` AsyncClients by tasks of one event loop,
    WORKERS_EACH of either. Keys and values depend on the seed; their order in time does not.
    """

    def __init__(
        self, endpoints: Sequence[str], seed: int, blocking: int = 2, asyncio: int = 2
    ) -> None:
        self.recorder = Recorder()
        self.prefix = f"workload-{seed}/"
        self.errors: list[BaseException] = []
        self._endpoints = list(endpoints)
        self._seed = seed
        self._stopping = threading.Event()
        self._clients: list[RecordedClient] = []
        self._threads: list[threading.Thread] = []
        for k in range(blocking):
            client = RecordedClient(endpoints, f"b{k}", self.recorder)
            self._clients.append(client)
            for worker in self._workers(f"b{k}"):
                thread = threading.Thread(target=self._work, args=(client, worker))
                self._threads.append(thread)
        if asyncio:
            self._threads.append(threading.Thread(target=self._run_loop, args=(asyncio,)))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        try:
            self.wait_for_progress()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def history(self) -> History:
        return self.recorder.history

    @property
    def acknowledged(self) -> int:
        """How many writes have been acknowledged."""
        return self.recorder.acknowledged

    def wait_for_progress(self, timeout_s: float = PROGRESS_S) -> float:
        """Wait until a write that was asked for after this call is acknowledged; return how many
        seconds that took."""
        began, began_s = self.recorder.moment(), time.monotonic()
        wait_for(
            "a new write is acknowledged",
            lambda: self.recorder.newest_asked > began or bool(self.errors),
            timeout_s,
        )
        assert not self.errors, self.errors
        return time.monotonic() - began_s

    def stop(self) -> None:
        """End all work and wait for it; at most as long as the longest timeout. May be repeated."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        for client in self._clients:
            client.close()

    def check(self, cluster: Cluster, logbook: Logbook | None = None) -> Figures:
        """Stop, and check all that was recorded. Raises Violation, or AssertionError when nodes
        differ or do not settle.

        `logbook` holds what was gathered of the log; without one, or with one that has gaps, it is
        what the nodes' directories have now. If that lacks the beginning, the log's own order is
        not checked, and `compared` is 0.
        """
        self.stop()
        assert not self.errors, self.errors
        found = cluster.everything(self.prefix)
        logbook = logbook or Logbook()
        logbook.gather(cluster)
        return self.check_found(found, logbook.whole())

    def check_found(
        self, found: dict[str, Stored], entries: Sequence[Entry] | None = None
    ) -> Figures:
        """Check what was recorded with what the nodes hold in the end, and with the log."""
        ops = self.history.ops
        kept = check_kept(self.history, found, f"{self.prefix}once/")
        steps = check_keys(History([*ops, *self._last_reads(found)]))
        compared = check_log(self.history, entries, results_of(entries)) if entries else 0
        return Figures(
            len(ops),
            self.acknowledged,
            self.recorder.outcomes[UNKNOWN],
            self.recorder.outcomes[FAILED],
            kept,
            steps,
            compared,
            self.recorder.longest_gap_s,
        )

    def _last_reads(self, found: dict[str, Stored]) -> list[Op]:
        """What the nodes hold in the end, as reads that come after everything."""
        keys = {key for op in self.history.ops for key in keys_of(op)}
        asked = self.recorder.moment()
        return [
            Op("the end", "get", [key], asked, told=asked, outcome=OK, body=found.get(key))
            for key in sorted(keys)
        ]

    def _workers(self, client: str) -> list[Worker]:
        return [
            Worker(f"{client}-{k}", self._seed, self.prefix, self.recorder)
            for k in range(WORKERS_EACH)
        ]

    # -- in the threads -----------------------------------------------------------------------

    def _work(self, client: RecordedClient, worker: Worker) -> None:
        try:
            while not self._stopping.wait(worker.think_s()):
                want = worker.want()
                with suppress(RaftzmqError):  # it is recorded
                    getattr(client, want.method)(*want.arguments, **want.options)
        except BaseException as error:  # shown by whoever waits
            self.errors.append(error)

    def _run_loop(self, clients: int) -> None:
        try:
            with Runner() as runner:
                runner.run(self._async_main(clients))
        except BaseException as error:
            self.errors.append(error)

    async def _async_main(self, clients: int) -> None:
        async with AsyncExitStack() as stack:
            named = [
                (f"a{k}", RecordedAsyncClient(self._endpoints, f"a{k}", self.recorder))
                for k in range(clients)
            ]
            for _, client in named:
                stack.push_async_callback(client.close)
            async with TaskGroup() as group:
                for name, client in named:
                    for worker in self._workers(name):
                        group.create_task(self._async_work(client, worker))

    async def _async_work(self, client: RecordedAsyncClient, worker: Worker) -> None:
        while not self._stopping.is_set():
            await async_sleep(worker.think_s())
            want = worker.want()
            with suppress(RaftzmqError):
                await getattr(client, want.method)(*want.arguments, **want.options)


def keys_of(op: Op) -> set[str]:
    """The keys that an operation of a worker touches."""
    if op.name != "txn":
        return {op.arguments[0]}
    compares, then, otherwise = op.arguments
    return {compare[0] for compare in compares} | {o[1] for o in (*then, *otherwise)}


def check_kept(history: History, found: dict[str, Stored], prefix: str) -> int:
    """Check the keys below `prefix`, each written by one put: the acknowledged ones are there as
    acknowledged, what failed is not there, nor what nobody wrote. Returns how many were
    acknowledged. Raises Violation."""
    puts = {
        op.arguments[0]: op
        for op in history.ops
        if op.name == "put" and op.arguments[0].startswith(prefix)
    }
    count = 0
    for key, op in puts.items():
        stored = found.get(key)
        if op.outcome == OK:
            count += 1
            if stored is None:
                raise Violation(f"an acknowledged write is lost: {op}")
            if stored.revision != op.index:
                raise Violation(f"written a second time, {stored}: {op}")
        if op.outcome == FAILED and stored is not None:
            raise Violation(f"was called failed, and was done, {stored}: {op}")
        if stored is not None and stored.value != op.arguments[1]:
            raise Violation(f"another value than was written, {stored}: {op}")
    for key, stored in found.items():
        if key.startswith(prefix) and key not in puts:
            raise Violation(f"nobody wrote {key}: {stored}")
    return count
