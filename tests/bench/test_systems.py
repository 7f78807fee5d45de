"""raftzmq as a system under measurement, with real processes; its rivals have to be fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench.failover import raftzmq_pauses_s
from tests.bench.points import COUNTS, Point
from tests.bench.system import Raftzmq, RaftzmqKeys, agreed_leader
from tests.system.processes import TIMEOUT_S

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("kind", "op"), [(Raftzmq, "put"), (Raftzmq, "stale"), (RaftzmqKeys, "put")]
)
def test_a_load_is_measured_with_processor_times(
    tmp_path: Path, kind: type[Raftzmq], op: str
) -> None:
    with kind(tmp_path) as system:
        one = system.measure(Point(op, 8, 100), 0.3, 1)
    assert (one.system, one.round, one.op, one.outstanding) == (kind.name, 1, op, 8)
    assert one.ops_per_s > 0
    assert one.errors == 0
    assert one.load_cpu_s
    assert one.load_cpu_s > 0
    assert not any(node.is_running for node in system.cluster.nodes)


@pytest.mark.proof
def test_locks_and_watches_are_measured(tmp_path: Path) -> None:
    with Raftzmq(tmp_path) as system:
        for op in COUNTS:
            one = system.measure(Point(op, 3, 100), 0.3, 1)
            assert (one.op, one.outstanding, one.errors) == (op, 3, 0)
            assert one.ops_per_s > 0
            assert one.p50_ms
            assert 0 < one.p50_ms < TIMEOUT_S * 1000


@pytest.mark.proof
@pytest.mark.parametrize("planned", [True, False])
def test_the_pause_around_the_end_of_a_leader_is_measured(tmp_path: Path, planned: bool) -> None:
    told: list[str] = []
    with Raftzmq(tmp_path) as system:
        before = system.cluster.leader()
        pid = before.pid
        (pause_s,) = raftzmq_pauses_s(system, 1, told.append, planned=planned)
        assert before.pid != pid
    assert 0 < pause_s < TIMEOUT_S
    assert len(told) == 1


@pytest.mark.parametrize(
    ("leaders", "expected"),
    [((7, 7, 7), 1), ((7, 7, None), None), ((None, None, None), None), ((7, 6, 7), None)],
)
def test_etcd_has_a_leader_once_all_its_nodes_name_the_same(
    leaders: tuple[int | None, ...], expected: int | None
) -> None:
    endpoints = ["a", "b", "c"]
    statuses = []
    for number, (endpoint, leader) in enumerate(zip(endpoints, leaders, strict=True)):
        status: dict[str, Any] = {"header": {"member_id": 6 + number}}
        if leader is not None:
            status["leader"] = leader
        statuses.append({"Endpoint": endpoint, "Status": status})
    assert agreed_leader(statuses, endpoints) == expected
