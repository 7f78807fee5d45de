"""The arithmetic of `bench`."""

from array import array
from typing import Any

import pytest

from raftzmq_cli.client.bench import histogram, histogram_lines, lines_of, percentile_ms, report
from raftzmq_cli.client.bench_loop import Measured, Plan

MS = 1_000_000


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (0.999, 100.0), (1.0, 100.0)]
)
def test_a_percentile_is_what_that_share_did_not_exceed(share: float, expected: float) -> None:
    assert percentile_ms([n * MS for n in range(1, 101)], share) == expected


def test_one_measurement_is_every_percentile() -> None:
    assert {percentile_ms([7 * MS], share) for share in (0.5, 0.99, 1.0)} == {7.0}


def test_without_measurements_there_is_no_percentile() -> None:
    assert percentile_ms([], 0.5) is None


def test_the_report_has_the_promised_fields() -> None:
    measured = Measured(array("Q", [2 * MS, 1 * MS, 3 * MS, 4 * MS]), errors=1, elapsed_s=2.0)
    document = report(Plan("put", 8, 2.0, 100, 10, False), measured)
    promised: dict[str, Any] = {
        "op": "put",
        "outstanding": 8,
        "value_bytes": 100,
        "ops_per_s": 2.0,
        "p50_ms": 2.0,
        "p99_ms": 4.0,
        "p999_ms": 4.0,
        "max_ms": 4.0,
        "errors": 1,
    }
    assert {name: document[name] for name in promised} == promised
    assert list(document)[: len(promised)] == list(promised)


def test_a_measurement_is_in_the_class_whose_bound_it_does_not_exceed() -> None:
    assert histogram([MS, MS + 1, 1_500_000, 3 * MS]) == [
        {"up_to_ms": 1.0, "count": 1},
        {"up_to_ms": 1.5, "count": 2},
        {"up_to_ms": 2.0, "count": 0},
        {"up_to_ms": 3.0, "count": 1},
    ]


def test_what_exceeds_every_bound_is_counted_too() -> None:
    assert histogram([10**15]) == [{"up_to_ms": None, "count": 1}]


def test_without_measurements_there_is_no_histogram() -> None:
    assert histogram([]) == []
    assert histogram_lines([]) == []


def test_the_longest_bar_is_of_the_fullest_class_and_no_bar_is_invisible() -> None:
    classes: list[dict[str, Any]] = [
        {"up_to_ms": 1.0, "count": 1},
        {"up_to_ms": None, "count": 999},
    ]
    assert [line.count("#") for line in histogram_lines(classes)] == [1, 40]


def test_a_report_of_nothing_but_errors_can_be_shown() -> None:
    nothing = report(Plan("put", 1, 1.0, 100, 1, False), Measured(errors=3, elapsed_s=1.0))
    assert "0.0 operations a second, 3 errors" in lines_of(nothing)[1]


def test_processes_share_operations_and_connections() -> None:
    shares = Plan("put", 8, 2.0, 100, 10, False, connections=4, processes=3).shares()
    assert [(p.outstanding, p.connections, p.processes) for p in shares] == [
        (3, 2, 1),
        (3, 1, 1),
        (2, 1, 1),
    ]


def test_what_processes_measured_at_the_same_time_is_added_up() -> None:
    together = Measured(array("Q", [1]), errors=1, elapsed_s=1.0)
    together.add(Measured(array("Q", [2, 3]), errors=2, elapsed_s=2.0))
    assert list(together.latencies_ns) == [1, 2, 3]
    assert (together.errors, together.elapsed_s) == (3, 2.0)
