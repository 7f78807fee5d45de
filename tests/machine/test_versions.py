"""How often keys were written: counted from cluster version 2 on."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.core.entry import COMMANDS
from raftzmq.errors import DataError
from raftzmq.lines import encode_entry
from raftzmq.machine import Machine
from tests.machine.driver import Driver, restored


def at_version(db: Driver, version: int) -> None:
    """Set the cluster version, as a leader does."""
    assert db.apply(0, 0, [0, "cluster_version", version, False])[0] == "ok"


def version(db: Driver, key: str) -> Any:
    *_, version = db.read("item", key)
    return version


@pytest.fixture
def db() -> Driver:
    driver = Driver()
    at_version(driver, 2)
    return driver


def test_a_version_counts_the_writes_since_the_key_was_created(db: Driver) -> None:
    db.write("put", "k", "1")
    assert version(db, "k") == 1
    db.write("cas", "k", "2", db.index)
    db.write("cas", "k", "refused", 1)
    db.write("put_if", "k", "3", None, "keep")
    db.write("incr", "k", 1, None)
    db.write("put_ttl", "k", "5", 1000)
    assert version(db, "k") == 5
    db.write("txn", [], [["put", "k", "6"], ["put", "k", "7"]], [])
    assert version(db, "k") == 7
    db.write("delete", "k")
    db.write("put", "k", "again")
    assert version(db, "k") == 1


def test_a_transaction_that_is_taken_back_has_written_nothing(db: Driver) -> None:
    for value in ("1", "word"):
        db.write("put", "k", value)
    refused = db.write(
        "txn", [], [["put", "k", "x"], ["put", "n", "x"], ["incr", "k", 1, None]], []
    )
    assert refused[0] == "invalid"
    assert version(db, "k") == 2


def test_keys_of_cluster_version_1_have_none_until_they_are_created_anew() -> None:
    db = Driver()
    db.write("put", "old", "v")
    at_version(db, 2)
    db.write("put", "old", "w")
    db.write("put", "new", "v")
    assert (version(db, "old"), version(db, "new")) == (0, 1)
    db.write("delete", "old")
    db.write("put", "old", "v")
    assert version(db, "old") == 1


@pytest.mark.parametrize("together", [True, False])
def test_puts_of_one_entry_count_as_puts_of_many(db: Driver, together: bool) -> None:
    puts = [[serial, "put", key, "v"] for serial, key in enumerate("abacaba", 1)]
    groups = [[db.session, 1, puts]] if together else [[db.session, 1, [put]] for put in puts]
    machine = db.machine
    machine.apply_all([encode_entry(db.index + 1, 1, db.time_ms, COMMANDS, groups)])
    found = [machine.read([1, "item", key])[2][4] for key in "abc"]
    assert found == [4, 2, 1]


def test_a_downgrade_forgets_them_and_older_builds_can_read_the_snapshot(db: Driver) -> None:
    db.write("put", "k", "v")
    db.write("put", "k", "w")
    before = db.machine.snapshot()
    assert next(before)[0] == "machine"
    at_version(db, 1)
    assert ["key", "k", "w", db.index - 1, 2] in list(before), "it was begun at version 2"
    assert ["key", "k", "w", db.index - 1] in list(db.machine.snapshot())
    at_version(db, 2)
    db.write("put", "k", "x")
    assert version(db, "k") == 0
    assert restored(db.machine).state_hash() == db.machine.state_hash()


def test_a_snapshot_has_the_version_and_the_hash_shows_it(db: Driver) -> None:
    db.write("put", "k", "v")
    records = list(db.machine.snapshot())
    at = records.index(["key", "k", "v", db.index, 1])
    again = restored(db.machine)
    assert again.read([1, "item", "k"])[2] == ["v", db.index, 0, None, 1]
    assert again.state_hash() == db.machine.state_hash()
    records[at][4] = 2
    assert Machine.restore(records).state_hash() != db.machine.state_hash()
    records[at][4] = "2"
    with pytest.raises(DataError):
        Machine.restore(records)
