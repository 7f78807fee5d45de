"""What wakes a loop that waits for descriptors: signals, whichever thread gets them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def woken_by_signals() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give a pair of sockets, neither of which blocks, for a `with` block in the main thread.

    Each signal that Python handles meanwhile puts its number into the first. The second is to be
    waited for and emptied; what an earlier block has left in it wakes once for nothing. Another
    thread may put something in too.

        with woken_by_signals() as (_, ear):
            select.select([ear], [], [])
            ear.recv(64)
    """
    bell, ear = _pair(os.getpid())
    before = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
    try:
        yield bell, ear
    finally:
        signal.set_wakeup_fd(before)


@cache
def _pair(_process_id: int) -> tuple[socket.socket, socket.socket]:
    """The pair of this process. It is never closed: a signal that another thread gets may be on its
    way into the first socket when set_wakeup_fd returns, and the number of a descriptor that is
    closed soon belongs to something else."""
    bell, ear = socket.socketpair()
    bell.setblocking(False)
    ear.setblocking(False)
    return bell, ear
