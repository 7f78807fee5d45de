"""`raftzmq client bench`: what a closed loop of operations measured, as a table and a histogram."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq.errors import InvalidRequest
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.commands import Commands

if TYPE_CHECKING:
    from raftzmq_cli.client.bench_loop import Measured, Plan

OPERATIONS: Final = ("put", "get", "stale", "mixed")
COLUMNS: Final = (
    "op",
    "outstanding",
    "value_bytes",
    "ops_per_s",
    "p50_ms",
    "p99_ms",
    "p999_ms",
    "max_ms",
    "errors",
)
BOUNDS_NS: Final = [step * 10**power for power in range(3, 11) for step in (10, 15, 20, 30, 50, 70)]
"""Upper ends of the histogram's classes: 10, 15, 20 microseconds, and so on."""
_BAR: Final = 40

commands = Commands(shared=SHARED)


@commands.command(
    "bench",
    """
    raftzmq client bench
    raftzmq client bench --op put --outstanding 256 --seconds 6 -w json
    raftzmq client bench --op stale --size 1000
    raftzmq client bench --op mixed --connections 4 --processes 2
    """,
)
def bench(
    run: ClientInvocation,
    *,
    op: Annotated[
        str,
        typer.Option(
            metavar="put|get|stale|mixed",
            help="The operation; stale: gets that any node answers; mixed: puts and gets in turn.",
        ),
    ] = "put",
    outstanding: Annotated[
        int, typer.Option(min=1, max=16_000, help="Operations in flight at a time.")
    ] = 64,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="Duration in seconds.")] = 5.0,
    size: Annotated[int, typer.Option(min=0, help="Size of a value in bytes.")] = 100,
    keys: Annotated[int, typer.Option(min=1, help="Number of different keys.")] = 1000,
    connections: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Connections, which share the operations (default: one per process).",
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Processes, which share the connections.")
    ] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Do not delete the keys, raftzmq-bench/..., afterwards.")
    ] = False,
) -> int:
    """Measure throughput and latency in a closed loop.

    A new operation starts when one ends, so the number in flight stays constant.
    """
    # With it come multiprocessing and the client, which a list of the commands can do without.
    from raftzmq_cli.client.bench_loop import Plan, measure

    plan = Plan(op, outstanding, seconds, size, keys, keep, connections or processes, processes)
    if plan.op not in OPERATIONS:
        raise InvalidRequest(f"--op {plan.op!r} is not one of {', '.join(OPERATIONS)}")
    if not plan.processes <= plan.connections <= plan.outstanding:
        raise InvalidRequest(
            f"--outstanding {plan.outstanding}, --connections {plan.connections}, --processes "
            f"{plan.processes}: each process needs a connection, and each connection an operation"
        )
    measured = measure(run.settings.endpoints, run.settings.key, run.timeout_s, plan)
    if not measured.latencies_ns and measured.last_error is not None:
        raise measured.last_error
    document = report(plan, measured)
    run.show(document, lines_of(document), COLUMNS)
    if measured.last_error is not None:
        messages.say(f"raftzmq: {measured.errors} errors, the last: {measured.last_error}")
    return exits.DONE


def report(plan: Plan, measured: Measured) -> dict[str, Any]:
    ordered = sorted(measured.latencies_ns)
    return {
        "op": plan.op,
        "outstanding": plan.outstanding,
        "value_bytes": plan.size,
        "ops_per_s": round(len(ordered) / measured.elapsed_s, 1) if ordered else 0.0,
        "p50_ms": percentile_ms(ordered, 0.50),
        "p99_ms": percentile_ms(ordered, 0.99),
        "p999_ms": percentile_ms(ordered, 0.999),
        "max_ms": percentile_ms(ordered, 1.0),
        "errors": measured.errors,
        "keys": plan.keys,
        "connections": plan.connections,
        "processes": plan.processes,
        "histogram": histogram(ordered),
    }


def percentile_ms(ordered_ns: Sequence[int], share: float) -> float | None:
    """The latency that `share` of the operations did not exceed; None if there were none."""
    if not ordered_ns:
        return None
    rank = -int(-share * len(ordered_ns) // 1)  # rounded up: the nearest rank
    return round(ordered_ns[max(rank, 1) - 1] / 1e6, 3)


def histogram(ordered_ns: Sequence[int]) -> list[dict[str, Any]]:
    """How many operations took at most `up_to_ms` and longer than the class before; from the first
    class that has one to the last. No bound: longer than all bounds."""
    ends = [bisect_right(ordered_ns, bound) for bound in BOUNDS_NS]
    counts = [after - before for before, after in zip([0, *ends], ends, strict=False)]
    classes: list[dict[str, Any]] = [
        {"up_to_ms": bound / 1e6, "count": count}
        for bound, count in zip(BOUNDS_NS, counts, strict=True)
    ]
    if ends[-1] < len(ordered_ns):
        classes.append({"up_to_ms": None, "count": len(ordered_ns) - ends[-1]})
    filled = [k for k, one in enumerate(classes) if one["count"]]
    return classes[filled[0] : filled[-1] + 1] if filled else []


def lines_of(document: dict[str, Any]) -> list[str]:
    shown = {name: "-" if value is None else value for name, value in document.items()}
    return [
        "{op}, {outstanding} outstanding, values of {value_bytes} bytes".format(**shown),
        f"  {shown['ops_per_s']:>12,.1f} operations a second, {shown['errors']} errors",
        *(
            f"  {shown[f'{name}_ms']:>12} ms {title}"
            for name, title in (
                ("p50", "p50"),
                ("p99", "p99"),
                ("p999", "p99.9"),
                ("max", "max"),
            )
        ),
        *histogram_lines(document["histogram"]),
    ]


def histogram_lines(classes: Sequence[dict[str, Any]]) -> list[str]:
    """A bar for each class, the longest of a fixed length; none is invisible that has one."""
    most = max((one["count"] for one in classes), default=0)
    total = sum(one["count"] for one in classes)
    lines = []
    for one in classes:
        bound = "longer" if one["up_to_ms"] is None else f"<= {one['up_to_ms']:g} ms"
        bar = "#" * -(-_BAR * one["count"] // most)
        share = 100 * one["count"] / total
        lines.append(f"  {bound:>12}  {bar:<{_BAR}}  {share:6.2f} %")
    return lines
