"""What the tables say."""

from __future__ import annotations

from tests.bench.samples import results
from tests.bench.table import point_rows, wanted_rows


def test_a_row_has_figures_ratio_wish_and_whether_it_is_met() -> None:
    rows = {row[0]: row[1:] for row in wanted_rows(results())}
    assert rows["put of 100 B, 1000 outstanding, a second"] == (
        "60,002/s",
        "10,002/s",
        "6.00",
        "at least 4 times",
        "yes",
        "15,002/s",
    )
    assert rows["put of 100 B, 256 outstanding, p99"][2:5] == ("0.17", "at most 0.25 times", "yes")


def test_pauses_are_judged_by_median_and_by_the_worst() -> None:
    rows = {row[0]: row[1:] for row in wanted_rows(results())}
    assert rows["kill -9 of the leader, median pause of 3"] == (
        "0.400 s",
        "1.300 s",
        "0.31",
        "at most 0.5 s",
        "yes",
        "-",
    )
    assert rows["kill -9 of the leader, worst pause of 3"][4] == "no"
    assert rows["SIGTERM of the leader, worst pause of 2"][4] == "yes"


def test_what_was_not_measured_has_no_row() -> None:
    found = results()
    found.pauses_s, found.handovers_s = {}, {}
    found.measurements = [one for one in found.measurements if one.outstanding == 64]
    assert [row[0] for row in wanted_rows(found)] == ["put of 100 B, 64 outstanding, a second"]


def test_each_load_has_a_row_a_system_and_is_named_once() -> None:
    rows = point_rows(results())
    assert [row[:2] for row in rows[:3]] == [
        ("put of 100 B, 1 outstanding", "raftzmq"),
        ("", "etcd"),
        ("", "pysyncobj"),
    ]
    assert len(rows) == 12
    assert [row[3] for row in rows[9:]] == ["6.00", "1.00", "1.50"]
