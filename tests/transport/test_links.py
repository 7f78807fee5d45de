"""Links between nodes, over real sockets: what arrives, and what must not."""

from __future__ import annotations

import time

import pytest
import zmq

from raftzmq.errors import InvalidRequest, PortTaken
from raftzmq.transport import options
from raftzmq.transport.links import PeerLinks
from raftzmq.transport.options import Context, node_context
from raftzmq.transport.peer_wire import Envelope, decode_peer, encode_message
from raftzmq.transport.servers import ClientServer, PeerServer
from tests.system.ports import free_ports
from tests.transport.loopback import collect, until
from tests.transport.samples import APPEND, CLUSTER


def at(server: PeerServer) -> str:
    return f"127.0.0.1:{server.port}"


def arrivals(server: PeerServer, count: int) -> list[list[bytes]]:
    """The next `count` messages."""
    return collect(lambda: server.receive(1000), count)


def drive(links: PeerLinks, name: str, server: PeerServer, text: bytes) -> list[list[bytes]]:
    """Send `text` until something arrives; what arrived."""
    return until(
        lambda: [m for _ in range(links.send(name, [text]) + 1) for m in server.receive(9)]
    )


def test_messages_arrive_whole_and_in_order(links: PeerLinks, peers: PeerServer) -> None:
    links.set_address("raft-1", at(peers))
    until(lambda: links.send("raft-1", [b"first"]))
    sent = [[b"%d" % number, b"body" * number] for number in range(50)]
    assert all(links.send("raft-1", frames) for frames in sent)
    assert arrivals(peers, 51) == [[b"first"], *sent]
    assert links.counters["sent"] == 51
    assert peers.counters == {"received": 51}


def test_a_raft_message_crosses_a_real_link(links: PeerLinks, peers: PeerServer) -> None:
    links.set_address("raft-1", at(peers))
    until(lambda: links.send("raft-1", encode_message(APPEND, CLUSTER)))
    assert decode_peer(arrivals(peers, 1)[0]) == Envelope(CLUSTER, APPEND)


def test_a_peer_without_an_address_gets_nothing(links: PeerLinks, peers: PeerServer) -> None:
    assert not links.send("raft-1", [b"x"])
    links.renew("raft-1")
    assert not links.send("raft-1", [b"x"])
    links.set_address("raft-1", at(peers))
    until(lambda: links.send("raft-1", [b"y"]))
    links.drop("raft-1")
    assert not links.send("raft-1", [b"x"])
    assert links.address("raft-1") is None
    assert links.counters["no_address"] == 3


@pytest.mark.parametrize("address", ["", "raft-1", "raft-1:0", "a;b:6000", "tcp://raft-1:6000"])
def test_what_is_no_address_is_refused(links: PeerLinks, address: str) -> None:
    with pytest.raises(InvalidRequest):
        links.set_address("raft-1", address)
    assert links.address("raft-1") is None


def test_a_dead_peer_finds_no_old_messages_when_it_returns(
    context: Context, links: PeerLinks
) -> None:
    first = PeerServer(context, f"tcp://127.0.0.1:{free_ports()}")
    links.set_address("raft-1", at(first))
    until(lambda: links.send("raft-1", [b"before"]))
    first.close(0)
    until(lambda: not links.send("raft-1", [b"dying"]))
    assert not any(links.send("raft-1", [b"stale"]) for _ in range(100))
    assert links.counters["would_block"] >= 100
    again = reopened(context, first.endpoint)
    arrived = drive(links, "raft-1", again, b"fresh")
    assert {message[0] for message in arrived} == {b"fresh"}
    again.close(0)


def reopened(context: Context, endpoint: str) -> PeerServer:
    """A new server where there was one; the old one lets go of its port a moment after its end."""

    def attempt() -> list[PeerServer]:
        try:
            return [PeerServer(context, endpoint)]
        except PortTaken:
            return []

    return until(attempt)[0]


def test_a_peer_that_never_existed_costs_nothing_but_a_refusal(links: PeerLinks) -> None:
    links.set_address("raft-1", "127.0.0.1:1")
    links.set_address("raft-2", "no-such-host.invalid:6000")
    for _ in range(200):
        assert not links.send("raft-1", [b"x"])
        assert not links.send("raft-2", [b"x"])
    assert links.counters == {"would_block": 400}


def test_a_peer_that_moved_is_found_at_its_new_address(
    context: Context, links: PeerLinks, peers: PeerServer
) -> None:
    old = PeerServer(context, "tcp://127.0.0.1:*")
    links.set_address("raft-1", at(old))
    drive(links, "raft-1", old, b"there")
    links.set_address("raft-1", at(peers))
    assert drive(links, "raft-1", peers, b"here")[0] == [b"here"]
    assert [b"here"] not in old.receive(1000)
    old.close(0)


def test_a_renewed_link_delivers_again(links: PeerLinks, peers: PeerServer) -> None:
    links.set_address("raft-1", at(peers))
    drive(links, "raft-1", peers, b"one")
    links.renew("raft-1")
    until(lambda: links.send("raft-1", [b"two"]))
    until(lambda: [b"two"] in peers.receive(1000))
    assert links.counters["renewed"] == 1


def test_the_same_address_again_leaves_the_link_alone(links: PeerLinks, peers: PeerServer) -> None:
    links.set_address("raft-1", at(peers))
    until(lambda: links.send("raft-1", [b"one"]))
    links.set_address("raft-1", at(peers))
    assert links.send("raft-1", [b"two"])
    assert arrivals(peers, 2) == [[b"one"], [b"two"]]


def test_a_peer_that_does_not_read_fills_its_link_and_no_other(
    context: Context, links: PeerLinks, peers: PeerServer
) -> None:
    stalled = context.socket(zmq.ROUTER)  # a PeerServer would hold more
    stalled.set(zmq.RCVHWM, options.PEER_HIGH_WATER)
    port = stalled.bind_to_random_port("tcp://127.0.0.1")
    links.set_address("raft-1", f"127.0.0.1:{port}")
    links.set_address("raft-2", at(peers))
    until(lambda: links.send("raft-1", [b"x"]) and links.send("raft-2", [b"x"]))
    peers_got = arrivals(peers, 1)
    big = bytes(64 * 1024)
    taken = sum(links.send("raft-1", [b"big", big]) for _ in range(2000))
    # What the queues of both sides hold, and the kernel's buffers: 16 MB are more than it gives.
    assert taken <= 2 * options.PEER_HIGH_WATER + 256
    for _ in range(20):
        links.send("raft-1", [b"big", big])
        assert links.send("raft-2", [b"small"])
    arrivals(peers, 21 - len(peers_got))
    stalled.close(linger=0)


def test_a_full_link_takes_messages_again_as_soon_as_there_is_room(
    links: PeerLinks, peers: PeerServer
) -> None:
    # At most 60 on their way, and libzmq tells of room after 64 of 128: never full.
    links.set_address("raft-1", at(peers))
    until(lambda: links.send("raft-1", [b"x"]))
    arrivals(peers, 1)
    refused_before = links.counters["would_block"]
    poller = zmq.Poller()
    poller.register(peers.socket, zmq.POLLIN)
    sent = received = 0
    while received < 3000:
        while sent - received < 60:
            assert links.send("raft-1", [b"message"])
            sent += 1
        assert poller.poll(60_000)
        received += len(peers.receive(1000))
    assert links.counters["would_block"] == refused_before


def test_every_link_has_an_io_thread_to_itself_and_keeps_it(
    links: PeerLinks,
    peers: PeerServer,
    clients: ClientServer,
    chosen: list[int],
) -> None:
    for number in range(options.LINK_THREADS):
        links.set_address(f"raft-{number}", "127.0.0.1:1")
    listening = [int(server.socket.get(zmq.AFFINITY)) for server in (peers, clients)]
    assert len({*listening, *chosen}) == options.LINK_THREADS + 2
    links.renew("raft-3")
    links.set_address("raft-3", "127.0.0.1:2")
    assert chosen[-2:] == [chosen[3]] * 2
    links.drop("raft-2")
    links.set_address("raft-9", "127.0.0.1:1")
    assert chosen[-1] == chosen[2]


def test_a_context_ends_though_a_socket_is_still_open() -> None:
    began = time.monotonic()
    with node_context() as context:
        socket = context.socket(zmq.DEALER)
    assert time.monotonic() - began < 60
    socket.close(0)


def test_a_connection_to_where_a_peer_was_is_soon_given_up(context: Context) -> None:
    with context.socket(zmq.DEALER) as socket:
        options.peer_link(socket, 0)
        # A moved peer must be found within 5 s. Its own words come at once, so its silence does
        # not renew the link, and nothing else does.
        assert 0 < int(socket.get(zmq.TCP_MAXRT)) <= 2_500


def test_a_link_to_a_name_keeps_the_socket_that_was_connected_first(
    links: PeerLinks, peers: PeerServer
) -> None:
    links.set_address("raft-1", f"localhost:{peers.port}")
    until(lambda: links.send("raft-1", [b"first"]))
    assert all(links.send("raft-1", [b"%d" % number]) for number in range(50))
    assert arrivals(peers, 51) == [[b"first"], *([b"%d" % number] for number in range(50))]
    assert not links._rivals
