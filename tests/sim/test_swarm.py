"""The processes of a swarm."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sim.story import ROOT

PATIENCE_S = 60


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_none_outlives_a_swarm_that_is_killed(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.sim", "swarm", "100", "--jobs", "2"]
    until_s = time.monotonic() + PATIENCE_S
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as swarm:
        while len(players := children(swarm.pid)) < 2 and time.monotonic() < until_s:
            time.sleep(0.05)
        swarm.send_signal(number)
    while any(map(is_alive, players)) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert len(players) == 2
    assert not any(map(is_alive, players))
