"""What a connection may cost: bounds on what libzmq holds for it, and on their number.

libzmq delivers a message only when its last part has come, and bounds neither the number of its
parts nor their total size. It counts waiting messages, not bytes. And it keeps silent connections.
So a node looks at its connections itself. The kernel knows how much each has sent and read, and the
ROUTERs know how much of that was taken and handed over. The difference lies in memory. A connection
for which too much lies there is cut with shutdown(2); libzmq then frees what it held. Cutting a
wrong one is harmless, because peers and clients connect again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from raftzmq import limits
from raftzmq.descriptors import most_of_each_kind
from raftzmq.transport.descriptors import (
    Seen,
    cut_connection,
    inspect_connection,
    open_descriptors,
)

MESSAGE_BYTES: Final = limits.FRAME_BYTES + 2 * 1024 * 1024
"""The most that one connection may have sent of an incomplete message: one long frame, a header,
and the commands since its last message, such as foreign clients' heartbeats. Tiny parts take 32
times as much memory."""

INCOMPLETE_BYTES: Final = 20 * 1024 * 1024
"""The most that all connections of a port may have sent of incomplete messages: two longest frames,
or many of a megabyte, which a client exceeds only for a longer value."""

WAITING_BYTES: Final = 128 * 1024 * 1024
"""The most that libzmq may hold for all connections of a port, each way: requests that the node has
not taken yet, and answers not read."""

ANSWERS_BYTES: Final = 96 * 1024 * 1024
"""The most that may wait for one client to read it; a message's answers have up to 64 MiB."""

DRIFT_BYTES: Final = 1024 * 1024
"""So many bytes besides its messages (greeting and commands) are forgiven a connection whenever it
has sent a message."""

CONNECTIONS: Final = 4096
"""The most connections of a port. Fewer if the process may not open four times as many files, so
that the node can always open its own."""

LOOK_MS: Final = 100
"""Time between two looks at the connections, while they are few and none is suspect."""

LOOK_SLACK_MS: Final = 60
"""A look may be this much late, so that an idle node looks when a heartbeat wakes it anyway."""

CLOSE_LOOK_MS: Final = 20
"""The same, while some connection has sent more than DRIFT_BYTES of a message."""

DESCRIPTORS_PER_MS: Final = 8
"""A look takes some microseconds a descriptor, so a node with thousands looks less often."""


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

    The ROUTER calls what comes first; Guard the rest.

    `counters` count the connections that were cut, by reason: endless (sends a message without
    end), many_parts (has sent a message of very many parts), heavy (all together hold too much
    memory, and this one most of it), crowd (too many connections, and this one was silent for
    longest).
    """

    def __init__(self, port: int, counters: Counter[str]) -> None:
        self.port = port
        self.connections: dict[int, Connection] = {}  # by descriptor
        self._counters = counters
        self._most = most_of_each_kind(CONNECTIONS)
        self._drained = False
        self._taken: defaultdict[int, int] = defaultdict(int)  # since the last look
        self._handed: defaultdict[int, int] = defaultdict(int)
        self._refused: set[int] = set()
        self._identities: dict[int, bytes] = {}
        self._descriptors: dict[bytes, int] = {}

    # -- what the ROUTER tells ----------------------------------------------------------------

    def descriptor_of(self, identity: bytes) -> int | None:
        """The last known connection of this client. A node asks libzmq only if there is none,
        because that takes a while."""
        return self._descriptors.get(identity)

    def took(self, descriptor: int, identity: bytes, size: int) -> None:
        """A message, or a piece of one, of `size` bytes on the wire was taken."""
        self._taken[descriptor] += size
        if self._identities.get(descriptor) != identity:
            self._forget(descriptor)
            self._identities[descriptor] = identity
            self._descriptors[identity] = descriptor

    def drained(self) -> None:
        """There was no further message: all that libzmq still has is incomplete."""
        self._drained = True

    def refuse(self, descriptor: int) -> None:
        """Cut this connection at the next look: no well-meaning client sends what came on it."""
        self._refused.add(descriptor)

    def has_room(self, identity: bytes, size: int, most: int = ANSWERS_BYTES) -> bool:
        """Whether `size` more bytes may wait for this client: nothing else waits for it, or at
        most `most` bytes do with them."""
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
        descriptor = self._descriptors.get(identity)
        if descriptor is not None:
            self._handed[descriptor] += size

    def _waiting(self, descriptor: int) -> int:
        connection = self.connections.get(descriptor)
        before = connection.outgoing if connection else 0
        return before + self._handed[descriptor]

    # -- what Guard does with it --------------------------------------------------------------

    def judge(self, now_ms: int, seen: dict[int, Seen]) -> list[str]:
        """Take in what a look has `seen` of each descriptor, and cut what has to be cut. Returns
        the reasons."""
        drained = self._drained
        self._drained = False
        for gone in self.connections.keys() - seen.keys():
            del self.connections[gone]
            self._forget(gone)
        incomplete: dict[int, int] = {}
        for descriptor, now in seen.items():
            connection = self.connections.get(descriptor)
            if connection is None or connection.cookie != now.cookie:
                connection = Connection(now.cookie, now_ms)
                self.connections[descriptor] = connection
            taken = self._taken.get(descriptor, 0)
            connection.taken += taken
            if taken:
                connection.heard_ms = now_ms
            if drained:
                # Of what had been read at the last look, all complete messages are taken by now.
                rest = connection.incoming
                if taken and rest <= DRIFT_BYTES:
                    connection.taken += max(0, rest)
                incomplete[descriptor] = max(0, connection.incoming)
            connection.read = now.read
            connection.handed = max(connection.handed + self._handed.get(descriptor, 0), now.acked)
            connection.acked = now.acked
        self._taken.clear()
        self._handed.clear()
        return [
            *self._cut_all("many_parts", self._refused),
            *self._cut_all("endless", [d for d, n in incomplete.items() if n > MESSAGE_BYTES]),
            *self._relieve(incomplete.get, INCOMPLETE_BYTES),
            *self._relieve(lambda d: self.connections[d].incoming, WAITING_BYTES),
            *self._relieve(lambda d: self.connections[d].outgoing, WAITING_BYTES),
            *self._thin_out(),
        ]

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
            connection = self.connections.pop(descriptor, None)
            self._refused.discard(descriptor)
            self._forget(descriptor)
            if connection is not None and cut_connection(descriptor, connection.cookie):
                self._counters[reason] += 1
                yield reason

    def _forget(self, descriptor: int) -> None:
        identity = self._identities.pop(descriptor, None)
        if identity is not None:
            self._descriptors.pop(identity, None)


class Guard:
    """Looks at the connections of some ports from time to time."""

    def __init__(self, ports: Sequence[Traffic]) -> None:
        self.next_ms = 0  # when to look again
        self.due_ms = 0  # the same, if nothing else is to be done before
        self._ports = {traffic.port: traffic for traffic in ports}

    def look(self, now_ms: int) -> list[str]:
        """Cut the connections that cost too much, if it is time to look. Returns the reason of
        each cut."""
        if now_ms < self.next_ms:
            return []
        seen: dict[int, dict[int, Seen]] = {port: {} for port in self._ports}
        descriptors = open_descriptors()
        for descriptor in descriptors:
            found = inspect_connection(descriptor)
            if found is not None and found.port in seen:
                seen[found.port][descriptor] = found
        reasons = [
            reason
            for port, traffic in self._ports.items()
            for reason in traffic.judge(now_ms, seen[port])
        ]
        suspect = any(
            connection.incoming > DRIFT_BYTES
            for traffic in self._ports.values()
            for connection in traffic.connections.values()
        )
        wait_ms = CLOSE_LOOK_MS if suspect else LOOK_MS
        self.next_ms = now_ms + max(wait_ms, len(descriptors) // DESCRIPTORS_PER_MS)
        self.due_ms = self.next_ms + (0 if suspect else LOOK_SLACK_MS)
        return reasons
