"""The two ROUTERs of a node, over real sockets: answers go where they belong, nothing waits,
nothing vanishes uncounted, and strangers do no harm."""

from __future__ import annotations

import ctypes
import socket as tcp
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
import zmq

from raftzmq import limits
from raftzmq.errors import ListenError, PortTaken, RaftzmqError, WireError
from raftzmq.transport import options, servers
from raftzmq.transport.client_wire import decode_request, encode_request
from raftzmq.transport.operator_wire import StatusRequest
from raftzmq.transport.options import Context
from raftzmq.transport.peer_wire import decode_peer, encode_message
from raftzmq.transport.servers import ClientServer, PeerServer, Received
from tests.system import zmtp
from tests.system.ports import free_ports
from tests.transport.loopback import DEADLINE_S, Connect, collect, until
from tests.transport.samples import APPEND, CLUSTER


def requests(server: ClientServer, count: int = 1) -> list[tuple[bytes, bytes]]:
    """The next `count` requests."""
    return [
        (identity, frame) for identity, frame, *_ in collect(lambda: server.receive(1000), count)
    ]


def test_every_client_gets_its_own_answers(connect: Connect, clients: ClientServer) -> None:
    sockets = [connect(clients) for _ in range(5)]
    for number, socket in enumerate(sockets):
        socket.send(b"%d" % number)
    for identity, frame in requests(clients, 5):
        assert clients.send(identity, b"answer to " + frame)
    for number, socket in enumerate(sockets):
        assert socket.recv_multipart() == [b"answer to %d" % number]
    assert clients.counters == {"received": 5, "sent": 5}


def test_an_answer_to_a_client_that_has_gone_is_counted(
    connect: Connect, clients: ClientServer
) -> None:
    socket = connect(clients)
    socket.send(b"x")
    [(identity, _)] = requests(clients)
    socket.close(0)
    until(lambda: not clients.send(identity, b"answer"))
    assert clients.counters["unroutable"] == 1
    assert not clients.send(b"nobody", b"answer")
    assert clients.counters["unroutable"] == 2


def test_a_client_that_does_not_read_is_refused_and_then_gets_all_that_was_accepted(
    connect: Connect, clients: ClientServer
) -> None:
    socket = connect(clients)
    socket.send(b"x")
    [(identity, _)] = requests(clients)
    accepted = [number for number in range(5000) if clients.send(identity, _answer(number))]
    assert clients.counters["sent"] == len(accepted)
    assert clients.counters["would_block"] == 5000 - len(accepted) > 0
    assert [socket.recv() for _ in accepted] == [_answer(number) for number in accepted]
    until(lambda: clients.send(identity, b"last"))
    assert socket.recv() == b"last"


def _answer(number: int) -> bytes:
    return b"%08d" % number + bytes(8192)


def test_an_answer_too_long_for_a_frame_is_not_sent(
    connect: Connect, clients: ClientServer
) -> None:
    socket = connect(clients)
    socket.send(b"x")
    [(identity, _)] = requests(clients)
    assert not clients.send(identity, bytes(limits.FRAME_BYTES + 1))
    assert clients.send(identity, bytes(limits.FRAME_BYTES))
    assert len(socket.recv()) == limits.FRAME_BYTES
    assert clients.counters["oversize"] == 1


def test_nobody_can_take_over_anothers_answers(connect: Connect, clients: ClientServer) -> None:
    victim = connect(clients, routing_id=b"mine")
    victim.send(b"x")
    [(identity, _)] = requests(clients)
    thief = connect(clients, routing_id=b"mine")
    thief.send(b"y")
    assert not thief.poll(200)  # time for the ROUTER to meet it
    clients.receive(10)
    assert clients.send(identity, b"for the victim")
    assert not thief.poll(100)
    assert victim.recv() == b"for the victim"


@pytest.mark.parametrize("kind", [PeerServer, ClientServer])
def test_nobody_can_foretell_the_id_of_a_connection_that_chose_none(
    context: Context, kind: type[PeerServer | ClientServer]
) -> None:
    """If a connection holds the id that libzmq gives to another one, libzmq aborts the process."""
    firsts = set()
    for _ in range(2):
        ctypes.CDLL(None).srand(1)  # which is how every process starts
        server = kind(context, "tcp://127.0.0.1:*")
        with zmtp.speak(server.port) as stranger:
            stranger.sendall(zmtp.frame(b"x"))
            firsts.add(_sender(server))
        server.close(0)
    assert len(firsts) == 2
    assert all(len(first) == 5 and first[0] == 0 for first in firsts)


def _sender(server: PeerServer | ClientServer) -> bytes:
    """Who sent the next message."""
    taken = until(server._take)
    assert taken
    return taken[0]


def test_a_request_that_is_not_one_frame_is_handed_on_as_one_that_will_be_refused(
    connect: Connect, clients: ClientServer
) -> None:
    socket = connect(clients)
    good = encode_request(StatusRequest(1))
    for parts in ([good, good], [b"", good], [good] * 5, [b""]):
        socket.send_multipart(parts)
        [(identity, frame)] = requests(clients)
        with pytest.raises(WireError) as caught:
            decode_request(frame)
        assert caught.value.ids is None
        assert clients.send(identity, b"refused")
        assert socket.recv() == b"refused"
    socket.send(good)
    assert decode_request(requests(clients)[0][1]) == StatusRequest(1)
    assert clients.counters["parts"] == 3


def test_a_peers_message_with_too_many_frames_is_dropped_and_counted(
    connect: Connect, peers: PeerServer
) -> None:
    socket = connect(peers)
    socket.send_multipart([b"a", b"b", b"c"])
    socket.send_multipart([b"x"] * 1000)
    socket.send_multipart([b"good", b"body"])
    assert collect(lambda: peers.receive(10)) == [[b"good", b"body"]]
    assert peers.counters == {"received": 1, "parts": 2}


def test_of_a_message_with_very_many_parts_no_more_than_a_few_are_held(
    connect: Connect, peers: PeerServer
) -> None:
    socket = connect(peers)
    part = bytes(1024 * 1024)
    tracemalloc.start()
    try:
        socket.send_multipart([part] * 64)
        socket.send_multipart([b"good"])
        got = collect(lambda: peers.receive(10))
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert got == [[b"good"]]
    assert held < 8 * len(part)


def test_receive_returns_no_more_than_its_budget(connect: Connect, clients: ClientServer) -> None:
    socket = connect(clients)
    for number in range(30):
        socket.send(b"%d" % number)
    sizes: list[int] = []

    def receive() -> list[Received]:
        batch = clients.receive(7)
        sizes.append(len(batch))
        return batch

    got = collect(receive, 30)
    assert max(sizes) <= 7
    assert [frame for _, frame, *_ in got] == [b"%d" % number for number in range(30)]
    assert clients.receive(7) == []
    assert clients.receive(0) == []


def test_receive_stops_after_enough_bytes(connect: Connect, clients: ClientServer) -> None:
    socket = connect(clients)
    size = limits.FRAME_BYTES
    for _ in range(5):
        socket.send(bytes(size))
    batches: list[int] = []

    def receive() -> list[Received]:
        batch = clients.receive(1000)
        batches.append(len(batch))
        return batch

    collect(receive, 5)
    assert max(batches) <= servers.RECEIVE_BYTES // size


def test_a_frame_a_little_too_long_is_answered_and_a_huge_one_ends_the_connection(
    connect: Connect, clients: ClientServer
) -> None:
    other = connect(clients)
    other.send(b"x")
    requests(clients)
    socket = connect(clients)
    socket.send(b" " * (limits.FRAME_BYTES + 1))
    [(identity, frame)] = requests(clients)
    with pytest.raises(WireError, match="at most"):
        decode_request(frame)
    assert clients.send(identity, b"too long")
    assert socket.recv() == b"too long"
    socket.send(b" " * (limits.FRAME_BYTES + options.HEAD_ROOM_BYTES + 1))
    until(lambda: not clients.send(identity, b"still there?"))
    assert clients.receive(10) == []
    other.send(b"undisturbed")
    assert requests(clients)[0][1] == b"undisturbed"


GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: raft-0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"\xff" * 10_000,
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01NULL" + b"\xff" * 5000,
    b"\n" * 5000,
]


@pytest.mark.parametrize("garbage", [*GARBAGE, Random(1).randbytes(20_000)], ids=range(6))
def test_garbage_at_the_ports_disturbs_nobody(
    connect: Connect, peers: PeerServer, clients: ClientServer, garbage: bytes
) -> None:
    # libzmq takes some garbage for its oldest protocol, so it may arrive, as garbage.
    good_client, good_peer = connect(clients), connect(peers)
    good_client.send(b"before")
    requests(clients)
    strangers = [tcp.create_connection(("127.0.0.1", s.port), DEADLINE_S) for s in (peers, clients)]
    try:
        for stranger in strangers:
            stranger.sendall(garbage)
        good_client.send(GOOD_REQUEST)
        good_peer.send_multipart(GOOD_MESSAGE)
        frames, messages = [], []
        while GOOD_REQUEST not in frames:
            frames += [frame for _, frame in requests(clients)]
        while GOOD_MESSAGE not in messages:
            messages += collect(lambda: peers.receive(1000))
    finally:
        for stranger in strangers:
            stranger.close()
    assert [frame for frame in frames if is_request(frame)] == [GOOD_REQUEST]
    assert [message for message in messages if is_message(message)] == [GOOD_MESSAGE]
    connect(clients).send(b"still listening")
    collect(lambda: [r for r in clients.receive(1000) if r[1] == b"still listening"])


GOOD_REQUEST = encode_request(StatusRequest(1))
GOOD_MESSAGE = encode_message(APPEND, CLUSTER)


def is_request(frame: bytes) -> bool:
    try:
        decode_request(frame)
    except WireError:
        return False
    return True


def is_message(frames: list[bytes]) -> bool:
    try:
        decode_peer(frames)
    except WireError:
        return False
    return True


def test_a_silent_connection_is_closed(clients: ClientServer) -> None:
    with tcp.create_connection(("127.0.0.1", clients.port), DEADLINE_S) as stranger:
        greeting = b""
        while chunk := stranger.recv(100):  # the ROUTER's own greeting, and then the end
            greeting += chunk
    assert greeting.startswith(b"\xff")


@pytest.mark.parametrize("server", [PeerServer, ClientServer])
def test_a_taken_port_is_named_with_a_cure(
    context: Context, server: type[PeerServer | ClientServer]
) -> None:
    port = free_ports()
    endpoint = f"tcp://127.0.0.1:{port}"
    with tcp.create_server(("127.0.0.1", port)), pytest.raises(PortTaken) as caught:
        server(context, endpoint)
    assert endpoint in str(caught.value)
    assert "\n" not in str(caught.value)
    server(context, endpoint).close(0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_all_interfaces_are_those_of_both_families(context: Context, host: str) -> None:
    clients = ClientServer(context, "tcp://*:0")
    try:
        with tcp.create_connection((host, clients.port), timeout=DEADLINE_S) as connection:
            assert connection.recv(1) == b"\xff"  # the greeting of ZMTP
    finally:
        clients.close()


@pytest.mark.parametrize(
    "endpoint", ["tcp://192.0.2.1:6000", "tcp://127.0.0.1:99999", "127.0.0.1:6000", "tcp://", ""]
)
def test_an_endpoint_that_cannot_be_listened_on_is_named(context: Context, endpoint: str) -> None:
    with pytest.raises(ListenError) as caught:
        PeerServer(context, endpoint)
    assert not isinstance(caught.value, PortTaken)
    assert isinstance(caught.value, RaftzmqError)
    assert endpoint in str(caught.value)


def test_last_answers_leave_before_the_context_ends(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "LAST_WORDS_MS", 60_000)  # what, not how fast
    with ThreadPoolExecutor(1) as pool, options.node_context() as own:
        server = ClientServer(own, "tcp://127.0.0.1:*")
        # It takes little in before it reads. With IMMEDIATE, as clients have it, what was not read
        # when the connection ends would be lost.
        socket = connect(server, changed={zmq.IMMEDIATE: 0, zmq.RCVHWM: 1})
        socket.send(b"stop")
        [(identity, _)] = requests(server)
        answers = [bytes([number]) * 4_000_000 for number in range(8)]
        assert all(server.send(identity, answer) for answer in answers)
        server.close()
        received = pool.submit(lambda: [socket.recv() for _ in answers])
    assert received.result() == answers


STALLED = """
import socket, struct, time
from raftzmq.transport import options
from raftzmq.transport.servers import ClientServer
from tests.system.zmtp import frame, speak

with options.node_context() as context:
    server = ClientServer(context, "tcp://127.0.0.1:*")
    client = speak(server.port)
    client.setblocking(False)
    try:
        while True:  # until nothing more fits anywhere
            client.send(frame(bytes(1000)) * 1000)
    except BlockingIOError:
        pass
    time.sleep(0.5)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    time.sleep(3)
    print(len(server.receive(1)))
"""


def test_a_client_that_dies_while_the_node_stalls_does_not_take_it_along() -> None:
    """With heartbeats of libzmq, of two seconds here, the process is aborted."""
    script = [sys.executable, "-c", STALLED]
    ran = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "1\n"), ran.stderr
