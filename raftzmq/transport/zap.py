"""The node's answer to the one question that libzmq asks about each handshake: is this key let in?

libzmq asks over an inproc socket (ZeroMQ RFC 27) once a handshake has proved that the other side
has the secret key. Its I/O threads do not wait for the answer. Only the handshake does, up to
HANDSHAKE_MS; then that connection ends, and its owner connects again.

The handler is a socket in the node's own poller, not a thread: a node whose disk stalls answers no
request either, and what is let in is decided where users.toml is read, without locks.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import zmq

from raftzmq.access.keys import KEY_BYTES
from raftzmq.transport import options
from raftzmq.transport.options import Context

ENDPOINT: Final = "inproc://zeromq.zap.01"

BUDGET: Final = 256
"""The most questions answered in one turn. An I/O thread asks at most some 2,000 in a second,
because each takes it the cryptography of a whole handshake."""

ROUTING_ID_BYTES: Final = 16
"""Of those that libzmq gives by itself each has 5 bytes."""

_VERSION: Final = b"1.0"
_CURVE: Final = b"CURVE"
_FRAMES: Final = 9
"""Identity, delimiter, version, request id, domain, address, routing id, mechanism, key."""


class Handshake(NamedTuple):
    """Who wants to be let in: the key, to which port (`NODES` or `CLIENTS`), and from which IP
    address."""

    domain: str
    key: bytes
    address: str


Judge = Callable[[Handshake], str | None]
"""Returns the User-Id of who is let in, which comes with each message; None for nobody."""


class Zap:
    """Answers handshakes. Make it before a ROUTER is bound.

    `counters`: admitted, refused, malformed (a question that is not of the protocol).
    """

    def __init__(self, context: Context, judge: Judge) -> None:
        self.counters: Counter[str] = Counter()
        self._judge = judge
        self.socket = context.socket(zmq.ROUTER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)

    def answer(self, budget: int = BUDGET) -> None:
        """Answer the questions that wait."""
        for _ in range(budget):
            if not int(self.socket.get(zmq.EVENTS)) & options.READABLE:
                return
            question = self.socket.recv_multipart(zmq.NOBLOCK)
            self.socket.send_multipart(self._verdict(question), zmq.NOBLOCK)

    def _verdict(self, question: Sequence[bytes]) -> list[bytes]:
        user = None
        handshake = _handshake(question)
        if handshake is None:
            self.counters["malformed"] += 1
        else:
            user = self._judge(handshake)
            self.counters["refused" if user is None else "admitted"] += 1
        number = question[3] if len(question) > 3 else b""
        # Never 300, "try later": libzmq's client then waits for ever.
        status, text = (b"400", b"unknown key") if user is None else (b"200", b"")
        name = (user or "").encode()
        metadata = b"" if user is None else _routing_id()
        return [question[0], b"", _VERSION, number, status, text, name, metadata]

    def close(self) -> None:
        """Answer nothing more: every further handshake fails."""
        self.socket.close(linger=0)


def _routing_id() -> bytes:
    """A routing id for the connection, as the property that libzmq takes it from, in place of the
    one that the other side has chosen. So nobody who has a key can take the id that libzmq gives to
    a later connection, which would abort the process, or that of somebody else."""
    return struct.pack(
        f">B8sI{ROUTING_ID_BYTES}s", 8, b"Identity", ROUTING_ID_BYTES, os.urandom(ROUTING_ID_BYTES)
    )


def _handshake(question: Sequence[bytes]) -> Handshake | None:
    if len(question) != _FRAMES or question[2] != _VERSION or question[7] != _CURVE:
        return None
    _, _, _, _, domain, address, _, _, key = question
    if len(key) != KEY_BYTES:
        return None
    return Handshake(domain.decode("latin-1"), key, address.decode("latin-1"))
