"""Transactions: whole or not at all, compares first, reads after their own writes."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from tests.machine.driver import Driver


@pytest.fixture
def db() -> Driver:
    driver = Driver()
    driver.write("put", "a", "apple")  # revision 2
    driver.write("put", "b", {"b64": "AA=="})  # revision 3
    return driver


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (["a", "value", "=", "apple"], True),
        (["a", "value", "=", "pear"], False),
        (["a", "value", "!=", "pear"], True),
        (["a", "value", "!=", "apple"], False),
        (["b", "value", "=", {"b64": "AA=="}], True),
        (["b", "value", "=", "\x00"], False),
        (["b", "value", "=", {"b64": ""}], False),
        (["a", "value", "=", {"b64": "YXBwbGU="}], False),
        (["a", "value", "=", None], False),
        (["a", "value", "!=", None], True),
        (["absent", "value", "=", None], True),
        (["absent", "value", "!=", None], False),
        (["absent", "value", "=", ""], False),
        (["a", "revision", "=", 2], True),
        (["a", "revision", "!=", 2], False),
        (["a", "revision", "<", 3], True),
        (["a", "revision", "<", 2], False),
        (["a", "revision", ">", 1], True),
        (["a", "revision", ">", 2], False),
        (["absent", "revision", "=", 0], True),
        (["absent", "revision", "<", 1], True),
        (["absent", "revision", ">", 0], False),
    ],
)
def test_a_compare_decides_the_branch(db: Driver, compare: list[Any], holds: bool) -> None:
    result = db.write("txn", [compare], [["get", "a"]], [])
    assert result == ("ok", 4, [True, [["apple", 2]]] if holds else [False, []])


def test_one_compare_that_fails_is_enough_for_the_else_branch(db: Driver) -> None:
    compares = [["a", "revision", "=", 2], ["a", "revision", "=", 3]]
    body = db.write("txn", compares, [["put", "k", "then"]], [["put", "k", "else"]])[2]
    assert body == [False, [None]]
    assert db.read("get", "k") == ["else", 4]


def test_without_compares_the_then_branch_runs(db: Driver) -> None:
    assert db.write("txn", [], [], [["put", "k", "v"]])[2] == [True, []]
    assert db.read("get", "k") is None


def test_compares_see_the_state_before_the_transaction(db: Driver) -> None:
    compares = [["k", "revision", "=", 0], ["a", "value", "=", "apple"]]
    assert db.write("txn", compares, [["put", "k", "v"], ["put", "a", "v"]], [])[2][0] is True


def test_operations_see_what_those_before_them_wrote(db: Driver) -> None:
    body = db.write(
        "txn",
        [],
        [
            ["get", "k"],
            ["put", "k", "v"],
            ["get", "k"],
            ["range", "a", "", 2],
            ["delete", "a"],
            ["delete", "a"],
            ["prefix", "", 10],
            ["delete_prefix", ""],
            ["range", "", "", 1],
        ],
        [],
    )[2]
    b = ["b", {"b64": "AA=="}, 3]
    assert body == [
        True,
        [
            None,
            None,
            ["v", 4],
            [[["a", "apple", 2], b], True],
            1,
            0,
            [[b, ["k", "v", 4]], False],
            2,
            [[], False],
        ],
    ]
    assert db.keys() == []


def test_all_writes_of_a_transaction_have_its_revision(db: Driver) -> None:
    db.write("txn", [], [["put", "x", "1"], ["put", "y", "2"], ["put", "x", "3"]], [])
    assert [db.read("get", key) for key in "xy"] == [["3", 4], ["2", 4]]


def test_a_transaction_whose_answer_is_too_long_does_nothing_at_all(db: Driver) -> None:
    db.write("put", "big", "v" * limits.VALUE_BYTES)
    before = db.read("range", "", "b!", 10)
    result = db.write(
        "txn",
        [],
        [
            ["put", "a", "changed"],
            ["put", "new", "v"],
            ["put", "new", "w"],
            ["delete", "b"],
            ["put", "b", "again"],
            ["delete_prefix", "n"],
            *[["get", "big"]] * 6,
            ["delete_prefix", ""],
        ],
        [],
    )
    assert (result[0], result[1]) == ("invalid", 5)
    assert "nothing was done" in result[2]["message"]
    assert db.keys() == ["a", "b", "big"]
    assert db.read("range", "", "b!", 10) == before


def test_a_transaction_that_was_too_long_gives_the_same_answer_again(db: Driver) -> None:
    db.write("put", "big", "v" * limits.VALUE_BYTES)
    operation: tuple[Any, ...] = ("txn", [], [["get", "big"]] * 6, [])
    first = db.send(50, *operation, ack=db.serial)
    db.send(51, "put", "big", "small", ack=db.serial)
    assert db.send(50, *operation, ack=db.serial) == first


def test_the_longest_single_range_fits_a_transaction(db: Driver) -> None:
    for number in range(10_000):
        db.write("put", f"k{number:06}", "v" * 450)
    code, _, body = db.write("txn", [], [["prefix", "k", 10_000]], [])
    assert code == "ok"
    assert body[1][0][1] is True
