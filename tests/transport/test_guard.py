"""What a connection may cost: too much of it in memory, or too many of them, and it is cut; who
sends whole messages and reads the answers is left alone."""

from __future__ import annotations

import socket as tcp
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from raftzmq import limits
from raftzmq.transport import traffic as rules
from raftzmq.transport.descriptors import Seen, cut_connection, hold_back, inspect_connection
from raftzmq.transport.guard import STANDING_BYTES, Guard
from raftzmq.transport.servers import ClientServer, PeerServer
from raftzmq.transport.traffic import Traffic
from tests.system import zmtp
from tests.transport.loopback import Connect, collect, until

MB = 1024 * 1024
SO_DETACH_FILTER = 27


class Watched:
    """A Guard of a port that looks once a turn, and the loop that a node would run."""

    def __init__(self, server: PeerServer | ClientServer) -> None:
        self.server = server
        self.reasons: list[str] = []
        self._guard = Guard([server.traffic])

    @property
    def connections(self) -> int:
        return len(self.server.traffic.connections)

    def turn(self) -> list[object]:
        received: list[object] = list(self.server.receive(1000))
        self._guard.look(0, 0)
        self.reasons += self._guard.cuts()
        return received


@pytest.fixture
def watched(clients: ClientServer) -> Watched:
    return Watched(clients)


@pytest.fixture
def stranger(clients: ClientServer) -> Iterator[Callable[..., tcp.socket]]:
    """Opens raw connections to the client port, and closes them."""
    opened: list[tcp.socket] = []

    def open_one(*first: bytes) -> tcp.socket:
        """Without `first` bytes, a completed handshake."""
        opened.append(zmtp.connect(clients.port, *first) if first else zmtp.speak(clients.port))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


def is_cut(connection: tcp.socket) -> bool:
    """Whether the other side has ended it."""
    connection.settimeout(0.01)
    with suppress(TimeoutError):
        try:
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
        return True
    return False


def send(connection: tcp.socket, watched: Watched, data: bytes) -> None:
    """Send all of it, or until it is cut, while the server runs."""
    left = memoryview(data)
    connection.settimeout(0.01)
    while left and "endless" not in watched.reasons:
        with suppress(TimeoutError):
            try:
                left = left[connection.send(left[: 256 * 1024]) :]
            except ConnectionError:
                return
        watched.turn()


def test_a_message_without_end_is_cut_and_others_are_not(
    connect: Connect, watched: Watched, stranger: Callable[..., tcp.socket]
) -> None:
    good = connect(watched.server)
    endless = stranger()
    send(endless, watched, zmtp.frame(bytes(MB), 1) * 64)
    until(lambda: watched.turn() or is_cut(endless))
    assert set(watched.reasons) == {"endless"}
    good.send(b"still here")
    collect(watched.turn)
    assert watched.server.counters["endless"] == 1


def test_a_longest_message_sent_again_and_again_is_no_message_without_end(
    connect: Connect, watched: Watched
) -> None:
    good = connect(watched.server)
    frame = bytes(limits.FRAME_BYTES)
    for _ in range(6):
        good.send(frame)
        collect(watched.turn)
    assert not watched.reasons


def test_one_that_talked_before_may_still_not_send_a_message_without_end(
    watched: Watched, stranger: Callable[..., tcp.socket]
) -> None:
    connection = stranger()
    for _ in range(20):
        send(connection, watched, zmtp.frame(bytes(MB)))
    send(connection, watched, zmtp.frame(bytes(MB), 1) * 64)
    until(lambda: watched.turn() or is_cut(connection))
    assert watched.server.counters["endless"] == 1


def test_many_unfinished_messages_together_are_too_heavy(
    watched: Watched, stranger: Callable[..., tcp.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "INCOMPLETE_BYTES", 4 * MB)
    light = stranger()
    send(light, watched, zmtp.frame(bytes(MB), 1))
    heavy = [stranger() for _ in range(3)]
    for connection in heavy:
        send(connection, watched, zmtp.frame(bytes(MB), 1) * 2)
    until(lambda: watched.turn() or any(is_cut(connection) for connection in heavy))
    assert set(watched.reasons) == {"heavy"}
    assert not is_cut(light)


def test_who_sent_a_message_of_very_many_parts_is_cut(
    watched: Watched, stranger: Callable[..., tcp.socket]
) -> None:
    connection = stranger()
    connection.sendall(zmtp.frame(b"", 1) * 5000 + zmtp.frame(b"") + zmtp.frame(b"x"))
    until(lambda: watched.turn() or watched.reasons)
    assert watched.reasons == ["many_parts"]
    assert until(lambda: is_cut(connection))


def test_a_very_long_message_is_skipped_a_piece_at_a_time(
    clients: ClientServer, stranger: Callable[..., tcp.socket]
) -> None:
    stranger().sendall(zmtp.frame(b"", 1) * 5000 + zmtp.frame(b"") + zmtp.frame(b"next"))
    assert [frame for _, frame, *_ in collect(lambda: clients.receive(10))] == [b""]
    assert clients.receive(10) == []
    assert [frame for _, frame, *_ in collect(lambda: clients.receive(10))] == [b"next"]
    assert clients.counters["parts"] == 1


@pytest.mark.parametrize("old", [b"\x01\x00", b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00"])
def test_protocols_older_than_3_are_heard_by_nobody(
    connect: Connect, clients: ClientServer, stranger: Callable[..., tcp.socket], old: bytes
) -> None:
    stranger(old, b"\x03\x00hi" if old == b"\x01\x00" else zmtp.frame(b"hi"))
    until(lambda: clients.receive(10) or clients.counters["strange"])
    connect(clients).send(b"new")
    assert [frame for _, frame, *_ in collect(lambda: clients.receive(10))] == [b"new"]


def test_in_a_crowd_those_silent_for_longest_are_cut(
    connect: Connect,
    clients: ClientServer,
    stranger: Callable[..., tcp.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "CONNECTIONS", 10)
    clients.traffic = Traffic(clients.port, clients.counters)
    watched = Watched(clients)
    silent = [stranger() for _ in range(5)]
    until(lambda: watched.turn() or watched.connections == 5)
    talking = [connect(clients) for _ in range(8)]
    for socket in talking:
        socket.send(b"x")
    [*_] = collect(watched.turn, 8)
    until(lambda: watched.turn() or len(watched.reasons) >= 3)
    assert sum(is_cut(connection) for connection in silent) == 3
    for socket in talking:
        socket.send(b"y")
    collect(watched.turn, 8)


def test_answers_wait_for_one_who_does_not_read_only_up_to_a_bound(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "ANSWERS_BYTES", 64 * MB)
    clients = watched.server
    assert isinstance(clients, ClientServer)
    with zmtp.speak(clients.port) as reader:  # a socket of libzmq would read on its own
        reader.settimeout(60)
        reader.sendall(zmtp.frame(b"x"))
        [(identity, *_)] = collect(lambda: clients.receive(10))
        watched.turn()
        answer = bytes(4 * MB)
        accepted = 0
        while clients.send(identity, answer):
            accepted += 1
            watched.turn()
            assert accepted < 200
        assert clients.counters["would_block"] == 1
        assert clients.counters["sent"] == accepted
        # Whoever reads may have as much again, for ever.
        left = accepted * len(zmtp.frame(answer))
        while left:
            read = len(reader.recv(min(left, MB)))
            assert read
            left -= read
        until(lambda: watched.turn() or clients.send(identity, answer))
        assert not watched.reasons


def test_while_the_node_stands_still_nothing_comes_in_beyond_a_bound_and_afterwards_all_of_it(
    clients: ClientServer, stranger: Callable[..., tcp.socket]
) -> None:
    if not may_filter():
        pytest.skip("this kernel allows filters to a process with CAP_NET_ADMIN only")
    watched = Guard([clients.traffic])
    each = 30  # MiB, which is not too much of one connection
    senders = {stranger(): memoryview(zmtp.frame(bytes(MB)) * each) for _ in range(16)}
    watched.start()
    try:
        for sender in senders:
            sender.setblocking(False)
        last = time.monotonic()
        while time.monotonic() - last < 1:
            moved = [_send_some(senders, sender) for sender in senders]
            if any(moved):
                last = time.monotonic()
        left = sum(map(len, senders.values()))
        print(f"{16 * each - left // MB} MiB sent, {STANDING_BYTES // MB} allowed")
        assert left > 0
        received = 0
        while received < 16 * each:
            received += len(clients.receive(100))
            for sender in senders:
                _send_some(senders, sender)
        assert not watched.cuts()
        watched.check()
    finally:
        watched.close()
    with pytest.raises(RuntimeError, match="guards the connections"):
        watched.check()


def may_filter() -> bool:
    """Whether the kernel lets this process do what hold_back needs."""
    with tcp.socket() as own:
        own.bind(("127.0.0.1", 0))
        hold_back([own.getsockname()[1]], held=True)
        try:
            own.setsockopt(tcp.SOL_SOCKET, SO_DETACH_FILTER, bytes(4))
        except OSError:  # there is none
            return False
    return True


def _send_some(senders: dict[tcp.socket, memoryview], sender: tcp.socket) -> bool:
    """Send what there is room for. Returns whether there was any."""
    with suppress(BlockingIOError):
        sent = sender.send(senders[sender][:MB])
        senders[sender] = senders[sender][sent:]
        return sent > 0
    return False


# -- the arithmetic, without sockets ---------------------------------------------------------------


def judged(traffic: Traffic, *read: int, acked: int = 0) -> None:
    """A look at connections of descriptors that nobody has, each of which has sent so much."""
    seen = {10**6 + n: Seen(b"%08d" % n, 1, acked, size) for n, size in enumerate(read)}
    traffic.begin_look()
    traffic.judge(0, seen)


def test_who_does_not_read_is_sent_no_more_than_the_sender_says_and_then_more_again(
    connect: Connect, clients: ClientServer
) -> None:
    guard = Guard([clients.traffic])
    socket = connect(clients)
    socket.send(b"x")
    [(identity, *_)] = collect(lambda: clients.receive(10))
    guard.look(0, 0)
    event, unread = b"e" * 1_000_000, 3_000_000
    assert clients.send(identity, b"l" * 5_000_000, unread), "one alone may be longer"
    # What the kernels have room for counts as read.
    sent = 0
    while clients.send(identity, event, unread):
        sent += 1
    assert sent < 50
    assert clients.send(identity, b"an answer, which may wait for longer")
    assert len(socket.recv()) == 5_000_000
    for _ in range(sent):
        assert socket.recv() == event
    assert socket.recv().startswith(b"an answer")
    until(lambda: clients.send(identity, event, unread))


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that are cut, and stay as they are."""
    found: list[int] = []
    monkeypatch.setattr(
        rules, "cut_connection", lambda descriptor, _cookie: found.append(descriptor)
    )
    return found


def test_what_waits_while_the_node_is_busy_is_no_message_without_end(cuts: list[int]) -> None:
    traffic = Traffic(1, Counter())
    for _ in range(3):
        judged(traffic, 2 * rules.MESSAGE_BYTES)
    assert not cuts
    traffic.drained()
    judged(traffic, 2 * rules.MESSAGE_BYTES)
    assert cuts


def test_what_was_forgiven_is_no_credit_for_later(cuts: list[int]) -> None:
    """The part of a message that had come when the one before it was taken counts for nothing, for
    it may have been something else; taken later, it counts once more."""
    traffic = Traffic(1, Counter())
    read = 0
    for _ in range(20):
        read += 100 + 900_000
        judged(traffic, read)
        traffic.took(10**6, b"client", 100)
        traffic.drained()
        judged(traffic, read)
        read += 100_000
        traffic.took(10**6, b"client", 1_000_000)
        traffic.drained()
        judged(traffic, read)
    assert not cuts
    for _ in range(2):
        traffic.drained()
        judged(traffic, read + rules.MESSAGE_BYTES + 1)
    assert cuts


def test_what_connections_that_have_ended_left_behind_counts_until_it_is_taken(
    cuts: list[int],
) -> None:
    traffic = Traffic(1, Counter())
    for _ in range(5):
        judged(traffic, *[rules.WAITING_BYTES // 10] * 2)
        judged(traffic)
    assert not cuts
    judged(traffic, 2 * rules.DRIFT_BYTES)
    assert cuts
    cuts.clear()
    traffic.drained()
    judged(traffic)
    judged(traffic, 2 * rules.DRIFT_BYTES)
    assert not cuts


def test_a_descriptor_used_again_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "cut_connection", lambda *_: pytest.fail("nothing to cut"))
    traffic = Traffic(1, Counter())
    for cookie in (b"1", b"2", b"3"):
        for _ in range(2):
            traffic.begin_look()
            traffic.judge(0, {10**6: Seen(cookie, 1, 0, rules.MESSAGE_BYTES // 2)})
            traffic.drained()
    assert traffic.connections[10**6].incoming == rules.MESSAGE_BYTES // 2


def test_only_the_connection_that_was_meant_is_cut() -> None:
    with tcp.create_server(("127.0.0.1", 0)) as server:
        with tcp.create_connection(server.getsockname()) as one, server.accept()[0] as other:
            assert not cut_connection(one.fileno(), b"another!")
            one.sendall(b"x")
            assert other.recv(10) == b"x"
            seen = inspect_connection(one.fileno())
            assert seen is not None
            assert cut_connection(one.fileno(), seen.cookie)
            assert other.recv(10) == b""
        assert inspect_connection(server.fileno()) is None
    assert inspect_connection(10**6) is None
    assert not cut_connection(10**6, b"nobody's")
