"""A planted bug: what is wrong, how to plant it, and what must be told when it is caught."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from tests.progress import counted
from tests.sim.story import SimFailure
from tests.sim.world import run

START: Final = 5000
"""The first seed that is tried, unless another is asked for."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A bug that worlds of the simulator catch."""

    number: int
    """Its number in the list of twenty, or from 21 on, of those found since."""
    title: str
    """One line: what is wrong."""
    plant: Callable[[pytest.MonkeyPatch], None]
    """Replaces functions of raftzmq, or of the simulated disk, from outside."""
    told: str
    """A regular expression that the problem must match: found for the right reason."""
    seeds: int
    """So many worlds may be tried before it counts as not caught: five to ten times what it took
    when it was measured."""
    seconds: float = 15
    """Virtual seconds under faults of each world."""
    half: str = ""
    """"a" or "b", where the list names two bugs under one number."""
    start: int = START
    """The first seed: another one where the first that shows it is far from the usual."""


@dataclass(frozen=True, slots=True)
class Caught:
    """How a defect was caught; `seeds` counts the worlds tried, the catching one included."""

    defect: Defect
    seeds: int
    seed: int
    problem: str


def catch(defect: Defect, start: int | None = None) -> Caught:
    """Plant the defect and play worlds until one shows it, each from the next seed. Raises
    AssertionError if none does, or if one fails for another reason than the defect's."""
    start = defect.start if start is None else start
    with pytest.MonkeyPatch.context() as monkeypatch:
        defect.plant(monkeypatch)
        for tried in counted(f"{defect.title}: world", range(1, defect.seeds + 1)):
            seed = start + tried - 1
            try:
                run(seed, defect.seconds)
            except SimFailure as failure:
                problem = failure.problem
                assert re.search(defect.told, problem), (
                    f"{defect.title}: seed {seed} failed, and not for this reason: {problem}"
                )
                return Caught(defect, tried, seed, problem)
    raise AssertionError(f"not caught in {defect.seeds} worlds from {start} on: {defect.title}")
