"""A log too long to keep: snapshots replace its beginning, on disk and on the way to others."""

from __future__ import annotations

import pytest

from tests.system.processes import STEADY, Cluster, NodeProcess
from tests.system.raw import Raw

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"]),
]

BATCH = 900
VALUE_BYTES = 1000
KEYS = 1000


@pytest.mark.proof
def test_a_node_that_missed_what_was_compacted_gets_a_snapshot(cluster: Cluster) -> None:
    absent = cluster.followers()[0]
    absent.kill()
    leader = cluster.leader()
    write_until_compacted(leader)
    absent.start()
    cluster.wait_until_ready()
    assert list((absent.data_dir / "snapshots").iterdir())
    found = cluster.everything("key/")
    assert len(found) == KEYS
    for node in cluster.nodes:
        node.kill()
    cluster.start()
    assert cluster.everything("key/") == found


def write_until_compacted(leader: NodeProcess) -> None:
    """Write the same keys over and over, until the leader has dropped the log's beginning."""
    with Raw(leader.endpoint) as raw:
        session = raw.open_session()
        for first in range(1, 400_000, BATCH):
            serials = range(first, first + BATCH)
            ops = [(s, "put", f"key/{s % KEYS:04}", f"{s:0{VALUE_BYTES}}") for s in serials]
            results: list[list[object]] = []
            answer = raw.operations(*ops, session=session, ack=first)
            while True:
                assert answer["type"] == "results", answer
                results += answer["results"]
                if len(results) == BATCH:
                    break
                answer = raw.receive()
            assert {result[1] for result in results} == {"ok"}
            if raw.status()["first_index"] > 1:
                return
    raise AssertionError("400,000 puts and no compaction")
