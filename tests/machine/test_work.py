"""What entries cost is counted, so that whoever applies a long log stops in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from raftzmq import limits
from raftzmq.core.entry import COMMANDS
from raftzmq.lines import encode_entries
from raftzmq.machine import Machine
from tests.machine.driver import Driver

MANY = 300


@pytest.fixture
def db() -> Driver:
    driver = Driver()
    driver.machine.observe_changes(True)
    driver.machine.observe_decisions(True)
    return driver


def _fill(db: Driver) -> None:
    for n in range(MANY):
        db.write("put", f"k{n}", "v")


def _fill_with_leased(db: Driver) -> None:
    _, lease = db.write("lease_grant", 1000)[1:]
    for n in range(MANY):
        db.write("put_leased", f"k{n}", "v", lease)


def _fill_with_temporary(db: Driver) -> None:
    for n in range(MANY):
        db.write("put_ttl", f"k{n}", "v", 1000)


def _grant_leases(db: Driver) -> None:
    for _ in range(MANY):
        db.write("lease_grant", 1000)


def _wait_in_line(db: Driver) -> None:
    for _ in range(MANY):
        _, lease = db.write("lease_grant", 60_000)[1:]
        db.write("acquire", "semaphore", "s", lease, 1, 1, True, None)


def _late(db: Driver, *_: Any) -> None:
    db.time_ms += 2000
    db.expire()


def _txn(then: list[Any]) -> Callable[[Driver], object]:
    return lambda db: db.write("txn", [], then, [])


Step = Callable[[Driver], object]

DEAR: dict[str, tuple[Step, Step]] = {
    "a prefix is deleted": (_fill, lambda db: db.write("delete_prefix", "k")),
    "a lease ends with its keys": (_fill_with_leased, _late),
    "keys end": (_fill_with_temporary, _late),
    "leases end": (_grant_leases, _late),
    "a transaction deletes": (_fill, _txn([["delete_prefix", "k"]])),
    "a transaction reads": (_fill, _txn([["prefix", "k", MANY]])),
    "many wait and are granted": (_wait_in_line, lambda db: db.write("resize", "s", MANY)),
}
"""What costs far more than its entry is long: what is there first, and the entry."""


@pytest.mark.parametrize("kind", DEAR)
def test_a_short_entry_that_does_much_counts_as_much(db: Driver, kind: str) -> None:
    before, dear = DEAR[kind]
    before(db)
    begun = db.machine.work
    dear(db)
    assert db.machine.work - begun >= MANY


def test_a_transaction_that_is_taken_back_counts_as_much_too(
    db: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(db)
    db.write("put", "long", "v" * 1000)
    monkeypatch.setattr(limits, "TRANSACTION_BYTES", 500)
    begun = db.machine.work
    assert db.write("txn", [], [["delete_prefix", "k"], ["get", "long"]], [])[0] == "invalid"
    assert db.machine.work - begun >= MANY


def test_a_machine_stops_after_the_entry_with_which_the_work_is_done() -> None:
    machine = Machine()
    machine.apply(1, 500, [0, 0, [0, "open"]])
    bodies = [[[1, 0, [[serial, "put", "k", "v"]]]] for serial in range(100)]
    entries = encode_entries(2, 1, 1000, COMMANDS, bodies)
    taken = iter(entries)
    begun = machine.work
    results = machine.apply_all(taken, 50)
    assert 50 <= machine.work - begun < 70
    assert machine.applied_index == 1 + len(results) < 10
    assert next(taken) is entries[len(results)], "nothing beyond is decoded"
    results += machine.apply_all(entries[len(results) :])
    at_once = Machine()
    at_once.apply(1, 500, [0, 0, [0, "open"]])
    assert at_once.apply_all(entries) == results
    assert at_once.state_hash() == machine.state_hash()


def test_at_least_one_entry_is_applied_however_much_it_does() -> None:
    machine = Machine()
    entries = encode_entries(1, 1, 1000, COMMANDS, [[[0, 0, [[0, "open"]]]]] * 3)
    assert len(machine.apply_all(entries, 1)) == 1
    assert machine.applied_index == 1
