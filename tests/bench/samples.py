"""Results with figures that are easy to reckon with."""

from __future__ import annotations

from tests.bench.points import Point
from tests.bench.results import Measurement, Results

RATES = {"raftzmq": 60_000.0, "etcd": 10_000.0, "pysyncobj": 15_000.0}


def measurement(
    system: str,
    point: Point,
    number: int = 1,
    rate: float = 1000.0,
    p99_ms: float | None = 10.0,
    nodes_cpu_s: float | None = None,
) -> Measurement:
    return Measurement(
        system=system,
        round=number,
        op=point.op,
        outstanding=point.outstanding,
        value_bytes=point.value_bytes,
        ops_per_s=rate,
        p50_ms=None if p99_ms is None else p99_ms / 2,
        p99_ms=p99_ms,
        p999_ms=p99_ms,
        max_ms=p99_ms,
        errors=0,
        nodes_cpu_s=nodes_cpu_s,
    )


def results() -> Results:
    """Two rounds of puts by all three systems, and pauses."""
    found = Results(command="python -m tests.bench compare", date="2030-01-02")
    found.machine = {
        "processor": "a processor",
        "cores": 2,
        "memory_gib": 4.0,
        "system": "a system",
        "kernel": "7.0",
        "python": "3.11",
        "file_system": "ext4",
        "fsync_ms": {"p50": 0.3, "p99": 1.5},
        "load_average_before": 0.1,
    }
    found.versions = {"raftzmq": "0.1.0", "etcd": "3.5.1"}
    found.settings = {"seconds": 6, "rounds": 2}
    for number in (1, 2):
        for system, rate in RATES.items():
            for outstanding in (1, 64, 256, 1000):
                point = Point("put", outstanding, 100)
                own = rate * outstanding / 1000 + number
                latency_ms = outstanding / own * 2000
                found.measurements.append(measurement(system, point, number, own, latency_ms))
    found.pauses_s = {"raftzmq": [0.4, 0.3, 1.2], "etcd": [1.0, 1.6]}
    found.handovers_s = {"raftzmq": [0.05, 0.1]}
    return found
