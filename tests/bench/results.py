"""Results as data: every figure of every round, and the medians of the rounds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.points import WANTED, WANTED_WITH_KEYS, Point, Wanted

FORMAT = 1
FIGURES = ("ops_per_s", "p50_ms", "p99_ms", "p999_ms", "max_ms")


class BadLine(ValueError):
    """A load generator printed something else than its line."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One point, measured once. Processor times are of all nodes, and of the load generator; None
    where it is part of a node."""

    system: str
    round: int
    op: str
    outstanding: int
    value_bytes: int
    ops_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None
    errors: int
    nodes_cpu_s: float | None = None
    load_cpu_s: float | None = None

    @property
    def point(self) -> Point:
        return Point(self.op, self.outstanding, self.value_bytes)

    @property
    def cpu_by_rate(self) -> float | None:
        """The nodes' processor time by the rate: to be compared within one run, whose loads are all
        of one length."""
        if not self.nodes_cpu_s or not self.ops_per_s:
            return None
        return self.nodes_cpu_s / self.ops_per_s


def parse_line(text: str, point: Point) -> dict[str, Any]:
    """The figures in the line of JSON that every load generator prints. Raises BadLine if it is
    something else, or is about another point."""
    try:
        document = json.loads(text)
        figures = {name: document[name] for name in (*FIGURES, "errors")}
        about = Point(document["op"], document["outstanding"], document["value_bytes"])
    except (ValueError, KeyError, TypeError):
        raise BadLine(f"not a line of figures: {text.strip()[-200:]!r}") from None
    if about != point:
        raise BadLine(f"asked for {point}, measured {about}")
    for name, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise BadLine(f"{name} is no number: {value!r}")
    if figures["ops_per_s"] is None or figures["errors"] is None:
        raise BadLine("without a rate or without a number of errors")
    return figures


def medians(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The median of each figure over the rounds, one a system and point; errors are added up."""
    groups: dict[tuple[str, Point], list[Measurement]] = defaultdict(list)
    for one in measurements:
        groups[one.system, one.point].append(one)

    def middle(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return round(median(known), 3) if known else None

    return [
        Measurement(
            system=system,
            round=0,
            op=point.op,
            outstanding=point.outstanding,
            value_bytes=point.value_bytes,
            ops_per_s=middle(one.ops_per_s for one in group) or 0.0,
            p50_ms=middle(one.p50_ms for one in group),
            p99_ms=middle(one.p99_ms for one in group),
            p999_ms=middle(one.p999_ms for one in group),
            max_ms=middle(one.max_ms for one in group),
            errors=sum(one.errors for one in group),
            nodes_cpu_s=middle(one.nodes_cpu_s for one in group),
            load_cpu_s=middle(one.load_cpu_s for one in group),
        )
        for (system, point), group in groups.items()
    ]


@dataclass(slots=True)
class Results:
    """One run. Pauses are the longest ones that a writer saw, in seconds, by system: after kill -9
    of the leader, and after SIGTERM."""

    command: str
    date: str
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    pauses_s: dict[str, list[float]] = field(default_factory=dict)
    handovers_s: dict[str, list[float]] = field(default_factory=dict)

    def medians(self) -> dict[tuple[str, Point], Measurement]:
        return {(one.system, one.point): one for one in medians(self.measurements)}

    def ratio(self, wanted: Wanted, system: str = "raftzmq", to: str = "etcd") -> float | None:
        """A figure of one system by that of another; None if one of them is not known."""
        found = self.medians()
        own, other = found.get((system, wanted.point)), found.get((to, wanted.point))
        above = own and getattr(own, wanted.field)
        below = other and getattr(other, wanted.field)
        return above / below if above and below else None

    def save(self, path: Path) -> None:
        document = {"format": FORMAT} | asdict(self)
        document["medians"] = [asdict(one) for one in medians(self.measurements)]
        document["ratios"] = {
            str(wanted): round(ratio, 3) for wanted in WANTED if (ratio := self.ratio(wanted))
        }
        document["ratios_with_keys"] = {
            str(wanted): round(ratio, 3)
            for wanted in WANTED_WITH_KEYS
            if (ratio := self.ratio(wanted, "raftzmq-keys", "raftzmq"))
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")


def load(path: Path) -> Results:
    """Read what `save` has written."""
    document = json.loads(path.read_text())
    if document.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is not a file of results of format {FORMAT}")
    for computed in ("medians", "ratios", "ratios_with_keys"):
        document.pop(computed, None)
    document["measurements"] = [Measurement(**one) for one in document["measurements"]]
    return Results(**document)
