"""Whether the names of silent peers resolve, looked up outside of the loop.

libzmq looks a name up at every connection attempt and does not report the result. A name that does
not resolve yet is ordinary, because a pod that does not run has none. So it is not an error, but
the status of a node that waits must say it. A slow resolver blocks only the thread here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Any, Final

from raftzmq.naming import parse_address

LOOK_S: Final = 2.0
"""Time from one look at the silent peers to the next."""


class NameLookup:
    """Looks up names in a thread of its own. The loop replaces `silent` as a whole, and the thread
    replaces `unresolved`."""

    def __init__(
        self,
        look_up: Callable[[str, int], Any] = socket.getaddrinfo,
        look_s: float = LOOK_S,
    ) -> None:
        self._look_up = look_up
        self._look_s = look_s
        self._end = Event()
        self.silent: Mapping[str, str] = {}
        """Peer -> HOST:PORT, of those that do not answer."""
        self.unresolved: Mapping[str, str] = {}
        """Peer -> the HOST that has no address now."""
        self._thread = Thread(target=self._run, name="names", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise RuntimeError if the thread has died."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that looks up the names of peers has died")

    def close(self) -> None:
        """Let the thread end, without waiting for a look-up in progress."""
        self._end.set()

    def _run(self) -> None:
        while not self._end.wait(self._look_s):
            self.unresolved = {
                peer: host
                for peer, host in ((p, parse_address(a)[0]) for p, a in self.silent.items())
                if not self._resolves(host)
            }

    def _resolves(self, host: str) -> bool:
        try:
            self._look_up(host, 0)
        except (OSError, UnicodeError):  # the latter for a name that cannot be one
            return False
        return True
