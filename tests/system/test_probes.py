"""Probes and metrics of real processes, while these elect, fail, stand still and come back."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raftzmq import Client
from tests.system.processes import STEADY, TIMEOUT_S, Cluster, NodeProcess, wait_for

pytestmark = pytest.mark.system
steady = pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"])

PROBE_S = 1.0
"""How long a probe waits that expects no answer."""


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[NodeProcess]:
    """A node that is a cluster of its own; not started."""
    with Cluster(tmp_path, size=1) as one:
        yield one.nodes[0]
        one.show()


Samples = dict[tuple[str, ...], float]
"""A name and the values of its labels, in the order of their names -> value."""


def get(node: NodeProcess, path: str, timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
    connection = http.client.HTTPConnection(node.host, node.port + 2, timeout=timeout_s)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def metrics(node: NodeProcess) -> Samples:
    status, page = get(node, "/metrics")
    assert status == 200
    return {
        (s.name.removeprefix("raftzmq_"), *(v for _, v in sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(page)
        for s in family.samples
    }


def is_ready(node: NodeProcess) -> bool:
    with suppress(OSError):
        return get(node, "/readyz")[0] == 200
    return False


def wait_until_ready(*nodes: NodeProcess) -> None:
    wait_for("all are ready", lambda: all(map(is_ready, nodes)))


def wait_until_unready(node: NodeProcess) -> str:
    """Wait until a node that runs is not ready, and return what it says."""

    def told() -> str | None:
        status, text = get(node, "/readyz")
        return text if status == 503 else None

    return wait_for(f"{node.name} is not ready", told)


@steady
def test_three_nodes_tell_their_roles_and_count_what_they_do(
    cluster: Cluster, client: Client
) -> None:
    wait_until_ready(*cluster.nodes)
    leader, followers = cluster.leader(), cluster.followers()
    before = {node.name: metrics(node) for node in cluster.nodes}
    assert sum(found["is_leader",] for found in before.values()) == 1
    assert before[leader.name]["is_leader",] == before[leader.name]["role", "leader"] == 1
    assert [before[node.name]["role", "follower"] for node in followers] == [1, 1]
    for found in before.values():
        assert (found["members",], found["voters",], found["has_leader",]) == (3, 3, 1)
        assert found["leader_changes_total",] >= 1
        assert 0 < found["disk_free_bytes",] <= found["disk_size_bytes",]
    for k in range(30):
        client.put(f"key-{k}", "value")
        client.get(f"key-{k}")
    index = client.put("last", "value").revision
    wait_for(
        "all have applied it",
        lambda: all(metrics(node)["applied_index",] >= index for node in cluster.nodes),
    )
    after = {node.name: metrics(node) for node in cluster.nodes}

    def grown(node: NodeProcess, *sample: str) -> float:
        return after[node.name].get(sample, 0) - before[node.name].get(sample, 0)

    assert grown(leader, "proposals_applied_total") >= 31
    assert grown(leader, "client_requests_total", "ok", "write") >= 31
    assert grown(leader, "client_requests_total", "ok", "read") >= 30
    assert grown(leader, "commit_duration_seconds_count") >= 31
    assert grown(leader, "commit_duration_seconds_sum") > 0
    for node in cluster.nodes:
        assert grown(node, "fsync_duration_seconds_count") > 0
        assert grown(node, "fsync_duration_seconds_sum") > 0
        assert grown(node, "messages_received_total", "nodes") > 0
    for node in followers:
        assert grown(node, "proposals_applied_total") == 0
        assert after[leader.name]["follower_lag_entries", node.name] >= 0
        assert not any(sample[0] == "follower_lag_entries" for sample in after[node.name])


@pytest.mark.proof
@steady
def test_another_leader_is_counted_and_the_survivors_become_ready_again(cluster: Cluster) -> None:
    wait_until_ready(*cluster.nodes)
    leader, followers = cluster.leader(), cluster.followers()
    before = {node.name: metrics(node)["leader_changes_total",] for node in followers}
    leader.kill()
    successor = cluster.leader()

    def told() -> bool:
        """What is published is up to a quarter of a second old, on each node for itself."""
        return all(metrics(n)["leader_changes_total",] > before[n.name] for n in followers)

    wait_for("both have counted another leader", told)
    wait_for(
        "one of them says that it leads, and both are ready",
        lambda: metrics(successor)["is_leader",] == 1 and all(map(is_ready, followers)),
    )
    assert sum(metrics(node)["is_leader",] for node in followers) == 1
    leader.start()
    wait_until_ready(leader)


@pytest.mark.proof
@steady
def test_the_last_of_three_is_live_but_not_ready(cluster: Cluster) -> None:
    wait_until_ready(*cluster.nodes)
    last, *others = cluster.nodes
    for node in others:
        node.kill()
    text = wait_until_unready(last)
    assert "FAILED leader: none is known in term" in text
    assert "ok member" in text
    assert get(last, "/livez") == (200, "ok loop\nok text_log\n")
    for node in others:
        node.start()
    wait_until_ready(*cluster.nodes)


@pytest.mark.proof
@steady
def test_a_node_that_loses_its_disk_is_ready_only_as_a_voter(cluster: Cluster) -> None:
    wait_until_ready(*cluster.nodes)
    node = cluster.followers()[0]
    node.kill()
    node.wipe()
    node.start()
    wait_until_ready(node)
    status = node.status()
    assert status
    me = next(m for m in status["members"] if m["name"] == node.name)
    assert (me["voter"], me["incarnation"]) == (True, status["incarnation"])


def test_a_process_that_stands_still_does_not_answer(alone: NodeProcess) -> None:
    alone.start()
    wait_until_ready(alone)
    alone.pause()
    try:
        with pytest.raises(TimeoutError):
            get(alone, "/livez", PROBE_S)
    finally:
        alone.resume()
    wait_for("it is live again", lambda: get(alone, "/livez")[0] == 200)


def test_a_port_that_is_taken_stops_the_start_and_is_told(alone: NodeProcess) -> None:
    with socket.create_server((alone.host, alone.port + 2)):
        code, told = alone.run("--http-listen", f"{alone.host}:{alone.port + 2}")
    assert code == 1
    assert f"cannot listen on tcp://{alone.host}:{alone.port + 2}: the port is taken" in told


def test_without_http_a_node_does_all_the_rest(alone: NodeProcess) -> None:
    alone.start("--http-listen", "none")
    wait_for("it leads", lambda: (alone.status() or {}).get("role") == "leader")
    with pytest.raises(ConnectionRefusedError):
        get(alone, "/livez")


def test_the_death_of_the_thread_that_answers_ends_the_node(alone: NodeProcess) -> None:
    alone.program = "tests.system.mute"
    code, told = alone.run()
    assert code != 0
    assert "the thread that answers probes has died" in told
