"""Plain and keyed connections at one port, for the time in which a cluster gets its keys.

libzmq can bind a port with one mechanism. So a ROUTER is bound twice on loopback, and a thread
takes the connections of the real port. It answers the first part of the greeting, after which the
other side names its mechanism, and hands everything on to the bind of that mechanism.

This costs a copy of all bytes, and the other side's address. It is not for good: only until all
nodes and clients have keys.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import Final, NamedTuple

from raftzmq.descriptors import most_of_each_kind
from raftzmq.transport.servers import listen_error

FIRST_PART: Final = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03"
"""What every greeting of ZMTP 3 begins with. The bind says it again, and that is dropped."""

MECHANISM: Final = slice(12, 32)
GREETING_S: Final = 3.0
"""How long the other side may take to name its mechanism."""

BUFFER_BYTES: Final = 256 * 1024
"""The most that waits in the thread, each way; then it reads no more from that side."""

CONNECTIONS: Final = 4096
POLL_S: Final = 0.5


class Door(NamedTuple):
    """A port to listen at, tcp://HOST:PORT, and the loopback ports for each mechanism."""

    endpoint: str
    plain: int
    keyed: int


@dataclass(slots=True, eq=False)
class _Side:
    """One of the two sockets of a connection."""

    socket: socket.socket
    other: _Side | None = None
    unsent: bytearray = field(default_factory=bytearray)  # for this socket
    drop: int = 0  # bytes of this socket's still to be dropped
    ended: bool = False  # it has sent everything it ever will


@dataclass(slots=True, eq=False)
class _Greeting:
    """Somebody who has not named a mechanism yet."""

    socket: socket.socket
    door: Door
    until_s: float
    read: bytearray = field(default_factory=bytearray)


class Front:
    """Listens from its making on, and serves in a thread of its own until `close`."""

    def __init__(self, doors: Sequence[Door]) -> None:
        """Raises PortTaken, ListenError."""
        self._selector = selectors.DefaultSelector()
        self._greetings: set[_Greeting] = set()
        self._sides: set[_Side] = set()
        self._most = most_of_each_kind(CONNECTIONS)
        self._ended = False
        self._listeners: list[socket.socket] = []
        try:
            for door in doors:
                listener = _listener(door.endpoint)
                self._listeners.append(listener)
                self._selector.register(listener, selectors.EVENT_READ, door)
        except BaseException:
            self._close_all()
            raise
        self._thread = Thread(target=self._run, name="front", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise RuntimeError if the thread has died."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that takes plain and keyed connections has died")

    def close(self) -> None:
        """End all connections, and listen no more."""
        self._ended = True
        self._thread.join()

    # -- in the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ended:
                for key, events in self._selector.select(POLL_S):
                    what = key.data
                    if isinstance(what, Door) or what in self._greetings or what in self._sides:
                        self._serve(key, events)  # otherwise closed in this very round
                self._end_slow_greetings()
        finally:
            self._close_all()

    def _serve(self, key: selectors.SelectorKey, events: int) -> None:
        what = key.data
        try:
            if isinstance(what, Door):
                assert isinstance(key.fileobj, socket.socket)
                self._accept(key.fileobj, what)
            elif isinstance(what, _Greeting):
                self._greet(what)
            else:
                self._pass_on(what, events)
        except OSError:
            if isinstance(what, _Greeting):
                self._forget_greeting(what)
                what.socket.close()
            elif isinstance(what, _Side):
                self._end(what)

    def _accept(self, listener: socket.socket, door: Door) -> None:
        try:
            accepted, _ = listener.accept()
        except OSError:
            time.sleep(0.01)  # too many files are open: let some end
            return
        if len(self._greetings) + len(self._sides) // 2 >= self._most:
            accepted.close()
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = _Greeting(accepted, door, time.monotonic() + GREETING_S)
        self._greetings.add(greeting)
        self._selector.register(accepted, selectors.EVENT_READ, greeting)
        with contextlib.suppress(OSError):
            accepted.send(FIRST_PART)

    def _greet(self, greeting: _Greeting) -> None:
        part = greeting.socket.recv(MECHANISM.stop - len(greeting.read))
        greeting.read += part
        read = greeting.read
        if not part or (len(read) > 10 and (read[0] != 0xFF or read[9] != 0x7F or read[10] < 3)):
            raise ConnectionAbortedError("not of ZMTP 3")
        if len(read) < MECHANISM.stop:
            return
        keyed = bytes(read[MECHANISM]).rstrip(b"\0") == b"CURVE"
        self._forget_greeting(greeting)
        self._connect(greeting, greeting.door.keyed if keyed else greeting.door.plain)

    def _connect(self, greeting: _Greeting, port: int) -> None:
        outside = _Side(greeting.socket)
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=1)
        except OSError:
            greeting.socket.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inside = _Side(connection, outside, greeting.read, drop=len(FIRST_PART))
        outside.other = inside
        for side in (inside, outside):
            self._sides.add(side)
            self._selector.register(side.socket, selectors.EVENT_READ, side)
        self._flush(inside)

    def _pass_on(self, side: _Side, events: int) -> None:
        other = side.other
        assert other is not None
        if events & selectors.EVENT_READ:
            data = side.socket.recv(BUFFER_BYTES - len(other.unsent))
            if not data:
                side.ended = True
            dropped = min(side.drop, len(data))
            side.drop -= dropped
            other.unsent += data[dropped:]
            self._flush(other)
        if events & selectors.EVENT_WRITE:
            self._flush(side)

    def _flush(self, side: _Side) -> None:
        """Send what waits for a side, and watch for what has to be waited for."""
        other = side.other
        assert other is not None
        if side.unsent:
            try:
                del side.unsent[: side.socket.send(side.unsent)]
            except BlockingIOError:
                pass
            except OSError:
                self._end(side)
                return
        if other.ended and not side.unsent:
            self._end(side)
            return
        for one, its_other in ((side, other), (other, side)):
            wanted = selectors.EVENT_WRITE if one.unsent else 0
            if len(its_other.unsent) < BUFFER_BYTES and not one.ended:
                wanted |= selectors.EVENT_READ
            self._watch(one, wanted)

    def _watch(self, side: _Side, wanted: int) -> None:
        watched = side.socket in self._selector.get_map()
        if not wanted:
            if watched:
                self._selector.unregister(side.socket)
        elif watched:
            self._selector.modify(side.socket, wanted, side)
        else:
            self._selector.register(side.socket, wanted, side)

    def _end(self, side: _Side) -> None:
        for one in (side, side.other):
            if one is not None and one in self._sides:
                self._sides.discard(one)
                self._watch(one, 0)
                one.socket.close()

    def _forget_greeting(self, greeting: _Greeting) -> None:
        self._greetings.discard(greeting)
        self._selector.unregister(greeting.socket)

    def _end_slow_greetings(self) -> None:
        now_s = time.monotonic()
        for greeting in [one for one in self._greetings if one.until_s <= now_s]:
            self._forget_greeting(greeting)
            greeting.socket.close()

    def _close_all(self) -> None:
        for side in list(self._sides):
            self._end(side)
        for greeting in list(self._greetings):
            self._forget_greeting(greeting)
            greeting.socket.close()
        for listener in self._listeners:
            listener.close()
        self._selector.close()


def _listener(endpoint: str) -> socket.socket:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    try:
        if host == "*" and socket.has_dualstack_ipv6():
            address, family, dual = ("::", int(port)), socket.AF_INET6, True
        else:
            bare = "0.0.0.0" if host == "*" else host.strip("[]")
            family = socket.AF_INET6 if ":" in bare else socket.AF_INET
            address, dual = (bare, int(port)), False
        listener = socket.create_server(address, family=family, backlog=1024, dualstack_ipv6=dual)
    except OSError as error:
        raise listen_error(endpoint, error.errno, str(error.strerror)) from None
    listener.setblocking(False)
    return listener
