"""`raftzmq views compare`: what it counts, what it shows, and one failure for real."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raftzmq.client.results import Item
from raftzmq.errors import OutcomeUnknown, Refused, Unavailable
from raftzmq_cli.common.settings import Output
from raftzmq_cli.compare import command as views_compare
from raftzmq_cli.compare.failures import FAILURES, Played
from raftzmq_cli.compare.load import Accounts, Load, Outcome
from tests.cli.conftest import Program, execute
from tests.system.processes import wait_for


class Held:
    """A database in memory, which fails a put as the test says by the number of the put."""

    def __init__(self, fail: Callable[[int], Exception | None] = lambda _: None) -> None:
        self.values: dict[str, str] = {}
        self._fail = fail
        self._puts = itertools.count()
        self.is_silent = False

    def put(self, key: str, value: str, *, timeout: float) -> None:
        error = self._fail(next(self._puts))
        if error is not None:
            raise error
        self.values[key] = value

    def get(self, key: str, *, timeout: float) -> Any:
        if self.is_silent:
            raise Unavailable("nobody answers")
        value = self.values.get(key)
        return None if value is None else Item(key, value, 1)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def loads() -> Iterator[Callable[[Held], Load]]:
    """Begins loads, which end with the test."""
    begun: list[Load] = []

    def begin(database: Held) -> Load:
        begun.append(Load("x", database, database))
        return begun[-1]

    yield begin
    for load in begun:
        load.close()


def after(load: Load, writes: int) -> Load:
    wait_for(f"{writes} writes", lambda: load.written >= writes)
    return load


def test_a_write_is_lost_when_it_was_acknowledged_and_is_not_there(
    loads: Callable[[Held], Load],
) -> None:
    database = Held()
    load = after(loads(database), 5)
    database.values.pop("x/000001")
    outcome = load.end(0.0)
    assert outcome.lost == 1
    assert outcome.acknowledged >= 5


def test_what_was_refused_or_is_unknown_is_not_lost(loads: Callable[[Held], Load]) -> None:
    errors = {1: Refused("no"), 2: OutcomeUnknown("perhaps"), 3: OutcomeUnknown("perhaps")}
    outcome = after(loads(Held(errors.get)), 5).end(0.0)
    assert (outcome.lost, outcome.refused, outcome.unknown) == (0, 1, 2)


def test_a_read_that_misses_what_is_there_was_wrong(loads: Callable[[Held], Load]) -> None:
    database = Held()
    load = after(loads(database), 3)
    load.accounts.missed.add(0)
    database.values["x/000001"] = "another"
    assert load.end(0.0).wrong == 2


def test_what_cannot_be_read_back_is_not_called_lost(loads: Callable[[Held], Load]) -> None:
    database = Held()
    load = after(loads(database), 3)
    database.is_silent = True
    assert load.end(0.0).lost is None


def test_the_load_leaves_no_thread(loads: Callable[[Held], Load]) -> None:
    before = threading.active_count()
    after(loads(Held()), 1).close()
    assert threading.active_count() == before


def test_pauses_are_counted_from_the_failure_on_and_while_they_last() -> None:
    accounts = Accounts(dict(enumerate((1.0, 3.0, 3.5, 6.0))))
    assert accounts.pauses_ms(since_s=3.2, until_s=7.0) == [500.0, 2500.0, 1000.0]


def outcome(**more: Any) -> Outcome:
    usual: dict[str, Any] = {
        "acknowledged": 1200,
        "unknown": 0,
        "refused": 0,
        "lost": 0,
        "wrong": 0,
        "longest_pause_ms": 900,
        "standstill_ms": 1300,
        "resumed": True,
    }
    return Outcome(**{**usual, **more})


def test_what_was_lost_and_how_long_it_paused_stand_side_by_side(
    capfd: pytest.CaptureFixture[str],
) -> None:
    failure = FAILURES[0]
    played = [
        Played(failure, "raft", outcome(), None),
        Played(failure, "views", outcome(lost=None, resumed=False), "no primary"),
    ]
    views_compare.show(Output.SIMPLE, [failure], played)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "FAILURE"
    assert lines[1].split() == (
        f"{failure.name} 0 of 1,200 0 1,300 ms out of reach 0 for good".split()
    )
    assert lines[-1] == f"{failure.name}, views: not whole again: no primary"


def test_an_unknown_failure_is_refused(program: Program) -> None:
    result = program("views", "compare", "flood")
    assert result.code == 2
    assert "there is no failure 'flood': there are leader, follower" in result.err


@pytest.mark.system
@pytest.mark.proof
def test_both_designs_survive_what_they_must_and_the_difference_is_seen() -> None:
    names = ["leader", "all"]
    result = execute(["views", "compare", "-w", "json", *names])
    assert result.code == 0, result
    found = {(one["failure"], one["design"]): one for one in result.json}
    assert list(found) == [(name, design) for design in ("raft", "views") for name in names]
    for (name, design), one in found.items():
        assert one["wrong"] == 0, one
        assert one["acknowledged"] > 0
        if (name, design) != ("all", "views"):
            assert (one["lost"], one["resumed"]) == (0, True), one
    assert found["all", "views"]["lost"], "everything was in memory"
