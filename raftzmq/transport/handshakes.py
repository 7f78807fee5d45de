"""Why a connection does not come up, although somebody listens: CURVE itself never says.

`inspect` makes a connection of its own and looks. It first reads the other side's greeting, which
names the mechanism that it wants. Where that is CURVE, and there is a key, a socket with a monitor
tries the handshake. A monitor that nobody reads blocks libzmq's I/O thread, so the socket lives in
a context of its own, for a moment, and only handshakes are monitored.

It blocks, for up to LIMIT_S: call it in a thread.
"""

from __future__ import annotations

import _socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import zmq

from raftzmq.access.keys import KeyPair, PublicKey
from raftzmq.naming import parse_address
from raftzmq.transport import options
from raftzmq.transport.curve import Credentials, connect_with

LIMIT_S: Final = 2.0
"""How long an inspection takes at most. What has not answered by then is silent, not refusing."""

SECOND_LOOK_MS: Final = 50
"""A node that stops ends connections in the middle of a handshake, as a foreign one does. So that
is believed only if it happens twice."""

SECOND_PART_S: Final = 0.2
"""How long the second part of a greeting may take before the other side is told ours."""

_GREETING: Final = struct.Struct(">BQBBB20sB31s")  # ZMTP 3: signature, version, mechanism, role
_FIRST_PART: Final = 11  # the signature, and the first number of the version
_MECHANISM_ENDS: Final = 32
_EVENT: Final = struct.Struct("=HI")
"""Which event, and its value. zmq.utils.monitor knows that too, but loads asyncio, which a blocking
client and most commands do without."""

_HANDSHAKES: Final = int(
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
)


class Verdict(Enum):
    """What became of a handshake."""

    FINE = auto()
    SILENT = auto()  # nobody listens, or nobody answers in time, or, without a key, as no node does
    WANTS_KEY = auto()
    UNKNOWN_KEY = auto()  # it refuses this very key
    FOREIGN = auto()  # it has none of the expected server keys, or is no node at all
    PLAIN = auto()  # it runs without keys

    @property
    def is_fine(self) -> bool:
        """Whether a connection will come up."""
        return self is Verdict.FINE

    @property
    def is_refusal(self) -> bool:
        """Whether to try again in the same way leads nowhere."""
        return self not in (Verdict.FINE, Verdict.SILENT)


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and by which key the other side proved itself, if it did."""

    verdict: Verdict
    server: PublicKey | None = None


def inspect(address: str, own: KeyPair | None, servers: Sequence[PublicKey] = ()) -> Finding:
    """Return what comes of a connection to HOST:PORT with this key, and with one of these expected
    of the other side."""
    until_s = time.monotonic() + LIMIT_S
    finding = _inspect(address, own, servers, until_s)
    if finding.verdict is Verdict.FOREIGN:
        zmq.Poller().poll(SECOND_LOOK_MS)  # a sleep that greenlets have not replaced
        finding = _inspect(address, own, servers, until_s)
    return finding


def _inspect(
    address: str, own: KeyPair | None, servers: Sequence[PublicKey], until_s: float
) -> Finding:
    wanted = b"NULL" if own is None else b"CURVE"
    try:
        found, mechanism = _greet(address, wanted, until_s)
    except OSError:
        return Finding(Verdict.SILENT)
    if mechanism is None:
        # Without a key nothing is expected of the other side. A forwarded port of a container whose
        # node is about to listen looks like this too.
        return Finding(Verdict.SILENT if own is None else Verdict.FOREIGN)
    if own is None:
        return Finding(Verdict.FINE if mechanism == wanted else Verdict.WANTS_KEY)
    if mechanism != wanted:
        return Finding(Verdict.PLAIN if mechanism == b"NULL" else Verdict.FOREIGN)
    for server in servers:
        verdict = _shake_hands(found, Credentials(own, server), until_s)
        if verdict is Verdict.FINE or verdict is Verdict.UNKNOWN_KEY:
            return Finding(verdict, server)
        if verdict is Verdict.SILENT:
            return Finding(verdict)
    return Finding(Verdict.FOREIGN)


def _greet(address: str, mechanism: bytes, until_s: float) -> tuple[str, bytes | None]:
    """Exchange greetings. Return the endpoint that answered, and the mechanism that it wants; None:
    it is not one of ZeroMQ's. Raises OSError if there is no connection, or no answer in time."""
    host, port = parse_address(address)
    error: OSError = TimeoutError()
    for family, _, _, _, where in _socket.getaddrinfo(
        host.strip("[]"), port, type=_socket.SOCK_STREAM
    ):
        # Not `socket`: where greenlets replace that, this is a thread without a hub.
        connection = _socket.socket(family, _socket.SOCK_STREAM)
        try:
            connection.settimeout(max(0.001, until_s - time.monotonic()))
            connection.connect(where)
            found = _mechanism(connection, mechanism)
            ip = f"[{where[0]}]" if family == _socket.AF_INET6 else where[0]
            return f"{ip}:{port}", found
        except ConnectionResetError:
            return address, None
        except OSError as failed:
            error = failed
        finally:
            connection.close()
    raise error


def _mechanism(connection: _socket.socket, mechanism: bytes) -> bytes | None:
    """The mechanism in the greeting of the other side; None: that is no greeting.

    libzmq tells its own once it has the first part of a greeting. It ends the connection at once if
    that of the second part is another. A node that takes both (front.py) waits for the second part.
    """
    ours = _GREETING.pack(0xFF, 1, 0x7F, 3, 0, mechanism, 0, b"")
    connection.sendall(ours[:_FIRST_PART])
    greeting = b""
    patience_s = connection.gettimeout()
    while len(greeting) < _MECHANISM_ENDS:
        waits_for_ours = len(greeting) == _FIRST_PART < len(ours)
        connection.settimeout(SECOND_PART_S if waits_for_ours else patience_s)
        try:
            part = connection.recv(64)
        except TimeoutError:
            if not waits_for_ours:
                raise
            connection.sendall(ours[_FIRST_PART:])
            ours = ours[:_FIRST_PART]
            continue
        greeting += part
        if not part or greeting[0] != 0xFF or greeting[9:10] not in (b"", b"\x7f"):
            return None
    return greeting[_FIRST_PART + 1 : _MECHANISM_ENDS].rstrip(b"\0")


def _shake_hands(address: str, credentials: Credentials, until_s: float) -> Verdict:
    context: options.Context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.HANDSHAKE_IVL, int(LIMIT_S * 1000))
    socket.set(zmq.IPV6, address.startswith("["))
    socket.set(zmq.RECONNECT_IVL, -1)
    connect_with(socket, credentials)
    monitor = socket.get_monitor_socket(_HANDSHAKES)
    try:
        socket.connect(f"tcp://{address}")
        left_ms = int((until_s - time.monotonic()) * 1000)
        if left_ms <= 0 or not monitor.poll(left_ms):
            return Verdict.SILENT
        event, _ = _EVENT.unpack(monitor.recv_multipart()[0])
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            return Verdict.FINE
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return Verdict.UNKNOWN_KEY
        return Verdict.SILENT if event == zmq.EVENT_CLOSED else Verdict.FOREIGN
    finally:
        socket.disable_monitor()
        monitor.close(linger=0)
        socket.close(linger=0)
        context.term()
