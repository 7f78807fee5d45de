"""What is measured, and what raftzmq is to reach beside etcd."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

COUNTS = {"lock": (1, 64, 256), "onelock": (100,), "watch": (1, 100, 1000)}
"""How many claimants or watchers there are, unless something else is asked for."""

PLAIN_OPS = ("put", "get", "stale", "mixed")
OPS = (*PLAIN_OPS, *COUNTS)
KEYS = 10_000
SMALL_BYTES = 100

Field = Literal["ops_per_s", "p50_ms", "p99_ms", "cpu_by_rate"]


_FIELDS: dict[Field, str] = {
    "ops_per_s": "a second",
    "p50_ms": "p50",
    "p99_ms": "p99",
    "cpu_by_rate": "processor time of an operation",
}

TITLES = {
    "lock": "lock and unlock, {} claimants",
    "onelock": "one lock changes hands, {} claimants",
    "watch": "events of a prefix, {} watchers",
}


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """One load: so many operations in flight, with values of so many bytes. For what coordinates,
    so many claimants or watchers (coordinating.py says what is counted)."""

    op: str
    outstanding: int
    value_bytes: int

    def __str__(self) -> str:
        if self.op in TITLES:
            return TITLES[self.op].format(self.outstanding)
        size = f"{self.value_bytes} B"
        if self.value_bytes >= 1024 and self.value_bytes % 1024 == 0:
            size = f"{self.value_bytes // 1024} KiB"
        return f"{self.op} of {size}, {self.outstanding} outstanding"

    @property
    def keys(self) -> int:
        """How many keys are used in turn: fewer where their values would fill memories."""
        return min(KEYS, max(1, KEYS * SMALL_BYTES * 16 // self.value_bytes))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One figure is `at_least` or `at_most` so many times another: raftzmq's by etcd's in WANTED,
    with keys by without in WANTED_WITH_KEYS."""

    point: Point
    field: Field
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        what = _FIELDS[self.field]
        return f"{self.point}, {what}"

    @property
    def rule(self) -> str:
        if self.at_least is not None:
            return f"at least {self.at_least:g} times"
        return f"at most {self.at_most:g} times"

    def met(self, ratio: float) -> bool:
        if self.at_least is not None:
            return ratio >= self.at_least
        return self.at_most is not None and ratio <= self.at_most


WANTED = (
    Wanted(Point("put", 1, 100), "p50_ms", at_most=0.8),
    Wanted(Point("put", 64, 100), "ops_per_s", at_least=4),
    Wanted(Point("put", 256, 100), "ops_per_s", at_least=5),
    Wanted(Point("put", 256, 100), "p99_ms", at_most=0.25),
    Wanted(Point("put", 1000, 100), "ops_per_s", at_least=4),
    Wanted(Point("get", 256, 100), "ops_per_s", at_least=2.5),
    Wanted(Point("stale", 256, 100), "ops_per_s", at_least=2),
    Wanted(Point("put", 64, 4096), "ops_per_s", at_least=2),
    Wanted(Point("put", 64, 65_536), "ops_per_s", at_least=1.5),
    *(Wanted(Point("lock", count, 100), "ops_per_s", at_least=4) for count in COUNTS["lock"]),
    Wanted(Point("onelock", 100, 100), "ops_per_s", at_least=4),
    Wanted(Point("onelock", 100, 100), "p50_ms", at_most=0.25),
    Wanted(Point("watch", 1, 100), "ops_per_s", at_least=4),
    Wanted(Point("watch", 100, 100), "ops_per_s", at_least=2),
    Wanted(Point("watch", 1000, 100), "ops_per_s", at_least=2),
)

WANTED_WITH_KEYS = (
    Wanted(Point("put", 256, 100), "cpu_by_rate", at_most=1.2),
    Wanted(Point("put", 256, 100), "ops_per_s", at_least=0.9),
    Wanted(Point("put", 64, 65_536), "ops_per_s", at_least=0.8),
)

PAUSE_MEDIAN_S = 0.5
PAUSE_WORST_S = 1.0
HANDOVER_WORST_S = 0.1


def chosen(
    ops: list[str] | None, outstanding: list[int] | None, sizes: list[int] | None
) -> list[Point]:
    """Every combination of what is given; with nothing given, the points that WANTED names. What
    coordinates has values of one size, and numbers of its own unless some are given."""
    if ops is None and outstanding is None and sizes is None:
        return list(dict.fromkeys(wanted.point for wanted in WANTED))
    found: list[Point] = []
    for op in ops or ["put"]:
        own = COUNTS.get(op)
        counts = outstanding or own or [256]
        found += [Point(op, *p) for p in product(counts, (not own and sizes) or [SMALL_BYTES])]
    return found
