"""Handing a message to libzmq without ever waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import zmq

_LAST: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)  # worked out once: to join flags takes a microsecond


def offer(socket: zmq.Socket[bytes], parts: Sequence[bytes]) -> bool:
    """Hand the parts of one message over; False if there is no connection with room for it.

    Room and connection are decided with the first part. If the connection breaks before the last
    one, libzmq takes the first ones back, and may say so by the same False. Raises ZMQError
    with EHOSTUNREACH from a ROUTER whose first part names nobody.
    """
    if _send(socket, parts):
        return True
    # While sending, libzmq looks only once a millisecond or so whether a reader has made room.
    # Asking for events makes it look now; without that, full queues stay full after a burst.
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
