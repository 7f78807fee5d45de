"""A node's own links to its peers: one DEALER each, one way."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Sequence

import zmq

from raftzmq.access.keys import KeyPair, PublicKey
from raftzmq.descriptors import spare
from raftzmq.naming import literal, parse_address
from raftzmq.transport import options
from raftzmq.transport.curve import Credentials, connect_with
from raftzmq.transport.nonblocking import offer
from raftzmq.transport.options import Context, Socket


class PeerLinks:
    """Sends to peers by name, and never waits.

    A message is sent only on an established connection. `send` returns False if there is none, if
    the link's queue is full, or if the peer's address is unknown. True means that the message was
    handed over to libzmq; it may still be lost with the connection. libzmq resolves the host of an
    address at each attempt to connect. `renew` starts over with a new socket, which also gives up a
    connection to the peer's old address. A slow name server delays only the link whose host it does
    not find.

    libzmq connects to one address of a name, IPv4 or IPv6 as its socket is set, and never tries the
    other. So a link to a name begins with a socket for each family. The first that takes a message
    stays, the other one is closed.

    A link can take a detour, to an endpoint other than its peer's address, until it is renewed.

    With a key (`use_keys`) a link speaks only to a peer that proves to have one of the accepted
    ones: the first, unless `expect` says that a certain peer has another.

    `counters`: sent, would_block, no_address, renewed. One thread may use an instance. With `lane`
    all links share that one, otherwise each has its own.
    """

    def __init__(self, context: Context, lane: int | None = None) -> None:
        self._lane_of_all = lane
        self.counters: Counter[str] = Counter()
        self._context = context
        self._addresses: dict[str, str] = {}
        self._detours: dict[str, str] = {}
        self._sockets: dict[str, Socket] = {}
        self._rivals: dict[str, Socket] = {}  # of IPv6, until one of the two has taken a message
        self._lanes: dict[str, int] = {}
        self.own: KeyPair | None = None
        self.accepted: tuple[PublicKey, ...] = ()
        self.also_plainly = False
        """Whether to speak to a peer that has no keys, if `speak_plainly` says that it is one."""
        self._plain: set[str] = set()
        self._expected: dict[
            str, PublicKey
        ] = {}  # of peers that do not have the first accepted key

    def use_keys(self, own: KeyPair, accepted: Sequence[PublicKey]) -> None:
        """Connect with this key from now on, and to peers that have an accepted one. Links that are
        open are made anew."""
        self.own, self.accepted = own, tuple(accepted)
        for name in list(self._sockets):
            self.renew(name)

    def expect(self, name: str, key: PublicKey | None) -> None:
        """Connect anew to a peer that was found to have this one of the accepted keys; None: to one
        that wants none."""
        if key is not None:
            self._expected[name] = key
        self._plain.discard(name)
        self.renew(name)

    def speak_plainly(self, name: str) -> None:
        """Connect anew to a peer that was found to run without keys, without proving anything."""
        assert self.also_plainly
        self._plain.add(name)
        self.renew(name)

    def expected(self, name: str) -> PublicKey | None:
        """The key that a peer is expected to have; None: this node has none either."""
        credentials = self._credentials(name)
        return None if credentials is None else credentials.server

    def is_up(self, name: str) -> bool:
        """Whether the peer is connected. False if its address is unknown."""
        return any(
            int(sockets[name].get(zmq.EVENTS)) & options.WRITABLE
            for sockets in (self._sockets, self._rivals)
            if name in sockets
        )

    def set_address(self, name: str, address: str) -> None:
        """Set a peer's address, HOST:PORT, and connect at once. No effect if it has not changed.
        Raises InvalidRequest for anything else."""
        if self._addresses.get(name) == address:
            return
        parse_address(address)
        self._addresses[name] = address
        self._close(name, 0)
        self._open(name)

    def address(self, name: str) -> str | None:
        """The peer's address, if it is known."""
        return self._addresses.get(name)

    def detour(self, name: str) -> str | None:
        """The endpoint to which the peer's link goes instead of its address, HOST:PORT."""
        return self._detours.get(name)

    def take_detour(self, name: str, endpoint: str) -> None:
        """Connect to an endpoint, HOST:PORT, at which the peer may be instead of its address."""
        if name in self._sockets:
            self.counters["renewed"] += 1
            self._close(name, 0)
            self._detours[name] = endpoint
            self._open(name)

    def send(self, name: str, frames: Sequence[bytes]) -> bool:
        """Hand a message over for the peer, or return False at once."""
        socket = self._sockets.get(name)
        if socket is None:
            self.counters["no_address"] += 1
            return False
        if offer(socket, frames):
            if self._rivals and (rival := self._rivals.pop(name, None)) is not None:
                rival.close(linger=0)
        elif not self._rival_takes(name, frames):
            self.counters["would_block"] += 1
            return False
        self.counters["sent"] += 1
        return True

    def renew(self, name: str) -> None:
        """Connect again to the same address, for a peer that does not answer. Messages that still
        wait are lost. No effect without an address."""
        if name in self._sockets:
            self.counters["renewed"] += 1
            self._close(name, 0)
            self._open(name)

    def drop(self, name: str) -> None:
        """Forget a peer."""
        self._addresses.pop(name, None)
        self._lanes.pop(name, None)
        self._expected.pop(name, None)
        self._plain.discard(name)
        self._close(name, 0)

    def close(self, linger_ms: int = 0) -> None:
        """Forget all peers. Messages handed over just before have `linger_ms` to leave (the
        context's end waits for them)."""
        for name in list(self._sockets):
            self._close(name, linger_ms)
        self._addresses.clear()
        self._lanes.clear()

    def _open(self, name: str) -> None:
        endpoint = self._detours.get(name, self._addresses[name])
        host, _ = parse_address(endpoint)
        try:
            self._sockets[name] = self._connected(name, endpoint, ipv6=host.startswith("["))
            if literal(host) is None:
                self._rivals[name] = self._connected(name, endpoint, ipv6=True)
        except zmq.ZMQError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._close(name, 0)
            del self._addresses[name]  # tried again when it is next given

    def _connected(self, name: str, endpoint: str, *, ipv6: bool) -> Socket:
        with spare():
            socket = self._context.socket(zmq.DEALER)
        options.peer_link(socket, self._lane(name))
        connect_with(socket, self._credentials(name))
        socket.set(zmq.IPV6, ipv6)
        socket.connect(f"tcp://{endpoint}")
        return socket

    def _credentials(self, name: str) -> Credentials | None:
        if self.own is None or name in self._plain:
            return None
        expected = self._expected.get(name)
        server = expected if expected in self.accepted else None
        return Credentials(self.own, server or self.accepted[0])

    def _rival_takes(self, name: str, frames: Sequence[bytes]) -> bool:
        """Hand a message to the peer's other socket, if it has one that is connected; then that is
        the link."""
        rival = self._rivals.get(name)
        if rival is None or not offer(rival, frames):
            return False
        self._sockets[name].close(linger=0)
        self._sockets[name] = self._rivals.pop(name)
        return True

    def _lane(self, name: str) -> int:
        """The lowest lane that no other peer has, unless all share one."""
        if self._lane_of_all is not None:
            return self._lane_of_all
        if name not in self._lanes:
            taken = set(self._lanes.values())
            self._lanes[name] = next(lane for lane in range(len(taken) + 1) if lane not in taken)
        return self._lanes[name]

    def _close(self, name: str, linger_ms: int) -> None:
        self._detours.pop(name, None)
        for sockets in (self._sockets, self._rivals):
            if (socket := sockets.pop(name, None)) is not None:
                socket.close(linger=linger_ms)
