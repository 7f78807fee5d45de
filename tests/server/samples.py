"""Vitals as they might be, for tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raftzmq.histogram import Tally
from raftzmq.server.vitals import Vitals

LEADER = Vitals(
    at_ms=1_000_000,
    role="leader",
    is_member=True,
    is_voter=True,
    forming=(),
    waiting=None,
    refusing=(),
    stopping=False,
    term=7,
    leader="raft-0",
    unheard="",
    behind_ms=0,
    led_ms=60_000,
    election_timeout_ms=300,
    leader_changes_count=3,
    commit_index=4711,
    known_commit_index=4711,
    applied_index=4710,
    last_index=4720,
    first_index=12,
    snapshot_index=4000,
    receiving_snapshot=False,
    lags=(("raft-1", 9), ("raft-2", 4711)),
    members=4,
    voters=3,
    proposals_pending=10,
    proposals_applied_count=4000,
    proposals_failed_count=2,
    requests=(("write", "ok", 4000), ("write", "overloaded", 5), ("read", "ok", 77)),
    store_bytes=400_000,
    last_backup_s=1_796_052_591,
    quota_bytes=10**9,
    store_full=False,
    keys=1000,
    sessions=12,
    leases=8,
    queues=5,
    places=7,
    parked_reads=2,
    watches=30,
    watches_behind=1,
    watch_events_count=12_345,
    watches_lost=(("slow", 2), ("compacted", 3)),
    watch_first_revision=3_000,
    dropped=(("raft", "an earlier term", 2), ("clients", "unroutable", 1)),
    cut=(("clients", "crowd", 8),),
    received=(("nodes", 900), ("clients", 800)),
    sent=(("clients", 700), ("links", 600)),
    sync_seconds=Tally((0.001, 0.01), (5, 3, 1), 0.75),
    commit_seconds=Tally((0.001, 0.01), (3998, 2, 0), 4.5),
    snapshots=(("taken", 2, 2048), ("received", 0, 0), ("sent", 1, 1024)),
    disk_full=False,
    out_of_files=False,
    disk_free_bytes=10**9,
    disk_bytes=10**10,
)
"""A leader with which all is well."""


def vitals(**changes: Any) -> Vitals:
    return replace(LEADER, **changes)
