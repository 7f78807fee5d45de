"""PINGs of ZeroMQ among messages, on connections that end while these wait: they made libzmq abort
the process as soon as a receive queue was full.

Measured before the queues had no bound: 59 and 110 such connections ended an idle node.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from raftzmq import Client
from raftzmq.transport.curve import Credentials, connect_with
from tests.amounts import amount
from tests.progress import counted
from tests.system.keyed import KeyedCluster
from tests.system.processes import Cluster
from tests.system.zmtp import GREETING, connect, frame, ready

pytestmark = pytest.mark.system

PING = frame(b"\x04PING\0\0", flags=4)
MESSAGES = frame(b'{"v":1,"type":"status","id":1}') * 20
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with which a connection ends at once, whatever was not sent."""


def say_much_and_go(port: int, rounds: int) -> None:
    with suppress(OSError), connect(port, GREETING, ready()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.sendall((MESSAGES + PING) * rounds)


@pytest.mark.parametrize("offset", [0, 1], ids=["peers", "clients"])
def test_pings_among_the_messages_of_connections_that_end_stop_no_node(
    cluster: Cluster, offset: int
) -> None:
    node = cluster.leader()
    pid = node.pid
    for number in counted("connections with PINGs", range(amount(200, 2500))):
        say_much_and_go(node.port + offset, 1 + number % 40)
    with Client([node.endpoint]) as client:
        client.put("key", "afterwards")
    assert node.is_running
    assert node.pid == pid


def test_heartbeats_among_the_messages_of_somebody_with_a_key_stop_no_node(tmp_path: Path) -> None:
    """libzmq's own, as often as it sends them, from connections that end at any moment."""
    with KeyedCluster(tmp_path) as keyed:
        node = keyed.start().leader()
        pid = node.pid
        assert node.key
        with zmq.Context() as context:
            for number in counted("users with heartbeats", range(amount(60, 2500))):
                with context.socket(zmq.DEALER) as user:
                    user.set(zmq.LINGER, number % 3)
                    user.set(zmq.HEARTBEAT_IVL, 1)
                    connect_with(user, Credentials(node.key.own, node.key.servers[0]))
                    user.connect(f"tcp://{node.endpoint}")
                    for _ in range(50 + 20 * (number % 40)):
                        user.send(b'{"v":1,"type":"status","id":1}')
        with keyed.client() as client:
            client.put("key", "afterwards")
        assert node.is_running
        assert node.pid == pid
        keyed.show()
