"""`raftzmq client bench`: a closed loop of operations, and the table of their latencies."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from raftzmq.errors import InvalidRequest, RaftzmqError
from raftzmq_cli import outcomes
from raftzmq_cli.invocation import Invocation

if TYPE_CHECKING:
    from raftzmq import AsyncClient

OPERATIONS: Final = ("put", "get", "stale")
_PAUSE_AFTER_ERROR_S: Final = 0.01
_PROGRESS_S: Final = 0.2


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
    measured = asyncio.run(_bench(run.settings.endpoints, run.timeout_s, plan))
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


async def _bench(endpoints: Sequence[str], timeout_s: float, plan: Plan) -> Measured:
    from raftzmq import AsyncClient

    prefix = f"raftzmq-bench/{secrets.token_hex(4)}/"
    names = [f"{prefix}{number:06}" for number in range(plan.keys)]
    value = "x" * plan.size
    async with AsyncClient(list(endpoints)) as client:
        try:
            # The first write opens the session, and shows at once if there is no cluster.
            await client.put(names[0], value, timeout=timeout_s)
            if plan.op != "put":
                await _fill(client, names, value, timeout_s, plan.outstanding)
            return await _loop(_operation(client, plan.op, value, timeout_s), names, plan)
        finally:
            if not plan.keep:
                with suppress(RaftzmqError):
                    await client.delete_prefix(prefix, timeout=timeout_s)


def _operation(
    client: AsyncClient, op: str, value: str, timeout_s: float
) -> Callable[[str], Awaitable[object]]:
    if op == "put":
        return lambda key: client.put(key, value, timeout=timeout_s)
    stale = op == "stale"
    return lambda key: client.get(key, stale=stale, timeout=timeout_s)


async def _fill(
    client: AsyncClient, names: Sequence[str], value: str, timeout_s: float, outstanding: int
) -> None:
    for start in range(0, len(names), outstanding):
        batch = names[start : start + outstanding]
        await asyncio.gather(*(client.put(name, value, timeout=timeout_s) for name in batch))


async def _loop(
    operate: Callable[[str], Awaitable[object]], names: Sequence[str], plan: Plan
) -> Measured:
    """Keep `outstanding` operations in flight for `seconds`; each worker has one."""
    measured = Measured()
    latencies_ns = measured.latencies_ns
    started = time.perf_counter()
    end_ns = time.perf_counter_ns() + int(plan.seconds * 1e9)

    async def work(number: int) -> None:
        now = time.perf_counter_ns()
        while now < end_ns:
            try:
                await operate(names[number % len(names)])
            except RaftzmqError as error:
                measured.errors += 1
                measured.last_error = error
                await asyncio.sleep(_PAUSE_AFTER_ERROR_S)
                now = time.perf_counter_ns()
            else:
                done = time.perf_counter_ns()
                latencies_ns.append(done - now)
                now = done
            number += plan.outstanding

    progress = asyncio.create_task(_show_progress(measured, plan))
    try:
        await asyncio.gather(*(work(number) for number in range(plan.outstanding)))
    finally:
        progress.cancel()
        with suppress(asyncio.CancelledError):
            await progress
    measured.elapsed_s = time.perf_counter() - started
    return measured


async def _show_progress(measured: Measured, plan: Plan) -> None:
    """A progress bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    started = time.perf_counter()
    with Progress(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    ) as progress:
        task = progress.add_task(plan.op, total=plan.seconds)
        while True:
            elapsed_s = time.perf_counter() - started
            rate = len(measured.latencies_ns) / max(elapsed_s, 1e-3)
            progress.update(
                task,
                completed=min(elapsed_s, plan.seconds),
                description=f"{plan.op}: {rate:,.0f}/s",
                refresh=True,
            )
            await asyncio.sleep(_PROGRESS_S)
