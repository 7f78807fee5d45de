"""The rules can fail, and a failure tells all that is needed to see it again."""

from __future__ import annotations

import pytest

from raftzmq.core import replication
from raftzmq.core.raft import Raft
from raftzmq.core.ready import Ready
from raftzmq.machine.sessions import Session
from tests.sim.disks import _SimHandle
from tests.sim.story import SimFailure
from tests.sim.world import run

SEEDS = range(2000, 2030)


def first_failure(seconds: float = 15) -> SimFailure:
    for seed in SEEDS:
        try:
            run(seed, seconds)
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


def test_an_acknowledgement_before_the_save_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Raft.ready

    def ready(raft: Raft) -> Ready:
        result = take(raft)
        if result.hard_state is None:
            result.messages += result.messages_after_save
            result.messages_after_save = []
        return result

    monkeypatch.setattr(Raft, "ready", ready)
    assert "acknowledges entry" in first_failure().problem


def test_a_save_that_does_not_reach_the_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sync = _SimHandle.sync

    def lazily(handle: _SimHandle) -> None:
        if handle._path.suffix != ".jsonl":
            sync(handle)

    monkeypatch.setattr(_SimHandle, "sync", lazily)
    assert "durable" in first_failure().problem


def test_a_retry_that_is_executed_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "acknowledge", forget_everything)
    assert first_failure(30).problem


def forget_everything(session: Session, ack: int) -> None:
    session.ack = ack
    session.results.clear()
