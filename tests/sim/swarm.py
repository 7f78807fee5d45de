"""Many seeds on a few processes, with a line of progress and a summary."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from tests.sim.story import SimFailure
from tests.sim.world import SECONDS, World

CHUNK: Final = 4
"""Seeds that a process takes at a time."""


@dataclass(slots=True)
class Played:
    """What became of one seed: its counts, or the failure."""

    seed: int
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    problem: str = ""
    told: str = ""


@dataclass(slots=True)
class Summary:
    """All seeds together."""

    seeds: int = 0
    seconds: float = 0.0
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failed: dict[int, Played] = field(default_factory=dict)

    def add(self, played: Played) -> None:
        self.seeds += 1
        self.steps += played.steps
        self.faults += played.faults
        self.counts += played.counts
        if played.problem:
            self.failed[played.seed] = played

    @property
    def seeds_per_minute(self) -> float:
        return self.seeds / self.seconds * 60 if self.seconds else 0.0

    def line(self, of: int) -> str:
        """How far it is."""
        return (
            f"{self.seeds} of {of} seeds, {self.faults.total()} faults, "
            f"{self.counts['operations checked']} operations checked, {len(self.failed)} failed, "
            f"{self.seeds_per_minute:.0f} seeds/min"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "seconds": round(self.seconds, 1),
            "seeds_per_minute": round(self.seeds_per_minute, 1),
            "steps": self.steps,
            "faults": dict(self.faults.most_common()),
            "counts": dict(self.counts.most_common()),
            "failed": {str(seed): played.problem for seed, played in sorted(self.failed.items())},
        }

    def __str__(self) -> str:
        parts = [
            f"{self.seeds} seeds in {self.seconds:.0f} s ({self.seeds_per_minute:.0f} a minute), "
            f"{self.steps} turns of nodes",
            f"faults: {self.faults.total()}",
            *(f"  {count:>9} {name}" for name, count in self.faults.most_common()),
            "besides:",
            *(f"  {count:>9} {name}" for name, count in self.counts.most_common()),
            f"failed: {len(self.failed)}",
            *(
                f"  {seed}: {played.problem.splitlines()[0]}  (just sim {seed})"
                for seed, played in sorted(self.failed.items())
            ),
        ]
        return "\n".join(parts)


def play(seed: int, seconds: float = SECONDS) -> Played:
    """Play a seed; a failure is part of the result."""
    world = World(seed, seconds)
    played = Played(seed)
    try:
        world.run()
    except SimFailure as failure:
        played.problem, played.told = failure.problem, str(failure)
    played.steps, played.faults, played.counts = world.steps, world.faults_done, world.counts
    return played


def _play_some(seeds: list[int], seconds: float) -> list[Played]:
    return [play(seed, seconds) for seed in seeds]


def swarm(
    seeds: Iterable[int],
    *,
    jobs: int = 2,
    seconds: float = SECONDS,
    progress: Callable[[Summary, Played], None] = lambda _summary, _played: None,
) -> Summary:
    """Play all seeds; `progress` is told after each."""
    began = time.monotonic()
    summary = Summary()
    for played in _results(list(seeds), jobs, seconds):
        summary.seconds = time.monotonic() - began
        summary.add(played)
        progress(summary, played)
    return summary


def _results(seeds: list[int], jobs: int, seconds: float) -> Iterator[Played]:
    if jobs <= 1:
        yield from (play(seed, seconds) for seed in seeds)
        return
    chunks = [seeds[k : k + CHUNK] for k in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(jobs, initializer=_end_with_the_parent) as pool:
        for some in pool.map(_play_some, chunks, [seconds] * len(chunks)):
            yield from some


def _end_with_the_parent() -> None:
    """A swarm that is killed leaves no process behind that plays on."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
