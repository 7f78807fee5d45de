"""The HTTP port of a node, if it has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from raftzmq.server.text_log import TextLog
from raftzmq.server.vitals import Vitals

if TYPE_CHECKING:
    from raftzmq.server.web import Web


class Probes:
    """`parts` says for each thread of the node, by name, whether it is alive; add to it before
    `start`."""

    def __init__(self, endpoint: str | None, log: TextLog, clock_ms: Callable[[], int]) -> None:
        """Bind the port of `endpoint`; without one, there are no probes. `clock_ms` is the loop's.
        Raises PortTaken, ListenError."""
        self.parts: dict[str, Callable[[], bool]] = {"text_log": lambda: log.is_alive}
        self._clock_ms = clock_ms
        self._vitals: Callable[[], Vitals]
        self._web = self._bind(endpoint) if endpoint is not None else None

    def _bind(self, endpoint: str) -> Web:
        # Imported late: these take asyncio and prometheus_client, and nothing else of a node does.
        from raftzmq.server.pages import pages
        from raftzmq.server.web import Web

        return Web(endpoint, pages(self._newest, self.parts, self._clock_ms))

    def start(self, vitals: Callable[[], Vitals]) -> None:
        """Start to answer from the newest `vitals`, which is called in another thread."""
        self._vitals = vitals
        if self._web is not None:
            self._web.start()

    def _newest(self) -> Vitals:
        return self._vitals()

    def check(self) -> None:
        """Raise RuntimeError if the thread that answers has died."""
        if self._web is not None and not self._web.is_alive:
            raise RuntimeError("the thread that answers probes has died")

    def close(self) -> None:
        if self._web is not None:
            self._web.close()
