"""Whoever can open a connection can send anything, and read nothing: a node goes on answering, its
memory and its descriptors stay bounded, and nothing is applied but what a client asked for.

The attacks are bounded in bytes, and come from this process, over loopback.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest

from raftzmq import Client
from tests.amounts import amount, sample
from tests.progress import counted
from tests.system import zmtp
from tests.system.processes import STEADY, Cluster, wait_for
from tests.system.undisturbed import goes_on
from tests.system.zmtp import GREETING, connect, frame, pour, ready, speak

pytestmark = pytest.mark.system

MB: Final = 1024 * 1024

MORE: Final = 1
COMMAND: Final = 4

PATIENCE_S: Final = 60.0

FILES: Final = 600
"""Of these a node may open so many that a quarter, 150, are left to the connections of a port."""

Attack = Callable[[int], None]


# -- messages without end -------------------------------------------------------------------------

LARGE = frame(bytes(MB), MORE)
EMPTY = frame(b"", MORE) * 4096
PING = frame(b"\x04PING\0\0", COMMAND) * 1000

FLOODS: dict[str, Attack] = {
    "large parts without end": partial(pour, data=LARGE, total=amount(150, 500) * MB),
    "empty parts without end": partial(pour, data=EMPTY, total=amount(60, 120) * MB),
    "parts without end on many connections": partial(
        pour, data=EMPTY, total=amount(80, 200) * MB, at_once=60
    ),
    "messages of very many parts": partial(
        pour, data=frame(b"", MORE) * 100_000 + frame(b""), total=amount(4, 12) * MB
    ),
    "heartbeats without end": partial(pour, data=PING, total=amount(24, 60) * MB),
    "commands nobody knows": partial(
        pour, data=frame(b"\x07UNKNOWN" + bytes(MB), COMMAND), total=amount(50, 200) * MB
    ),
    "subscriptions without end": partial(
        pour, data=frame(b"\x09SUBSCRIBE" + b"x" * 64, COMMAND) * 1000, total=amount(12, 60) * MB
    ),
    "large complete messages on many connections": partial(
        pour, data=frame(b"[0]" * (2 * MB)), total=amount(100, 400) * MB, at_once=8
    ),
}


@pytest.mark.proof
@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["cluster"])
@pytest.mark.parametrize("offset", [0, 1], ids=["peers", "clients"])
def test_floods_are_bounded_in_memory_and_keep_nobody_out(cluster: Cluster, offset: int) -> None:
    leader = cluster.leader()
    with goes_on(cluster, leader, same_term=offset == 1):
        for what, flood in counted("floods of a port", FLOODS.items()):
            flood(leader.port + offset)
            print(f"{what}: {zmtp.resident_bytes(leader.pid, 'VmHWM') // MB} MiB at most so far")
    assert "reason=endless" in leader.output()


# -- connections that say little, or nonsense -----------------------------------------------------


def unfinished(port: int) -> None:
    """Greetings that are cut short, and frames whose length nobody can have."""
    noise = Random(7)
    with ExitStack() as stack:
        for number in range(amount(60, 200)):
            begun = [
                GREETING[: number % 65],
                GREETING + ready()[: number % 40],
                GREETING + ready() + b"\x02" + (1 << 63).to_bytes(8, "big") + bytes(5000),
                GREETING + ready() + b"\x02" + b"\xff" * 8 + bytes(5000),
                GREETING + ready() + b"\x03" + (1 << 40).to_bytes(8, "big") + bytes(5000),
                GREETING + b"\x06" + (1 << 62).to_bytes(8, "big") + bytes(5000),
                GREETING + ready(b"i" * 100_000),
                b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00" + frame(b"{}"),
                b"\x01\x00" + frame(b"{}", MORE) * 9,
                noise.randbytes(number * 50),
            ][number % 10]
            with suppress(OSError):
                stack.enter_context(connect(port, begun))


def byte_by_byte(port: int) -> None:
    for _ in range(amount(10, 50)):
        with connect(port) as connection, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for position in range(len(GREETING)):
                connection.sendall(GREETING[position : position + 1])


def coming_and_going(port: int) -> None:
    """Hundreds of connections a second, each gone as soon as it is there."""
    for number in range(amount(400, 3000)):
        with suppress(OSError):
            connect(port, GREETING[: number % 70]).close()


def all_the_same(port: int) -> None:
    """Many that claim one routing id, and go on talking."""
    with ExitStack() as stack:
        for _ in range(amount(40, 200)):
            with suppress(OSError):
                connection = stack.enter_context(speak(port, b"the same"))
                connection.sendall(frame(b'{"v":1,"type":"status","id":1}') * 3)


@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["cluster"])
@pytest.mark.parametrize("offset", sample([0, 1], 1), ids=["peers", "clients"])
def test_connections_that_say_little_or_nonsense_disturb_nobody(
    cluster: Cluster, offset: int
) -> None:
    leader = cluster.leader()
    port = leader.port + offset
    with goes_on(cluster, leader, same_term=offset == 1):
        for attack in (unfinished, byte_by_byte, coming_and_going, all_the_same):
            attack(port)


@pytest.mark.proof
@pytest.mark.parametrize("offset", [1, 0], ids=["clients", "peers"])
def test_more_connections_than_a_node_may_open_files_leave_room_for_its_own(
    tmp_path: Path, offset: int
) -> None:
    """They complete the handshake, so that nothing times out, and then are silent."""
    with Cluster(tmp_path, arguments=STEADY) as cluster:
        for node in cluster.nodes:
            node.within = ("prlimit", f"--nofile={FILES}:{FILES}")
        leader = cluster.start().leader()
        with goes_on(cluster, leader, same_term=offset == 1), ExitStack() as stack:
            for _ in range(2 * FILES // 50):
                for _ in range(50):
                    opening = GREETING + ready() if offset else b"\x01\x00"
                    with suppress(OSError):
                        stack.enter_context(connect(leader.port + offset, opening))
                wait_for(
                    "the excess is cut",
                    lambda: zmtp.open_files(leader.pid) < FILES // 2,
                )
        assert "reason=crowd" in leader.output()
        cluster.show()


# -- answers that nobody reads --------------------------------------------------------------------

READERS: Final = 8


@pytest.mark.proof
@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["cluster"])
def test_answers_that_nobody_reads_are_bounded(cluster: Cluster) -> None:
    leader = cluster.leader()
    with Client(cluster.endpoints) as client:
        for number in range(4):
            client.put(f"large/{number}", "x" * (1000 * 1000), timeout=PATIENCE_S)
    read = json.dumps(
        {
            "v": 1,
            "type": "operations",
            "session": 0,
            "ack": 0,
            "stale": True,
            "ops": [[number, "range", "large/", "", 4] for number in range(1, 5)],
        }
    ).encode()
    requests = amount(20, 60)  # each asks for 16 MB
    with ExitStack() as stack, goes_on(cluster, leader):
        for _ in range(READERS):
            with suppress(OSError):
                stack.enter_context(speak(leader.port + 1)).sendall(frame(read) * requests)
