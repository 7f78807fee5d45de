"""The options of every socket, each with its reason; DESIGN.md says what was measured.

There is one function for each kind of socket. Call it after making the socket (`router` makes
ROUTERs) and before bind or connect. Keys and an authentication domain belong here too, once nodes
and clients have them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Final

import zmq

from raftzmq import limits

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

READABLE: Final = int(zmq.POLLIN)
WRITABLE: Final = int(zmq.POLLOUT)
"""Flags of a socket's EVENTS, as int: comparing with the enum's own flags takes a microsecond."""

PEER_SERVER_THREAD: Final = 0b01
CLIENT_SERVER_THREAD: Final = 0b10
"""I/O threads of the two ROUTERs, as affinities: a flood of connections at the clients' port keeps
its thread busy, and must not slow what nodes say to each other."""

SERVER_THREADS: Final = 2
"""How many these are."""

LINK_THREADS: Final = 8
"""I/O threads for links: a cluster of nine has a thread for each. An idle one costs a little
memory."""

STRANGERS_LANE: Final = -1
"""The lane of links to addresses that anybody may have named. It has an I/O thread of its own."""

PEER_HIGH_WATER: Final = 128
"""Messages that a link holds. The core has at most 64 appends in flight to a follower. The rest is
for votes, heartbeats and answers."""

CLIENT_SEND_HIGH_WATER: Final = 1000
"""Answers that wait for one client to read them; further ones are dropped and counted. guard.py
bounds their bytes."""

HEAD_ROOM_BYTES: Final = 64 * 1024
"""libzmq delivers frames that exceed the limit by at most this, so that the sender gets an answer.
A longer frame ends its connection."""

PEER_RECONNECT_MS: Final = 200
CLIENT_RECONNECT_MS: Final = 1000
CONNECT_TIMEOUT_MS: Final = 2000
LINK_PATIENCE_MS: Final = 2000
"""How long a link waits for TCP's acknowledgement of what it sent before it connects again."""

HANDSHAKE_MS: Final = 3000
LAST_WORDS_MS: Final = 1000


@contextmanager
def node_context() -> Iterator[Context]:
    """A node's context, for a `with` block: an I/O thread for each of the two ROUTERs, and more for
    its links, which `peer_link` spreads over them, the last one for those to strangers.

    A name server that does not answer blocks the I/O thread that asked it for ten seconds and
    more, again and again. All sockets of that thread then stand still. At the end, last answers
    have LAST_WORDS_MS to leave. A thread that is still blocked then lasts until the process ends.
    """
    context = zmq.Context(io_threads=SERVER_THREADS + LINK_THREADS + 1)
    try:
        yield context
    finally:
        ending = Thread(target=context.term, name="zmq-end", daemon=True)
        ending.start()
        ending.join(LAST_WORDS_MS / 1000 + 1)


def router(context: Context) -> Socket:
    """A new ROUTER, whose automatic routing ids nobody can foretell.

    libzmq counts those ids up from `rand()` of the C library, which it never seeds. So they would
    be the same in every process. A connection may choose any id for itself. If it chooses the one
    that libzmq gives to a later connection, libzmq aborts the process.
    """
    import ctypes  # clients do without

    ctypes.CDLL(None).srand(int.from_bytes(os.urandom(4), "little"))
    return context.socket(zmq.ROUTER)


def peer_link(socket: Socket, lane: int) -> None:
    """A node's DEALER to one peer. Links of different `lane` do not share an I/O thread, if the
    context has enough threads; nor does any with those of STRANGERS_LANE."""
    _connecting(socket)
    socket.set(zmq.SNDHWM, PEER_HIGH_WATER)
    socket.set(zmq.RCVHWM, 1)  # nothing ever comes back on it
    # The jitter of libzmq exists only while RECONNECT_IVL_MAX is 0.
    socket.set(zmq.RECONNECT_IVL, PEER_RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, 0)
    socket.set(zmq.LINGER, 0)  # what was not sent is stale
    # A peer that vanished silently and moved is heard again at once, and so does not count as
    # silent. Only this ends the connection to its old address.
    socket.set(zmq.TCP_MAXRT, LINK_PATIENCE_MS)
    link_threads = int(socket.context.get(zmq.IO_THREADS)) - SERVER_THREADS - 1
    if link_threads > 0:
        own = link_threads if lane == STRANGERS_LANE else lane % link_threads
        socket.set(zmq.AFFINITY, 1 << SERVER_THREADS + own)


def client_link(socket: Socket) -> None:
    """A client's DEALER to one node."""
    _connecting(socket)
    socket.set(zmq.SNDHWM, CLIENT_SEND_HIGH_WATER)
    socket.set(zmq.RCVHWM, CLIENT_SEND_HIGH_WATER)
    socket.set(zmq.RECONNECT_IVL, CLIENT_RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, 0)
    socket.set(zmq.LINGER, 0)


def peer_server(socket: Socket) -> None:
    """A node's ROUTER for its peers; it only receives."""
    _listening(socket, PEER_SERVER_THREAD)
    socket.set(zmq.SNDHWM, 1)
    socket.set(zmq.LINGER, 0)


def client_server(socket: Socket) -> None:
    """A node's ROUTER for clients."""
    _listening(socket, CLIENT_SERVER_THREAD)
    socket.set(zmq.SNDHWM, CLIENT_SEND_HIGH_WATER)
    socket.set(zmq.BACKLOG, 1024)  # after a failover, all clients come at once
    socket.set(zmq.LINGER, LAST_WORDS_MS)  # a stopping node's last answers


def _connecting(socket: Socket) -> None:
    _common(socket)
    # Take messages only for a connected peer; otherwise they are kept and arrive stale.
    socket.set(zmq.IMMEDIATE, 1)
    # Otherwise a connection attempt to a vanished address waits for the kernel, for minutes.
    socket.set(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)


def _listening(socket: Socket, thread: int) -> None:
    _common(socket)
    # A queue that is never full. When a connection ends whose messages wait behind a full queue,
    # and one of them is a PING of ZeroMQ, libzmq aborts the process. guard.py bounds the bytes.
    socket.set(zmq.RCVHWM, 0)
    # Otherwise a message that cannot be routed disappears silently.
    socket.set(zmq.ROUTER_MANDATORY, 1)
    # A routing id that a second connection claims must not redirect the first one's answers.
    socket.set(zmq.ROUTER_HANDOVER, 0)
    if int(socket.context.get(zmq.IO_THREADS)) >= SERVER_THREADS:
        socket.set(zmq.AFFINITY, thread)


def _common(socket: Socket) -> None:
    # Bounds a frame, not a message: guard.py does that.
    socket.set(zmq.MAXMSGSIZE, limits.FRAME_BYTES + HEAD_ROOM_BYTES)
    # A connection that never sends its ZeroMQ greeting is closed after this time.
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    # No heartbeats of libzmq: it aborts the process if one is due on a connection that has ended
    # while its reader was stalled with a full queue.
    socket.set(zmq.HEARTBEAT_IVL, 0)
    # Half-open connections end: idle ones after 10 s + 3 * 3 s, those with unacknowledged data
    # after 10 s.
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 10)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, 3)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 3)
    socket.set(zmq.TCP_MAXRT, 10_000)
