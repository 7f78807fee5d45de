"""A node that hears the leader, and whose answers are lost, is not ready, and says so.

It hears heartbeats, so it stands for no election, and nobody else misses it: a majority goes on. It
must not count as available, for a disruption budget or a rolling update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from raftzmq import Client
from tests.amounts import sample
from tests.system.namespaces import LARGE_BYTES, NamespacedCluster, Network, missing
from tests.system.processes import NodeProcess, wait_for

pytestmark = pytest.mark.system

PATIENCE_S = 60.0
CALM = ["--election-timeout-ms", "1500", "--heartbeat-ms", "100"]

Fault = Callable[[Network, str, str], None]


@pytest.fixture
def network() -> Iterator[Network]:
    if reason := missing():
        pytest.skip(reason)
    with Network(3) as three:
        yield three


@pytest.fixture
def cluster(network: Network, tmp_path: Path) -> Iterator[NamespacedCluster]:
    """Three nodes that have become ready."""
    with NamespacedCluster(tmp_path, network) as three:
        for node in three.nodes:
            node.arguments += CALM
            node.start()
        three.wait_until_ready(PATIENCE_S)
        wait_for("they are ready", lambda: not any(map(unready, three.nodes)), PATIENCE_S)
        try:
            yield three
        finally:
            three.show()


def unready(node: NodeProcess) -> str:
    """The line of the check that fails; empty if the node is ready."""
    try:
        with urlopen(f"http://{node.host}:{node.port + 2}/readyz", timeout=5):
            return ""
    except HTTPError as error:
        with error:
            lines = error.read().decode().splitlines()
    return next(line for line in lines if line.startswith("FAILED"))


def is_well(node: NodeProcess) -> bool:
    told = node.status()
    return told is not None and told["healthy"]


def lose_its_calls(network: Network, leader: str, follower: str) -> None:
    network.cut_calls(follower, leader)


def reject_its_calls(network: Network, leader: str, follower: str) -> None:
    network.cut_calls(follower, leader, reject=True)


def lose_what_it_sends(network: Network, leader: str, follower: str) -> None:
    network.cut_one_way(follower, leader)


def lose_what_it_is_sent(network: Network, leader: str, follower: str) -> None:
    network.cut_one_way(leader, follower)


def lose_the_leaders_calls(network: Network, leader: str, follower: str) -> None:
    network.cut_calls(leader, follower)


FAULTS: list[tuple[Fault, str]] = [
    (lose_its_calls, "does not hear this node, which cannot connect to"),
    (reject_its_calls, "does not hear this node, which cannot connect to"),
    (lose_what_it_sends, "FAILED leader"),
    (lose_what_it_is_sent, "FAILED leader: none is known"),
    (lose_the_leaders_calls, "FAILED leader: none is known"),
]
"""Each with what the node says of it."""


@pytest.mark.proof
def test_a_follower_that_only_small_messages_reach_is_not_ready_until_large_ones_do(
    cluster: NamespacedCluster,
) -> None:
    """Heartbeats arrive, and their answers; entries do not."""
    leader, (follower, other) = cluster.leader(), cluster.followers()
    with Client([node.endpoint for node in (leader, other)]) as db:
        cluster.network.lose_large(leader.host, follower.host)
        db.put("key", "x" * 2 * LARGE_BYTES, timeout=PATIENCE_S)
        wait_for("it says so", lambda: "are not applied" in unready(follower), PATIENCE_S)
        wait_for("it is not healthy", lambda: not is_well(follower), PATIENCE_S)
        assert not unready(other)
        cluster.network.heal()
        wait_for("it is ready again", lambda: not unready(follower), PATIENCE_S)
        cluster.wait_until_caught_up(follower)


@pytest.mark.proof
def test_a_leader_that_no_client_reaches_leads_on(cluster: NamespacedCluster) -> None:
    """It cannot know, and the others hear it. Whoever asks it gets no answer: `status` says so."""
    leader = cluster.leader()
    term = wait_for("it answers", leader.status, PATIENCE_S)["term"]
    cluster.network.cut_one_way(cluster.network.clients, leader.host)
    followers = [node for node in cluster.nodes if node is not leader]
    assert leader.status(timeout_s=2.0) is None
    for node in followers:
        told = wait_for("it answers", node.status, PATIENCE_S)
        assert (told["leader"], told["term"], told["healthy"]) == (leader.name, term, True)
    cluster.network.heal()
    wait_for("it is reached again", lambda: is_well(leader), PATIENCE_S)


@pytest.mark.parametrize(("fault", "said"), sample(FAULTS, 1))
def test_a_follower_whose_answers_are_lost_is_not_ready_until_they_arrive(
    fault: Fault, said: str, cluster: NamespacedCluster
) -> None:
    leader, (follower, other) = cluster.leader(), cluster.followers()
    with Client([node.endpoint for node in (leader, other)]) as db:
        db.put("key", "before", timeout=PATIENCE_S)
        fault(cluster.network, leader.host, follower.host)
        wait_for("it says so", lambda: said in unready(follower), PATIENCE_S)
        wait_for("it is not healthy", lambda: not is_well(follower), PATIENCE_S)
        for number in range(50):
            db.put("key", f"meanwhile {number}", timeout=PATIENCE_S)
        assert said in unready(follower)
        assert not unready(leader)
        assert not unready(other)
        cluster.network.heal()
        wait_for("it is ready again", lambda: not unready(follower), PATIENCE_S)
        wait_for("it is healthy again", lambda: is_well(follower), PATIENCE_S)
        cluster.wait_until_caught_up(follower)
