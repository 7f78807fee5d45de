"""What a node tells of itself beside Raft's state, for `client doctor` and `client top`: `figures`
of the status, PROTOCOL.md."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from raftzmq.core.role import Role
from raftzmq.histogram import Tally
from raftzmq.node.admin import Admin
from raftzmq.server.access import Access
from raftzmq.server.config import ServerConfig
from raftzmq.server.exposure import is_loopback
from raftzmq.server.peers import Peers
from raftzmq.server.quota import most_memory
from raftzmq.server.replica_feed import ReplicaFeed
from raftzmq.server.text_log import TextLog
from raftzmq.server.vitals import Recorder, Vitals

LOOK_S: Final = 5.0
"""Time between two looks at the open files: there may be many."""

_PROC: Final = Path("/proc/self")


class Figures:
    """Makes them when somebody asks for the status. For the loop."""

    def __init__(
        self,
        config: ServerConfig,
        recorder: Recorder,
        access: Access,
        peers: Peers,
        feed: ReplicaFeed | None,
    ) -> None:
        endpoints = (config.peer_endpoint, config.client_endpoint)
        self._exposed = config.keys is None and not all(map(is_loopback, endpoints))
        self._recorder = recorder
        self._access = access
        self._peers = peers
        self._feed = feed
        self._memory_limit_bytes = most_memory()
        self._open_files: int | None = None
        self._look_s = 0.0

    def serve_operators(self, admin: Admin, log: TextLog) -> None:
        """Let operators see the figures, and change what the log says."""
        admin.figures = self
        admin.set_log_level = log.set_level

    def __call__(self) -> dict[str, Any]:
        """The figures as they are now; those of the loop as they were last published."""
        v = self._recorder.latest
        recent = self._recorder.recent
        return {
            "at_ms": v.at_ms,
            "time_ms": time.time_ns() // 1_000_000,
            "election_timeout_ms": v.election_timeout_ms,
            "leader_changes": recent.leader_changes,
            "paused_ms": recent.paused_ms,
            "fsync_ms": _quantiles(recent.sync_seconds),
            "commit_ms": _quantiles(recent.commit_seconds),
            "lags": dict(v.lags),
            "silent": self._silent(v),
            "requests": _requests(v.requests),
            "keys": v.keys,
            "leases": v.leases,
            "queues": v.queues,
            "places": v.places,
            "sessions": v.sessions,
            "watches": v.watches,
            "watches_behind": v.watches_behind,
            "disk_free_bytes": v.disk_free_bytes,
            "disk_bytes": v.disk_bytes,
            "memory_bytes": _resident_bytes(),
            "memory_limit_bytes": self._memory_limit_bytes,
            "open_files": self._count_open_files(),
            "open_files_limit": _open_files_limit(),
            "security": {"exposed": self._exposed, **self._access.state()},
            "replicas_problem": None if self._feed is None else self._feed.problem,
        }

    def _silent(self, v: Vitals) -> dict[str, str]:
        """A follower asks the others nothing, so that one of them answered nothing says little."""
        asks = v.role == Role.LEADER.value or v.leader is None
        return dict(self._peers.silent) if asks else {}

    def _count_open_files(self) -> int | None:
        now_s = time.monotonic()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            try:
                self._open_files = len(os.listdir(_PROC / "fd"))  # noqa: PTH208 (only their number)
            except OSError:  # not Linux, or no descriptor is left for the look itself
                self._open_files = None
        return self._open_files


def _quantiles(tally: Tally) -> dict[str, float | None]:
    """p50 and p99, in milliseconds, and how many there were."""
    found = {name: tally.quantile(share) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {
        "count": sum(tally.counts),
        **{name: None if s is None else round(s * 1000, 3) for name, s in found.items()},
    }


def _requests(requests: tuple[tuple[str, str, int], ...]) -> Mapping[str, int]:
    """How many were answered since the start, by kind."""
    counts: dict[str, int] = {}
    for kind, _, count in requests:
        counts[kind] = counts.get(kind, 0) + count
    return counts


def _resident_bytes() -> int | None:
    try:
        pages = int((_PROC / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


def _open_files_limit() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
