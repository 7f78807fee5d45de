"""From the watch on the StatefulSet to the node: readings in, requests for fresh ones out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from raftzmq.node import Node
from raftzmq.server.text_log import TextLog

if TYPE_CHECKING:
    from raftzmq.server.statefulset import ReplicaReading

ASK_AGAIN_MS: Final = 300
"""How long to wait for a fresh reading before asking again."""


class ReplicaSource(Protocol):
    """The part of raftzmq.server.statefulset.StatefulSetWatch that is used here."""

    @property
    def latest(self) -> ReplicaReading: ...
    def refresh(self) -> None: ...
    def check(self) -> None: ...


class ReplicaFeed:
    """Tells a node how many replicas are wanted, and its log why that is not known."""

    def __init__(self, node: Node, source: ReplicaSource, log: TextLog) -> None:
        self._node = node
        self._source = source
        self._log = log
        self._seen: ReplicaReading | None = None
        self._asked_ms = -ASK_AGAIN_MS

    @property
    def problem(self) -> str | None:
        """Why the number is not known, and what to do; None if it is."""
        return self._source.latest.problem

    def look(self, now_ms: int) -> None:
        """Once a turn, before the node ticks. Raises RuntimeError if the watch has died."""
        self._source.check()
        scaling = self._node.scaling
        latest = self._source.latest
        if latest is not self._seen:
            before = self._seen
            self._seen = latest
            scaling.read(latest.replicas, latest.read_ms)
            self._tell(before, latest)
        if scaling.needs_reading_from_ms is not None:
            self.ask(now_ms)

    def ask(self, now_ms: int) -> None:
        """Have the number read again; asking every turn costs no more than asking now and then."""
        if now_ms - self._asked_ms >= ASK_AGAIN_MS:
            self._asked_ms = now_ms
            self._source.refresh()

    def _tell(self, before: ReplicaReading | None, latest: ReplicaReading) -> None:
        if latest.problem is not None and (before is None or latest.problem != before.problem):
            self._log.warn(latest.problem)
        replicas = latest.replicas
        if replicas is None or (before is not None and replicas == before.replicas):
            return
        self._log("replicas wanted", replicas=replicas)
        if replicas > 0 and replicas % 2 == 0:
            self._log.warn(
                f"{replicas} replicas survive no more failures than {replicas - 1}: "
                "an odd number is better"
            )
