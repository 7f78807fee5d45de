"""The two ROUTERs of a node, for its peers' messages and its clients' requests.

Anyone who can open a connection can send anything. libzmq delivers a message only when its last
part has come, and bounds neither the number of its parts nor their total size. guard.py bounds what
libzmq holds; this module tells it what was taken and what was handed over. A complete message with
too many parts is read from the socket piece by piece, counted and dropped.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Set
from typing import ClassVar, Final, NamedTuple

import zmq

from raftzmq import limits
from raftzmq.access.keys import KeyPair
from raftzmq.errors import ListenError, PortTaken
from raftzmq.transport import curve, options
from raftzmq.transport.descriptors import cut_connection, inspect_connection
from raftzmq.transport.nonblocking import offer
from raftzmq.transport.options import Context, Socket
from raftzmq.transport.traffic import ANSWERS_BYTES, Traffic

RECEIVE_BYTES: Final = 16 * 1024 * 1024
"""A call of `receive` stops after this many bytes, whatever its budget of messages."""

REBIND_S: Final = 2.0
"""How long a port may take to become free for its own node."""

PIECE_PARTS: Final = 16
"""Parts read at a time of a message with too many: a message can have millions, and each takes a
microsecond."""

IDENTITY_BYTES: Final = 255
"""The longest identity that ZeroMQ lets a connection choose; libzmq does not check it."""

NOBODY: Final = -1
"""Stands for the descriptor of a connection that speaks a protocol older than 3."""


class _Router:
    """A bound ROUTER socket that is read without waiting.

    `socket` is for a zmq.Poller; `endpoint` is where it is bound, with the port in place of a *;
    `counters` say what was done and dropped; `traffic` is for a Guard, which also counts there.
    One thread may use an instance; `traffic` may also be another's.

    With a key it takes only who proves to have a key that the context's Zap admits to its domain;
    `user_id` is then the User-Id of whoever sent the last message that was taken.
    """

    domain: ClassVar[str]

    def __init__(self, socket: Socket, endpoint: str, key: KeyPair | None) -> None:
        self.socket = socket
        self.user_id = ""
        self.wants_addresses = False
        """Whether `address` is then the IP address of that sender: to ask costs a microsecond."""
        self.address = ""
        self._has_users = key is not None
        self._seal = 0 if key is None else curve.SEAL_BYTES
        if key is not None:
            curve.listen_with(socket, key, self.domain)
        self.endpoint = self._keyed = _bind(socket, endpoint)
        self.counters: Counter[str] = Counter()
        self.traffic = Traffic(self.port, self.counters)
        self._tail: tuple[int, bytes] | None = None  # whose message is being skipped
        self._users: dict[int, str] = {}  # by descriptor: only to find whom to cut

    def _take(self) -> list[bytes] | None:
        """Return the next message, the sender's identity first, or None when there is none.

        A message with too many parts comes with empty parts instead. An empty list stands for
        something to ignore: a piece of such a message, or a message in a ZeroMQ protocol older than
        3. No node or client speaks one, but random bytes do.
        """
        if self._tail is not None:
            return self._skip(*self._tail)
        socket = self.socket
        # Asking first is cheaper than the exception for a missing message.
        if not int(socket.get(zmq.EVENTS)) & options.READABLE:
            self.traffic.drained()
            return None
        identity = socket.recv(zmq.NOBLOCK)
        descriptor = self.traffic.descriptor_of(identity)
        parts = [identity]
        size = 0
        while socket.get(zmq.RCVMORE) and len(parts) <= limits.FRAME_PARTS:
            if descriptor is None or self._has_users or self.wants_addresses:
                frame = socket.recv(copy=False)
                if descriptor is None or self._has_users:
                    descriptor = _descriptor(frame)
                if self._has_users:
                    self.user_id = _property(frame, "User-Id")
                if self.wants_addresses:
                    self.address = _property(frame, "Peer-Address")
                part = frame.bytes
            else:
                part = socket.recv()
            parts.append(part)
            size += _wire_bytes(len(part) + self._seal)
        if descriptor is None:
            descriptor = NOBODY
        if socket.get(zmq.RCVMORE):
            self._tail = descriptor, identity
            parts[1:] = [b""] * (limits.FRAME_PARTS + 1)
        if descriptor == NOBODY or len(identity) > IDENTITY_BYTES:
            self.counters["strange"] += 1
            return []
        self.traffic.took(descriptor, identity, size)
        if self._has_users:
            self._users[descriptor] = self.user_id
        return parts

    def _skip(self, descriptor: int, identity: bytes) -> list[bytes]:
        """Forget a piece of a message with too many parts."""
        size = 0
        for _ in range(PIECE_PARTS):
            part = self.socket.recv(copy=False)
            size += _wire_bytes(len(part) + self._seal)
            if not part.more:
                self._tail = None
                break
        else:
            self.traffic.refuse(descriptor)
        if descriptor != NOBODY:
            self.traffic.took(descriptor, identity, size)
        return []

    @property
    def port(self) -> int:
        """The TCP port it is bound to."""
        return int(self.endpoint.rpartition(":")[2])

    def cut(self, user_ids: Set[str]) -> int:
        """Cut the connections on which these have sent something; return how many. One that has
        sent nothing yet stays, and what it sends comes with its User-Id."""
        suspects = [fd for fd, user_id in self._users.items() if user_id in user_ids]
        cut = 0
        for descriptor in suspects:
            del self._users[descriptor]
            seen = inspect_connection(descriptor)
            if seen is not None and seen.port in self.traffic.ports:
                cut += cut_connection(descriptor, seen.cookie)
        return cut

    def listen_with(self, key: KeyPair) -> int:
        """A server that was made without a key also takes connections with one, at another port of
        loopback; return that. (Not the other way round: libzmq forgets no ZAP domain.)"""
        self._has_users = True
        curve.listen_with(self.socket, key, self.domain)
        self._keyed = _bind(self.socket, "tcp://127.0.0.1:*")
        self.traffic.second_port = int(self._keyed.rpartition(":")[2])
        return self.traffic.second_port

    def rebind(self, key: KeyPair) -> None:
        """Listen with another key. All connections end, and their owners connect again. Raises
        PortTaken if another process was faster."""
        self.socket.unbind(self._keyed)
        curve.listen_with(self.socket, key, self.domain)
        # The I/O thread closes the old listener when it gets to it, most often in a millisecond.
        end_s = time.monotonic() + REBIND_S
        while True:
            try:
                self.socket.bind(self._keyed)
                return
            except zmq.ZMQError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > end_s:
                    raise listen_error(self._keyed, error.errno, error.strerror) from None
            time.sleep(0.001)

    def close(self, linger_ms: int | None = None) -> None:
        """Stop listening. Messages handed over just before have `linger_ms` to leave."""
        self.socket.close(linger=linger_ms)


class PeerServer(_Router):
    """The socket for other nodes' messages. `counters`: received, parts, strange (see `_take`)."""

    domain = curve.NODES

    def __init__(self, context: Context, endpoint: str, key: KeyPair | None = None) -> None:
        """Listen on a ZeroMQ endpoint, `tcp://*:6000`. Raises PortTaken, ListenError."""
        socket = options.router(context)
        options.peer_server(socket)
        super().__init__(socket, endpoint, key)
        self.addresses: list[str] = []
        """Of the messages received last, if it `wants_addresses`: the IP address of each sender."""

    def receive(self, budget: int) -> list[list[bytes]]:
        """Return up to `budget` waiting messages, each as its frames. They name their sender
        themselves. Messages with too many frames, or none, are dropped and counted."""
        messages: list[list[bytes]] = []
        self.addresses = []
        size = 0
        for _ in range(budget):
            parts = self._take()
            if parts is None:
                break
            if not parts:
                continue
            if not 2 <= len(parts) <= limits.FRAME_PARTS + 1:
                self.counters["parts"] += 1
                continue
            del parts[0]
            messages.append(parts)
            if self.wants_addresses:
                self.addresses.append(self.address)
            size += len(parts[-1])
            if size >= RECEIVE_BYTES:
                break
        self.counters["received"] += len(messages)
        return messages


class Received(NamedTuple):
    """A client's message: from which connection, and whose that is."""

    identity: bytes
    frame: bytes
    user_id: str
    address: str
    """IP address and perhaps port; "" unless the server `wants_addresses`."""


class ClientServer(_Router):
    """The socket for clients' requests and their answers.

    `counters`: received, parts, strange (see `_take`), sent, unroutable (the client has gone),
    would_block (the client does not read its answers), oversize.
    """

    domain = curve.CLIENTS

    def __init__(self, context: Context, endpoint: str, key: KeyPair | None = None) -> None:
        """Listen on a ZeroMQ endpoint, `tcp://*:6001`. Raises PortTaken, ListenError."""
        socket = options.router(context)
        options.client_server(socket)
        super().__init__(socket, endpoint, key)

    def receive(self, budget: int) -> list[Received]:
        """Return up to `budget` waiting requests. The User-Id is empty without keys. It is that of
        the connection on which this very message came, and never remembered by identity or
        descriptor, for both are used again. A message that is not exactly one frame becomes an
        empty frame, which `decode_request` refuses, so that the client gets an error."""
        requests: list[Received] = []
        size = 0
        for _ in range(budget):
            parts = self._take()
            if parts is None:
                break
            if not parts:
                continue
            if len(parts) == 2:
                requests.append(Received(parts[0], parts[1], self.user_id, self.address))
                size += len(parts[1])
            else:
                self.counters["parts"] += 1
                requests.append(Received(parts[0], b"", self.user_id, self.address))
            if size >= RECEIVE_BYTES:
                break
        self.counters["received"] += len(requests)
        return requests

    def tell(self, identity: bytes, frame: bytes) -> bool:
        """Hand over what a client was not waiting for just now, as `send`. Another user may have a
        connection of that name by now, and has not said so: with users it goes to the connection
        that asked for it, or to none."""
        if self._has_users and not self.traffic.still_has(identity):
            self.counters["unroutable"] += 1
            return False
        return self.send(identity, frame, limits.WATCH_UNREAD_BYTES)

    def send(self, identity: bytes, frame: bytes, unread: int = ANSWERS_BYTES) -> bool:
        """Hand an answer over for a client. Return False at once if the client has gone, does not
        read (more than `unread` bytes would wait for it), or would close the connection over so
        long a frame. True means handed over to libzmq; the answer may still be lost with the
        connection."""
        if len(frame) > limits.FRAME_BYTES:
            self.counters["oversize"] += 1
            return False
        try:
            room = self.traffic.has_room(identity, len(frame), unread)
            if not room or not offer(self.socket, (identity, frame)):
                self.counters["would_block"] += 1
                return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.counters["unroutable"] += 1
            return False
        self.traffic.handed(identity, len(frame))
        self.counters["sent"] += 1
        return True


def _descriptor(part: zmq.Frame) -> int:
    """The descriptor of the connection on which a part came."""
    try:
        return int(part.get(zmq.SRCFD))
    except zmq.ZMQError:
        return NOBODY


def _property(part: zmq.Frame, name: str) -> str:
    """What libzmq knows of the connection on which a part came: "User-Id" is whom Zap let in, and
    "Peer-Address" the IP address; "" if it knows nothing."""
    try:
        return str(part.get(name))
    except zmq.ZMQError:
        return ""


def _wire_bytes(size: int) -> int:
    """The bytes of a part of `size` bytes on the wire, with its header."""
    return size + (2 if size < 256 else 9)


def _bind(socket: Socket, endpoint: str) -> str:
    """Bind, and return the endpoint with its port."""
    port = endpoint.rpartition(":")[2]
    try:
        if "[" in endpoint or endpoint.startswith("tcp://*:"):
            socket.set(zmq.IPV6, 1)  # of both families; libzmq does without where there is no IPv6
        if port.isdecimal() and int(port[:6]) > 65535:  # libzmq would bind to the port modulo 2**16
            raise zmq.ZMQError(zmq.EINVAL)
        socket.bind(endpoint)
        return socket.get_string(zmq.LAST_ENDPOINT)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        raise listen_error(endpoint, error.errno, error.strerror) from None


def listen_error(endpoint: str, number: int | None, why: str) -> ListenError:
    """The error for an endpoint that could not be bound, by its errno."""
    if number == errno.EADDRINUSE:
        return PortTaken(
            f"cannot listen on {endpoint}: the port is taken. Stop the process that has it, "
            "or choose another port."
        )
    return ListenError(
        f"cannot listen on {endpoint}: {why}. Choose an address of this machine and a port that "
        "this user may open: --listen tcp://*:6000 is all interfaces."
    )
