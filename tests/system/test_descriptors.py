"""A crowd that takes all descriptors of a node: no data is at stake, and no process ends."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Final

import pytest

from raftzmq import Client
from tests.amounts import amount
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for

pytestmark = pytest.mark.system

FILES = 256
CROWD = 400
"""More than a node may open."""

TURNS: Final = amount(1, 3)
PRESSING_S: Final = 0.05


@pytest.fixture(autouse=True)
def descriptors_of_its_own() -> Iterator[None]:
    """The crowd is in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4 * CROWD:
        pytest.skip(f"this process may open only {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * CROWD), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Connections to the clients' ports of some nodes that say nothing. What a node cuts comes
    back at once."""

    def __init__(self, nodes: list[NodeProcess]) -> None:
        self._addresses = [("127.0.0.1", node.port + 1) for node in nodes]
        self._over = Event()
        self._thread = Thread(target=self._press)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _press(self) -> None:
        while not self._over.is_set():
            with ExitStack() as stack:
                for address in self._addresses:
                    for _ in range(CROWD):
                        connection = stack.enter_context(socket.socket())
                        connection.setblocking(False)
                        with suppress(BlockingIOError):
                            connection.connect(address)
                self._over.wait(PRESSING_S)


@pytest.mark.proof
def test_a_crowd_ends_no_node_and_votes_and_writes_are_made(tmp_path: Path) -> None:
    with Cluster(tmp_path, arguments=STEADY) as cluster:
        for node in cluster.nodes:
            node.within = ("prlimit", f"--nofile={FILES}:{FILES}")
        cluster.start()
        with Client(cluster.endpoints) as client:
            client.put("key", "0")
            for turn in range(TURNS):
                leader, *others = cluster.leader(), *cluster.followers()
                # Each of the others writes down a term and a vote meanwhile.
                with Crowd(others):
                    leader.pause()
                    wait_for("another leads", partial(is_led, others))
                    leader.resume()
                client.put("key", f"{turn + 1}", timeout=30)
                cluster.wait_until_ready()
            for node in cluster.nodes:
                assert "Too many open files" not in node.output()
                assert node.is_running, node.output()
        assert cluster.everything()["key"].value == str(TURNS)


def is_led(nodes: list[NodeProcess]) -> bool:
    statuses = [node.status() for node in nodes]
    return any(status is not None and status["role"] == "leader" for status in statuses)
