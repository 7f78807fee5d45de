"""Floods of handshakes, and very many strangers: nothing changes, and a client's wait is printed.

Every connection says one of the things that come to mind: nothing, half a greeting, a greeting for
each mechanism, a whole handshake without keys, or noise.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Final

import pytest

from tests.amounts import amount, sample
from tests.progress import counted
from tests.security.mangled import READY, STATUS, command, greeting
from tests.system.keyed import KeyedCluster
from tests.system.processes import STEADY, Cluster
from tests.system.undisturbed import PATIENCE_S, goes_on
from tests.system.zmtp import connect

pytestmark = pytest.mark.system

STRANGERS: Final = int(os.environ.get("RAFTZMQ_STRANGERS", amount(3000, 100_000)))
"""RAFTZMQ_STRANGERS=1000000 makes it a million: a quarter of an hour on a quiet machine."""

FLOOD_S: Final = amount(1, 10)
IN_FLIGHT: Final = 32
FLOODERS: Final = 2

CURVE: Final = greeting(mechanism=b"CURVE")
HELLO: Final = command(b"HELLO", b"\1\0" + bytes(72) + b"k" * 120)
OPENINGS: Final = (
    b"",
    greeting()[:20],
    greeting(),
    greeting() + READY + STATUS,
    greeting(mechanism=b"PLAIN") + command(b"HELLO", b"\5admin\5admin"),
    CURVE,
    CURVE + HELLO,
    CURVE + HELLO + command(b"INITIATE", b"i" * 248),
    b"\x01\x00" + STATUS,
)
FLOODS: Final = {
    "whole handshakes without keys": greeting() + READY,
    "CURVE's first command, with nonsense in it": CURVE + HELLO,
    "halves of a greeting": greeting()[:20],
}


@pytest.fixture(scope="module", params=["plain", "keyed"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp(request.param)
    plain = request.param == "plain"
    with Cluster(directory, arguments=STEADY) if plain else KeyedCluster(directory) as three:
        try:
            yield three.start()
        finally:
            three.show()


def test_nothing_comes_of_very_many_strangers(cluster: Cluster) -> None:
    leader = cluster.leader()
    random = Random(1)
    connections: deque[socket.socket] = deque()
    with goes_on(cluster, leader) as put:
        for number in counted("strangers", range(STRANGERS)):
            opening = OPENINGS[number % len(OPENINGS)]
            if number % 7 == 0:
                opening += random.randbytes(random.randrange(100))
            with suppress(OSError):
                connections.append(connect(leader.port + number // 9 % 2, opening))
            if len(connections) > IN_FLIGHT:
                connections.popleft().close()
        for connection in connections:
            connection.close()
    print(f"{STRANGERS:,} strangers, {len(put)} puts and gets meanwhile")


@pytest.mark.parametrize("offset", sample([1, 0], 1), ids=["clients", "peers"])
def test_a_flood_of_handshakes_keeps_nobody_out(cluster: Cluster, offset: int) -> None:
    leader = cluster.leader()
    term = (leader.status() or {})["term"]
    with cluster.client() as client:

        def put() -> None:
            client.put("flooded", "value", timeout=PATIENCE_S)

        put()
        print(f"without a flood: a put takes {waited(put)}")
        for what, opening in FLOODS.items():
            with flooded(leader.port + offset, opening) as count:
                time.sleep(0.2)
                puts = waited(put)

                def new_client() -> None:
                    with cluster.client() as another:
                        another.get("flooded", timeout=PATIENCE_S)

                news = waited(new_client)
            per_s = len(count) / (2 * FLOOD_S)
            print(f"{what}, {per_s:,.0f} a second: a put takes {puts}, a new client {news}")
    assert (cluster.leader().status() or {})["term"] == term


def waited(call: Callable[[], None]) -> str:
    """How long calls take, one after the other."""
    taken: list[float] = []
    end_s = time.monotonic() + FLOOD_S
    while time.monotonic() < end_s:
        begun_s = time.monotonic()
        call()
        taken.append(1000 * (time.monotonic() - begun_s))
    taken.sort()
    return f"{taken[len(taken) // 2]:.0f} ms (p50), {taken[-1]:.0f} ms at most of {len(taken)}"


@contextmanager
def flooded(port: int, opening: bytes) -> Iterator[list[None]]:
    """Connections as fast as they can be made, from threads, which are counted."""
    ended = threading.Event()
    count: list[None] = []

    def flood() -> None:
        connections: deque[socket.socket] = deque()
        while not ended.is_set():
            with suppress(OSError):
                connections.append(connect(port, opening))
                count.append(None)
            if len(connections) > IN_FLIGHT:
                connections.popleft().close()
        for connection in connections:
            connection.close()

    threads = [threading.Thread(target=flood) for _ in range(FLOODERS)]
    for thread in threads:
        thread.start()
    try:
        yield count
    finally:
        ended.set()
        for thread in threads:
            thread.join()
