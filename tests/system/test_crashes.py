"""Processes killed, stopped and robbed of their disks, over and over, while clients work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.amounts import amount
from tests.progress import Progress
from tests.system.crashes import CrashFailure, play

pytestmark = pytest.mark.system

CYCLES = amount(4, 50)
SEED = 20


@pytest.mark.proof
def test_no_crash_shows_in_any_history(tmp_path: Path) -> None:
    progress = Progress("cycles of kill -9", CYCLES)
    done = play(tmp_path, SEED, CYCLES, progress=lambda done: progress.at(done.cycles))
    print(done)
    assert done.cycles == CYCLES
    assert done.kills >= CYCLES
    assert min(done.figures.kept, done.figures.steps, done.figures.compared) > 0


@pytest.mark.proof
def test_a_leader_that_acknowledges_what_only_it_has_is_caught(tmp_path: Path) -> None:
    noticed = "is lost|another entry|not linearizable|the log gives|ended by itself"
    with pytest.raises(CrashFailure, match=noticed) as caught:
        play(tmp_path, SEED, 4, ["kill a lonely leader"], "tests.system.hasty")
    told = str(caught.value)
    assert f"seed {SEED}" in told
    assert "1 kill a lonely leader: raft-" in told
    assert "INFO raft-0" in told
