"""The side-by-side run: the systems take turns, round after round, on the same disk."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.bench import machine, provision
from tests.bench.failover import etcd_pauses_s, raftzmq_pauses_s
from tests.bench.points import Point
from tests.bench.results import Results
from tests.bench.system import Etcd, EtcdTls, Pysyncobj, Raftzmq, RaftzmqKeys, System

KINDS: dict[str, type[System]] = {
    kind.name: kind for kind in (Raftzmq, RaftzmqKeys, Etcd, EtcdTls, Pysyncobj)
}
SYSTEMS = tuple(KINDS)
WARM_UP = Point("put", 64, 100)
WARM_UP_S = 2.0
START_S = 4.0
POINT_S = 1.5
KILL_S = {"raftzmq": 4.0, "etcd": 6.0}


@dataclass(frozen=True, slots=True)
class Plan:
    points: list[Point]
    systems: list[str]
    seconds: float
    rounds: int
    failovers: int

    @property
    def estimate_s(self) -> float:
        """About how long it takes, on a quiet machine with everything fetched."""
        warm_up_s = min(WARM_UP_S, self.seconds) + POINT_S
        loads = sum(p.op in KINDS[name].ops for name in self.systems for p in self.points)
        round_s = len(self.systems) * (START_S + warm_up_s) + loads * (self.seconds + POINT_S)
        kills = {name: self.failovers for name in self.systems if name in KILL_S}
        kills_s = sum(KILL_S[name] * count for name, count in kills.items())
        handovers_s = KILL_S["raftzmq"] * kills.get("raftzmq", 0)
        return self.rounds * round_s + kills_s + handovers_s


class Comparison:
    def __init__(self, plan: Plan, cache: Path) -> None:
        self.plan = plan
        self.cache = cache
        self.data = cache / f"data-{os.getpid()}"
        self.makers: dict[str, Callable[[Path], System]] = {}
        for name in plan.systems:
            self.makers[name] = _maker(name, cache)

    def run(self, results: Results) -> None:
        """Measure everything, into `results`."""
        self.data.mkdir(parents=True)
        try:
            results.machine = machine.describe(self.data)
            for number in range(1, self.plan.rounds + 1):
                # Every other round backwards: a machine that slows down hits all alike.
                names = self.plan.systems if number % 2 else self.plan.systems[::-1]
                for name in names:
                    with self._started(name) as system:
                        results.versions[name] = system.version
                        self._measure(system, number, results)
            if self.plan.failovers:
                self._failovers(results)
        finally:
            shutil.rmtree(self.data, ignore_errors=True)

    def _measure(self, system: System, number: int, results: Results) -> None:
        seconds = self.plan.seconds
        system.measure(WARM_UP, min(WARM_UP_S, seconds), number)
        for point in self.plan.points:
            if point.op not in system.ops:
                continue
            one = system.measure(point, seconds, number)
            results.measurements.append(one)
            errors = f", {one.errors} errors" if one.errors else ""
            tell(
                f"round {number}  {system.name:<9}  {point!s:<36} {one.ops_per_s:>10,.0f}/s  "
                f"p50 {one.p50_ms or 0:8.2f} ms  p99 {one.p99_ms or 0:8.2f} ms{errors}"
            )

    def _failovers(self, results: Results) -> None:
        count = self.plan.failovers
        if "raftzmq" in self.plan.systems:
            with self._started("raftzmq") as system:
                assert isinstance(system, Raftzmq)
                pauses = results.pauses_s
                pauses["raftzmq"] = raftzmq_pauses_s(system, count, tell, planned=False)
                handovers = results.handovers_s
                handovers["raftzmq"] = raftzmq_pauses_s(system, count, tell, planned=True)
        if "etcd" in self.plan.systems:
            with self._started("etcd") as system:
                assert isinstance(system, Etcd)
                results.pauses_s["etcd"] = etcd_pauses_s(system, count, tell)

    @contextmanager
    def _started(self, name: str) -> Iterator[System]:
        """The system with empty data; afterwards nothing of it is left, in memory or on disk."""
        directory = self.data / name
        directory.mkdir()
        try:
            with self.makers[name](directory) as system:
                yield system
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            os.sync()  # so that the next does not wait for what this one has left to write


def _maker(name: str, cache: Path) -> Callable[[Path], System]:
    kind = KINDS[name]
    if issubclass(kind, Raftzmq):
        return kind
    if issubclass(kind, Etcd):
        programs = provision.etcd(cache)
        return lambda directory: kind(directory, programs)
    python = provision.pysyncobj(cache)
    return lambda directory: Pysyncobj(directory, python)


_began_s = time.monotonic()


def tell(text: str) -> None:
    print(f"{time.monotonic() - _began_s:6.0f} s  {text}", file=sys.stderr, flush=True)


@contextmanager
def stopping_what_was_started() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl-C does, so that it stops its processes first."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
