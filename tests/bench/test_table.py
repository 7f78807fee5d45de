"""What the tables say."""

from __future__ import annotations

from tests.bench.points import Point
from tests.bench.samples import measurement, results
from tests.bench.table import point_rows, secured_rows, wanted_rows


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


def test_keys_are_judged_beside_none_and_stand_beside_tls() -> None:
    found = results()
    point = Point("put", 256, 100)
    found.measurements = [
        measurement("raftzmq", point, rate=60_000, nodes_cpu_s=6.0),
        measurement("raftzmq-keys", point, rate=57_000, nodes_cpu_s=7.125),
        measurement("etcd", point, rate=10_000),
        measurement("etcd-tls", point, rate=8_000),
    ]
    rows = {row[0]: row[1:] for row in secured_rows(found)}
    assert rows["put of 100 B, 256 outstanding, a second"] == (
        *("60,000/s", "57,000/s", "0.95", "at least 0.9 times", "yes"),
        *("10,000/s", "8,000/s", "0.80"),
    )
    assert rows["put of 100 B, 256 outstanding, processor time of an operation"] == (
        *("100", "125", "1.25", "at most 1.2 times", "no", "-", "-", "-"),
    )
    assert rows["put of 100 B, 256 outstanding, p99"][3:5] == ("-", "-")


def test_a_run_without_keys_has_no_table_of_them() -> None:
    assert secured_rows(results()) == []


def test_each_load_has_a_row_a_system_and_is_named_once() -> None:
    rows = point_rows(results())
    assert [row[:2] for row in rows[:3]] == [
        ("put of 100 B, 1 outstanding", "raftzmq"),
        ("", "etcd"),
        ("", "pysyncobj"),
    ]
    assert len(rows) == 12
    assert [row[3] for row in rows[9:]] == ["6.00", "1.00", "1.50"]
