"""The closed loop of `raftzmq client bench`: over some connections, and in some processes."""

from __future__ import annotations

import gc
import multiprocessing
import secrets
import signal
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from raftzmq.client.direct import DirectClient, DirectClients
from raftzmq.client.operations import keys
from raftzmq.errors import RaftzmqError, Unavailable
from raftzmq_cli.client.bench_progress import Progress
from raftzmq_cli.common.progress import PROGRESS_NS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from raftzmq.client.operations.arguments import Operation

FILL_OUTSTANDING: Final = 256
_PAUSE_AFTER_ERROR_S: Final = 0.01
_START_S: Final = 60.0
"""How long all processes together may take to start."""
_END_S: Final = 10.0
"""How long all processes together may take to finish what is in flight."""
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""The signals that would end the program."""


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


@dataclass(slots=True)
class _Stop:
    """Whether the benchmark is to end before its time.

    Nothing is raised: an exception out of a signal handler is lost if it comes in a finalizer, and
    breaks off whatever it comes to, such as the start of a process.
    """

    asked: bool = False


@dataclass(frozen=True, slots=True)
class _Share:
    """What one process does: its part of the plan, on all the keys. Short, however many keys there
    are: a process that ends while it is sent to it must not block the sender."""

    endpoints: Sequence[str]
    key: Path | None
    timeout_s: float
    plan: Plan
    prefix: str

    def run(
        self, progress: Progress, stop: _Stop, start: Callable[[], None] = lambda: None
    ) -> Measured:
        """Connect, wait for the others with `start`, and run the loop."""
        names = _names(self.prefix, self.plan)
        with closing(DirectClients(self.plan.connections, self.endpoints, self.key)) as clients:
            for client in clients.members:
                client.run(keys.put(names[0], "x" * self.plan.size), self.timeout_s)
            start()
            with progress, calm_collector():
                return _Loop(clients, names, self.timeout_s, self.plan, progress, stop).run()


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


def _names(prefix: str, plan: Plan) -> list[str]:
    return [f"{prefix}{number:06}" for number in range(plan.keys)]


def measure(endpoints: Sequence[str], key: Path | None, timeout_s: float, plan: Plan) -> Measured:
    """Run the loop on keys of its own, which are deleted in the end unless they are to be kept.

    Raises typer.Exit if a signal has ended it, when the keys are deleted.
    """
    prefix = f"raftzmq-bench/{secrets.token_hex(4)}/"
    progress = Progress(plan.op, plan.seconds)
    with closing(DirectClient(endpoints, key)) as client:
        # It shows at once if there is no cluster, while there is nothing yet to be undone.
        client.run(keys.get(prefix), timeout_s)
        with stopped_by_signals() as stop:
            try:
                if plan.op != "put":
                    _fill(client, _names(prefix, plan), "x" * plan.size, timeout_s, stop)
                if plan.processes == 1:
                    share = _Share(endpoints, key, timeout_s, plan, prefix)
                    return share.run(progress, stop)
                shares = [_Share(endpoints, key, timeout_s, part, prefix) for part in plan.shares()]
                return _in_processes(shares, progress, stop)
            finally:
                if not plan.keep:
                    with suppress(RaftzmqError):
                        while client.run(keys.delete_prefix(prefix), timeout_s).more:
                            pass


@contextmanager
def stopped_by_signals() -> Iterator[_Stop]:
    """A signal that would end the program asks for a stop instead, and ends the program after the
    block, in which everything is undone."""
    stop = _Stop()
    before = {number: signal.getsignal(number) for number in _ENDING}
    heard: list[int] = []

    def end(number: int, _: object) -> None:
        heard.append(number)
        stop.asked = True

    try:
        for number, earlier in before.items():
            if earlier is not signal.SIG_IGN:
                signal.signal(number, end)
        yield stop
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
        if heard:
            raise typer.Exit(128 + heard[0])


def _fill(
    client: DirectClient, names: Sequence[str], value: str, timeout_s: float, stop: _Stop
) -> None:
    for start in range(0, len(names), FILL_OUTSTANDING):
        if stop.asked:
            break
        batch = names[start : start + FILL_OUTSTANDING]
        calls = [client.submit(keys.put(name, value), timeout_s) for name in batch]
        while not all(call.done for call in calls):
            client.wait()
        for call in calls:
            call.result()


# -- processes --------------------------------------------------------------------------------
#
# Each has a pipe to the parent, and nothing else is shared: a lock would stay taken if its holder
# is killed. A process says that it is connected, waits for the word to begin, and sends what it has
# measured. The end of the pipe is the end of the benchmark, for both.


def _in_processes(shares: Sequence[_Share], progress: Progress, stop: _Stop) -> Measured:
    """Run each share in a process of its own, all at the same time."""
    together = Measured()
    children: list[BaseProcess] = []
    pipes: list[Connection] = []
    try:
        for share in shares:
            _start_child(share, children, pipes)
        if _all_connected(pipes, stop):
            with progress:
                for measured in _messages(pipes, stop, progress.show_time):
                    together.add(measured)
    finally:
        _end(children, pipes)  # before the keys are deleted
    return together


def _start_child(share: _Share, children: list[BaseProcess], pipes: list[Connection]) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(theirs, share), daemon=True)
    # It would be started with the first child, and leave signals unblocked that were blocked.
    resource_tracker.ensure_running()
    # A terminal's signals are for all its processes. Those that end the parent must not end a
    # child, from its first moment on: the parent does.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()  # so that the end of the process is the end of the pipe
    children.append(child)
    pipes.append(ours)


def _all_connected(pipes: Sequence[Connection], stop: _Stop) -> bool:
    """Wait until all processes are connected, and let them begin; False if they shall not."""
    deadline_s = time.monotonic() + _START_S

    def check_time() -> None:
        if time.monotonic() > deadline_s:
            raise Unavailable(f"not all processes were connected after {_START_S:g} s")

    for failed in _messages(pipes, stop, check_time):
        if failed is not None:
            raise failed.last_error
    if not stop.asked:
        for pipe in pipes:
            with suppress(OSError):  # it has ended, as is seen when it is waited for
                pipe.send(None)
    return not stop.asked


def _messages(
    pipes: Sequence[Connection], stop: _Stop, meanwhile: Callable[[], None]
) -> Iterator[Any]:
    """The next message of each process, as they come, until a stop is asked for. Whichever process
    has ended without one is the end of all."""
    waiting = list(pipes)
    while waiting and not stop.asked:
        readable = connection.wait(waiting, PROGRESS_NS / 1e9)
        for pipe in [pipe for pipe in waiting if pipe in readable]:
            waiting.remove(pipe)
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                raise Unavailable(
                    "a process of the benchmark has failed (see above) or was killed"
                ) from None
            yield message
        meanwhile()


def _end(children: Sequence[BaseProcess], pipes: Sequence[Connection]) -> None:
    """Let the processes finish what is in flight, so that no write comes after the keys are
    deleted; kill those that do not."""
    for pipe in pipes:
        pipe.close()
    deadline_s = time.monotonic() + _END_S
    for child in children:
        child.join(max(0.0, deadline_s - time.monotonic()))
        child.kill()
        child.join()


def _child(pipe: Connection, share: _Share) -> None:
    stop = _Stop()

    def await_end() -> None:
        with suppress(EOFError, OSError):
            pipe.recv()
        stop.asked = True

    def start() -> None:
        try:
            pipe.send(None)
            pipe.recv()
        except (EOFError, OSError):
            stop.asked = True
        else:
            threading.Thread(target=await_end, daemon=True).start()

    try:
        measured = share.run(Progress(), stop, start)
    except RaftzmqError as error:
        measured = Measured(errors=1, last_error=error)
    if measured.last_error is not None:
        # Its text is enough, and not every error can be sent to another process.
        measured.last_error = Unavailable(str(measured.last_error))
    with suppress(OSError):  # the parent has ended, or wants no more
        pipe.send(measured)


# -- the loop ---------------------------------------------------------------------------------


class _Loop:
    """Keeps `outstanding` operations in flight for `seconds`: one that is done is followed by the
    next, until the time is over or a stop is asked for."""

    def __init__(
        self,
        clients: DirectClients,
        names: Sequence[str],
        timeout_s: float,
        plan: Plan,
        progress: Progress,
        stop: _Stop,
    ) -> None:
        self._clients = clients
        self._next_client = cycle(clients.members)
        self._names = cycle(names)
        self._timeout_s = timeout_s
        self._plan = plan
        self._progress = progress
        self._stop = stop
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
        in_flight = 0 if self._stop.asked else self._plan.outstanding
        self._start(in_flight, now)
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
            if now < end_ns and not self._stop.asked:
                self._start(len(finished), now)
                in_flight += len(finished)
            self._progress.show_rate(now - started_ns, len(measured.latencies_ns))
        measured.elapsed_s = (time.perf_counter_ns() - started_ns) / 1e9
        return measured

    def _start(self, count: int, now_ns: int) -> None:
        """Submit operations. They leave together."""
        for _ in range(count):
            work = next(self._works)(next(self._names))
            next(self._next_client).submit(work, self._timeout_s).waiter = now_ns
