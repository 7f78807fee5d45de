"""Whole worlds, and planted bugs that they must show: few of both, or more with --proof."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.amounts import amount
from tests.progress import counted
from tests.views.sim.planted import DEFECTS, Defect, catch
from tests.views.sim.world import World, run

COUNT = amount(4, 30)
FIRST = 1000
PLANTED = amount(3, len(DEFECTS))


def test_every_rule_holds_in_every_world_and_much_happens() -> None:
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for seed in counted("worlds of the older design", range(FIRST, FIRST + COUNT)):
        world = run(seed)
        counts += world.counts
        faults += world.faults_done
    assert faults.total() > 5 * COUNT
    assert len(faults) > 8, f"only these faults came up: {faults}"
    assert counts["operations checked"] > 50 * COUNT
    assert counts["well in the end"] > COUNT // 3, counts
    assert counts["views"] > 2 * COUNT
    assert counts["op unknown"] > 0, "no client was ever left without an answer"


def test_a_seed_is_always_the_same_world() -> None:
    digests = {World(FIRST, 5).run().story.digest for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize("defect", DEFECTS[:PLANTED], ids=lambda defect: defect.title)
def test_a_planted_bug_is_caught(defect: Defect) -> None:
    catch(defect)
