"""Keys on real sockets: who gets in at which port, whose message it was, and why one does not."""

from __future__ import annotations

import itertools
import socket as tcp
import time
from collections.abc import Callable, Iterator
from threading import Thread
from typing import TypeVar

import pytest
import zmq

from raftzmq.access.key_files import new_pair
from raftzmq.access.keys import KeyPair, Kind, PublicKey
from raftzmq.transport import servers, zap
from raftzmq.transport.curve import CLIENTS, NODES, SEAL_BYTES, Credentials, connect_with
from raftzmq.transport.descriptors import inspect_connection, open_descriptors
from raftzmq.transport.greeting_links import GreetingLinks
from raftzmq.transport.handshakes import Finding, Verdict, inspect
from raftzmq.transport.links import PeerLinks
from raftzmq.transport.options import Context, Socket, client_link
from raftzmq.transport.servers import ClientServer, PeerServer, Received
from raftzmq.transport.zap import ROUTING_ID_BYTES, Handshake, Zap
from tests.transport.loopback import DEADLINE_S, send_through, until

T = TypeVar("T")

ANY = "tcp://127.0.0.1:*"
NODE, SERVER = new_pair(Kind.NODE), new_pair(Kind.SERVER)
USER, OTHER, STRANGER = (new_pair(Kind.USER) for _ in range(3))


class Keyed:
    """The two ports of a node with keys, and the loop that answers handshakes."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.admitted = {(NODES, NODE.public.raw), (CLIENTS, USER.public.raw)}
        self.asked: list[Handshake] = []
        self.zap = Zap(context, self._judge)
        self.nodes = PeerServer(context, ANY, NODE)
        self.clients = ClientServer(context, ANY, SERVER)
        self.sockets: list[Socket] = []

    def _judge(self, handshake: Handshake) -> str | None:
        self.asked.append(handshake)
        admitted = (handshake.domain, handshake.key) in self.admitted
        return f"rzu{handshake.key.hex()}" if admitted else None

    def connect(
        self,
        own: KeyPair | None,
        server: PublicKey,
        endpoint: str = "",
        identity: bytes | None = None,
    ) -> Socket:
        socket = self.context.socket(zmq.DEALER)
        self.sockets.append(socket)
        client_link(socket)
        connect_with(socket, None if own is None else Credentials(own, server))
        if identity is not None:
            socket.set(zmq.ROUTING_ID, identity)
        socket.connect(endpoint or self.clients.endpoint)
        return socket

    def until(self, ready: Callable[[], T]) -> T:
        """As `until`, while handshakes are answered."""

        def answered() -> T:
            self.zap.answer()
            return ready()

        return until(answered)

    def received(self) -> list[Received]:
        self.zap.answer()
        return self.clients.receive(100)

    def goes_through(self, socket: Socket, frame: bytes = b"x") -> str:
        """Send as soon as the socket is connected; return who the node says has sent it."""
        send_through(socket, frame, self.zap.answer)
        [(_, got, user, _)] = until(self.received)
        assert got == frame
        return user

    def stays_out(self, socket: Socket) -> None:
        """Nothing is sent, however often handshakes are answered."""
        refused = self.zap.counters["refused"]
        self.until(lambda: self.zap.counters["refused"] > refused)
        with pytest.raises(zmq.Again):
            socket.send(b"x", zmq.NOBLOCK)
        assert self.received() == []

    def inspected(
        self, own: KeyPair | None, *servers: KeyPair, endpoint: str | None = None
    ) -> Finding:
        """What an inspection finds, while handshakes are answered."""
        address = (endpoint or self.clients.endpoint).removeprefix("tcp://")
        found: list[Finding] = []
        publics = [server.public for server in servers]
        thread = Thread(target=lambda: found.append(inspect(address, own, publics)))
        thread.start()
        self.until(lambda: found)
        thread.join()
        return found[0]

    def close(self) -> None:
        for socket in [*self.sockets, self.nodes.socket, self.clients.socket, self.zap.socket]:
            socket.close(linger=0)


@pytest.fixture
def keyed(context: Context) -> Iterator[Keyed]:
    keyed = Keyed(context)
    yield keyed
    keyed.close()


@pytest.fixture
def choosing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections have the routing ids that they choose: should that ever come back, nothing of
    this depends on the ids."""
    monkeypatch.setattr(zap, "_routing_id", bytes)


def test_a_message_comes_with_the_key_of_who_sent_it(keyed: Keyed) -> None:
    keyed.admitted.add((CLIENTS, OTHER.public.raw))
    for user in (USER, OTHER):
        assert keyed.goes_through(keyed.connect(user, SERVER.public)) == str(user.public)


@pytest.mark.usefixtures("choosing")
def test_whose_message_it_is_does_not_depend_on_the_identity(keyed: Keyed) -> None:
    """Connections, one after the other, choose the same identity, and get the same descriptor."""
    keyed.admitted.add((CLIENTS, OTHER.public.raw))
    for user in (USER, OTHER, USER, OTHER):

        def sent(user: KeyPair = user) -> list[Received]:
            """A connection is ignored while libzmq has not forgotten the one before."""
            socket = keyed.context.socket(zmq.DEALER)
            client_link(socket)
            connect_with(socket, Credentials(user, SERVER.public))
            socket.set(zmq.ROUTING_ID, b"chosen")
            socket.connect(keyed.clients.endpoint)
            keyed.until(lambda: socket.poll(1, zmq.POLLOUT))
            socket.send(b"x")
            socket.close(1000)
            end = time.monotonic() + 0.5
            received: list[Received] = []
            while not received and time.monotonic() < end:
                received = keyed.received()
            return received

        assert until(sent) == [(b"chosen", b"x", str(user.public), "")]


@pytest.mark.usefixtures("choosing")
def test_what_was_asked_for_is_not_told_on_the_next_connection_of_that_name(keyed: Keyed) -> None:
    keyed.admitted.add((CLIENTS, OTHER.public.raw))
    first = keyed.connect(USER, SERVER.public, identity=b"chosen")
    keyed.goes_through(first)
    assert keyed.clients.tell(b"chosen", b"to the first")
    assert first.poll(int(DEADLINE_S * 1000))
    first.close(0)
    assert until(lambda: not keyed.clients.tell(b"chosen", b"nobody's")), "it has ended"

    def of_that_name() -> Socket | None:
        """A connection is ignored while libzmq has not forgotten the one before."""
        socket = keyed.connect(OTHER, SERVER.public, identity=b"chosen")
        keyed.until(lambda: socket.poll(1, zmq.POLLOUT))
        for _ in range(50):
            assert keyed.received() == []
            keyed.clients.send(b"chosen", b"an answer")
            if socket.poll(10):
                return socket
        socket.close(0)
        return None

    second = until(of_that_name)
    assert second is not None
    assert not keyed.clients.tell(b"chosen", b"secret"), "it has asked for nothing"
    while second.poll(50):
        assert second.recv() == b"an answer"


@pytest.mark.usefixtures("choosing")
def test_of_two_connections_of_one_name_the_end_of_the_first_takes_nothing_from_the_second(
    keyed: Keyed,
) -> None:
    traffic = keyed.clients.traffic
    socket = keyed.connect(USER, SERVER.public, identity=b"chosen")
    keyed.goes_through(socket)
    descriptor = traffic.descriptor_of(b"chosen")
    assert descriptor is not None
    traffic.took(descriptor + 1000, b"chosen", 1)
    traffic.took(descriptor, b"chosen", 1)
    traffic.took(descriptor + 1000, b"another", 1)
    assert not keyed.clients.tell(b"another", b"there is no such connection")
    keyed.goes_through(socket)
    assert traffic.descriptor_of(b"chosen") == descriptor


def test_nobody_who_is_let_in_chooses_a_routing_id(keyed: Keyed) -> None:
    """Not the one that libzmq would give to a later connection, and not somebody else's."""
    chosen = b"\0\0\0\0\1"
    sockets = [
        keyed.connect(USER, SERVER.public, identity=identity)
        for identity in (chosen, chosen, None, None)
    ]
    for socket in sockets:
        keyed.until(lambda socket=socket: socket.poll(1, zmq.POLLOUT))  # type: ignore[misc]
        socket.send(b"x")
    ids: list[bytes] = []

    def all_heard() -> bool:
        ids.extend(received[0] for received in keyed.received())
        return len(ids) == len(sockets)

    until(all_heard)
    assert len(set(ids)) == len(sockets)
    assert {len(identity) for identity in ids} == {ROUTING_ID_BYTES}
    for identity in ids:
        assert keyed.clients.send(identity, b"answer")
    for socket in sockets:
        assert keyed.until(lambda socket=socket: socket.poll(1))  # type: ignore[misc]


@pytest.mark.parametrize("size", [1, 200, 300, 70_000])
def test_what_a_message_takes_on_the_wire_is_known_to_the_byte(keyed: Keyed, size: int) -> None:
    """Otherwise the difference would add up, until the guard took it for something that waits."""
    socket = keyed.connect(USER, SERVER.public)
    keyed.goes_through(socket)
    [descriptor] = [
        number
        for number in open_descriptors()
        if (seen := inspect_connection(number)) and seen.port == keyed.clients.port
    ]
    before = inspect_connection(descriptor)
    for _ in range(100):
        socket.send(bytes(size))
    received: list[Received] = []

    def all_received() -> bool:
        received.extend(keyed.received())
        return len(received) == 100

    until(all_received)
    after = inspect_connection(descriptor)
    assert before
    assert after
    assert after.read - before.read == 100 * servers._wire_bytes(size + SEAL_BYTES)


def test_every_part_of_a_message_counts_as_one_users(keyed: Keyed) -> None:
    socket = keyed.connect(USER, SERVER.public)
    assert keyed.goes_through(socket) == str(USER.public)
    socket.send_multipart([b"two", b"parts"])
    [(_, frame, user, _)] = until(keyed.received)
    assert (frame, user) == (b"", str(USER.public))


def test_an_unknown_key_stays_out(keyed: Keyed) -> None:
    keyed.stays_out(keyed.connect(STRANGER, SERVER.public))
    assert keyed.asked[0].address == "127.0.0.1"
    assert keyed.zap.counters == {"refused": 1}


def test_a_users_key_stays_out_of_the_nodes_port_and_a_nodes_of_the_clients(
    keyed: Keyed,
) -> None:
    """Which port it is says the domain alone: the key is valid at the other."""
    keyed.stays_out(keyed.connect(USER, NODE.public, keyed.nodes.endpoint))
    keyed.stays_out(keyed.connect(NODE, SERVER.public))
    assert [one.domain for one in keyed.asked] == [NODES, CLIENTS]
    assert keyed.nodes.receive(100) == []


def test_nobody_gets_in_without_a_handler(context: Context) -> None:
    server = ClientServer(context, ANY, SERVER)
    socket = context.socket(zmq.DEALER)
    client_link(socket)
    connect_with(socket, Credentials(USER, SERVER.public))
    monitor = socket.get_monitor_socket(
        zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    )
    socket.connect(server.endpoint)
    assert monitor.poll(int(DEADLINE_S * 1000))
    event = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
    assert event != zmq.EVENT_HANDSHAKE_SUCCEEDED
    assert server.receive(10) == []
    socket.disable_monitor()
    for one in (monitor, socket, server.socket):
        one.close(linger=0)


@pytest.mark.parametrize(
    ("own", "servers", "verdict"),
    [
        (USER, [SERVER], Verdict.FINE),
        (USER, [OTHER, SERVER], Verdict.FINE),
        (None, [], Verdict.WANTS_KEY),
        (STRANGER, [SERVER], Verdict.UNKNOWN_KEY),
        (USER, [OTHER], Verdict.FOREIGN),
        (USER, [OTHER, STRANGER], Verdict.FOREIGN),
    ],
)
def test_an_inspection_says_what_is_wrong(
    keyed: Keyed, own: KeyPair | None, servers: list[KeyPair], verdict: Verdict
) -> None:
    finding = keyed.inspected(own, *servers)
    assert finding.verdict is verdict
    if verdict is Verdict.FINE:
        assert finding.server == SERVER.public


def test_an_inspection_of_a_node_without_keys(keyed: Keyed, clients: ClientServer) -> None:
    assert keyed.inspected(USER, SERVER, endpoint=clients.endpoint) == Finding(Verdict.PLAIN)
    assert keyed.inspected(None, endpoint=clients.endpoint) == Finding(Verdict.FINE)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 64])
def test_an_inspection_of_what_is_no_node(keyed: Keyed, answer: bytes) -> None:
    with tcp.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):  # it is looked at twice
                connection, _ = server.accept()
                with connection:
                    connection.recv(64)
                    connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        assert keyed.inspected(USER, SERVER, endpoint=endpoint).verdict is Verdict.FOREIGN
        thread.join()
    assert keyed.inspected(USER, SERVER, endpoint=endpoint).verdict is Verdict.SILENT


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_inspection_without_a_key_takes_no_end_of_a_connection_for_a_wanted_key(
    keyed: Keyed, answer: bytes
) -> None:
    """A forwarded port accepts, and ends the connection, as long as nobody listens behind it."""
    with tcp.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        assert keyed.inspected(None, endpoint=endpoint).verdict is Verdict.SILENT
        thread.join()


@pytest.mark.parametrize(
    "question",
    [
        [b"id"],
        [b"id", b""],
        [b"id", b"", b"1.0", b"1", b"clients", b"::1", b"", b"CURVE"],
        [b"id", b"", b"1.0", b"1", b"clients", b"::1", b"", b"CURVE", b"short"],
        [b"id", b"", b"2.0", b"1", b"clients", b"::1", b"", b"CURVE", bytes(32)],
        [b"id", b"", b"1.0", b"1", b"clients", b"::1", b"", b"NULL"],
        [b"id", b"", b"1.0", b"1", b"clients", b"::1", b"", b"PLAIN", b"user", b"password"],
        [b"id", b"", b"1.0", b"1", b"\xff\xfe", b"\xff", b"", b"CURVE", bytes(32)],
        [b"id", b"", b"1.0", b"1", b"clients", b"::1", b"", b"CURVE", bytes(32), b"more"],
    ],
)
def test_a_strange_question_is_answered_with_no(keyed: Keyed, question: list[bytes]) -> None:
    asker = keyed.context.socket(zmq.DEALER)
    asker.connect(zap.ENDPOINT)
    asker.send_multipart(question[1:] or [b""])
    answer = keyed.until(lambda: asker.poll(1) and asker.recv_multipart())
    assert isinstance(answer, list)
    assert answer[3] == b"400"
    asker.close(0)


def test_a_cut_reaches_the_connections_of_a_user_and_no_others(keyed: Keyed) -> None:
    keyed.admitted.add((CLIENTS, OTHER.public.raw))
    gone, stays = (keyed.connect(user, SERVER.public) for user in (USER, OTHER))
    for socket in (gone, stays):
        keyed.goes_through(socket)
    keyed.admitted.discard((CLIENTS, USER.public.raw))
    assert keyed.clients.cut({str(USER.public)}) == 1
    keyed.stays_out(gone)
    stays.send(b"still here")
    [(_, frame, user, _)] = until(keyed.received)
    assert (frame, user) == (b"still here", str(OTHER.public))


def test_a_port_that_is_bound_with_another_key_ends_its_connections(keyed: Keyed) -> None:
    old = keyed.connect(USER, SERVER.public)
    keyed.goes_through(old)
    new = new_pair(Kind.SERVER)
    endpoint = keyed.clients.endpoint
    keyed.clients.rebind(new)
    assert keyed.clients.endpoint == endpoint
    keyed.goes_through(keyed.connect(USER, new.public))
    assert keyed.inspected(USER, SERVER).verdict is Verdict.FOREIGN
    until(lambda: not old.poll(1, zmq.POLLOUT))


def test_links_prove_themselves_and_take_only_who_does(
    keyed: Keyed, links: PeerLinks, peers: PeerServer
) -> None:
    links.use_keys(NODE, [NODE.public])
    links.set_address("raft-1", keyed.nodes.endpoint.removeprefix("tcp://"))
    links.set_address("raft-2", peers.endpoint.removeprefix("tcp://"))

    def arrived() -> bool:
        keyed.zap.answer()
        links.send("raft-2", [b"plain", b""])
        return links.send("raft-1", [b"a", b"b"]) and keyed.nodes.receive(1) == [[b"a", b"b"]]

    until(arrived)
    assert links.is_up("raft-1")
    assert not links.is_up("raft-2")
    assert peers.receive(10) == []


def test_a_link_takes_another_accepted_key_where_it_is_told_to(
    keyed: Keyed, links: PeerLinks
) -> None:
    new = new_pair(Kind.NODE)
    links.use_keys(NODE, [new.public, NODE.public])
    links.set_address("raft-1", keyed.nodes.endpoint.removeprefix("tcp://"))
    found = keyed.inspected(NODE, new, NODE, endpoint=keyed.nodes.endpoint)
    assert found == Finding(Verdict.FINE, NODE.public)
    assert links.expected("raft-1") == new.public
    links.expect("raft-1", found.server)
    keyed.until(lambda: links.is_up("raft-1"))


def test_an_answer_to_a_hello_reaches_a_node_that_has_the_second_accepted_key(
    keyed: Keyed, context: Context
) -> None:
    greetings = GreetingLinks(context)
    greetings.use_keys(NODE, [new_pair(Kind.NODE).public, NODE.public])
    address = keyed.nodes.endpoint.removeprefix("tcp://")
    now_ms = itertools.count(0, 5)
    try:
        keyed.until(lambda: greetings.send(address, [b"welcome"], next(now_ms)))
        assert keyed.until(lambda: keyed.nodes.receive(1)) == [[b"welcome"]]
    finally:
        greetings.close()
