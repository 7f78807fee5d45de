"""What /metrics serves, for Prometheus; docs/metrics.md has a table of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from raftzmq import __version__
from raftzmq.core.role import Role
from raftzmq.histogram import Tally
from raftzmq.server.vitals import Vitals

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

ROLES: Final = ("joining", "learner", *(role.value for role in Role))

Rows = Iterable[tuple[Any, ...]]
"""The values of a family's labels, and then the sample's value."""


class Metrics:
    """The page, in Prometheus's text format. One thread may use an instance."""

    def __init__(self) -> None:
        self._raftzmq = _Raftzmq()
        self._registry = CollectorRegistry()
        self._registry.register(self._raftzmq)
        ProcessCollector(registry=self._registry)
        self._page = b""

    def page(self, vitals: Vitals) -> bytes:
        """The same page again for the same vitals, so that frequent requests take little of the
        processor that this thread and the loop share."""
        if self._raftzmq.vitals is not vitals:
            self._raftzmq.vitals = vitals
            self._page = generate_latest(self._registry)
        return self._page


class _Raftzmq(Collector):
    def __init__(self) -> None:
        self.vitals: Vitals | None = None

    def collect(self) -> Iterator[Metric]:
        assert self.vitals is not None
        yield from _raft(self.vitals)
        yield from _log(self.vitals)
        yield from _service(self.vitals)
        yield from _coordination(self.vitals)
        yield from _disk(self.vitals)


def _raft(v: Vitals) -> Iterator[Metric]:
    yield _gauge("build_info", "Always 1.", [(__version__, 1)], "version")
    roles = [(role, role == v.role) for role in ROLES]
    yield _gauge("role", "1 for the role that the node has, 0 for the others.", roles, "role")
    yield _gauge("is_leader", "Whether the node leads.", v.role == Role.LEADER.value)
    yield _gauge("has_leader", "Whether the node knows a leader.", v.leader is not None)
    yield _gauge(
        "heard_by_leader",
        "Whether the leader, if one is known, hears the node, as far as the node can know.",
        v.leader is not None and not v.unheard,
    )
    yield _gauge("term", "The node's term.", v.term)
    yield _counter(
        "leader_changes",
        "Terms in which the node learned of a leader.",
        v.leader_changes_count,
    )
    yield _gauge("members", "Members of the cluster, as far as the node knows.", v.members)
    yield _gauge("voters", "Members that have a vote.", v.voters)


def _log(v: Vitals) -> Iterator[Metric]:
    yield _gauge("commit_index", "The last entry known to be committed.", v.commit_index)
    yield _gauge("applied_index", "The last entry that is applied.", v.applied_index)
    yield _gauge(
        "behind_seconds",
        "For how long the node has lacked an entry that it knows to be committed.",
        v.behind_ms / 1000,
    )
    yield _gauge("last_index", "The last entry in the log.", v.last_index)
    yield _gauge("first_index", "The first entry that is still in memory.", v.first_index)
    yield _gauge("snapshot_index", "The last entry in the newest snapshot.", v.snapshot_index)
    yield _gauge(
        "follower_lag_entries",
        "How many entries a member is behind; only on the leader.",
        v.lags,
        "peer",
    )
    counts = [(action, count) for action, count, _ in v.snapshots]
    sizes = [(action, size) for action, _, size in v.snapshots]
    yield _counter("snapshots", "Snapshots taken, received and sent.", counts, "action")
    yield _gauge(
        "last_backup_timestamp_seconds",
        "When the newest good backup was taken that the node was told of.",
        _known(v.last_backup_s),
    )
    yield _counter("snapshot_bytes", "Bytes of snapshots, as written or sent.", sizes, "action")


def _service(v: Vitals) -> Iterator[Metric]:
    yield _gauge(
        "proposals_pending",
        "Clients' writes that were proposed, not answered.",
        v.proposals_pending,
    )
    yield _counter(
        "proposals_applied",
        "Clients' writes that the node proposed, and answered when they were applied.",
        v.proposals_applied_count,
    )
    yield _counter(
        "proposals_failed",
        "Clients' writes that were not proposed after all, or whose outcome was not seen.",
        v.proposals_failed_count,
    )
    yield _histogram(
        "commit_duration_seconds",
        "Time from proposing a client's write until it is applied, on the leader.",
        v.commit_seconds,
    )
    yield _counter(
        "client_requests",
        "Clients' operations and operators' requests, by the code they were answered with.",
        v.requests,
        "kind",
        "code",
    )
    yield _counter("messages_received", "Messages received.", v.received, "port")
    yield _counter("messages_sent", "Messages sent.", v.sent, "port")
    yield _counter(
        "messages_dropped",
        "Messages that were ignored, or could not be sent.",
        [(place, reason.replace(" ", "_"), count) for place, reason, count in v.dropped],
        "place",
        "reason",
    )
    yield _counter(
        "connections_cut", "Connections cut because they cost too much.", v.cut, "port", "reason"
    )


def _coordination(v: Vitals) -> Iterator[Metric]:
    yield _gauge("store_bytes", "About how much memory the store takes.", v.store_bytes)
    yield _gauge("quota_bytes", "How much it may take.", _known(v.quota_bytes))
    yield _gauge("keys", "Keys in the state machine.", v.keys)
    yield _gauge("sessions", "Sessions of clients.", v.sessions)
    yield _gauge("leases", "Leases that have not ended.", v.leases)
    yield _gauge("queues", "Locks, semaphores, counters and elections.", v.queues)
    yield _gauge("places", "Places in all queues, held or waiting.", v.places)
    yield _gauge("parked_reads", "Reads that wait for a place or an election.", v.parked_reads)
    yield _gauge("watches", "Watches at the node.", v.watches)
    yield _gauge("watches_behind", "Watches that receive older events.", v.watches_behind)
    yield _counter("watch_events", "Events sent to watchers.", v.watch_events_count)
    yield _counter(
        "watches_lost", "Watches that the node refused or ended.", v.watches_lost, "code"
    )
    yield _gauge(
        "watch_first_revision",
        "The first revision from which a watch can start here.",
        v.watch_first_revision,
    )


def _disk(v: Vitals) -> Iterator[Metric]:
    yield _histogram(
        "fsync_duration_seconds",
        "How long the loop waited for an fsync: of the log, the vote, or a snapshot.",
        v.sync_seconds,
    )
    yield _gauge("disk_full", "Whether the last write found no space.", v.disk_full)
    yield _gauge("out_of_files", "Whether the last write found no file descriptor.", v.out_of_files)
    yield _gauge(
        "disk_free_bytes",
        "Room on the file system of the data directory.",
        _known(v.disk_free_bytes),
    )
    yield _gauge("disk_size_bytes", "The size of that file system.", _known(v.disk_bytes))


def _known(value: int | None) -> Rows:
    return [] if value is None else [(value,)]


def _gauge(name: str, meaning: str, value: float | Rows, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"raftzmq_{name}", meaning, labels=labels), value)


def _counter(name: str, meaning: str, value: float | Rows, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"raftzmq_{name}", meaning, labels=labels), value)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, value: float | Rows
) -> GaugeMetricFamily | CounterMetricFamily:
    rows = [(value,)] if isinstance(value, int | float) else value
    for *labels, number in rows:
        family.add_metric(labels, number)
    return family


def _histogram(name: str, meaning: str, tally: Tally) -> Metric:
    bounds = [*map(floatToGoString, tally.bounds), "+Inf"]
    family = HistogramMetricFamily(f"raftzmq_{name}", meaning)
    family.add_metric([], list(zip(bounds, accumulate(tally.counts), strict=True)), tally.total)
    return family
