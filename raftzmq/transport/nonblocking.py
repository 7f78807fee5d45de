"""Handing a message to libzmq without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import zmq

_LAST: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)  # computed once: joining flags takes a microsecond


def offer(socket: zmq.Socket[bytes], parts: Sequence[bytes]) -> bool:
    """Hand over the parts of one message; return False if no connection has room for it.

    The first part decides. If the connection breaks before the last part, libzmq takes the first
    ones back, and may also report that by False. Raises ZMQError with EHOSTUNREACH if the first
    part for a ROUTER names no connection.
    """
    if _send(socket, parts):
        return True
    # While sending, libzmq checks only about once a millisecond whether a reader has made room.
    # Asking for events makes it check now; otherwise full queues stay full after a burst.
    socket.get(zmq.EVENTS)
    return _send(socket, parts)


def _send(socket: zmq.Socket[bytes], parts: Sequence[bytes]) -> bool:
    try:
        for part in parts[:-1]:
            socket.send(part, _MORE)
        socket.send(parts[-1], _LAST)
    except zmq.Again:
        return False
    return True
