"""`raftzmq client bench`: a closed loop of operations, and the table of their latencies."""

from __future__ import annotations

import secrets
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

from raftzmq.errors import InvalidRequest, RaftzmqError
from raftzmq_cli import outcomes
from raftzmq_cli.invocation import Invocation

if TYPE_CHECKING:
    from rich.progress import Progress

    from raftzmq.client.direct import DirectClient
    from raftzmq.client.operations import Operation

OPERATIONS: Final = ("put", "get", "stale")
_PAUSE_AFTER_ERROR_S: Final = 0.01
_PROGRESS_NS: Final = 200_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `size` in bytes, `seconds` of the loop alone."""

    op: str
    outstanding: int
    seconds: float
    size: int
    keys: int
    keep: bool


@dataclass(slots=True)
class Measured:
    """Latencies of what succeeded, in nanoseconds, and how much did not."""

    latencies_ns: array[int] = field(default_factory=lambda: array("Q"))
    errors: int = 0
    last_error: RaftzmqError | None = None
    elapsed_s: float = 0.0


def bench(run: Invocation, plan: Plan) -> int:
    """Measure and print. Raises the last error if nothing succeeded at all."""
    if plan.op not in OPERATIONS:
        raise InvalidRequest(f"--op {plan.op!r} is not one of {', '.join(OPERATIONS)}")
    measured = _bench(run.settings.endpoints, run.timeout_s, plan)
    if not measured.latencies_ns and measured.last_error is not None:
        raise measured.last_error
    document = report(plan, measured)
    run.show(document, lines_of(document))
    if measured.last_error is not None:
        outcomes.say(f"raftzmq: {measured.errors} errors, the last: {measured.last_error}")
    return outcomes.DONE


def report(plan: Plan, measured: Measured) -> dict[str, Any]:
    ordered = sorted(measured.latencies_ns)
    return {
        "op": plan.op,
        "outstanding": plan.outstanding,
        "value_bytes": plan.size,
        "ops_per_s": round(len(ordered) / measured.elapsed_s, 1),
        "p50_ms": percentile_ms(ordered, 0.50),
        "p99_ms": percentile_ms(ordered, 0.99),
        "p999_ms": percentile_ms(ordered, 0.999),
        "max_ms": percentile_ms(ordered, 1.0),
        "errors": measured.errors,
    }


def percentile_ms(ordered_ns: Sequence[int], share: float) -> float | None:
    """The latency that `share` of the operations did not exceed; None if there were none."""
    if not ordered_ns:
        return None
    rank = -int(-share * len(ordered_ns) // 1)  # rounded up: the nearest rank
    return round(ordered_ns[max(rank, 1) - 1] / 1e6, 3)


def lines_of(document: dict[str, Any]) -> list[str]:
    shown = {name: "-" if value is None else value for name, value in document.items()}
    return [
        "{op}, {outstanding} outstanding, values of {value_bytes} bytes".format(**shown),
        f"  {shown['ops_per_s']:>12,.1f} operations a second, {shown['errors']} errors",
        *(
            f"  {shown[f'{name}_ms']:>12} ms {title}"
            for name, title in (
                ("p50", "half of them took at most this long (p50)"),
                ("p99", "99 % (p99)"),
                ("p999", "99.9 % (p99.9)"),
                ("max", "the longest"),
            )
        ),
    ]


def _bench(endpoints: Sequence[str], timeout_s: float, plan: Plan) -> Measured:
    from raftzmq.client import operations
    from raftzmq.client.direct import DirectClient

    prefix = f"raftzmq-bench/{secrets.token_hex(4)}/"
    names = [f"{prefix}{number:06}" for number in range(plan.keys)]
    value = "x" * plan.size
    with closing(DirectClient(endpoints)) as client:
        try:
            # The first write opens the session, and shows at once if there is no cluster.
            client.run(operations.put(names[0], value), timeout_s)
            if plan.op != "put":
                _fill(client, names, value, timeout_s, plan.outstanding)
            return _Loop(client, names, value, timeout_s, plan).run()
        finally:
            if not plan.keep:
                with suppress(RaftzmqError):
                    client.run(operations.delete_prefix(prefix), timeout_s)


def _fill(
    client: DirectClient, names: Sequence[str], value: str, timeout_s: float, outstanding: int
) -> None:
    from raftzmq.client import operations

    for start in range(0, len(names), outstanding):
        batch = names[start : start + outstanding]
        calls = [client.submit(operations.put(name, value), timeout_s) for name in batch]
        while not all(call.done for call in calls):
            client.wait()
        for call in calls:
            call.result()


class _Loop:
    """Keeps `outstanding` operations in flight for `seconds`: one that is done is followed by the
    next, until the time is over."""

    def __init__(
        self, client: DirectClient, names: Sequence[str], value: str, timeout_s: float, plan: Plan
    ) -> None:
        from raftzmq.client import operations

        self._client = client
        self._names = cycle(names)
        self._timeout_s = timeout_s
        self._plan = plan
        self._work: Callable[[str], Operation[Any]]
        if plan.op == "put":
            self._work = lambda key: operations.put(key, value)
        else:
            stale = plan.op == "stale"
            self._work = lambda key: operations.get(key, stale=stale, endpoint=None)

    def run(self) -> Measured:
        measured = Measured()
        record = measured.latencies_ns.append
        started_ns = now = time.perf_counter_ns()
        end_ns = started_ns + int(self._plan.seconds * 1e9)
        for _ in range(self._plan.outstanding):
            self._start(now)
        in_flight = self._plan.outstanding
        with _Progress(self._plan) as progress:
            while in_flight:
                finished = self._client.wait()
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
                    for _ in finished:
                        self._start(now)
                    in_flight += len(finished)
                progress.show(now - started_ns, len(measured.latencies_ns))
        measured.elapsed_s = (time.perf_counter_ns() - started_ns) / 1e9
        return measured

    def _start(self, now_ns: int) -> None:
        call = self._client.submit(self._work(next(self._names)), self._timeout_s)
        call.waiter = now_ns


class _Progress:
    """A progress bar on stderr, where that is a terminal; for a `with` block."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._bar: Progress | None = None
        self._next_ns = 0

    def __enter__(self) -> _Progress:
        if sys.stderr.isatty():
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

    def show(self, elapsed_ns: int, done: int) -> None:
        if self._bar is None or elapsed_ns < self._next_ns:
            return
        self._next_ns = elapsed_ns + _PROGRESS_NS
        elapsed_s = elapsed_ns / 1e9
        self._bar.update(
            self._task,
            completed=min(elapsed_s, self._plan.seconds),
            description=f"{self._plan.op}: {done / max(elapsed_s, 1e-3):,.0f}/s",
            refresh=True,
        )
