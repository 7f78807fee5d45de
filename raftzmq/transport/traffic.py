"""What libzmq holds for each connection of a port, and which connections to cut for it.

The kernel knows how much each connection has sent and read. The ROUTER knows how much of that was
taken and handed over. The difference lies in memory. A connection for which too much lies there is
cut with shutdown(2); libzmq then frees what it held. Cutting a wrong one is harmless, because peers
and clients connect again.

Two threads use a Traffic: the one that uses the ROUTER tells what it did, and the guard's judges. A
lock keeps them apart. The first holds it for a few additions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import Final

from raftzmq import limits
from raftzmq.descriptors import most_of_each_kind
from raftzmq.transport.descriptors import Seen, cookie_of, cut_connection, inspect_connection

MESSAGE_BYTES: Final = limits.FRAME_BYTES + 2 * 1024 * 1024
"""The most that one connection may have sent of an incomplete message: one long frame, a header,
and the commands since its last message, such as foreign clients' heartbeats. Tiny parts take 32
times as much memory."""

INCOMPLETE_BYTES: Final = 20 * 1024 * 1024
"""The most that all connections of a port may have sent of incomplete messages: two longest frames,
or many of a megabyte, which a client exceeds only for a longer value."""

UNTAKEN_BYTES: Final = 32 * 1024 * 1024
"""The most that libzmq may hold of one connection's messages before the node takes them: twice what
a client has in flight. It holds whatever comes, because a receive queue that can be full lets a
client abort the process (DESIGN.md)."""

WAITING_BYTES: Final = 128 * 1024 * 1024
"""The same for all connections of a port, those that have ended included, and the most that it may
hold of answers that nobody reads."""

ANSWERS_BYTES: Final = 96 * 1024 * 1024
"""The most that may wait for one client to read it; a message's answers have up to 64 MiB."""

DRIFT_BYTES: Final = 1024 * 1024
"""So many bytes besides its messages (greeting and commands) are forgiven a connection whenever it
has sent a message."""

CONNECTIONS: Final = 4096
"""The most connections of a port. Fewer if the process may not open four times as many files, so
that the node can always open its own."""


class Connection:
    """What is known of one connection, in bytes since it began, as of the last look."""

    __slots__ = ("acked", "cookie", "handed", "heard_ms", "read", "taken")

    def __init__(self, cookie: bytes, now_ms: int) -> None:
        self.cookie = cookie
        self.heard_ms = now_ms
        self.read = 0  # by libzmq
        self.taken = 0  # of that, by this process, as complete messages
        self.handed = 0  # to libzmq, for the other side
        self.acked = 0  # of that, by the other side's kernel

    @property
    def incoming(self) -> int:
        """What libzmq holds of its messages."""
        return self.read - self.taken

    @property
    def outgoing(self) -> int:
        """What was handed over for it and it has not read."""
        return self.handed - self.acked


class Traffic:
    """The connections of one port, and what the ROUTER of that port knows of them.

    The thread of the ROUTER calls what comes first; the guard's thread the rest. `counters` are
    those of the ROUTER.

    A cut has a reason: endless (sends a message without end), many_parts (has sent a message of
    very many parts), heavy (too much waits for the node to take it, or for a client to read it, and
    this connection has most of it), crowd (too many connections, and this one was silent for
    longest).
    """

    def __init__(self, port: int, counters: Counter[str]) -> None:
        self.port = port
        self.second_port: int | None = None
        """A second port to which the same ROUTER is bound."""
        self.counters = counters
        self.connections: dict[int, Connection] = {}  # by descriptor
        self._most = most_of_each_kind(CONNECTIONS)
        self._lock = Lock()  # for all that follows
        self._taken: defaultdict[int, int] = defaultdict(int)  # since the last look
        self._drained = False  # the same
        self._handed: defaultdict[int, int] = defaultdict(int)  # the same
        self._refused: set[int] = set()
        self._identities: dict[int, bytes] = {}
        self._descriptors: dict[bytes, int] = {}
        self._cookies: dict[int, bytes] = {}  # of those two
        # Of a look: what was taken before it began, and what ended connections have left behind.
        self._taken_before: dict[int, int] = {}
        self._drained_before = False
        self._left_behind = 0

    @property
    def ports(self) -> tuple[int, ...]:
        """Those that the ROUTER is bound to."""
        return (self.port,) if self.second_port is None else (self.port, self.second_port)

    # -- what the ROUTER tells ----------------------------------------------------------------

    def descriptor_of(self, identity: bytes) -> int | None:
        """The last known connection of this client. A node asks libzmq only if there is none,
        because that takes a while."""
        return self._descriptors.get(identity)

    def took(self, descriptor: int, identity: bytes, size: int) -> None:
        """A message, or a piece of one, of `size` bytes on the wire was taken."""
        with self._lock:
            self._taken[descriptor] += size
            known = self._identities.get(descriptor) == identity
            if not known or self._descriptors.get(identity) != descriptor:
                self._forget(descriptor)
                self._identities[descriptor] = identity
                self._descriptors[identity] = descriptor
                self._cookies[descriptor] = cookie_of(descriptor)

    def still_has(self, identity: bytes) -> bool:
        """Whether the connection from which this client last sent is there. If it is not, whoever
        has a connection of that name may be another. Takes some microseconds."""
        descriptor = self._descriptors.get(identity)
        return descriptor is not None and self._cookies.get(descriptor) == cookie_of(descriptor)

    def drained(self) -> None:
        """There was no further message: all that libzmq still has is incomplete."""
        self._drained = True  # without the lock: the guard may also see it at its next look

    def refuse(self, descriptor: int) -> None:
        """Cut this connection at the next look: no well-meaning client sends what came on it."""
        with self._lock:
            self._refused.add(descriptor)

    def has_room(self, identity: bytes, size: int, most: int = ANSWERS_BYTES) -> bool:
        """Whether `size` more bytes may wait for this client: nothing else waits for it, or at
        most `most` bytes do with them."""
        with self._lock:
            descriptor = self._descriptors.get(identity)
            if descriptor is None:
                return True  # it has gone, and the ROUTER will say so
            if self._waiting(descriptor) + size > most:
                # What it has read since the last look counts too.
                connection = self.connections.get(descriptor)
                now = inspect_connection(descriptor)
                if connection is not None and now is not None and now.cookie == connection.cookie:
                    connection.acked = now.acked
                waiting = self._waiting(descriptor)
                return waiting <= 0 or waiting + size <= most
            return True

    def handed(self, identity: bytes, size: int) -> None:
        """`size` bytes were handed to libzmq for this client."""
        with self._lock:
            descriptor = self._descriptors.get(identity)
            if descriptor is not None:
                self._handed[descriptor] += size

    def _waiting(self, descriptor: int) -> int:
        connection = self.connections.get(descriptor)
        before = connection.outgoing if connection else 0
        return before + self._handed[descriptor]

    # -- what the guard does with it ----------------------------------------------------------

    def begin_look(self) -> None:
        """Call this before the kernel is asked. What the kernel says that libzmq has read then
        includes all that was taken, and what is taken meanwhile counts at the next look."""
        with self._lock:
            self._taken_before, self._taken = self._taken, defaultdict(int)
            self._drained_before, self._drained = self._drained, False

    @property
    def stands_still(self) -> bool:
        """Whether, as of the look that has begun, the node has taken nothing since the last one."""
        return not self._taken_before and not self._drained_before

    def judge(self, now_ms: int, seen: dict[int, Seen]) -> list[str]:
        """Take in what a look has `seen` of each descriptor, and cut what has to be cut. Returns
        the reasons."""
        with self._lock:
            incomplete = self._account(now_ms, seen)
            untaken = {d: c.incoming for d, c in self.connections.items()}
            room = max(DRIFT_BYTES, WAITING_BYTES - self._left_behind)
            return [
                *self._cut_all("many_parts", self._refused),
                *self._cut_all("endless", [d for d, n in incomplete.items() if n > MESSAGE_BYTES]),
                *self._relieve(incomplete.get, INCOMPLETE_BYTES),
                *self._cut_all("heavy", [d for d, n in untaken.items() if n > UNTAKEN_BYTES]),
                *self._relieve(untaken.get, room),
                *self._relieve(self._outgoing, WAITING_BYTES),
                *self._thin_out(),
            ]

    def _account(self, now_ms: int, seen: dict[int, Seen]) -> dict[int, int]:
        """Take in what was seen. Returns how much each connection has sent of an incomplete
        message, as far as that is known."""
        drained = self._drained_before
        if drained:
            # Of what had been read at the last look, all complete messages are taken by now.
            self._left_behind = 0
        for gone in self.connections.keys() - seen.keys():
            self._drop(gone, drained=drained)
            self._left_behind -= self._taken_before.get(gone, 0)
        incomplete: dict[int, int] = {}
        for descriptor, now in seen.items():
            connection = self.connections.get(descriptor)
            if connection is None or connection.cookie != now.cookie:
                if connection is not None:
                    self._drop(descriptor, drained=drained)
                connection = Connection(now.cookie, now_ms)
                self.connections[descriptor] = connection
            taken = self._taken_before.get(descriptor, 0)
            connection.taken += taken
            if taken:
                connection.heard_ms = now_ms
            if drained:
                rest = connection.incoming
                if taken and rest <= DRIFT_BYTES:
                    connection.taken += max(0, rest)
                incomplete[descriptor] = max(0, connection.incoming)
            connection.read = now.read
            # Forgiven too much, or messages of an earlier connection with this descriptor.
            surplus = max(0, connection.taken - now.read)
            connection.taken -= surplus
            self._left_behind -= surplus
            handed = self._handed.get(descriptor, 0)
            connection.handed = max(connection.handed + handed, now.acked)
            connection.acked = now.acked
        self._left_behind = max(0, self._left_behind)
        self._handed.clear()
        return incomplete

    def _outgoing(self, descriptor: int) -> int:
        return self.connections[descriptor].outgoing

    def _relieve(self, weight: Callable[[int], int | None], most: int) -> Iterator[str]:
        """Cut the heaviest connections until the others together are not too heavy."""
        weights = {descriptor: max(0, weight(descriptor) or 0) for descriptor in self.connections}
        total = sum(weights.values())
        if total > most:
            for descriptor in sorted(weights, key=weights.__getitem__, reverse=True):
                if total <= most:
                    break
                total -= weights[descriptor]
                yield from self._cut_all("heavy", [descriptor])

    def _thin_out(self) -> Iterator[str]:
        """Cut those silent for longest, so that a client that speaks gets in whatever the crowd."""
        excess = len(self.connections) - self._most
        if excess > 0:
            by_silence = sorted(self.connections, key=lambda d: self.connections[d].heard_ms)
            yield from self._cut_all("crowd", by_silence[:excess])

    def _cut_all(self, reason: str, descriptors: Iterable[int]) -> Iterator[str]:
        for descriptor in list(descriptors):
            connection = self.connections.get(descriptor)
            self._refused.discard(descriptor)
            if connection is not None:
                self._drop(descriptor, drained=False)
                if cut_connection(descriptor, connection.cookie):
                    yield reason

    def _drop(self, descriptor: int, *, drained: bool) -> None:
        """Forget a connection that has ended. Its complete messages stay until they are taken."""
        connection = self.connections.pop(descriptor)
        if not drained:
            self._left_behind += max(0, connection.incoming)
        self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        identity = self._identities.pop(descriptor, None)
        self._cookies.pop(descriptor, None)
        if identity is not None and self._descriptors.get(identity) == descriptor:
            del self._descriptors[identity]  # it has no other connection since
