"""The client's sockets, and the turn that both shells make with them.

A DEALER for each endpoint, never one for several: it would spread messages over them. Not for use
by several threads, nor after a fork.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Set
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import zmq

from raftzmq.client.inspections import Inspections
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.naming import literal
from raftzmq.transport import options

if TYPE_CHECKING:
    from raftzmq.access.key_files import KeySource
    from raftzmq.access.keys import PublicKey
    from raftzmq.transport.curve import Credentials

FRAMES_PER_TURN: Final = 64
"""Most frames read from one link in a turn, so that none keeps the others waiting."""

RIVAL_MS: Final = 250
"""A name that is not connected by then is tried with its address of the other family too (RFC 8305
has the same delay)."""

Socket = zmq.Socket[bytes]


def now_ms() -> int:
    """Monotonic time in milliseconds."""
    return time.monotonic_ns() // 1_000_000


def time_of_day() -> str:
    """Date and time in UTC, such as 2026-11-30T14:34:00Z."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _events(socket: Socket) -> int:
    return cast("int", socket.get(zmq.EVENTS))


def descriptor(socket: Socket) -> int:
    """The file descriptor that tells, once, when the socket's events change."""
    return cast("int", socket.get(zmq.FD))


def dealer(
    context: zmq.Context[Socket],
    endpoint: str,
    *,
    ipv6: bool,
    credentials: Credentials | None = None,
) -> Socket:
    """A socket that connects to the endpoint; `ipv6` is for which address of a name."""
    socket = context.socket(zmq.DEALER)
    options.client_link(socket)
    if credentials is not None:
        from raftzmq.transport.curve import connect_with  # most clients have no key

        connect_with(socket, credentials)
    socket.set(zmq.IPV6, ipv6)
    socket.connect(f"tcp://{endpoint}")
    return socket


class Links:
    """Sockets by endpoint, opened when first asked for. `opened` and `closing` tell the shell of
    each, so that it polls exactly those that exist.

    libzmq connects to one address of a name, IPv4 or IPv6 as its socket is set, and never tries the
    other. So a name that is not connected after RIVAL_MS gets a second socket, of the other family.
    Whichever is connected first stays, the other one is closed.

    With a key a link speaks only to a node that proves to have one of the cluster's keys, and is
    known to it. Why one does not get connected is what `inspected` finds out.
    """

    def __init__(
        self,
        opened: Callable[[Socket], None] = lambda _: None,
        closing: Callable[[Socket], None] = lambda _: None,
        key_source: KeySource | None = None,
        option: str = "--key FILE (RAFTZMQ_KEY)",
    ) -> None:
        """`option` is how whoever lacks a key is given one."""
        self._context: zmq.Context[Socket] = zmq.Context()
        self._sockets: dict[str, Socket] = {}
        self._rivals: dict[str, Socket] = {}
        self._rival_due_ms: dict[str, int] = {}  # of names that are not connected and have none
        self._opened = opened
        self._closing = closing
        self._key_source = key_source
        self._proven: dict[str, PublicKey] = {}  # the key of the cluster that each endpoint has
        self._used: dict[str, Credentials | None] = {}  # with what each endpoint was opened
        self._doubtful: set[str] = set()  # that refused, or do not come up for no known reason
        self._inspections = Inspections(key_source, option)

    def _open(self, endpoint: str, *, ipv6: bool) -> Socket:
        credentials = self._used[endpoint] = self._credentials(endpoint)
        socket = dealer(self._context, endpoint, ipv6=ipv6, credentials=credentials)
        self._opened(socket)
        return socket

    def _credentials(self, endpoint: str) -> Credentials | None:
        if self._key_source is None:
            return None
        from raftzmq.transport.curve import Credentials

        key = self._key_source.key
        proven = self._proven.get(endpoint)
        return Credentials(key.own, proven if proven in key.servers else key.servers[0])

    def _socket(self, endpoint: str) -> Socket:
        socket = self._sockets.get(endpoint)
        if socket is None:
            ipv6 = endpoint.startswith("[")
            socket = self._sockets[endpoint] = self._open(endpoint, ipv6=ipv6)
        return socket

    def items(self) -> list[tuple[str, Socket]]:
        return [*self._sockets.items(), *self._rivals.items()]

    def is_up(self, endpoint: str) -> bool:
        """Whether a message can be sent there now: with IMMEDIATE, whether it is connected."""
        up = self._is_up(endpoint)
        if up:
            self._inspections.is_up(endpoint)
            self._doubtful.discard(endpoint)
        else:
            self._inspections.is_down(endpoint, now_ms())
        return up

    def _is_up(self, endpoint: str) -> bool:
        if _events(self._socket(endpoint)) & options.WRITABLE:
            if self._rivals or self._rival_due_ms:
                self._rival_due_ms.pop(endpoint, None)
                self._discard(self._rivals.pop(endpoint, None))
            return True
        rival = self._rivals.get(endpoint)
        if rival is None:
            if endpoint not in self._rival_due_ms and literal(endpoint.rpartition(":")[0]) is None:
                self._rival_due_ms[endpoint] = now_ms() + RIVAL_MS
        elif _events(rival) & options.WRITABLE:
            self._discard(self._sockets[endpoint])
            self._sockets[endpoint] = self._rivals.pop(endpoint)
            return True
        return False

    @property
    def due_ms(self) -> int | None:
        """When `open_rivals` or `inspected` has something to do; None: not as things are."""
        if not (self._rival_due_ms or self._inspections):  # a hot path
            return None
        both = (*self._rival_due_ms.values(), self._inspections.due_ms(now_ms()))
        return min((due_ms for due_ms in both if due_ms is not None), default=None)

    def inspected(self, wanted: Set[str], now: int) -> list[tuple[str, str | None]]:
        """Endpoints that do not get connected, of which was found out why, in words; None: it has
        passed. Those that may get connected now are opened anew: libzmq gives up for ever once a
        key was refused."""
        news: list[tuple[str, str | None]] = []
        for endpoint, finding in self._inspections.take(wanted, now):
            if finding.verdict.is_refusal:
                self._doubtful.add(endpoint)
                news.append((endpoint, self._inspections.words(endpoint, finding.verdict)))
                continue
            news.append((endpoint, None))
            if finding.verdict.is_fine:
                if finding.server is not None:
                    self._proven[endpoint] = finding.server
                if endpoint in self._doubtful or self._credentials(endpoint) != self._used.get(
                    endpoint
                ):
                    self._doubtful.discard(endpoint)
                    self.close(endpoint)
                else:
                    self._doubtful.add(endpoint)
        return news

    def resolved(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Endpoints by name that do not get connected, with all addresses of the name."""
        return self._inspections.take_addresses()

    def open_rivals(self, now: int) -> None:
        """Give those names a second socket that have not been connected for long enough."""
        for endpoint in [e for e, due_ms in self._rival_due_ms.items() if due_ms <= now]:
            del self._rival_due_ms[endpoint]
            ipv6 = not self._sockets[endpoint].get(zmq.IPV6)
            self._rivals[endpoint] = self._open(endpoint, ipv6=ipv6)

    def send(self, endpoint: str, frame: bytes) -> bool:
        """Send without waiting; False: not sent."""
        try:
            self._socket(endpoint).send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> Iterator[tuple[str, bytes]]:
        """Frames that have arrived. A message of several is none of the protocol's: skipped."""
        for endpoint, socket in self.items():
            for _ in range(FRAMES_PER_TURN):
                if not _events(socket) & options.READABLE:
                    break
                try:
                    frames = socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                if len(frames) == 1:
                    yield endpoint, frames[0]

    def readable(self) -> bool:
        """Whether more has arrived. Needed after anything was sent: sending takes note of what
        arrived, and the file descriptor does not tell of it again."""
        return any(_events(socket) & options.READABLE for _, socket in self.items())

    def close(self, endpoint: str) -> None:
        self._rival_due_ms.pop(endpoint, None)
        self._discard(self._sockets.pop(endpoint, None))
        self._discard(self._rivals.pop(endpoint, None))

    def _discard(self, socket: Socket | None) -> None:
        if socket is not None:
            self._closing(socket)
            socket.close(linger=0)

    def close_all(self) -> None:
        for endpoint in list(self._sockets):
            self.close(endpoint)
        self._context.term()


class Sleeper:
    """Waits for what a shell that makes turns has to wake up for."""

    def __init__(self, *others: int) -> None:
        """`others` are file descriptors that wake it too."""
        self._others = dict.fromkeys(others, zmq.POLLIN)
        self._watched: dict[Any, int] = {}
        self._poller = zmq.Poller()

    def sleep(
        self, *conversations: tuple[Session, Links], until_ms: int | None = None
    ) -> list[Any]:
        """Wait until a frame arrives, a wanted link is up, one of the others is readable, or
        something is due, at most `until_ms`. Return which sockets and descriptors woke it."""
        due_ms = until_ms
        watch: dict[Any, int] = dict(self._others)
        for session, links in conversations:
            for next_ms in (session.next_deadline_ms(), links.due_ms):
                if due_ms is None or (next_ms is not None and next_ms < due_ms):
                    due_ms = next_ms
            wanted = session.interests()
            for endpoint, link in links.items():
                waits = endpoint in wanted and not session.endpoints.link(endpoint).up
                watch[link] = zmq.POLLIN | zmq.POLLOUT if waits else zmq.POLLIN
        if watch != self._watched:  # seldom: making a poller takes longer than the rest
            self._watched, self._poller = watch, zmq.Poller()
            for source, events in watch.items():
                self._poller.register(source, events)
        timeout_ms = None if due_ms is None else max(0, due_ms - now_ms())
        return [source for source, _ in self._poller.poll(timeout_ms)]


def turn(session: Session, links: Links) -> list[Call]:
    """Receive what is there, do what is due, send what can be sent. Return the calls that are
    done."""
    now = now_ms()
    for endpoint, frame in links.receive():
        session.received(endpoint, frame, now)
    session.tick(now)
    wanted = session.interests()
    if links.due_ms is not None:
        links.open_rivals(now)
        for endpoint, why in links.inspected(wanted, now):
            session.inspected(endpoint, why, now)
        for endpoint, addresses in links.resolved():
            session.resolved(endpoint, addresses)
    for endpoint in wanted:
        session.link_state(endpoint, links.is_up(endpoint), now)
    for batch in session.outgoing(now):
        if not links.send(batch.endpoint, batch.frame):
            session.unsent(batch, now)
    for endpoint in session.resets():
        links.close(endpoint)
    return session.take_finished()
