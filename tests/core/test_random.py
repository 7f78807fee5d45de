"""Everything at random: loss, repetition, reordering, crashes, partitions, full disks, pauses,
compaction, wiped disks, changes of membership. The rules are in tests/core/chaos.py.

RAFTZMQ_SEEDS=2000-3000 runs other seeds than the usual ones. A seed that fails says which it is;
chaos.run(seed) repeats it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

from raftzmq.core import replication
from raftzmq.core.raft import Raft
from tests.amounts import amount
from tests.core import chaos

_FIRST, _LAST = (
    int(part) for part in os.environ.get("RAFTZMQ_SEEDS", f"0-{amount(80, 300)}").split("-")
)
_PER_TEST = 20


@pytest.mark.parametrize("first", range(_FIRST, _LAST, _PER_TEST))
def test_safety_under_faults_and_progress_after_them(first: int) -> None:
    for seed in range(first, min(first + _PER_TEST, _LAST)):
        try:
            chaos.run(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error


def test_the_runs_are_eventful_enough_to_mean_something() -> None:
    seen: Counter[str] = Counter()
    for seed in range(1000, 1040):
        seen += chaos.run(seed).events
    for event, least in {
        "elected": 80,
        "applied": 2000,
        "read": 300,
        "read failed": 20,
        "truncated": 5,
        "snapshot installed": 8,
        "crashed while saving": 10,
        "disk lost": 5,
        "membership changed": 20,
    }.items():
        assert seen[event] >= least, f"{event}: {seen[event]}"


@pytest.mark.parametrize(
    ("still_counted", "told"),
    [
        (lambda _raft: None, "not committed"),
        (replication.advance_commit, "a read waits that a majority has confirmed"),
    ],
)
def test_what_is_not_counted_anew_after_a_removal_is_caught(
    still_counted: Callable[[Raft], None], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication, "count_anew", still_counted)

    def play() -> None:
        for seed in range(100):
            chaos.run(seed)

    with pytest.raises(AssertionError, match=told):
        play()


def test_the_same_seed_is_the_same_run() -> None:
    one, other = chaos.run(5), chaos.run(5)
    assert one.rules.applied == other.rules.applied
    assert one.rules.leaders == other.rules.leaders
