"""Lines of load generators, medians, ratios, and the file that keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.points import WANTED, Point, Wanted, chosen
from tests.bench.results import BadLine, Results, load, medians, parse_line
from tests.bench.samples import measurement, results

POINT = Point("put", 64, 100)
LINE: dict[str, Any] = {
    "op": "put",
    "outstanding": 64,
    "value_bytes": 100,
    "ops_per_s": 1234.5,
    "p50_ms": 1.5,
    "p99_ms": 2,
    "p999_ms": 3.25,
    "max_ms": None,
    "errors": 0,
    "histogram": [],
}


def test_the_figures_of_a_line_are_taken_and_nothing_else() -> None:
    assert parse_line(json.dumps(LINE) + "\n", POINT) == {
        "ops_per_s": 1234.5,
        "p50_ms": 1.5,
        "p99_ms": 2,
        "p999_ms": 3.25,
        "max_ms": None,
        "errors": 0,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "panic: no cluster",
        "[]",
        "7",
        json.dumps({k: v for k, v in LINE.items() if k != "p99_ms"}),
        json.dumps(LINE | {"p99_ms": "2"}),
        json.dumps(LINE | {"errors": True}),
        json.dumps(LINE | {"ops_per_s": None}),
        json.dumps(LINE | {"outstanding": 65}),
        json.dumps(LINE) * 2,
    ],
)
def test_what_is_not_the_line_that_was_asked_for_is_no_figure(text: str) -> None:
    with pytest.raises(BadLine):
        parse_line(text, POINT)


def test_the_median_is_of_a_system_and_a_point_over_the_rounds() -> None:
    rates = [measurement("etcd", POINT, k, rate) for k, rate in enumerate([10.0, 90.0, 20.0])]
    others = [measurement("etcd", Point("get", 64, 100)), measurement("raftzmq", POINT)]
    found = {(one.system, one.point): one.ops_per_s for one in medians([*rates, *others])}
    assert found == {
        ("etcd", POINT): 20.0,
        ("etcd", Point("get", 64, 100)): 1000.0,
        ("raftzmq", POINT): 1000.0,
    }


def test_a_latency_that_one_round_lacks_is_that_of_the_others() -> None:
    rounds = [measurement("etcd", POINT, p99_ms=None), measurement("etcd", POINT, p99_ms=4.0)]
    (one,) = medians(rounds)
    assert one.p99_ms == 4.0
    (none,) = medians(rounds[:1])
    assert none.p99_ms is None


def test_a_ratio_is_of_medians() -> None:
    found = Results("", "")
    found.measurements = [
        measurement("raftzmq", POINT, rate=400.0),
        measurement("raftzmq", POINT, rate=600.0),
        measurement("etcd", POINT, rate=100.0),
    ]
    assert found.ratio(Wanted(POINT, "ops_per_s", at_least=4)) == 5.0


def test_without_both_systems_there_is_no_ratio() -> None:
    found = Results("", "")
    found.measurements = [measurement("raftzmq", POINT)]
    assert found.ratio(Wanted(POINT, "ops_per_s", at_least=4)) is None


def test_a_wish_is_met_at_its_bound() -> None:
    least, most = (Wanted(POINT, "ops_per_s", at_least=4), Wanted(POINT, "p99_ms", at_most=0.25))
    assert [least.met(ratio) for ratio in (3.99, 4.0, 9.0)] == [False, True, True]
    assert [most.met(ratio) for ratio in (0.1, 0.25, 0.26)] == [True, True, False]


def test_what_was_saved_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "below" / "results.json"
    results().save(path)
    assert load(path) == results()


def test_a_file_of_another_format_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"format": 99}')
    with pytest.raises(ValueError, match="format 1"):
        load(path)


def test_without_options_the_loads_are_those_for_which_something_is_wanted() -> None:
    points = chosen(None, None, None)
    assert set(points) == {wanted.point for wanted in WANTED}
    assert len(points) == len(set(points))


def test_with_any_option_the_loads_are_all_combinations() -> None:
    assert chosen(["put", "get"], [1, 64], None) == [
        Point("put", 1, 100),
        Point("put", 64, 100),
        Point("get", 1, 100),
        Point("get", 64, 100),
    ]
    assert chosen(None, None, [4096]) == [Point("put", 256, 4096)]


def test_locks_and_watches_have_numbers_of_their_own() -> None:
    points = chosen(["put", "watch"], None, [4096])
    assert points == [Point("put", 256, 4096), *(Point("watch", n, 100) for n in (1, 100, 1000))]
    assert chosen(["lock"], [7], None) == [Point("lock", 7, 100)]
    assert str(Point("onelock", 100, 100)) == "one lock changes hands, 100 claimants"


def test_large_values_have_fewer_keys() -> None:
    assert [Point("put", 1, size).keys for size in (100, 4096, 65_536)] == [10_000, 3906, 244]
