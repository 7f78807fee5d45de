"""A failure tells all that is needed to see it again. That every rule can fail: tests/planted."""

from __future__ import annotations

import pytest

from raftzmq.core import replication
from raftzmq.core.raft import Raft
from tests.sim.story import SimFailure
from tests.sim.world import run

SEEDS = range(2000, 2030)


def first_failure() -> SimFailure:
    for seed in SEEDS:
        try:
            run(seed, 15)
        except SimFailure as failure:
            return failure
    raise AssertionError("the defect was not found")


def test_a_failure_tells_seed_commit_story_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def advance(raft: Raft) -> None:
        raft.commit_index = raft.stable_index  # without asking anybody

    monkeypatch.setattr(replication, "advance_commit", advance)
    failure = first_failure()
    told = str(failure)
    assert f"seed {failure.seed} failed at commit " in told
    assert "durable only with" in told
    assert "The last events:" in told
    assert "starts as raft-0@" in told
    assert f"just sim {failure.seed} --seconds 15" in told
