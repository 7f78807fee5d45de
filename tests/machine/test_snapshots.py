"""Snapshots: the whole state, as it was at the call, and nothing else."""

from __future__ import annotations

from random import Random
from reprlib import repr as short
from typing import Any

import orjson
import pytest

from raftzmq.errors import DataError
from raftzmq.machine import Machine
from tests.machine.driver import Driver, restored


def nested(depth: int) -> list[Any]:
    """Lists inside of one another, as deep as a line can have them."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture
def db() -> Driver:
    driver = Driver()
    driver.time_ms = 7
    driver.write("put", "text", "hello")
    driver.write("put", "bytes", {"b64": "AAEC"})
    driver.send(9, "cas", "text", "other", 0, ack=2)
    driver.time_ms = 8
    driver.open()
    return driver


def test_a_snapshot_reads_as_documented(db: Driver) -> None:
    assert list(db.machine.snapshot()) == [
        ["machine", 2, 5, 8, 5],
        ["session", 1, 2, 7],
        ["result", 1, 2, "ok", 3, None],
        ["result", 1, 9, "compare_failed", 4, ["hello", 2]],
        ["session", 5, 0, 8],
        ["key", "bytes", {"b64": "AAEC"}, 3],
        ["key", "text", "hello", 2],
    ]


def test_a_restored_machine_is_the_same_and_goes_on_the_same(db: Driver) -> None:
    copy = restored(db.machine)
    assert copy.state_hash() == db.machine.state_hash()
    assert (copy.applied_index, copy.time_ms, len(copy), copy.session_count) == (5, 8, 2, 2)
    body = [1, 3, [10, "put", "text", "more"]]
    assert copy.apply(6, 9, body) == db.machine.apply(6, 9, body)
    assert copy.state_hash() == db.machine.state_hash()


def test_an_empty_machine_survives_too() -> None:
    assert restored(Machine()).state_hash() == Machine().state_hash()


def test_what_happens_after_the_call_is_not_in_the_snapshot(db: Driver) -> None:
    before = list(db.machine.snapshot())
    records = db.machine.snapshot()
    seen = [next(records)]
    db.write("put", "new", "v")
    db.write("delete_prefix", "b")
    db.send(99, "put", "text", "changed", ack=50)
    db.send(100, "close")
    seen += records
    assert seen == before


def test_records_need_no_order_beyond_their_session(db: Driver) -> None:
    for number in range(2000):
        db.write("put", f"k{number}", "v")
    records = list(db.machine.snapshot())
    at = next(place for place, record in enumerate(records) if record[0] == "key")
    shuffled = records[at:]
    Random(1).shuffle(shuffled)
    assert Machine.restore(records[:at] + shuffled).state_hash() == db.machine.state_hash()


def test_the_hash_does_not_depend_on_the_order_of_insertion() -> None:
    header: list[Any] = ["machine", 2, 9, 9, 9]
    sessions = [["session", 1, 0, 3], ["session", 2, 0, 3]]
    results = [["result", 1, 5, "ok", 4, None], ["result", 1, 6, "ok", 7, [True, []]]]
    keys = [["key", key, "v", 4] for key in "abc"]
    one = Machine.restore([header, *sessions, *results, *keys])
    other = Machine.restore([header, *sessions[::-1], *results[::-1], *keys[::-1]])
    assert one.state_hash() == other.state_hash()
    assert list(one.snapshot()) == list(other.snapshot())


def test_a_snapshot_of_format_1_is_read_as_one_whose_revision_was_its_index() -> None:
    session, key = ["session", 1, 0, 3], ["key", "k", "v", 4]
    old = Machine.restore([["machine", 1, 9, 8], session, key])
    assert old.revision == 9
    assert next(old.snapshot()) == ["machine", 2, 9, 8, 9]
    assert old.apply(10, 9, [1, 0, [1, "put", "k", "w"]]) == ("ok", 10, None)


@pytest.mark.parametrize(
    ("place", "record"),
    [
        (0, ["machine", 2, 6, 8, 5]),
        (0, ["machine", 2, 5, 9, 5]),
        (1, ["session", 2, 2, 7]),
        (1, ["session", 1, 1, 7]),
        (1, ["session", 1, 2, 6]),
        (2, ["result", 1, 3, "ok", 3, None]),
        (2, ["result", 1, 2, "invalid", 3, None]),
        (2, ["result", 1, 2, "ok", 2, None]),
        (2, ["result", 1, 2, "ok", 3, 0]),
        (3, ["result", 1, 9, "compare_failed", 4, ["hello", 3]]),
        (4, None),
        (5, ["key", "bytes", {"b64": "AAED"}, 3]),
        (5, ["key", "bytes", "AAEC", 3]),
        (6, ["key", "text2", "hello", 2]),
        (6, ["key", "text", "hello!", 2]),
        (6, ["key", "text", "hello", 3]),
        (6, None),
    ],
    ids=repr,
)
def test_the_hash_shows_every_difference(db: Driver, place: int, record: Any) -> None:
    records = list(db.machine.snapshot())
    if record is None:
        del records[place]
    else:
        records[place] = record
        for later in records:
            if later[0] == "result" and place == 1:
                later[1] = record[1]
    assert Machine.restore(records).state_hash() != db.machine.state_hash()


@pytest.mark.parametrize(
    "records",
    [
        [],
        [["key", "k", "v", 1]],
        [["machine", 1, 5, 8, 5]],
        [["machine", 2, 5, 8]],
        [["machine", 3, 5, 8, 5]],
        [["machine", 2, 5, 8, 5], ["barrier", 1, 2, 3]],
        [["machine", 2, 5, 8, 5], ["key", "k", "v"]],
        [["machine", 2, 5, 8, 5], ["key", "k", {"hex": "00"}, 1]],
        [["machine", 2, 5, 8, 5], ["key", "k", None, 1]],
        [["machine", 2, 5, 8, 5], ["result", 1, 2, "ok", 3, None]],
        [["machine", 2, 5, 8, 5], ["key", "k", {"b64": "x"}, 1]],
        [["machine", 2, 5, 8, 5], ["key", "k", {"b64": "\u00e9"}, 1]],
        [["machine", 2, 5, 8, 5], ["session", 1, 0, 0], ["result", 1, 2, "ok", 3, [{"c64": ""}]]],
        [["machine", 2, 5, 8, 5], ["session", 1, 0, 0], ["result", 1, 2, "ok", 3, [{}]]],
        [["machine", 2, 5, 8, 5], ["session", 1, 0, 0], ["result", 1, 2, "ok", 3, nested(1000)]],
        [["machine", 2, 5, 8, 5], nested(1000)],
        [["machine", 2, 5, 8, 5], {}],
        [["machine", 2, 5, 8, 5], None],
    ],
    ids=short,
)
def test_what_is_no_snapshot_is_refused(records: list[Any]) -> None:
    with pytest.raises(DataError, match="snapshot"):
        Machine.restore(records)


def test_every_record_is_json(db: Driver) -> None:
    for record in db.machine.snapshot():
        assert orjson.loads(orjson.dumps(record)) == record
