"""The closed loop of `raftzmq client bench`: over some connections, and in some processes."""

from __future__ import annotations

import gc
import multiprocessing
import secrets
import signal
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from threading import BrokenBarrierError
from typing import TYPE_CHECKING, Any, Final

import typer

from raftzmq.client.direct import DirectClient, DirectClients
from raftzmq.client.operations import keys
from raftzmq.errors import RaftzmqError, Unavailable

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Barrier

    from rich.progress import Progress

    from raftzmq.client.operations.arguments import Operation

FILL_OUTSTANDING: Final = 256
_PAUSE_AFTER_ERROR_S: Final = 0.01
_PROGRESS_NS: Final = 200_000_000
_START_S: Final = 60.0
"""How long all processes together may take to start."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `size` in bytes, `seconds` of the loop alone. `outstanding` operations are
    in flight over `connections` connections, each with a session of its own, of `processes`
    processes, all counted together."""

    op: str
    outstanding: int
    seconds: float
    size: int
    keys: int
    keep: bool
    connections: int = 1
    processes: int = 1

    def shares(self) -> list[Plan]:
        """What each process does."""
        count = self.processes
        outstanding, connections = (
            [total // count + (k < total % count) for k in range(count)]
            for total in (self.outstanding, self.connections)
        )
        return [
            replace(self, outstanding=o, connections=c, processes=1)
            for o, c in zip(outstanding, connections, strict=True)
        ]


@dataclass(slots=True)
class Measured:
    """Latencies of what succeeded, in nanoseconds, and how much did not."""

    latencies_ns: array[int] = field(default_factory=lambda: array("Q"))
    errors: int = 0
    last_error: RaftzmqError | None = None
    elapsed_s: float = 0.0

    def add(self, other: Measured) -> None:
        """Take in what was measured at the same time."""
        self.latencies_ns += other.latencies_ns
        self.errors += other.errors
        self.last_error = self.last_error or other.last_error
        self.elapsed_s = max(self.elapsed_s, other.elapsed_s)


@dataclass(frozen=True, slots=True)
class _Share:
    """What one process does: its part of the plan, on all the keys."""

    endpoints: Sequence[str]
    timeout_s: float
    plan: Plan
    names: Sequence[str]

    def run(self, progress: _Progress, barrier: Barrier | None = None) -> Measured:
        """Connect, wait for the others at the barrier, and run the loop."""
        with closing(DirectClients(self.plan.connections, self.endpoints)) as clients:
            for client in clients.members:
                client.run(keys.put(self.names[0], "x" * self.plan.size), self.timeout_s)
            if barrier is not None:
                barrier.wait(_START_S)
            with progress, calm_collector():
                return _Loop(clients, self.names, self.timeout_s, self.plan, progress).run()


@contextmanager
def calm_collector() -> Iterator[None]:
    """Keep the collector of cycles from looking through the whole program for as long as what is
    measured lasts: it did every half a second, for 10 to 30 ms, and every p99 was its pause."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def measure(endpoints: Sequence[str], timeout_s: float, plan: Plan) -> Measured:
    """Run the loop on keys of its own, which are deleted in the end unless they are to be kept."""
    prefix = f"raftzmq-bench/{secrets.token_hex(4)}/"
    names = [f"{prefix}{number:06}" for number in range(plan.keys)]
    with _ending_with_signals(), closing(DirectClient(endpoints)) as client:
        try:
            # The first write opens the session, and shows at once if there is no cluster.
            client.run(keys.put(names[0], "x" * plan.size), timeout_s)
            if plan.op != "put":
                _fill(client, names, "x" * plan.size, timeout_s)
            if plan.processes == 1:
                return _Share(endpoints, timeout_s, plan, names).run(_Progress(plan))
            return _in_processes([_Share(endpoints, timeout_s, p, names) for p in plan.shares()])
        finally:
            if not plan.keep:
                with suppress(RaftzmqError):
                    client.run(keys.delete_prefix(prefix), timeout_s)


@contextmanager
def _ending_with_signals() -> Iterator[None]:
    """A signal that would end the program is an exception meanwhile, so that what is to be undone
    is undone. One that comes while it is undone changes nothing."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
    before = {number: signal.getsignal(number) for number in numbers}
    heard: list[int] = []

    def end(number: int, _: object) -> None:
        heard.append(number)
        if len(heard) == 1:
            raise typer.Exit(128 + number)

    try:
        for number, earlier in before.items():
            if earlier is not signal.SIG_IGN:
                signal.signal(number, end)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _fill(client: DirectClient, names: Sequence[str], value: str, timeout_s: float) -> None:
    for start in range(0, len(names), FILL_OUTSTANDING):
        batch = names[start : start + FILL_OUTSTANDING]
        calls = [client.submit(keys.put(name, value), timeout_s) for name in batch]
        while not all(call.done for call in calls):
            client.wait()
        for call in calls:
            call.result()


# -- processes --------------------------------------------------------------------------------


def _in_processes(shares: list[_Share]) -> Measured:
    """Run each share in a process of its own, all at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(shares))
    with ExitStack() as children:
        pipes = []
        for share in shares:
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(theirs, barrier, share), daemon=True)
            child.start()
            children.callback(_end, child)  # before the keys are deleted
            theirs.close()  # so that the end of the process is the end of the pipe
            pipes.append(ours)
        return _collected(pipes, shares[0].plan)


def _end(child: BaseProcess) -> None:
    child.terminate()
    child.join()


def _collected(pipes: Sequence[Connection], plan: Plan) -> Measured:
    """What the processes measured."""
    together = Measured()
    with _Progress(plan) as progress:
        began_ns = time.perf_counter_ns()
        for pipe in pipes:
            while not pipe.poll(_PROGRESS_NS / 1e9):
                progress.show(time.perf_counter_ns() - began_ns, None)
            try:
                together.add(pipe.recv())
            except EOFError:
                raise Unavailable("a process of the benchmark has ended: see above") from None
    return together


def _child(pipe: Connection, barrier: Barrier, share: _Share) -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # they are the parent's, which ends this one
    try:
        measured = share.run(_Progress(None), barrier)
    except RaftzmqError as error:
        measured = Measured(errors=1, last_error=error)
        barrier.abort()
    except BrokenBarrierError:  # another could not start, and says why
        measured = Measured()
    if measured.last_error is not None:
        # Its text is enough, and not every error can be sent to another process.
        measured.last_error = Unavailable(str(measured.last_error))
    pipe.send(measured)


# -- the loop ---------------------------------------------------------------------------------


class _Loop:
    """Keeps `outstanding` operations in flight for `seconds`: one that is done is followed by the
    next, until the time is over."""

    def __init__(
        self,
        clients: DirectClients,
        names: Sequence[str],
        timeout_s: float,
        plan: Plan,
        progress: _Progress,
    ) -> None:
        self._clients = clients
        self._next_client = cycle(clients.members)
        self._names = cycle(names)
        self._timeout_s = timeout_s
        self._plan = plan
        self._progress = progress
        value = "x" * plan.size

        def put(key: str) -> Operation[Any]:
            return keys.put(key, value)

        def get(key: str) -> Operation[Any]:
            return keys.get(key, stale=plan.op == "stale")

        kinds = {"put": [put], "get": [get], "stale": [get], "mixed": [put, get]}
        self._works = cycle(kinds[plan.op])

    def run(self) -> Measured:
        measured = Measured()
        record = measured.latencies_ns.append
        started_ns = time.perf_counter_ns()
        now = started_ns
        end_ns = started_ns + int(self._plan.seconds * 1e9)
        self._start(self._plan.outstanding, now)
        in_flight = self._plan.outstanding
        while in_flight:
            finished = self._clients.wait()
            now = time.perf_counter_ns()
            errors = measured.errors
            for call in finished:
                if call.error is None:
                    record(now - call.waiter)
                else:
                    measured.errors += 1
                    measured.last_error = call.error
            in_flight -= len(finished)
            if measured.errors > errors:
                time.sleep(_PAUSE_AFTER_ERROR_S)
                now = time.perf_counter_ns()
            if now < end_ns:
                self._start(len(finished), now)
                in_flight += len(finished)
            self._progress.show(now - started_ns, len(measured.latencies_ns))
        measured.elapsed_s = (time.perf_counter_ns() - started_ns) / 1e9
        return measured

    def _start(self, count: int, now_ns: int) -> None:
        """Submit operations. They leave together."""
        for _ in range(count):
            work = next(self._works)(next(self._names))
            next(self._next_client).submit(work, self._timeout_s).waiter = now_ns


class _Progress:
    """A progress bar on stderr, where that is a terminal and there is a plan to show; for a `with`
    block."""

    def __init__(self, plan: Plan | None) -> None:
        self._plan = plan
        self._bar: Progress | None = None
        self._next_ns = 0

    def __enter__(self) -> _Progress:
        if self._plan is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            console = Console(stderr=True)
            self._bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
            self._task = self._bar.add_task(self._plan.op, total=self._plan.seconds)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, elapsed_ns: int, done: int | None) -> None:
        """Show the time, and the rate if it is known how much is done."""
        if self._plan is None or self._bar is None or elapsed_ns < self._next_ns:
            return
        self._next_ns = elapsed_ns + _PROGRESS_NS
        elapsed_s = elapsed_ns / 1e9
        rate = "" if done is None else f": {done / max(elapsed_s, 1e-3):,.0f}/s"
        self._bar.update(
            self._task,
            completed=min(elapsed_s, self._plan.seconds),
            description=self._plan.op + rate,
            refresh=True,
        )
