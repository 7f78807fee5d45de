"""After a full restart, a log that is dear to apply is replayed between heartbeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftzmq import Client, GetPrefix, Put
from tests.system.processes import Cluster

pytestmark = [pytest.mark.system, pytest.mark.proof]

KEYS = 400
READINGS = 200
ELECTION_TIMEOUT_MS = 600


def test_no_second_election_while_a_long_log_is_replayed(tmp_path: Path) -> None:
    """The log has few bytes, and takes several election timeouts to apply."""
    arguments = ("--election-timeout-ms", f"{ELECTION_TIMEOUT_MS}")
    with Cluster(tmp_path, arguments=arguments) as cluster:
        cluster.start()
        with Client(cluster.endpoints) as client:
            for start in range(0, KEYS, 100):
                client.txn(then=[Put(f"k{n}", "v") for n in range(start, start + 100)])
            for _ in range(READINGS):
                client.txn(then=[GetPrefix("k", limit=KEYS)] * 4, timeout=30)
        for node in cluster.nodes:
            node.kill()
        said = {node.name: len(node.output()) for node in cluster.nodes}
        for node in cluster.nodes:
            node.start()
        with Client(cluster.endpoints) as client:
            client.put("k", "after", timeout=60)
        since = [node.output()[said[node.name] :] for node in cluster.nodes]
        print("".join(since))
        assert sum(text.count("is leader") for text in since) == 1
        cluster.show()
