"""Leases and queues in snapshots: whole, in order, and nothing but what hangs together."""

from __future__ import annotations

from random import Random
from reprlib import repr as short
from typing import Any

import orjson
import pytest

from raftzmq.errors import DataError, UnknownEntry
from raftzmq.machine import Machine
from tests.machine.audit import audit
from tests.machine.driver import Driver, restored

HEAD: list[Any] = ["machine", 2, 99, 8, 120]
LEASE = ["lease", 3, 1000, 5000]
QUEUE = ["queue", "semaphore", "s", 3]
HOLDER = ["place", "semaphore", "s", 5, 3, 2, "v", True]
WAITER = ["place", "semaphore", "s", 6, 3, 2, None, False]
KEY = ["key", "k", "v", 4]
BOND = ["bond", "k", 3, 0]
RECORDS = [HEAD, LEASE, QUEUE, HOLDER, WAITER, KEY, BOND]


@pytest.fixture
def db() -> Driver:
    driver = Driver()
    driver.time_ms = 7
    driver.write("lease_grant", 1000)
    driver.write("put_leased", "a", "v", 2)
    driver.write("put_ttl", "b", {"b64": "AA=="}, 500)
    driver.write("acquire", "semaphore", "s", 2, 2, 3, True, "me")
    driver.write("acquire", "semaphore", "s", 2, 2, 0, True, None)
    driver.write("acquire", "lock", "l", 2, 1, 0, True, None)
    driver.write("acquire", "counter", "c", 2, 2, 5, True, None)
    driver.write("close")
    return driver


def test_leases_and_queues_read_as_documented(db: Driver) -> None:
    assert list(db.machine.snapshot()) == [
        ["machine", 2, 9, 7, 9],
        ["lease", 2, 1000, 1007],
        ["queue", "lock", "l", 1],
        ["place", "lock", "l", 7, 2, 1, None, True],
        ["queue", "semaphore", "s", 3],
        ["place", "semaphore", "s", 5, 2, 2, "me", True],
        ["place", "semaphore", "s", 6, 2, 2, None, False],
        ["queue", "counter", "c", 3],
        ["place", "counter", "c", 8, 2, 2, None, True],
        ["key", "a", "v", 3],
        ["bond", "a", 2, 0],
        ["key", "b", {"b64": "AA=="}, 4],
        ["bond", "b", 0, 507],
    ]
    for record in db.machine.snapshot():
        assert orjson.loads(orjson.dumps(record)) == record


def test_a_restored_machine_goes_on_the_same(db: Driver) -> None:
    copy = restored(db.machine)
    audit(copy)
    assert copy.state_hash() == db.machine.state_hash()
    for index, op in enumerate(([0, "open"], [0, "expire"]), 10):
        body = [0, 0, op]
        assert copy.apply(index, 600 * (index - 9), body) == db.machine.apply(
            index, 600 * (index - 9), body
        )
        assert copy.state_hash() == db.machine.state_hash()
    assert copy.lease_count == 0


def test_what_happens_after_the_call_is_not_in_the_snapshot(db: Driver) -> None:
    before = list(db.machine.snapshot())
    records = db.machine.snapshot()
    seen = [next(records)]
    db.time_ms += 5000
    assert db.expire() == 2
    seen += records
    assert seen == before


def test_what_has_ended_leaves_nothing_behind() -> None:
    driver = Driver()
    driver.write("lease_grant", 1000)
    driver.write("acquire", "lock", "l", 2, 1, 0, True, None)
    driver.write("put_ttl", "k", "v", 1000)
    driver.write("lease_revoke", 2)
    driver.write("put", "k", "w")
    kinds = [record[0] for record in driver.machine.snapshot()]
    assert set(kinds) == {"machine", "session", "result", "key"}


def test_records_need_no_order_beyond_what_they_speak_of(db: Driver) -> None:
    head, *records = db.machine.snapshot()
    order = {"lease": 0, "queue": 0, "key": 0, "place": 1, "bond": 1}
    Random(3).shuffle(records)
    copy = Machine.restore([head, *sorted(records, key=lambda record: order[record[0]])])
    audit(copy)
    assert list(copy.snapshot()) == list(db.machine.snapshot())


def test_leases_are_in_order_whatever_the_order_of_their_records() -> None:
    audit(Machine.restore([HEAD, LEASE, ["lease", 1, 1000, 5000]]))


@pytest.mark.parametrize(
    ("place", "record"),
    [
        (1, ["lease", 3, 1001, 5000]),
        (1, ["lease", 3, 1000, 5001]),
        (2, ["queue", "semaphore", "s", 4]),
        (3, ["place", "semaphore", "s", 4, 3, 2, "v", True]),
        (3, ["place", "semaphore", "s", 5, 3, 3, "v", True]),
        (3, ["place", "semaphore", "s", 5, 3, 2, "w", True]),
        (3, ["place", "semaphore", "s", 5, 3, 2, None, True]),
        (4, ["place", "semaphore", "s", 6, 3, 2, None, True]),
        (4, None),
        (6, ["bond", "k", 0, 7]),
        (6, None),
    ],
    ids=repr,
)
def test_the_hash_shows_every_difference(place: int, record: Any) -> None:
    records = list(RECORDS)
    records[place : place + 1] = [] if record is None else [record]
    assert Machine.restore(records).state_hash() != Machine.restore(RECORDS).state_hash()


@pytest.mark.parametrize(
    "records",
    [
        [["lease", 3, 1000]],
        [["lease", "3", 1000, 5000]],
        [["queue", "mutex", "s", 3]],
        [["queue", "semaphore", "s"]],
        [["queue", "semaphore", "s", None]],
        [LEASE, HOLDER],
        [QUEUE, HOLDER],
        [LEASE, QUEUE, HOLDER[:-1]],
        [LEASE, QUEUE, [*HOLDER[:-1], 1]],
        [LEASE, QUEUE, ["place", "semaphore", "s", 5, 3, 2, 7, True]],
        [LEASE, QUEUE, ["place", "lock", "s", 5, 3, 1, None, True]],
        [LEASE, BOND],
        [KEY, BOND],
        [KEY, ["bond", "k", 0]],
    ],
    ids=short,
)
def test_what_does_not_hang_together_is_refused(records: list[Any]) -> None:
    with pytest.raises(DataError, match="snapshot"):
        Machine.restore([HEAD, *records])


@pytest.mark.parametrize(
    "op",
    [
        [1, "acquire", "mutex", "q", 2, 1, 0, True, None],
        [1, "acquire", ["lock"], "q", 2, 1, 0, True, None],
        [1, "acquire", "lock", 7, 2, 1, 0, True, None],
        [1, "acquire", "lock", "q", "2", 1, 0, True, None],
        [1, "acquire", "lock", "q", 2, 1.0, 0, True, None],
        [1, "acquire", "lock", "q", 2, 1, None, True, None],
        [1, "acquire", "lock", "q", 2, 1, 0, 1, None],
        [1, "acquire", "lock", "q", 2, 1, 0, True, 7],
        [1, "acquire", "lock", "q", 2, 1, 0, True, None, 1],
        [1, "release", "lock", "q", "1"],
        [1, "release", "mutex", "q", 1],
        [1, "cancel", "mutex", "q", 1],
        [1, "signal", "q", True],
        [1, "resize", "q", "3"],
        [1, "forget", "mutex", "q"],
        [1, "lease_grant", None],
        [1, "lease_grant", 1000, None],
        [1, "lease_grant", 1000, 7],
        [1, "lease_grant", 1000, "billing", 7],
        [1, "lease_keep", "2"],
        [1, "lease_revoke", [2]],
        [1, "put_leased", "k", "v", "2"],
        [1, "put_leased", 7, "v", 2],
        [1, "put_ttl", "k", {"hex": ""}, 500],
        [1, "put_ttl", "k", "v", 5.5],
        [1, "put_if", "k", "v", "0", None],
        [1, "put_if", "k", "v", 0, "stay"],
        [1, "put_if", "k", "v", 0, ["ttl", "500"]],
        [1, "put_if", "k", "v", 0, ["until", 500]],
        [1, "txn", [], [["put_if", "k", "v", None]], []],
        [1, "incr", "k", "1", None],
        [1, "incr", 7, 1, None],
        [1, "incr", "k", 1, "stay"],
        [1, "incr", "k", 1, ["ttl", None]],
        [1, "txn", [], [["incr", "k", 1]], []],
        [1, "proclaim", "q", "2", "v"],
        [1, "proclaim", "q", 2, {"b64": ""}],
        [1, "proclaim", "q", 2],
        [1, "fenced", {}, ["put", "k", "v"]],
        [1, "fenced", [["q"]], ["put", "k", "v"]],
        [1, "fenced", [["q", "1"]], ["put", "k", "v"]],
        [1, "fenced", [], ["acquire", "lock", "q", 2, 1, 0, True, None]],
        [1, "fenced", [], ["put", "k"]],
        [1, "fenced", [], "put"],
        [1, "fenced", [], [["put"], "k", "v"]],
        [1, "txn", [], [["lease", 2]], []],
        [1, "txn", [], [["await", "lock", "q", 1, 0]], []],
    ],
    ids=short,
)
def test_an_entry_of_a_newer_version_stops_the_machine(op: list[Any]) -> None:
    machine = Machine()
    machine.apply(1, 0, [0, 0, [0, "open"]])
    machine.apply(2, 0, [1, 0, [0, "lease_grant", 1000]])
    before = [record for record in machine.snapshot() if record[0] not in ("machine", "session")]
    with pytest.raises(UnknownEntry, match=r"log entry 3: .* newer version"):
        machine.apply(3, 0, [1, 0, op])
    after = [record for record in machine.snapshot() if record[0] not in ("machine", "session")]
    assert after == before
