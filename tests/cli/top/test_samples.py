"""What two looks at a cluster say, and the picture of that at any width."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raftzmq_cli.common.escaping import width
from raftzmq_cli.top.picture import picture
from raftzmq_cli.top.samples import LINES, Frame, Line, Sample, frame
from tests.cli.doctor.facts import node, silent


def look(at_ms: int, writes: int = 0, reads: int = 0, **changes: Any) -> dict[str, Any]:
    """raft-0, which leads, at some moment."""
    requests = {"write": writes, "read": reads, "stale_read": reads, "admin": 999}
    figures = {"at_ms": at_ms, "requests": requests, "lags": {"raft-1": 7, "raft-2": 120}}
    return node("raft-0", figures=figures, process="one", **changes)


def sample(leader: dict[str, Any], *lines: Line) -> Sample:
    others = [node(f"raft-{k}", process=f"{k}", watches=3) for k in (1, 2)]
    return Sample(nodes=[leader, *others], lines=lines)


def line(name: str, waiting: int, kind: str = "lock") -> Line:
    return Line(kind=kind, name=name, held=1, waiting=waiting)


def compared(before: dict[str, Any], after: dict[str, Any]) -> Frame:
    return frame(sample(before), sample(after))


def test_rates_are_counted_by_the_nodes_own_clock() -> None:
    found = compared(look(1_000, writes=100, reads=10), look(3_000, writes=300, reads=30))
    leader = found.nodes[0]
    assert (leader.writes_per_s, leader.reads_per_s) == (100.0, 20.0)
    assert (found.writes_per_s, found.reads_per_s) == (100.0, 20.0)


@pytest.mark.parametrize(
    "before",
    [look(3_000, writes=100), {**look(1_000), "process": "another"}, silent("raft-0")],
    ids=["no time between", "another process", "silent before"],
)
def test_there_is_no_rate_without_two_looks_at_one_process(before: dict[str, Any]) -> None:
    assert compared(before, look(3_000, writes=300)).nodes[0].writes_per_s is None


def test_the_slowest_follower_is_the_one_that_the_leader_finds_furthest_behind() -> None:
    found = compared(look(1), look(2))
    assert (found.slowest, found.slowest_lag) == ("raft-2", 120)


def test_nobody_leads_and_nobody_answers() -> None:
    nodes = [silent(f"raft-{k}") for k in range(3)]
    found = frame(Sample(nodes=nodes), Sample(nodes=nodes, lines_remark="unknown"))
    assert found.verdict.startswith("NO ANSWER")
    assert [row.role for row in found.nodes] == ["silent"] * 3
    assert (found.writes_per_s, found.slowest, found.keys) == (None, None, None)
    assert "LONGEST LINES: unknown" in picture(found, 80)


def test_only_those_with_a_line_are_named_the_longest_first() -> None:
    lines = [line("a", 1), line("b", 0), line("c", 9, "semaphore"), line("d", 9)]
    found = frame(sample(look(1)), sample(look(2), *lines, *[line("x", 1)] * LINES))
    assert [one.name for one in found.lines[:3]] == ["d", "c", "a"]
    assert len(found.lines) == LINES


WELL = replace(
    compared(look(1_000), look(2_000, writes=12_345)),
    lines=[
        line("nightly", 12),
        line("a-name-that-is-longer-than-any-terminal" * 3, 3),
        line("é" * 30, 1),
    ],
)


@pytest.mark.parametrize("columns", [4, 10, 20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    assert max(map(width, picture(WELL, columns))) <= columns


def test_columns_are_left_out_where_it_is_narrow_and_the_names_stay() -> None:
    wide, narrow = picture(WELL, 80), picture(WELL, 20)
    assert "NODE    ROLE      WRITES/s  READS/s  FSYNC p99  LAG  MEMORY  WATCHES" in wide
    assert "NODE    WRITES/s" in narrow
    assert "raft-0  12,345" in narrow


def test_no_more_lines_than_there_is_room_for() -> None:
    assert picture(WELL, 80, 4) == picture(WELL, 80)[:4]
    assert len(picture(WELL, 80)) <= 24


def test_what_a_name_holds_obeys_nobody() -> None:
    evil = replace(WELL, lines=[line("\x1b[31mred\n", 1)])
    shown = "\n".join(picture(evil, 80))
    assert r"\x1b[31mred\n" in shown
    assert "\x1b" not in shown


def test_json_has_every_field() -> None:
    document = WELL.document()
    assert document["nodes"][0]["writes_per_s"] == 12_345.0
    assert document["lines"][0] == {"kind": "lock", "name": "nightly", "held": 1, "waiting": 12}
