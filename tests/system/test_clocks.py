"""A leader whose clock stands still does not lead in appearance."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftzmq import Client
from tests.system.processes import STEADY, Cluster
from tests.system.stopped_clock import stop_file

pytestmark = pytest.mark.system


def test_a_leader_whose_clock_stands_still_ends_and_another_leads(tmp_path: Path) -> None:
    with Cluster(tmp_path, arguments=STEADY) as cluster:
        for node in cluster.nodes:
            node.program = "tests.system.stopped_clock"
        cluster.start()
        with Client(cluster.endpoints) as client:
            client.put("key", "before")
            stopped = cluster.leader()
            stop_file(stopped.data_dir).touch()
            number = 0
            while stopped.is_running:
                client.put("key", f"{number}", timeout=30)
                number += 1
            assert stopped.wait() == 1
            assert "clock of this machine stands still" in stopped.output().splitlines()[-1]
            client.put("key", "after", timeout=30)
        assert cluster.leader() is not stopped
        stop_file(stopped.data_dir).unlink()
        stopped.start()
        cluster.wait_until_ready()
