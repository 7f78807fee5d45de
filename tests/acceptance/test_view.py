"""When a cluster counts as settled, and what is said when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.view import Leader, leader_among, unsettled

THREE = ["raft-0", "raft-1", "raft-2"]


def status(node: str, leader: str = "raft-1", term: int = 3, **changed: Any) -> dict[str, Any]:
    members = [{"name": name, "voter": True} for name in THREE]
    said = {
        "node": node,
        "endpoint": f"{node}:6001",
        "role": "leader" if node == leader else "follower",
        "term": term,
        "leader": leader,
        "members": members,
        "commit_index": 10,
        "applied_index": 10,
        "waiting": None,
        "healthy": True,
    }
    return said | changed


def silent(node: str) -> dict[str, Any]:
    return {"node": node, "endpoint": f"{node}:6001", "error": "no answer"}


def test_three_healthy_voters_that_follow_one_leader_are_settled() -> None:
    statuses = [status(name) for name in THREE]
    assert leader_among(statuses) == Leader("raft-1", 3)
    assert unsettled(statuses, THREE, THREE, applied_index=10) is None


def test_one_may_be_silent_if_it_need_not_answer() -> None:
    statuses = [status("raft-0"), status("raft-1"), silent("raft-2")]
    assert unsettled(statuses, THREE, THREE[:2]) is None
    assert unsettled(statuses, THREE, THREE) == "raft-2: no answer"


def test_a_deposed_leader_that_does_not_know_it_yet_is_not_the_leader() -> None:
    old = status("raft-0", leader="raft-0", term=2)
    statuses = [old, status("raft-1"), status("raft-2")]
    assert leader_among(statuses) == Leader("raft-1", 3)
    assert unsettled(statuses, THREE, THREE) is not None


def test_a_leader_that_no_majority_follows_is_none() -> None:
    assert leader_among([status("raft-1"), silent("raft-0"), silent("raft-2")]) is None


def test_a_leader_of_an_older_term_than_a_follower_is_none() -> None:
    statuses = [status("raft-0"), status("raft-1"), status("raft-2", leader="", term=4)]
    assert leader_among(statuses) is None


LEARNER = [{"name": "raft-0", "voter": True}, {"name": "raft-3", "voter": False}]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"applied_index": 9}, "applied 9 of 10"),
        ({"healthy": False}, "not healthy"),
        ({"role": "joining"}, "is joining"),
        ({"waiting": "somebody must add it"}, "somebody must add it"),
        ({"members": [{"name": "raft-0", "voter": True}]}, "voters raft-0"),
        ({"members": LEARNER}, "learners raft-3"),
    ],
)
def test_what_keeps_it_from_being_settled_is_told(changed: dict[str, Any], told: str) -> None:
    statuses = [status("raft-0", **changed), status("raft-1"), status("raft-2")]
    amiss = unsettled(statuses, THREE, THREE, applied_index=10)
    assert amiss is not None
    assert amiss.startswith("raft-0: ")
    assert told in amiss
