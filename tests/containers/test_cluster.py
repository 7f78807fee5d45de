"""Containers with the names of pods are a cluster, and stop cleanly as the first process."""

from __future__ import annotations

import json

import pytest

from tests.containers.engine import (
    HARDENED,
    Engine,
    answer,
    docker,
    eventually,
    exit_code,
    logs,
)

pytestmark = [pytest.mark.system, pytest.mark.proof]

NODES = ("raft-0", "raft-1", "raft-2")
ENDPOINTS = ",".join(f"{node}.raft-service:6001" for node in NODES)
GRACE_S = 30


def start_three(containers: Engine, network: str) -> dict[str, str]:
    """Three nodes on a network, found by the names that a headless Service gives to pods."""
    return {
        node: containers.start(
            *("node", node, "--service", "raft-service", "--insecure"),
            options=(
                *HARDENED,
                *("--network", network, "--network-alias", f"{node}.raft-service"),
                *("--hostname", node),
            ),
        )
        for node in NODES
    }


def stop(container: str) -> None:
    """What Kubernetes does: SIGTERM, and SIGKILL when the grace period is over."""
    answer("stop", "--time", str(GRACE_S), container, timeout_s=GRACE_S + 60)


def test_three_containers_form_a_cluster_and_each_stops_with_exit_code_0(
    containers: Engine,
) -> None:
    network = containers.network()
    on_network = (*HARDENED, "--network", network)
    nodes = start_three(containers, network)

    check = containers.run(
        *("client", "check", "--endpoints", ENDPOINTS, "--timeout", "60"), options=on_network
    )
    assert check.code == 0, check.out + check.err + "".join(map(logs, nodes.values()))

    said = containers.run(
        "client", "status", "--endpoints", ENDPOINTS, "-w", "json", options=on_network
    )
    assert sorted(node["role"] for node in json.loads(said.out)) == [
        *("follower", "follower", "leader"),
    ]

    leader = next(node["node"] for node in json.loads(said.out) if node["role"] == "leader")
    others = [node for node in NODES if node != leader]
    for node in (leader, *others):
        stop(nodes[node])
        assert exit_code(nodes[node]) == 0, logs(nodes[node])
        assert logs(nodes[node]).rstrip().endswith("stopped")


def test_a_node_that_is_still_alone_stops_with_exit_code_0_too(containers: Engine) -> None:
    alone = containers.start("node", "raft-0", "--service", "raft-service", "--insecure")
    eventually(lambda: "starting" in logs(alone), "the first line of the log")
    stop(alone)
    assert exit_code(alone) == 0, logs(alone)


def test_data_on_a_volume_outlives_its_container(containers: Engine) -> None:
    volume = containers.volume()
    options = (*HARDENED[:-2], "--mount", f"type=volume,src={volume},dst=/data")
    words = ("node", "raft-0", "--replicas", "1", "--service", "raft-service", "--insecure")
    ask = ("raftzmq", "client", "--endpoints", "127.0.0.1:6001", "--timeout", "60")

    first = containers.start(*words, options=options)
    assert docker("exec", first, *ask, "put", "greeting", "hello", timeout_s=90).code == 0
    stop(first)
    second = containers.start(*words, options=options)
    assert answer("exec", second, *ask, "get", "greeting", timeout_s=90) == "hello"
