"""Whole worlds: a modest number of them, or 100 with --proof."""

from __future__ import annotations

import pytest

from tests.amounts import amount, sample
from tests.progress import Progress
from tests.sim.regressions import SEEDS
from tests.sim.swarm import Summary, swarm
from tests.sim.world import run

COUNT = amount(5, 100)
FIRST = 1000
JOBS = 2


@pytest.fixture(scope="module")
def summary() -> Summary:
    progress = Progress("simulated worlds", COUNT)
    return swarm(
        range(FIRST, FIRST + COUNT), jobs=JOBS, progress=lambda done, _: progress.at(done.seeds)
    )


def test_every_rule_holds_in_every_world(summary: Summary) -> None:
    assert not summary.failed, "\n\n".join(played.told for played in summary.failed.values())


def test_much_happened_in_these_worlds(summary: Summary) -> None:
    counts, faults = summary.counts, summary.faults
    assert faults.total() > 10 * COUNT
    assert len(faults) > 15, f"only these faults came up: {faults}"
    assert counts["operations checked"] > 100 * COUNT
    assert counts["entries"] > 50 * COUNT
    assert counts["snapshot received"] > 0
    assert counts["op unknown"] > 0, "no client was ever left without an answer"
    assert counts["put_if done"] > 0, "nothing of cluster version 2 was written"
    assert counts["incr done"] > 0, "nobody counted"
    assert counts["claims held"] > COUNT
    assert counts["claims lost"] > 0
    assert counts["events watched"] > 10 * COUNT
    assert counts["watches compacted"] > 0


@pytest.mark.parametrize("seed", sample([*SEEDS], 1), ids=str)
def test_what_failed_once_holds_now(seed: int) -> None:
    run(seed)
