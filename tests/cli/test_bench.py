"""The arithmetic of `bench`."""

from array import array

import pytest

from raftzmq_cli.bench import Measured, Plan, percentile_ms, report

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
    assert report(Plan("put", 8, 2.0, 100, 10, False), measured) == {
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
