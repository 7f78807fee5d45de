"""Most disks are destroyed at any moment of any world, and the rest goes on as a new cluster."""

from __future__ import annotations

from collections import Counter

from tests.amounts import amount
from tests.sim.drill import Drill

SECONDS = 12
SEEDS = range(7000, 7000 + amount(4, 30))


def test_whatever_is_left_goes_on_and_nothing_that_it_had_applied_is_missing() -> None:
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        counts += Drill(seed, SECONDS).run().counts
    assert counts["recovered"] >= len(SEEDS) // 2
    assert counts["interrupted"] >= len(SEEDS) // 4
    assert counts["came back"] >= len(SEEDS) // 4
    assert counts["joined"] >= len(SEEDS) // 4
    assert counts["with a bank"] >= len(SEEDS) // 20
    assert counts["entries kept"] >= 10 * len(SEEDS)
