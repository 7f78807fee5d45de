"""Plain and keyed connections at one port: each comes to its own bind, whole and in order."""

from __future__ import annotations

import socket as tcp
from collections.abc import Iterator

import pytest
import zmq

from raftzmq.access.key_files import new_pair
from raftzmq.access.keys import KeyPair, Kind
from raftzmq.errors import PortTaken
from raftzmq.transport import front
from raftzmq.transport.curve import Credentials, connect_with
from raftzmq.transport.front import Door, Front
from raftzmq.transport.handshakes import Verdict, inspect
from raftzmq.transport.options import Context, Socket, client_link
from raftzmq.transport.servers import ClientServer, Received
from raftzmq.transport.zap import Zap
from tests.system.ports import free_ports
from tests.transport.loopback import DEADLINE_S, send_through, until

ANY = "tcp://127.0.0.1:*"
SERVER = new_pair(Kind.SERVER)
USER = new_pair(Kind.USER)


class Both:
    """A port that takes both kinds, and the loop behind it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.zap = Zap(context, lambda handshake: f"rzu{handshake.key.hex()}")
        self.server = ClientServer(context, ANY)
        self.port = free_ports()
        plain, keyed = self.server.port, self.server.listen_with(SERVER)
        self.door = Door(f"tcp://127.0.0.1:{self.port}", plain, keyed)
        self.front = Front([self.door])
        self.sockets: list[Socket] = []

    def connect(self, own: KeyPair | None) -> Socket:
        socket = self.context.socket(zmq.DEALER)
        self.sockets.append(socket)
        client_link(socket)
        connect_with(socket, None if own is None else Credentials(own, SERVER.public))
        socket.set(zmq.RCVTIMEO, int(DEADLINE_S * 1000))
        socket.connect(f"tcp://127.0.0.1:{self.port}")
        return socket

    def send(self, socket: Socket, frame: bytes) -> None:
        send_through(socket, frame, self.zap.answer)

    def close(self) -> None:
        self.front.close()
        for socket in [*self.sockets, self.server.socket, self.zap.socket]:
            socket.close(linger=0)


@pytest.fixture
def both(context: Context) -> Iterator[Both]:
    both = Both(context)
    yield both
    both.close()


def test_each_kind_is_answered_and_only_one_has_a_user(both: Both) -> None:
    for own, user in ((None, ""), (USER, str(USER.public))):
        socket = both.connect(own)
        both.send(socket, b"question")
        [received] = until(lambda: both.server.receive(10))
        assert (received.frame, received.user_id) == (b"question", user)
        assert both.server.send(received.identity, b"answer")
        assert socket.recv() == b"answer"


@pytest.mark.parametrize("own", [None, USER], ids=["plain", "keyed"])
def test_long_messages_arrive_whole_and_in_order_both_ways(both: Both, own: KeyPair | None) -> None:
    socket = both.connect(own)
    frames = [bytes([number]) * 300_000 for number in range(20)]
    got: list[Received] = []
    for frame in frames:
        both.send(socket, frame)
    while len(got) < len(frames):
        got += until(lambda: both.server.receive(100))
    assert [one.frame for one in got] == frames
    for frame in frames:
        until(lambda frame=frame: both.server.send(got[0].identity, frame))  # type: ignore[misc]
    assert [socket.recv() for _ in frames] == frames


def test_an_inspection_sees_the_mechanism_that_it_has_itself(both: Both) -> None:
    address = f"127.0.0.1:{both.port}"
    assert inspect(address, None).verdict is Verdict.FINE


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, bytes(64)])
def test_what_is_no_greeting_is_closed(
    both: Both, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "GREETING_S", 0.1)
    with tcp.create_connection(("127.0.0.1", both.port)) as stranger:
        stranger.settimeout(DEADLINE_S)
        stranger.sendall(first)
        said = b""
        while part := _received(stranger):
            said += part
        assert said in (b"", front.FIRST_PART)
    both.front.check()
    socket = both.connect(None)
    both.send(socket, b"still there")
    assert until(lambda: both.server.receive(10))[0].frame == b"still there"


def _received(connection: tcp.socket) -> bytes:
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""


def test_the_end_of_one_side_ends_the_other(both: Both) -> None:
    socket = both.connect(None)
    both.send(socket, b"x")
    [received] = until(lambda: both.server.receive(10))
    socket.close(0)
    until(
        lambda: (
            not both.server.send(received.identity, b"gone?")
            and both.server.counters["unroutable"] > 0
        )
    )


def test_a_port_that_is_taken_is_said_to_be(both: Both) -> None:
    with pytest.raises(PortTaken):
        Front([both.door])
