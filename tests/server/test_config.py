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
    assert made.peer_endpoint == "tcp://127.0.0.1:6010"
    assert made.client_endpoint == "tcp://127.0.0.1:6011"
    assert made.client_address == "127.0.0.1:6011"


@pytest.mark.parametrize(
    ("host", "listens_on"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("[::1]", "[::1]"),
        ("[2001:db8::7]", "[2001:db8::7]"),
        ("localhost", "127.0.0.1"),
        ("db-1.example.org", "*"),
        ("0.0.0.0", "0.0.0.0"),
    ],
)
@pytest.mark.parametrize("told", ["peers", "advertise"])
def test_a_node_listens_on_the_host_that_the_others_are_told(
    host: str, listens_on: str, told: str
) -> None:
    address = f"{host}:6010"
    given = {"peers": {"raft-1": address}} if told == "peers" else {"advertise": address}
    made = config(**given)
    assert made.peer_endpoint == f"tcp://{listens_on}:6010"
    assert made.client_endpoint == f"tcp://{listens_on}:6011"
    assert made.http_endpoint == f"tcp://{listens_on}:6012"
    assert config(**given, in_pod=True).peer_endpoint == "tcp://*:6010"
    assert config(**given, listen="tcp://*:7000").peer_endpoint == "tcp://*:7000"


def test_without_peers_they_are_the_pods_of_the_service() -> None:
    made = config(service="raft-service", namespace="prod")
    assert made.initial == {
        f"raft-{k}": f"raft-{k}.raft-service.prod.svc.cluster.local:6000" for k in range(3)
    }
    assert made.peer_endpoint == "tcp://*:6000"


def test_a_node_that_the_peers_do_not_name_is_told_where_it_is() -> None:
    made = config(name="raft-7", peers=PEERS, advertise="127.0.0.1:6070")
    assert made.peer_endpoint == "tcp://127.0.0.1:6070"
    assert "raft-7" not in made.initial


@pytest.mark.parametrize("listen", ["tcp://192.0.2.7:6070", "tcp://[2001:db8::7]:6070"])
def test_a_node_that_the_peers_do_not_name_says_where_it_listens(listen: str) -> None:
    made = config(name="raft-7", peers=PEERS, listen=listen)
    assert made.address == listen.removeprefix("tcp://")
    assert config(peers=PEERS, listen=listen).address == PEERS["raft-1"]


@pytest.mark.parametrize(
    "listen", [None, "tcp://*:6070", "tcp://0.0.0.0:6070", "tcp://[::]:6070", "tcp://eth0:6070"]
)
def test_a_node_that_nobody_can_know_the_address_of_is_refused(listen: str | None) -> None:
    with pytest.raises(InvalidRequest, match=r"does not name raft-7.*--advertise HOST:PORT"):
        config(name="raft-7", peers=PEERS, listen=listen)
    in_a_pod = "raft-7.raft-service:6000"
    assert config(name="raft-7", peers=PEERS, listen=listen, in_pod=True).address == in_a_pod
    assert config(name="raft-7", listen=listen).address == in_a_pod


def test_the_client_endpoint_follows_an_explicit_listen() -> None:
    assert config(listen="tcp://127.0.0.1:7000").client_endpoint == "tcp://127.0.0.1:7001"


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({"peers": PEERS}, "tcp://127.0.0.1:6012"),
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


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "[::1]", "localhost"])
def test_a_node_needs_no_keys_on_loopback(host: str) -> None:
    config(peers={"raft-1": f"{host}:6010"}).check_exposure()


@pytest.mark.parametrize(
    "settings",
    [
        {"peers": {"raft-1": "192.0.2.7:6010"}},
        {"peers": {"raft-1": "[2001:db8::7]:6010"}},
        {"peers": {"raft-1": "db.example:6010"}},
        {"peers": {"raft-1": "127.0.0.1:6010"}, "listen": "tcp://*:6000"},
        {"peers": {"raft-1": "127.0.0.1:6010"}, "client_listen": "tcp://0.0.0.0:6001"},
        {"peers": {"raft-1": "127.0.0.1:6010"}, "in_pod": True},
        {"service": "raft-service"},
    ],
)
def test_elsewhere_it_needs_keys_or_to_be_told_that_it_needs_none(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"open to other machines.*--keys DIR.*--insecure"):
        config(**settings).check_exposure()
    config(**settings, insecure=True).check_exposure()
    config(**settings, keys=Path("keys")).check_exposure()


def test_keys_and_their_absence_are_not_both_meant() -> None:
    with pytest.raises(InvalidRequest, match="contradict"):
        config(peers=PEERS, keys=Path("keys"), insecure=True).check_exposure()


def test_plain_connections_beside_keyed_ones_need_keys() -> None:
    with pytest.raises(InvalidRequest, match=r"give --keys DIR too"):
        config(peers=PEERS, also_plain=True).check_exposure()
    config(service="raft-service", keys=Path("keys"), also_plain=True).check_exposure()
