"""Real sockets on loopback, for tests: contexts, plain ZeroMQ clients, waiting with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import zmq

from raftzmq.transport import options
from raftzmq.transport.options import Context, Socket
from raftzmq.transport.servers import ClientServer, PeerServer

T = TypeVar("T")

DEADLINE_S = 60.0


def until(ready: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    """Call `ready` until it returns something true, and return that. Fails at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        result = ready()
        if result:
            return result
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.002)


def send_through(socket: Socket, frame: bytes, meanwhile: Callable[[], None]) -> None:
    """Send as soon as the socket is connected, for which something is to be done meanwhile."""

    def sent() -> bool:
        meanwhile()
        try:
            socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    until(sent)


def collect(receive: Callable[[], list[T]], count: int = 1) -> list[T]:
    """Call `receive` until `count` things have come."""
    things: list[T] = []

    def enough() -> bool:
        things.extend(receive())
        return len(things) >= count

    until(enough)
    return things


class Connect:
    """Makes clients' DEALERs, and closes them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sockets: list[Socket] = []

    def __call__(
        self,
        server: PeerServer | ClientServer,
        routing_id: bytes | None = None,
        changed: Mapping[int, int] = MappingProxyType({}),
    ) -> Socket:
        socket = self._context.socket(zmq.DEALER)
        self._sockets.append(socket)
        options.client_link(socket)
        for option, value in changed.items():
            socket.set(option, value)
        socket.set(zmq.SNDTIMEO, int(DEADLINE_S * 1000))
        socket.set(zmq.RCVTIMEO, int(DEADLINE_S * 1000))
        if routing_id is not None:
            socket.set(zmq.ROUTING_ID, routing_id)
        socket.connect(server.endpoint)
        return socket

    def close(self) -> None:
        for socket in self._sockets:
            socket.close(linger=0)
