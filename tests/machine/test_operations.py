"""Each write and each read, with the bodies of PROTOCOL.md."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.errors import InvalidRequest, UnknownEntry
from raftzmq.machine import Machine
from tests.machine.driver import Driver


@pytest.fixture
def db() -> Driver:
    return Driver()


def test_a_put_is_read_back_with_the_index_of_its_entry_as_revision(db: Driver) -> None:
    assert db.write("put", "greeting", "hello") == ("ok", 2, None)
    assert db.read("get", "greeting") == ["hello", 2]


def test_a_second_put_replaces_value_and_revision(db: Driver) -> None:
    db.write("put", "k", "old")
    db.write("put", "k", "new")
    assert db.read("get", "k") == ["new", 3]
    assert db.keys() == ["k"]


def test_an_absent_key_is_read_as_null(db: Driver) -> None:
    assert db.read("get", "k") is None


@pytest.mark.parametrize("encoded", ["", "AA==", "/+8=", "AAEC"])
def test_bytes_come_back_as_they_were_written(db: Driver, encoded: str) -> None:
    db.write("put", "k", {"b64": encoded})
    assert db.read("get", "k") == [{"b64": encoded}, 2]
    assert db.read("prefix", "", 1) == [[["k", {"b64": encoded}, 2]], False]


def test_cas_writes_if_the_revision_is_as_said(db: Driver) -> None:
    db.write("put", "k", "a")
    assert db.write("cas", "k", "b", 2) == ("ok", 3, None)
    assert db.read("get", "k") == ["b", 3]


def test_cas_of_another_revision_gives_the_current_value_and_changes_nothing(db: Driver) -> None:
    db.write("put", "k", {"b64": "AA=="})
    assert db.write("cas", "k", "b", 1) == ("compare_failed", 3, [{"b64": "AA=="}, 2])
    assert db.read("get", "k") == [{"b64": "AA=="}, 2]


def test_cas_of_revision_zero_writes_only_if_the_key_is_absent(db: Driver) -> None:
    assert db.write("cas", "k", "first", 0) == ("ok", 2, None)
    assert db.write("cas", "k", "second", 0) == ("compare_failed", 3, ["first", 2])


def test_cas_of_a_revision_of_an_absent_key_fails_with_null(db: Driver) -> None:
    assert db.write("cas", "k", "v", 7) == ("compare_failed", 2, None)
    assert db.read("get", "k") is None


def test_delete_says_how_many_keys_it_deleted(db: Driver) -> None:
    db.write("put", "k", "v")
    assert db.write("delete", "k") == ("ok", 3, 1)
    assert db.write("delete", "k") == ("ok", 4, 0)
    assert db.read("get", "k") is None


def test_a_deleted_key_that_is_put_again_has_the_new_revision(db: Driver) -> None:
    db.write("put", "k", "v")
    db.write("delete", "k")
    db.write("put", "k", "v")
    assert db.read("get", "k") == ["v", 4]


def test_delete_prefix_deletes_just_the_keys_that_begin_so(db: Driver) -> None:
    for key in ("a", "a/", "a/1", "a/\U0010ffff", "a0", "b"):
        db.write("put", key, "v")
    assert db.write("delete_prefix", "a/")[2] == 3
    assert db.keys() == ["a", "a0", "b"]
    assert db.write("delete_prefix", "a/")[2] == 0


def test_delete_prefix_of_the_empty_prefix_deletes_everything(db: Driver) -> None:
    for number in range(3000):
        db.write("put", f"k{number}", "v")
    assert db.write("delete_prefix", "")[2] == 3000
    assert db.keys() == []
    db.write("put", "again", "v")
    assert db.keys() == ["again"]


def test_keys_are_in_order_of_code_points_and_not_of_utf16(db: Driver) -> None:
    keys = ["\U00010000", "\uffff", "é", "z", "Z", "a", "aa", "\ue000", "\x00"]
    for key in keys:
        db.write("put", key, "v")
    assert db.keys() == ["\x00", "Z", "a", "aa", "z", "é", "\ue000", "\uffff", "\U00010000"]


def test_a_range_includes_its_start_and_excludes_its_end(db: Driver) -> None:
    for key in "abcde":
        db.write("put", key, key.upper())
    assert db.read("range", "b", "d", 10) == [[["b", "B", 3], ["c", "C", 4]], False]
    assert [item[0] for item in db.read("range", "c", "", 10)[0]] == ["c", "d", "e"]
    assert db.read("range", "bb", "c", 10) == [[], False]


@pytest.mark.parametrize(("start", "end"), [("c", "b"), ("b", "b"), ("x", ""), ("x", "z")])
def test_a_range_that_holds_nothing_is_empty(db: Driver, start: str, end: str) -> None:
    for key in "abc":
        db.write("put", key, "v")
    assert db.read("range", start, end, 10) == [[], False]


@pytest.mark.parametrize(("limit", "count", "more"), [(1, 1, True), (2, 2, True), (3, 3, False)])
def test_more_is_true_just_if_the_limit_left_something_out(
    db: Driver, limit: int, count: int, more: bool
) -> None:
    for key in ("a", "k1", "k2", "k3", "z"):
        db.write("put", key, "v")
    for body in (db.read("prefix", "k", limit), db.read("range", "b", "y", limit)):
        assert (len(body[0]), body[1]) == (count, more)


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("a", ["a", "a\U0010ffff"], ["b", "A"]),
        ("\U0010ffff", ["\U0010ffff", "\U0010ffff!"], ["a", "\U0010fffe"]),
        ("a\U0010ffff\U0010ffff", ["a\U0010ffff\U0010ffff\U0010ffff"], ["a\U0010ffff", "b"]),
        ("\ud7ff", ["\ud7ff", "\ud7ff\U0010ffff"], ["\ue000", "\ud7fe"]),
        ("", ["\x00", "\U0010ffff"], []),
    ],
)
def test_a_prefix_ends_right_even_at_the_last_code_points(
    db: Driver, prefix: str, inside: list[str], outside: list[str]
) -> None:
    for key in inside + outside:
        db.write("put", key, "v")
    items, more = db.read("prefix", prefix, 10)
    assert [item[0] for item in items] == inside
    assert not more
    assert db.write("delete_prefix", prefix)[2] == len(inside)
    assert db.keys() == sorted(outside)


def test_a_range_stops_at_its_limit_of_bytes_and_says_more(db: Driver) -> None:
    megabyte = "v" * limits.VALUE_BYTES
    for number in range(5):
        db.write("put", f"k{number}", megabyte)
    items, more = db.read("range", "", "", 100)
    assert ([item[0] for item in items], more) == (["k0", "k1", "k2"], True)
    items, more = db.read("range", "k3", "", 100)
    assert ([item[0] for item in items], more) == (["k3", "k4"], False)


def test_the_limit_of_bytes_counts_escapes_and_base64(db: Driver) -> None:
    values = ["\x01" * 262_000, {"b64": "AAAA" * 262_000}]  # 1.5 and 1 MiB of JSON
    for number in range(4):
        db.write("put", f"k{number}", values[number % 2])
    items, more = db.read("range", "", "", 9)
    assert (len(items), more) == (3, True)


def test_a_range_returns_at_least_one_item_so_that_paging_goes_on(db: Driver) -> None:
    db.write("put", "a", "\x01" * limits.VALUE_BYTES)  # six megabytes of JSON
    db.write("put", "b", "v")
    items, more = db.read("range", "", "", 10)
    assert ([item[0] for item in items], more) == (["a"], True)


def test_reads_report_the_revision_of_the_state(db: Driver) -> None:
    db.write("put", "k", "v")
    assert db.machine.read([9, "get", "other"]) == ("ok", db.machine.revision, None)


@pytest.mark.parametrize("op", [[1, "put", "k"], [1, "watch", "k"], [1, "get"]])
def test_an_unknown_read_is_refused(op: list[Any]) -> None:
    with pytest.raises(InvalidRequest):
        Machine().read(op)


def test_a_body_of_tuples_is_the_same_command() -> None:
    machine = Machine()
    machine.apply(1, 0, (0, 0, (0, "open")))
    assert machine.apply(2, 0, (1, 0, (1, "put", "k", "v"))) == ("ok", 2, None)
    assert machine.apply(3, 0, (0, 0, (0, "expire"))) == ("ok", 3, 0)


def test_entries_that_are_no_commands_advance_index_and_time() -> None:
    machine = Machine()
    machine.advance(3, 500)
    assert (machine.applied_index, machine.time_ms) == (3, 500)


def test_time_never_goes_backwards() -> None:
    machine = Machine()
    machine.advance(1, 500)
    machine.apply(2, 400, [0, 0, [0, "open"]])
    assert machine.time_ms == 500
    machine.advance(3, 400)
    assert machine.time_ms == 500


@pytest.mark.parametrize("index", [1, 2])
def test_an_entry_is_never_applied_again(index: int) -> None:
    machine = Machine()
    machine.advance(2, 0)
    with pytest.raises(ValueError, match="applied already"):
        machine.apply(index, 0, [0, 0, [0, "open"]])
    with pytest.raises(ValueError, match="applied already"):
        machine.advance(index, 0)


UNKNOWN: list[Any] = [
    None,
    [],
    {},
    "open",
    [0, 0],
    [0, 0, []],
    [0, 0, [1]],
    [0, 0, [1, None]],
    [0, 0, [1, ["put"], "k", "v"]],
    ["1", 0, [1, "put", "k", "v"]],
    [1, None, [1, "put", "k", "v"]],
    [1, 0, [True, "put", "k", "v"]],
    [1, 0, [1, "grant", "k", 10]],
    [1, 0, [1, "put", "k"]],
    [1, 0, [1, "put", "k", "v", 5]],
    [1, 0, [1, "put", 5, "v"]],
    [1, 0, [1, "put", "k", 5]],
    [1, 0, [1, "put", "k", {"hex": "00"}]],
    [1, 0, [1, "cas", "k", "v", "2"]],
    [1, 0, [1, "cas", ["k"], "v", 2]],
    [1, 0, [1, "delete", None]],
    [1, 0, [1, "delete_prefix", 1]],
    [1, 0, [1, "open", "with", "arguments"]],
    [1, 0, [1, "expire"]],
    [0, 0, [1, "expire", "3"]],
    [0, 0, [1, "expire", 3, 3]],
    [1, 0, [1, "delete_prefix", "k", "3"]],
    [1, 0, [1, "delete_prefix", "k", 3, 3]],
    [1, 0, [1, "lease_revoke", 3, 3, 3]],
    [1, 0, [1, "txn", [], [], None]],
    [1, 0, [1, "txn", [["k", "lease", "=", 1]], [], []]],
    [1, 0, [1, "txn", [["k", "revision", "~", 1]], [], []]],
    [1, 0, [1, "txn", [["k", "revision", "=", "1"]], [], []]],
    [1, 0, [1, "txn", [["k", "value", "<", "1"]], [], []]],
    [1, 0, [1, "txn", [["k", "value", "="]], [], []]],
    [1, 0, [1, "txn", [], [["put", "k"]], []]],
    [1, 0, [1, "txn", [], [["lock", "k"]], []]],
    [1, 0, [1, "txn", [], ["put"], []]],
    [1, 0, [1, "txn", [], [["range", "", "", 10_001]], []]],
]


@pytest.mark.parametrize("body", UNKNOWN, ids=repr)
def test_an_entry_of_a_newer_version_stops_the_machine(body: Any) -> None:
    machine = Machine()
    machine.apply(1, 0, [0, 0, [0, "open"]])
    with pytest.raises(UnknownEntry, match=r"log entry 2: .* newer version"):
        machine.apply(2, 0, body)
    assert machine.applied_index == 1
    assert len(machine) == 0


def test_an_unknown_command_is_not_mistaken_for_an_expired_session() -> None:
    with pytest.raises(UnknownEntry):
        Machine().apply(1, 0, [99, 0, [1, "grant", "k", 10]])
