"""The pages of a node's HTTP port: /livez, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from raftzmq.server import health
from raftzmq.server.metrics import CONTENT_TYPE, Metrics
from raftzmq.server.vitals import Vitals
from raftzmq.server.web import Page


def pages(
    vitals: Callable[[], Vitals],
    parts: Mapping[str, Callable[[], bool]],
    clock_ms: Callable[[], int],
) -> dict[str, Callable[[], Page]]:
    """Path -> page, made of the newest `vitals`. `parts` says for each thread whether it lives."""
    metrics = Metrics()

    def livez() -> Page:
        alive = {name: is_alive() for name, is_alive in parts.items()}
        return _page(health.liveness(vitals(), alive, clock_ms()))

    def readyz() -> Page:
        return _page(health.readiness(vitals(), clock_ms()))

    def show_metrics() -> Page:
        return Page(HTTPStatus.OK, metrics.page(vitals()), CONTENT_TYPE)

    return {"/livez": livez, "/readyz": readyz, "/metrics": show_metrics}


def _page(checks: list[health.Check]) -> Page:
    passed, text = health.report(checks)
    return Page(HTTPStatus.OK if passed else HTTPStatus.SERVICE_UNAVAILABLE, text.encode())
