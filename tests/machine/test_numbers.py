"""Keys that hold a number: `incr` adds to it, once for its serial, and leaves the key its end."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from tests.machine.audit import audit
from tests.machine.driver import Driver

MOST = limits.NUMBER_MAX


@pytest.fixture
def db() -> Driver:
    driver = Driver()
    driver.time_ms = 1_000_000
    return driver


def later(db: Driver, ms: int) -> int:
    """Let time pass, and end what is to end."""
    db.time_ms += ms
    return db.expire()


def test_an_absent_key_counts_as_0_and_the_sum_is_its_value(db: Driver) -> None:
    assert db.write("incr", "n", 1, None) == ("ok", 2, 1)
    assert db.write("incr", "n", 41, None) == ("ok", 3, 42)
    assert db.write("incr", "n", -50, None) == ("ok", 4, -8)
    assert db.read("get", "n") == ["-8", 4]
    assert db.write("incr", "n", 0, None) == ("ok", 5, -8)
    assert db.read("get", "n") == ["-8", 5]
    audit(db.machine)


def test_a_number_that_was_put_is_added_to(db: Driver) -> None:
    db.write("put", "n", "9")
    assert db.write("incr", "n", 1, None)[2] == 10


def test_an_incr_that_is_sent_again_gives_the_same_number_and_adds_nothing(db: Driver) -> None:
    first = db.send(1, "incr", "n", 1, None)
    assert db.send(2, "incr", "n", 1, None) == ("ok", 3, 2)
    assert db.send(1, "incr", "n", 1, None) == first == ("ok", 2, 1)
    db.machine = db.reborn()
    assert db.send(2, "incr", "n", 1, None) == ("ok", 3, 2)
    assert db.read("get", "n") == ["2", 3]


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "one", "1.0", "1e3", "+1", "-0", "007", " 7", "7 ", "7\n", "0x7", "1_000"),
        *("\u0667", "\uff17", "9" * 17, "--1", "-", {"b64": "Nw=="}),
    ],
    ids=repr,
)
def test_what_is_no_decimal_integer_is_refused_and_stays(db: Driver, value: Any) -> None:
    db.write("put_ttl", "k", value, 1_000)
    db.serial += 1
    code, revision, body = db.send(db.serial, "incr", "k", 1, None)
    assert (code, body["message"]) == (
        "invalid",
        "incr: 'k' does not hold a decimal integer; nothing was changed",
    )
    assert db.send(db.serial, "incr", "k", 1, None) == (code, revision, body)
    assert db.read("get", "k") == [value, 2]
    assert later(db, 1_000) == 1


@pytest.mark.parametrize(("value", "by"), [(MOST, 1), (-MOST, -1), (MOST - 1, 2), (1, MOST)])
def test_a_number_stays_where_every_reader_has_it_exactly(db: Driver, value: int, by: int) -> None:
    db.write("put", "n", str(value))
    code, _, body = db.write("incr", "n", by, None)
    assert (code, body["message"]) == (
        "invalid",
        f"incr: 'n' would be {value + by}, the limit is 9007199254740991 up and down; "
        "nothing was changed",
    )
    assert db.read("get", "n") == [str(value), 2]


@pytest.mark.parametrize("number", [MOST, -MOST])
def test_a_number_gets_to_the_limit_and_back(db: Driver, number: int) -> None:
    assert db.write("incr", "n", number, None)[2] == number
    assert db.write("incr", "n", -number, None)[2] == 0
    assert db.write("incr", "n", -number, None)[2] == -number


def test_a_new_key_ends_as_is_said_and_an_older_one_as_it_did(db: Driver) -> None:
    assert db.write("incr", "n", 1, ["ttl", 1_000])[2] == 1
    db.time_ms += 600
    assert db.write("incr", "n", 1, ["ttl", 60_000])[2] == 2
    assert db.write("incr", "n", 1, None)[2] == 3
    assert later(db, 399) == 0
    assert later(db, 1) == 1
    assert db.write("incr", "n", 1, None)[2] == 1
    assert db.write("incr", "n", 1, ["ttl", 1_000])[2] == 2
    assert later(db, 60_000) == 0, "it has no end"


def test_a_number_goes_with_its_lease(db: Driver) -> None:
    lease, other = (db.write("lease_grant", 10_000)[2] for _ in range(2))
    assert db.write("incr", "n", 1, ["lease", lease])[2] == 1
    assert db.write("incr", "n", 1, ["lease", other])[2] == 2
    assert (db.read("lease", lease)[2], db.read("lease", other)[2]) == (1, 0)
    db.write("lease_revoke", lease)
    assert db.keys() == []
    assert db.write("incr", "n", 1, ["lease", lease])[0] == "lease_expired"
    assert db.keys() == []


def test_a_transaction_counts_whole_or_not_at_all(db: Driver) -> None:
    db.write("put_ttl", "n", "5", 1_000)
    db.write("put", "text", "v")
    both = [["incr", "n", 1, None], ["incr", "m", -1, ["ttl", 500]], ["incr", "n", 1, None]]
    code, _, body = db.write("txn", [], [*both, ["incr", "text", 1, None]], [])
    assert (code, body["message"][:12]) == ("invalid", "incr: 'text'")
    assert (db.read("get", "n"), db.keys()) == (["5", 2], ["n", "text"])
    assert dict(db.machine.state.keys.bonds.of_key) == {"n": (0, db.time_ms + 1_000)}
    assert db.write("txn", [], both, [])[2] == [True, [6, -1, 7]]
    assert later(db, 500) == 1
    assert later(db, 500) == 1
    assert db.keys() == ["text"]


def test_whoever_watches_sees_each_number(db: Driver) -> None:
    db.machine.observe_changes(True)
    db.write("incr", "n", 2, None)
    db.write("incr", "n", 3, None)
    assert db.machine.take_changes() == [("n", "2", 2, None), ("n", "5", 3, "2")]
