"""One seed is one run, whatever the process it runs in."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.sim.story import ROOT
from tests.sim.world import World

SECONDS = 8


def test_a_seed_is_played_the_same_way_twice() -> None:
    one, other = World(5, SECONDS).run(), World(5, SECONDS).run()
    assert one.story.digest == other.story.digest
    assert (one.counts, one.faults_done, one.steps) == (
        other.counts,
        other.faults_done,
        other.steps,
    )


def test_another_seed_is_another_world() -> None:
    assert World(5, SECONDS).run().story.digest != World(6, SECONDS).run().story.digest


@pytest.mark.proof
def test_the_order_of_sets_in_a_process_does_not_matter() -> None:
    digests = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.sim",
                "run",
                "7",
                "--seconds",
                str(SECONDS),
                "-w",
                "json",
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
        )
        digests.add(json.loads(done.stdout)["digest"])
    assert len(digests) == 1
