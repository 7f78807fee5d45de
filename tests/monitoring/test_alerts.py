"""Each alert fires on a fault that it is for, and is silent while all is well."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.amounts import sample
from tests.documents import anchors_of
from tests.monitoring.rules import (
    DOCS,
    HOURS,
    RULES,
    Firing,
    assert_fires,
    require_promtool,
)

MINUTES = HOURS * 60


def constantly(value: float) -> str:
    return f"{value:g}+0x{MINUTES}"


def growing(by: float) -> str:
    """A counter, by so much a minute."""
    return f"0+{by:g}x{MINUTES}"


def instance(ordinal: int) -> str:
    return f"raft-{ordinal}:6002"


def at(name: str, ordinal: int, **labels: str) -> str:
    """A sample of one node, with the labels that Prometheus adds."""
    labels |= {"job": "raftzmq", "instance": instance(ordinal)}
    pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{pairs}}}"


def durations(name: str, ordinal: int, seconds: str) -> dict[str, str]:
    """A histogram of sixty a minute, all of them at most so long."""
    bounds = ("0.001", "0.01", "0.1", "0.25", "0.5", "1.0", "+Inf")
    return {
        at(f"{name}_bucket", ordinal, le=bound): growing(
            60 if float(bound) >= float(seconds) else 0
        )
        for bound in bounds
    }


def node(ordinal: int) -> dict[str, str]:
    """The series of one of three nodes with which all is well; raft-0 leads."""
    gauges = {
        "up": 1,
        "raftzmq_is_leader": ordinal == 0,
        "raftzmq_has_leader": 1,
        "raftzmq_heard_by_leader": 1,
        "raftzmq_members": 3,
        "raftzmq_voters": 3,
        "raftzmq_disk_full": 0,
        "raftzmq_disk_free_bytes": 5e9,
        "raftzmq_disk_size_bytes": 1e10,
        "raftzmq_store_bytes": 4e8,
        "raftzmq_quota_bytes": 1e9,
        "raftzmq_last_backup_timestamp_seconds": 0,
    }
    series = {at(name, ordinal): constantly(value) for name, value in gauges.items()}
    series[at("raftzmq_leader_changes_total", ordinal)] = constantly(1)
    series |= durations("raftzmq_fsync_duration_seconds", ordinal, "0.01")
    series |= durations("raftzmq_commit_duration_seconds", ordinal, "0.01")
    for code, rate in (("ok", 600), ("overloaded", 0)):
        name = at("raftzmq_client_requests_total", ordinal, kind="write", code=code)
        series[name] = growing(rate)
    if ordinal == 0:
        for peer in ("raft-1", "raft-2"):
            series[at("raftzmq_follower_lag_entries", 0, peer=peer)] = constantly(3)
    return series


HEALTHY = node(0) | node(1) | node(2)


class Fault(NamedTuple):
    """What makes an alert fire: series instead of the healthy ones, or without them."""

    alert: str
    changed: dict[str, str]
    firing: list[Firing]
    removed: str = ""
    """The series whose name contains this are not there."""


def of_raft_2(summary: str) -> list[Firing]:
    return [Firing({"job": "raftzmq", "instance": instance(2)}, summary)]


FAULTS = {
    "the backups fail": Fault(
        "RaftzmqBackupOld",
        {
            at("raftzmq_last_backup_timestamp_seconds", ordinal): constantly(-3 * 86400 + ordinal)
            for ordinal in range(3)
        },
        [Firing({}, "The newest good backup is more than two days old.")],
    ),
    "nobody leads": Fault(
        "RaftzmqNoLeader",
        {at("raftzmq_is_leader", 0): constantly(0)},
        [Firing({}, "The cluster has no leader, and takes no writes.")],
    ),
    "no node is to be seen": Fault(
        "RaftzmqNoLeader",
        {},
        [Firing({}, "The cluster has no leader, and takes no writes.")],
        removed="raftzmq_is_leader",
    ),
    "one node is cut off": Fault(
        "RaftzmqNodeWithoutLeader",
        {at("raftzmq_has_leader", 2): constantly(0)},
        of_raft_2("raft-2:6002 knows no leader."),
    ),
    "one node's answers are lost": Fault(
        "RaftzmqNodeUnheard",
        {at("raftzmq_heard_by_leader", 2): constantly(0)},
        of_raft_2("raft-2:6002 hears the leader, and is not heard by it."),
    ),
    "one node does not answer": Fault(
        "RaftzmqNodeDown",
        {at("up", 2): constantly(0)},
        [
            *of_raft_2("A member of the cluster does not answer."),
            Firing({}, "A member of the cluster does not answer."),
        ],
    ),
    "one node is not found at all": Fault(
        "RaftzmqNodeDown",
        {},
        [Firing({}, "A member of the cluster does not answer.")],
        removed='instance="raft-2:6002"',
    ),
    "a new leader each minute": Fault(
        "RaftzmqLeaderChangesOften",
        {at("raftzmq_leader_changes_total", 1): growing(1)},
        [Firing({}, "The leader changes again and again.")],
    ),
    "a follower falls behind": Fault(
        "RaftzmqFollowerLags",
        {at("raftzmq_follower_lag_entries", 0, peer="raft-2"): constantly(60_000)},
        [Firing({"peer": "raft-2"}, "raft-2 is 60000 entries behind.")],
    ),
    "each fsync takes half a second": Fault(
        "RaftzmqSlowDisk",
        durations("raftzmq_fsync_duration_seconds", 2, "0.5"),
        [
            Firing(
                {"instance": instance(2)},
                "The disk of raft-2:6002 takes more than 0.1 s to make data durable.",
            )
        ],
    ),
    "each write takes a second": Fault(
        "RaftzmqSlowWrites",
        durations("raftzmq_commit_duration_seconds", 0, "1.0"),
        [Firing({}, "One write in a hundred takes more than half a second.")],
    ),
    "writes are refused": Fault(
        "RaftzmqWritesRefused",
        {at("raftzmq_client_requests_total", 0, kind="write", code="store_full"): growing(10)},
        [Firing({"code": "store_full"}, "Writes are refused: store_full.")],
    ),
    "a tenth of the disk is free": Fault(
        "RaftzmqDiskFills",
        {at("raftzmq_disk_free_bytes", 2): constantly(1e9)},
        of_raft_2("The disk of raft-2:6002 is nearly full."),
    ),
    "a disk found no space though some is free": Fault(
        "RaftzmqDiskFills",
        {at("raftzmq_disk_full", 2): constantly(1)},
        of_raft_2("The disk of raft-2:6002 is nearly full."),
    ),
    "nine tenths of the quota are taken": Fault(
        "RaftzmqStoreFills",
        {at("raftzmq_store_bytes", 2): constantly(9e8)},
        of_raft_2("The store takes more than 80 % of its quota on raft-2:6002."),
    ),
    "four voters": Fault(
        "RaftzmqEvenNumberOfVoters",
        {at("raftzmq_voters", ordinal): constantly(4) for ordinal in range(3)},
        [Firing({}, "4 voters bear no more failures than one fewer would.")],
    ),
}


def test_every_alert_has_a_fault_that_shows_it() -> None:
    assert {fault.alert for fault in FAULTS.values()} == RULES.keys()


@pytest.mark.parametrize("alert", sample(list(RULES), 3))
def test_an_alert_is_silent_while_all_is_well(alert: str, tmp_path: Path) -> None:
    require_promtool()
    assert_fires(alert, HEALTHY, [], tmp_path)


@pytest.mark.parametrize("name", sample(list(FAULTS), 4))
def test_an_alert_fires_on_its_fault(name: str, tmp_path: Path) -> None:
    require_promtool()
    fault = FAULTS[name]
    series = HEALTHY | fault.changed
    if fault.removed:
        series = {key: value for key, value in series.items() if fault.removed not in key}
    assert series != HEALTHY
    assert_fires(fault.alert, series, fault.firing, tmp_path)


@pytest.mark.parametrize("alert", RULES)
def test_the_runbook_has_the_section_that_an_alert_leads_to(alert: str) -> None:
    page, _, anchor = RULES[alert]["annotations"]["runbook_url"].partition("#")
    assert page == "docs/runbook.md"
    assert anchor in anchors_of(DOCS / "runbook.md")
    assert alert in (DOCS / "runbook.md").read_text(), "the runbook's table does not name it"
