"""Fixtures of the socket tests: a context that must end, and its sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from raftzmq.transport import options
from raftzmq.transport.links import PeerLinks
from raftzmq.transport.options import Context, node_context
from raftzmq.transport.servers import ClientServer, PeerServer
from tests.transport.loopback import Connect

ANY = "tcp://127.0.0.1:*"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection ends because the other side is slow."""
    monkeypatch.setattr(options, "CONNECT_TIMEOUT_MS", 60_000)


@pytest.fixture
def context() -> Iterator[Context]:
    with node_context() as context:
        yield context


@pytest.fixture
def links(context: Context) -> Iterator[PeerLinks]:
    links = PeerLinks(context)
    yield links
    links.close()


@pytest.fixture
def peers(context: Context) -> Iterator[PeerServer]:
    server = PeerServer(context, ANY)
    yield server
    server.close(0)


@pytest.fixture
def clients(context: Context) -> Iterator[ClientServer]:
    server = ClientServer(context, ANY)
    yield server
    server.close(0)


@pytest.fixture
def connect(context: Context) -> Iterator[Connect]:
    connect = Connect(context)
    yield connect
    connect.close()


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The I/O threads of the links that are opened, in order, each as its bit."""
    found: list[int] = []
    original = options.peer_link

    def peer_link(socket: options.Socket, lane: int) -> None:
        original(socket, lane)
        found.append(int(socket.get(zmq.AFFINITY)))

    monkeypatch.setattr(options, "peer_link", peer_link)
    return found
