"""Facts about three nodes with which all is well, and about such as are not."""

from __future__ import annotations

from typing import Any

from raftzmq_cli.doctor.facts import Facts

NOW_MS = 1_700_000_000_000
MEMBERS = [
    {"name": f"raft-{k}", "incarnation": "a", "address": f"db-{k}:6000", "voter": True}
    for k in range(3)
]
FIGURES: dict[str, Any] = {
    "at_ms": 5_000,
    "time_ms": NOW_MS,
    "election_timeout_ms": 300,
    "leader_changes": 1,
    "paused_ms": 20,
    "fsync_ms": {"count": 100, "p50": 1.0, "p99": 3.0},
    "commit_ms": {"count": 100, "p50": 2.0, "p99": 5.0},
    "lags": {},
    "silent": {},
    "requests": {"write": 100, "read": 50},
    "keys": 10,
    "leases": 0,
    "queues": 0,
    "places": 0,
    "sessions": 1,
    "watches": 0,
    "watches_behind": 0,
    "disk_free_bytes": 5 * 10**9,
    "disk_bytes": 10**10,
    "memory_bytes": 10**8,
    "memory_limit_bytes": 10**9,
    "open_files": 40,
    "open_files_limit": 1024,
    "security": {
        "exposed": False,
        "keys": True,
        "also_plain": False,
        "rotating": [],
        "fault": False,
    },
    "replicas_problem": None,
}


def node(name: str, *, figures: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A node's document. raft-0 leads."""
    document: dict[str, Any] = {
        "node": name,
        "endpoint": f"db-{name[-1]}:6001",
        "role": "leader" if name == "raft-0" else "follower",
        "term": 7,
        "leader": "raft-0",
        "commit_index": 90,
        "applied_index": 90,
        "last_index": 90,
        "lag": 0,
        "members": MEMBERS,
        "forming": [],
        "waiting": None,
        "unresolved": {},
        "refusing": {},
        "twice": {},
        "replicas": None,
        "disk_full": False,
        "out_of_files": False,
        "store_bytes": 10**6,
        "quota_bytes": 10**8,
        "store_full": False,
        "stopping": False,
        "version": "0.2.0",
        "healthy": True,
    }
    return {**document, **changes, "figures": {**FIGURES, **(figures or {})}}


def silent(name: str | None, error: str = "no connection: nothing listens there") -> dict[str, Any]:
    return {
        "node": name,
        "endpoint": "db-9:6001",
        "members": [],
        "role": None,
        "healthy": False,
        "error": error,
    }


def facts(*others: dict[str, Any], **more: Any) -> Facts:
    """Three nodes; those that are given take the place of the well ones of their names."""
    nodes = {f"raft-{k}": node(f"raft-{k}") for k in range(3)}
    nodes |= {other["node"]: other for other in others}
    return Facts(nodes=list(nodes.values()), asked_ms=NOW_MS, answered_ms=NOW_MS + 100, **more)
