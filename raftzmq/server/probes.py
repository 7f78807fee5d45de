"""The HTTP port of a node: /livez, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from raftzmq.server import health
from raftzmq.server.metrics import CONTENT_TYPE, Metrics
from raftzmq.server.text_log import TextLog
from raftzmq.server.vitals import Vitals
from raftzmq.server.web import Page, Web


class Probes:
    """`parts` says for each thread of the node, by name, whether it is alive; add to it before
    `start`."""

    def __init__(self, endpoint: str | None, log: TextLog, clock_ms: Callable[[], int]) -> None:
        """Bind the port of `endpoint`; without one, there are no probes. `clock_ms` is the loop's.
        Raises PortTaken, ListenError."""
        self.parts: dict[str, Callable[[], bool]] = {"text_log": lambda: log.is_alive}
        self._clock_ms = clock_ms
        self._vitals: Callable[[], Vitals]
        self._metrics = Metrics()
        pages = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._show_metrics}
        self._web = Web(endpoint, pages) if endpoint is not None else None

    def start(self, vitals: Callable[[], Vitals]) -> None:
        """Start to answer from the newest `vitals`, which is called in another thread."""
        self._vitals = vitals
        if self._web is not None:
            self._web.start()

    def check(self) -> None:
        """Raise RuntimeError if the thread that answers has died."""
        if self._web is not None and not self._web.is_alive:
            raise RuntimeError("the thread that answers probes has died")

    def close(self) -> None:
        if self._web is not None:
            self._web.close()

    def _livez(self) -> Page:
        parts = {name: is_alive() for name, is_alive in self.parts.items()}
        return _page(health.liveness(self._vitals(), parts, self._clock_ms()))

    def _readyz(self) -> Page:
        return _page(health.readiness(self._vitals(), self._clock_ms()))

    def _show_metrics(self) -> Page:
        return Page(HTTPStatus.OK, self._metrics.page(self._vitals()), CONTENT_TYPE)


def _page(checks: list[health.Check]) -> Page:
    passed, text = health.report(checks)
    return Page(HTTPStatus.OK if passed else HTTPStatus.SERVICE_UNAVAILABLE, text.encode())
