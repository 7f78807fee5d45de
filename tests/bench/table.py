"""The tables of a comparison: raftzmq beside etcd with what is wanted, then every point."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from rich.box import ROUNDED
from rich.console import Console, RenderableType
from rich.table import Table

from tests.bench import machine
from tests.bench.points import (
    HANDOVER_WORST_S,
    PAUSE_MEDIAN_S,
    PAUSE_WORST_S,
    WANTED,
    WANTED_WITH_KEYS,
    Field,
    Wanted,
)
from tests.bench.results import Results

Row = tuple[str, ...]
Pauses = dict[str, list[float]]
WIDTH = 150
SECURED_FIELDS: tuple[Field, ...] = ("ops_per_s", "p99_ms", "cpu_by_rate")


def wanted_rows(results: Results) -> list[Row]:
    """Figure, raftzmq, etcd, ratio, what is wanted, whether it is so, PySyncObj. A figure that was
    not measured has no row."""
    rows: list[Row] = []
    found = results.medians()
    for wanted in WANTED:
        ratio = results.ratio(wanted)
        if ratio is None:
            continue
        figures = {
            name: figure(getattr(found[name, wanted.point], wanted.field), wanted.field)
            if (name, wanted.point) in found
            else "-"
            for name in ("raftzmq", "etcd", "pysyncobj")
        }
        said = "yes" if wanted.met(ratio) else "no"
        rows.append(
            (
                str(wanted),
                figures["raftzmq"],
                figures["etcd"],
                f"{ratio:.2f}",
                wanted.rule,
                said,
                figures["pysyncobj"],
            )
        )
    return rows + pause_rows(results)


def secured_rows(results: Results) -> list[Row]:
    """Figure, raftzmq without and with keys, ratio, what is wanted, whether it is so; then etcd
    without and with TLS, and ratio. What was not measured with keys has no row."""
    rows: list[Row] = []
    wanted_of = {(one.point, one.field): one for one in WANTED_WITH_KEYS}
    points = dict.fromkeys(one.point for one in results.measurements)
    for wanted in (Wanted(point, field) for point in points for field in SECURED_FIELDS):
        ratio = results.ratio(wanted, "raftzmq-keys", "raftzmq")
        if ratio is None:
            continue
        asked = wanted_of.get((wanted.point, wanted.field))
        judged = (asked.rule, "yes" if asked.met(ratio) else "no") if asked else ("-", "-")
        own = _beside(results, wanted, "raftzmq", "raftzmq-keys")
        rows.append((str(wanted), *own, *judged, *_beside(results, wanted, "etcd", "etcd-tls")))
    return rows


def _beside(results: Results, wanted: Wanted, plain: str, secured: str) -> Row:
    """The figure of both systems, and the ratio of the second to the first."""
    found = results.medians()
    ratio = results.ratio(wanted, secured, plain)
    figures = [
        figure(getattr(one, wanted.field), wanted.field) if one else "-"
        for one in (found.get((name, wanted.point)) for name in (plain, secured))
    ]
    return (*figures, "-" if ratio is None else f"{ratio:.2f}")


def pause_rows(results: Results) -> list[Row]:
    rows: list[Row] = []
    limits: list[tuple[str, Pauses, Callable[[list[float]], float], float]] = [
        ("kill -9 of the leader, median pause", results.pauses_s, median, PAUSE_MEDIAN_S),
        ("kill -9 of the leader, worst pause", results.pauses_s, max, PAUSE_WORST_S),
        ("SIGTERM of the leader, worst pause", results.handovers_s, max, HANDOVER_WORST_S),
    ]
    for title, pauses_s, of, limit_s in limits:
        own, other = pauses_s.get("raftzmq"), pauses_s.get("etcd")
        if not own:
            continue
        value = of(own)
        beside, ratio = (f"{of(other):.3f} s", f"{value / of(other):.2f}") if other else ("-", "-")
        said = "yes" if value <= limit_s else "no"
        figure_of = f"{title} of {len(own)}"
        rows.append(
            (figure_of, f"{value:.3f} s", beside, ratio, f"at most {limit_s:g} s", said, "-")
        )
    return rows


def point_rows(results: Results) -> list[Row]:
    """Point, system, rate, latencies, processor time, ratio of the rate to etcd's."""
    found = results.medians()
    rows: list[Row] = []
    for point in dict.fromkeys(point for _, point in found):
        title = str(point)
        for name in ("raftzmq", "raftzmq-keys", "etcd", "etcd-tls", "pysyncobj"):
            one = found.get((name, point))
            if one is None:
                continue
            etcd = found.get(("etcd", point))
            ratio = f"{one.ops_per_s / etcd.ops_per_s:.2f}" if etcd and etcd.ops_per_s else "-"
            rows.append(
                (
                    title,
                    name,
                    figure(one.ops_per_s, "ops_per_s"),
                    ratio,
                    figure(one.p50_ms, "p50_ms"),
                    figure(one.p99_ms, "p99_ms"),
                    figure(one.p999_ms, "p999_ms"),
                    figure(one.max_ms, "max_ms"),
                    "-" if one.nodes_cpu_s is None else f"{one.nodes_cpu_s:.1f} s",
                    "-" if one.load_cpu_s is None else f"{one.load_cpu_s:.1f} s",
                    str(one.errors),
                )
            )
            title = ""
    return rows


def figure(value: float | None, field: str) -> str:
    if value is None:
        return "-"
    if field == "cpu_by_rate":
        return f"{value * 1e6:,.0f}"
    return f"{value:,.0f}/s" if field == "ops_per_s" else f"{value:.2f} ms"


def show(results: Results) -> None:
    """Print the run for people."""
    console = Console(width=None if Console().is_terminal else WIDTH, highlight=False)
    for line in machine.lines(results.machine):
        console.print(line)
    console.print("; ".join(f"{name} {version}" for name, version in results.versions.items()))
    settings = results.settings
    console.print(
        f"Medians of {settings['rounds']} rounds of {settings['seconds']:g} s a figure; three "
        "nodes and the load on this one machine."
    )
    if rows := wanted_rows(results):
        heads = ("figure", "raftzmq", "etcd", "ratio", "wanted", "met", "PySyncObj, no fsync")
        console.print(_table(heads, rows))
    if rows := secured_rows(results):
        pairs = ("raftzmq", "keys", "ratio", "wanted", "met", "etcd", "TLS", "ratio")
        console.print(_table(("figure", *pairs), rows))
    more = ("load", "system", "rate", "of etcd's", "p50", "p99", "p99.9", "longest")
    if rows := point_rows(results):
        console.print(_table((*more, "CPU nodes", "CPU load", "errors"), rows))


def _table(heads: Iterable[str], rows: list[Row]) -> RenderableType:
    table = Table(box=ROUNDED)
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
