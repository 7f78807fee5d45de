"""What makes a node live, and ready, and what it says when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.node.admin import BEHIND_MS
from raftzmq.server.health import (
    LOOP_STALLED_MS,
    liveness,
    readiness,
    report,
)
from tests.server.samples import LEADER, vitals

NOW_MS = LEADER.at_ms + 200


def failures(**changes: Any) -> dict[str, str]:
    """The checks of readiness that fail, with their remarks."""
    return {c.name: c.remark for c in readiness(vitals(**changes), NOW_MS) if not c.passed}


def test_a_node_with_which_all_is_well_is_live_and_ready() -> None:
    assert report(liveness(LEADER, {"text_log": True}, NOW_MS)) == (True, "ok loop\nok text_log\n")
    assert report(readiness(LEADER, NOW_MS)) == (
        True,
        "ok loop\nok running\nok member\nok formed\nok leader: raft-0 in term 7\n"
        "ok caught_up\nok store\nok disk\n",
    )


def test_the_life_of_a_node_does_not_depend_on_the_others() -> None:
    alone = vitals(
        leader=None, is_member=False, is_voter=False, led_ms=None, role="joining", disk_full=True,
        stopping=True,
    )  # fmt: skip
    passed, _ = report(liveness(alone, {"text_log": True}, NOW_MS))
    assert passed


@pytest.mark.parametrize(("late_ms", "passes"), [(0, True), (1, False)])
def test_a_loop_that_stands_still_is_neither_live_nor_ready(late_ms: int, passes: bool) -> None:
    now_ms = LEADER.at_ms + LOOP_STALLED_MS + late_ms
    live, text = report(liveness(LEADER, {"text_log": True}, now_ms))
    ready, _ = report(readiness(LEADER, now_ms))
    assert (live, ready) == (passes, passes)
    if not passes:
        assert text.startswith("FAILED loop: it stands still for 15 s: ")


def test_a_dead_thread_ends_the_life_of_the_node() -> None:
    passed, text = report(liveness(LEADER, {"text_log": False}, NOW_MS))
    assert not passed
    assert text == "ok loop\nFAILED text_log: its thread has died: restart the node\n"


@pytest.mark.parametrize(
    ("changes", "check", "remark"),
    [
        ({"stopping": True}, "running", "told to stop"),
        (
            {"is_member": False, "is_voter": False, "waiting": "waiting for raft-0"},
            "member",
            "waiting for raft-0",
        ),
        ({"is_member": False, "is_voter": False}, "member", "waiting to be admitted"),
        ({"is_voter": False, "role": "learner"}, "member", "only a learner yet"),
        ({"forming": ("raft-1", "raft-2")}, "formed", "before raft-1, raft-2 has joined"),
        ({"leader": None}, "leader", "none is known in term 7: a majority of the 3 voters"),
        ({"leader": None, "waiting": "raft-1 belongs to another"}, "leader", "belongs to another"),
        (
            {"leader": None, "refusing": (("raft-1", "wants a key: start this node with --keys"),)},
            "leader",
            "raft-1 refuses this node: it wants a key: start this node with --keys",
        ),
        ({"unheard": "raft-1 does not hear this node"}, "leader", "raft-1 does not hear this node"),
        (
            {"applied_index": 4701, "behind_ms": BEHIND_MS},
            "caught_up",
            "10 of 4711 committed entries are not applied, and some have been missing for 10 s",
        ),
        ({"receiving_snapshot": True}, "caught_up", "receives a snapshot"),
        ({"led_ms": None}, "caught_up", "just started"),
        ({"led_ms": 599}, "caught_up", "just started"),
        (
            {"applied_index": 0, "known_commit_index": limits.LAG_ENTRIES + 1},
            "caught_up",
            "10001 of 10001 committed entries are not applied",
        ),
    ],
)
def test_each_reason_alone_makes_a_node_unready_and_is_told(
    changes: dict[str, Any], check: str, remark: str
) -> None:
    failed = failures(**changes)
    assert set(failed) == {check}
    assert remark in failed[check]


@pytest.mark.parametrize(
    "changes",
    [
        {"led_ms": 600},
        {"applied_index": 0, "commit_index": 0, "known_commit_index": limits.LAG_ENTRIES},
        {"applied_index": 4701, "behind_ms": BEHIND_MS - 1},
        {"role": "follower", "leader": "raft-1", "lags": ()},
    ],
)
def test_the_bounds_themselves_are_within(changes: dict[str, Any]) -> None:
    assert not failures(**changes)


def test_with_a_full_disk_a_node_is_ready_to_be_read_from_and_says_so() -> None:
    passed, text = report(readiness(vitals(disk_full=True), NOW_MS))
    assert passed
    assert "ok disk: full, writes are refused until there is room\n" in text


def test_with_a_full_store_a_node_is_ready_and_says_so() -> None:
    passed, text = report(readiness(vitals(store_full=True), NOW_MS))
    assert passed
    assert "ok store: full, writes that add are refused until something is deleted or" in text


def test_a_node_that_has_no_descriptor_left_says_so_in_words_of_its_own() -> None:
    passed, text = report(readiness(vitals(out_of_files=True), NOW_MS))
    assert passed
    assert "ok disk: too many files are open, writes are refused until some are closed\n" in text
