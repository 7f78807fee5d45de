"""Members are connected to one another before they have anything to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"]),
]

ESTABLISHED = "01"


def is_linked(node: NodeProcess, peer: NodeProcess) -> bool:
    """Whether the process has a standing connection to the port where the peer hears nodes."""
    own = {
        target[8:-1]
        for fd in Path(f"/proc/{node.pid}/fd").iterdir()
        if fd.is_symlink() and (target := str(fd.readlink())).startswith("socket:[")
    }
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(
        row[3] == ESTABLISHED and int(row[2].partition(":")[2], 16) == peer.port and row[9] in own
        for row in rows
    )


@pytest.mark.proof
def test_followers_that_were_restarted_can_ask_each_other_for_votes(cluster: Cluster) -> None:
    leader = cluster.leader()
    followers = [node for node in cluster.nodes if node is not leader]
    for node in followers:
        node.kill()
        node.start()
        cluster.wait_until_ready()
    assert cluster.leader() is leader, "an election has connected them"
    one, other = followers
    wait_for(
        "the two followers are connected to each other",
        lambda: is_linked(one, other) and is_linked(other, one),
        timeout_s=20,
    )
