"""What a node makes of its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq.server.config import ServerConfig

PEERS = {"raft-0": "127.0.0.1:6000", "raft-1": "127.0.0.1:6010"}


def config(**settings: Any) -> ServerConfig:
    return ServerConfig(**{"name": "raft-1", "data_dir": Path("d"), **settings})


def test_a_node_listens_where_its_peers_know_it() -> None:
    made = config(peers=PEERS)
    assert made.peer_endpoint == "tcp://*:6010"
    assert made.client_endpoint == "tcp://*:6011"
    assert made.client_address == "127.0.0.1:6011"


def test_without_peers_they_are_the_pods_of_the_service() -> None:
    made = config(service="raft-service", namespace="prod")
    assert made.initial == {
        f"raft-{k}": f"raft-{k}.raft-service.prod.svc.cluster.local:6000" for k in range(3)
    }
    assert made.peer_endpoint == "tcp://*:6000"


def test_a_node_that_the_peers_do_not_name_is_told_where_it_is() -> None:
    made = config(name="raft-7", peers=PEERS, advertise="127.0.0.1:6070")
    assert made.peer_endpoint == "tcp://*:6070"
    assert "raft-7" not in made.initial


def test_the_client_endpoint_follows_an_explicit_listen() -> None:
    assert config(listen="tcp://127.0.0.1:7000").client_endpoint == "tcp://127.0.0.1:7001"


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({"peers": PEERS}, "tcp://*:6012"),
        ({}, "tcp://*:6002"),
        ({"listen": "tcp://127.0.0.1:7000"}, "tcp://127.0.0.1:7002"),
        ({"listen": "tcp://[::1]:7000"}, "tcp://[::1]:7002"),
        ({"client_listen": "tcp://127.0.0.1:7100"}, "tcp://*:7101"),
        ({"http_listen": "tcp://127.0.0.1:80"}, "tcp://127.0.0.1:80"),
        ({"http_listen": "none"}, None),
    ],
)
def test_probes_are_beside_the_nodes_on_the_port_after_that_of_the_clients(
    settings: dict[str, Any], endpoint: str | None
) -> None:
    assert config(**settings).http_endpoint == endpoint


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "raft"},
        {"replicas": 0},
        {"heartbeat_ms": 200, "election_timeout_ms": 300},
        {"heartbeat_ms": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        config(**wrong)
