"""The page that Prometheus reads, read as Prometheus reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from raftzmq import __version__
from raftzmq.server.metrics import CONTENT_TYPE, Metrics
from raftzmq.server.vitals import Vitals
from tests.server.samples import LEADER, vitals

DOCS = Path(__file__).parents[2] / "docs"

TYPES = {
    "build_info": "gauge",
    "role": "gauge",
    "is_leader": "gauge",
    "has_leader": "gauge",
    "heard_by_leader": "gauge",
    "term": "gauge",
    "leader_changes_total": "counter",
    "members": "gauge",
    "voters": "gauge",
    "commit_index": "gauge",
    "applied_index": "gauge",
    "behind_seconds": "gauge",
    "last_index": "gauge",
    "first_index": "gauge",
    "snapshot_index": "gauge",
    "follower_lag_entries": "gauge",
    "snapshots_total": "counter",
    "last_backup_timestamp_seconds": "gauge",
    "snapshot_bytes_total": "counter",
    "proposals_pending": "gauge",
    "proposals_applied_total": "counter",
    "proposals_failed_total": "counter",
    "commit_duration_seconds": "histogram",
    "client_requests_total": "counter",
    "store_bytes": "gauge",
    "quota_bytes": "gauge",
    "keys": "gauge",
    "sessions": "gauge",
    "leases": "gauge",
    "queues": "gauge",
    "places": "gauge",
    "parked_reads": "gauge",
    "watches": "gauge",
    "watches_behind": "gauge",
    "watch_events_total": "counter",
    "watches_lost_total": "counter",
    "watch_first_revision": "gauge",
    "messages_received_total": "counter",
    "messages_sent_total": "counter",
    "messages_dropped_total": "counter",
    "connections_cut_total": "counter",
    "fsync_duration_seconds": "histogram",
    "disk_full": "gauge",
    "out_of_files": "gauge",
    "disk_free_bytes": "gauge",
    "disk_size_bytes": "gauge",
}


def read(found: Vitals) -> dict[str, Metric]:
    """The families of raftzmq on the page, without the prefix, counters with their _total."""
    families = text_string_to_metric_families(Metrics().page(found).decode())
    return {
        family.name.removeprefix("raftzmq_") + "_total" * (family.type == "counter"): family
        for family in families
        if family.name.startswith("raftzmq_")
    }


def values(family: Metric) -> dict[tuple[str, ...], float]:
    """Labels in the order of their names -> value."""
    return {tuple(v for _, v in sorted(s.labels.items())): s.value for s in family.samples}


def value(family: Metric) -> float:
    (sample,) = family.samples
    assert sample.labels == {}
    return float(sample.value)


def test_every_family_is_there_with_its_type_and_a_help() -> None:
    found = read(LEADER)
    assert {name: family.type for name, family in found.items()} == TYPES
    assert all(family.documentation for family in found.values())
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_plain_numbers_are_those_of_the_vitals() -> None:
    found = read(LEADER)
    assert {name: value(found[name]) for name in ("term", "commit_index", "applied_index")} == {
        "term": 7,
        "commit_index": 4711,
        "applied_index": 4710,
    }
    assert {name: value(found[name]) for name in ("last_index", "first_index", "voters")} == {
        "last_index": 4720,
        "first_index": 12,
        "voters": 3,
    }
    assert value(found["members"]) == 4
    assert value(found["snapshot_index"]) == 4000
    assert value(found["leader_changes_total"]) == 3
    assert value(found["proposals_pending"]) == 10
    assert value(found["proposals_applied_total"]) == 4000
    assert value(found["proposals_failed_total"]) == 2
    assert value(found["disk_free_bytes"]) == 10**9
    assert value(found["disk_size_bytes"]) == 10**10
    assert value(found["disk_full"]) == 0
    assert value(found["store_bytes"]) == 400_000
    assert value(found["quota_bytes"]) == 10**9


def test_what_clients_share_or_wait_for_is_counted() -> None:
    found = read(LEADER)
    names = ("keys", "sessions", "leases", "queues", "places", "parked_reads")
    assert [value(found[name]) for name in names] == [1000, 12, 8, 5, 7, 2]
    assert [value(found[name]) for name in ("watches", "watches_behind")] == [30, 1]
    assert value(found["watch_events_total"]) == 12_345
    assert value(found["watch_first_revision"]) == 3_000
    assert values(found["watches_lost_total"]) == {("slow",): 2, ("compacted",): 3}


def test_labels_tell_apart_what_has_one_name() -> None:
    found = read(LEADER)
    assert values(found["build_info"]) == {(__version__,): 1}
    assert values(found["follower_lag_entries"]) == {("raft-1",): 9, ("raft-2",): 4711}
    assert values(found["client_requests_total"]) == {  # code, kind
        ("ok", "write"): 4000,
        ("overloaded", "write"): 5,
        ("ok", "read"): 77,
    }
    assert values(found["messages_dropped_total"]) == {  # place, reason
        ("raft", "an_earlier_term"): 2,
        ("clients", "unroutable"): 1,
    }
    assert values(found["connections_cut_total"]) == {("clients", "crowd"): 8}
    assert values(found["messages_received_total"]) == {("nodes",): 900, ("clients",): 800}
    assert values(found["messages_sent_total"]) == {("clients",): 700, ("links",): 600}
    taken = {("taken",): 2, ("received",): 0, ("sent",): 1}
    assert values(found["snapshots_total"]) == taken
    assert values(found["snapshot_bytes_total"])[("sent",)] == 1024


@pytest.mark.parametrize(
    ("role", "leader", "leads", "led"),
    [
        ("leader", "raft-0", 1, 1),
        ("follower", "raft-1", 0, 1),
        ("pre-candidate", None, 0, 0),
        ("joining", None, 0, 0),
    ],
)
def test_one_role_is_1_and_all_others_are_0(
    role: str, leader: str | None, leads: int, led: int
) -> None:
    found = read(vitals(role=role, leader=leader))
    roles = values(found["role"])
    assert roles.pop((role,)) == 1
    assert set(roles.values()) == {0}
    assert len(roles) == 5
    assert value(found["is_leader"]) == leads
    assert value(found["has_leader"]) == led


def test_histograms_count_up_from_bound_to_bound() -> None:
    family = read(LEADER)["fsync_duration_seconds"]
    counts = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert counts == {"0.001": 5, "0.01": 8, "+Inf": 9}
    rest = {s.name: s.value for s in family.samples if not s.labels}
    assert rest == {
        "raftzmq_fsync_duration_seconds_count": 9,
        "raftzmq_fsync_duration_seconds_sum": 0.75,
    }


def test_what_is_not_known_has_no_value_but_keeps_its_family() -> None:
    found = read(vitals(disk_free_bytes=None, disk_bytes=None, lags=(), requests=()))
    for name in ("disk_free_bytes", "disk_size_bytes", "follower_lag_entries"):
        assert found[name].samples == []
    assert set(found) == set(TYPES)


def test_the_process_itself_is_described_too() -> None:
    page = Metrics().page(LEADER).decode()
    assert "\nprocess_resident_memory_bytes " in page
    assert "\nprocess_cpu_seconds_total " in page


def test_the_page_is_made_once_for_the_same_vitals() -> None:
    metrics = Metrics()
    page = metrics.page(LEADER)
    assert metrics.page(LEADER) is page
    assert metrics.page(vitals(term=8)) != page


def test_the_table_in_the_documentation_is_complete_and_right() -> None:
    rows = re.findall(
        r"^\| `raftzmq_(\w+)`[^|]*\| (\w+) \|", (DOCS / "metrics.md").read_text(), re.M
    )
    assert dict(rows) == TYPES


def test_the_alerts_watch_what_is_there() -> None:
    groups = yaml.safe_load((DOCS / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) >= 8
    histograms = {f"{name}_bucket" for name, kind in TYPES.items() if kind == "histogram"}
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        watched = set(re.findall(r"raftzmq_(\w+)", rule["expr"]))
        assert watched <= TYPES.keys() | histograms, rule["alert"]
