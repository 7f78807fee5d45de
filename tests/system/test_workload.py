"""The workload's own proof: what it records of a sound cluster passes, and forgeries do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest

from raftzmq.core.entry import Entry
from tests.sim.history import FAILED, OK, UNKNOWN, Op
from tests.sim.linearizability import check_log
from tests.sim.story import Violation
from tests.system.logs import Logbook, results_of
from tests.system.processes import Cluster
from tests.system.raw import Stored
from tests.system.workload import Workload

pytestmark = pytest.mark.system

ACKNOWLEDGED = 400


class Recorded:
    """What a workload did and left behind: all that a check looks at."""

    def __init__(self, workload: Workload, found: dict[str, Stored], entries: list[Entry]) -> None:
        self.workload = workload
        self.found = found
        self.entries: list[Entry] | None = entries

    def check(self) -> None:
        self.workload.check_found(self.found, self.entries)

    def find(self, wanted: Callable[[Op], object]) -> Op:
        return next(op for op in self.workload.history.ops if wanted(op))

    def once(self) -> Op:
        """An acknowledged write of a key that is written once."""
        return self.find(lambda op: op.outcome == OK and op.name == "put" and "/once/" in str(op))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    with Cluster(tmp_path_factory.mktemp("recorded")) as three:
        with Workload(three.start().endpoints, seed=1) as workload:
            while workload.acknowledged < ACKNOWLEDGED:
                workload.wait_for_progress()
        figures = workload.check(three)
        print(figures)
        assert figures.acknowledged >= ACKNOWLEDGED
        assert min(figures.kept, figures.steps, figures.compared) > 0
        logbook = Logbook()
        logbook.gather(three)
        entries = logbook.whole()
        assert entries
        yield Recorded(workload, three.everything(), entries)


@pytest.fixture
def recorded(original: Recorded, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """A copy to tamper with."""
    history = deepcopy(original.workload.history)
    monkeypatch.setattr(original.workload.recorder, "history", history)
    assert original.entries
    return Recorded(original.workload, dict(original.found), original.entries)


def test_both_kinds_of_clients_and_every_kind_of_operation_are_recorded(
    recorded: Recorded,
) -> None:
    done = [op for op in recorded.workload.history.ops if op.outcome == OK]
    assert {op.client for op in done} == {"b0", "b1", "a0", "a1"}
    assert {op.name for op in done} == {"put", "get", "cas", "delete", "txn"}
    assert {op.compared for op in done} == {True, False}
    assert {op.stale for op in done} == {True, False}
    recorded.check()


def test_a_lost_write_is_noticed(recorded: Recorded) -> None:
    del recorded.found[recorded.once().arguments[0]]
    with pytest.raises(Violation, match="an acknowledged write is lost"):
        recorded.check()


def test_a_write_that_was_done_twice_is_noticed(recorded: Recorded) -> None:
    op = recorded.once()
    recorded.found[op.arguments[0]] = Stored(op.arguments[1], op.index + 1)
    with pytest.raises(Violation, match="written a second time"):
        recorded.check()


def test_a_write_called_failed_that_was_done_is_noticed(recorded: Recorded) -> None:
    recorded.once().outcome = FAILED
    with pytest.raises(Violation, match="was called failed, and was done"):
        recorded.check()


def test_a_write_of_unknown_outcome_may_be_there_or_not(recorded: Recorded) -> None:
    op = recorded.once()
    op.outcome = UNKNOWN
    recorded.check()
    del recorded.found[op.arguments[0]]
    recorded.entries = None
    recorded.check()


def test_what_nobody_wrote_is_noticed(recorded: Recorded) -> None:
    recorded.found[recorded.workload.prefix + "once/nobody"] = Stored("x", 7)
    with pytest.raises(Violation, match="nobody wrote"):
        recorded.check()


def test_an_older_value_in_a_read_is_noticed(recorded: Recorded) -> None:
    """What one read found is put into another, asked after a third had been told something newer:
    by the search, which knows only values and moments, and by the log alone."""
    history = recorded.workload.history
    reads = [
        op
        for op in history.ops
        if (op.outcome, op.name, op.stale) == (OK, "get", False) and op.body
    ]
    old, late = next(
        (old, late)
        for late in reversed(reads)
        for newer in reads
        for old in reads
        if old.arguments == newer.arguments == late.arguments
        and (old.told or 0) < newer.asked
        and (newer.told or 0) < late.asked
        and old.body[1] < newer.body[1]
    )
    late.body = old.body
    assert recorded.entries
    with pytest.raises(Violation, match="the state at"):
        check_log(history, recorded.entries, results_of(recorded.entries))
    with pytest.raises(Violation, match="not linearizable"):
        recorded.check()


def test_a_result_that_the_log_does_not_give_is_noticed(recorded: Recorded) -> None:
    """Values alone cannot tell: the key is written once, and nobody asks for the revision."""
    op = recorded.find(lambda op: op.outcome == OK and op.name == "put" and "/hot/" in str(op))
    op.index += 1
    with pytest.raises(Violation, match="the log gives"):
        recorded.check()


def test_a_lost_value_of_a_hot_key_is_noticed(recorded: Recorded) -> None:
    key = next(key for key in recorded.found if "/hot/" in key)
    recorded.found[key] = Stored("nobody wrote this", recorded.found[key].revision)
    with pytest.raises(Violation, match="not linearizable"):
        recorded.check()
