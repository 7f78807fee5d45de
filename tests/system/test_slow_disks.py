"""A leader whose disk alone is slow does not hold everybody up for long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from raftzmq import Client, limits
from tests.amounts import sample
from tests.system.processes import STEADY, Cluster
from tests.system.sluggish import delay_file

pytestmark = pytest.mark.system

SLOW_S = 1.5 * limits.SLOW_SAVE_MS / 1000
WRITES = 30


@pytest.mark.parametrize(
    "arguments", sample([(STEADY,), ((),)], 1), ids=["it hands over", "it is deposed"]
)
def test_a_leader_whose_disk_alone_is_slow_leads_no_more(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """Under a short election timeout its silence is enough; under a long one it must notice."""
    with Cluster(tmp_path, arguments=arguments) as cluster:
        for node in cluster.nodes:
            node.program = "tests.system.sluggish"
        cluster.start()
        with Client(cluster.endpoints) as client:
            client.put("key", "before")
            slow = cluster.leader()
            delay_file(slow.data_dir).write_text(f"{SLOW_S}")
            began_s = time.monotonic()
            for number in range(WRITES):
                client.put("key", f"{number}", timeout=30)
            took_s = time.monotonic() - began_s
            print(f"{WRITES} writes took {took_s:.1f} s")
            assert took_s < WRITES * SLOW_S / 2, "each write waited for the slow disk"
            assert cluster.leader() is not slow
        cluster.show()


@pytest.mark.proof
def test_disks_that_are_slow_for_all_alike_keep_their_leader(tmp_path: Path) -> None:
    with Cluster(tmp_path, arguments=STEADY) as cluster:
        for node in cluster.nodes:
            node.program = "tests.system.sluggish"
        cluster.start()
        leader = cluster.leader()
        for node in cluster.nodes:  # a busy machine may well wake a follower first
            delay_s = SLOW_S if node is leader else 1.2 * SLOW_S
            delay_file(node.data_dir).write_text(f"{delay_s}")
        with Client(cluster.endpoints) as client:
            for number in range(2 * limits.SLOW_SAVES):
                client.put("key", f"{number}", timeout=60)
        assert cluster.leader() is leader
        cluster.show()
