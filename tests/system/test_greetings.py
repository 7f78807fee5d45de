"""Hellos of strangers to real nodes: they cost little, and nobody else notices."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq

from raftzmq import Client
from raftzmq.core.identity import NodeId
from raftzmq.transport.peer_wire import Hello, encode_hello
from raftzmq.versions import SPOKEN
from tests.system.ports import free_ports
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"]),
]

NONCE = "0" * 16
DESCRIPTORS = 80
"""More than these a node does not spend on strangers: sixteen links, their mailboxes and
connections, and the stranger's own connection."""


def descriptors(node: NodeProcess) -> int:
    return len(list(Path(f"/proc/{node.pid}/fd").iterdir()))


def hello(cluster: str, node: NodeId, address: str) -> list[bytes]:
    return encode_hello(Hello(cluster, node, address, NONCE, SPOKEN))


def test_a_thousand_hellos_leave_a_bounded_number_of_descriptors(
    cluster: Cluster, client: Client
) -> None:
    client.put("key", "before")
    node = cluster.leader()
    status = node.status()
    assert status
    before = descriptors(node)
    closed = free_ports(5)  # fifty ports, ten for each
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.connect(f"tcp://{node.address}")
        for number in range(1000):
            name = NodeId(f"raft-{number + 10}", f"{number:016x}")
            address = f"127.0.0.{number % 200 + 2}:{closed + number % 50}"
            stranger.send_multipart(hello(status["cluster"], name, address))
        stranger.send(b"no message, and told of in the log: then the hellos were taken too")
        wait_for("the hellos have arrived", lambda: "dropped a message" in node.output())
    assert descriptors(node) - before <= DESCRIPTORS
    client.put("key", "after")
    assert cluster.leader() is node


def test_the_hello_of_a_second_pod_of_a_name_does_not_move_the_members_link(
    cluster: Cluster, client: Client
) -> None:
    client.put("key", "before")
    leader = cluster.leader()
    status = leader.status()
    assert status
    elsewhere = free_ports(1)
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.connect(f"tcp://{leader.address}")
        for number in range(200):
            for member in status["members"]:
                node = NodeId(member["name"], member["incarnation"])
                stranger.send_multipart(hello(status["cluster"], node, f"127.0.0.1:{elsewhere}"))
            client.put("key", f"{number}", timeout=2)
    after = cluster.leader()
    assert after is leader
    assert after.status()["term"] == status["term"]  # type: ignore[index]
