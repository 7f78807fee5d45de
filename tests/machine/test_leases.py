"""Leases: what they hold ends with them, by an entry and never by time alone."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.core.entry import COMMAND
from raftzmq.errors import InvalidRequest
from raftzmq.lines import encode_entries
from raftzmq.machine import Machine, owned
from raftzmq.machine.tables import bonds
from raftzmq.machine.tables.bonds import Bonds
from tests.machine.audit import audit
from tests.machine.driver import Driver


@pytest.fixture
def db() -> Driver:
    driver = Driver()
    driver.time_ms = 1_000_000
    return driver


def granted(db: Driver, ttl_ms: int = 10_000) -> int:
    code, _, number = db.write("lease_grant", ttl_ms)
    assert code == "ok"
    return int(number)


def locked(db: Driver, name: str, lease: int, *, held: bool = True) -> int:
    code, _, body = db.write("acquire", "lock", name, lease, 1, 0, True, None)
    assert (code, body[1]) == ("ok", held)
    return int(body[0])


def later(db: Driver, by_ms: int) -> int:
    """Let time pass, and `expire` be executed; return how much has ended."""
    db.time_ms += by_ms
    return db.expire()


def test_a_lease_has_the_revision_that_granted_it_as_its_number(db: Driver) -> None:
    assert db.write("lease_grant", 10_000) == ("ok", 2, 2)
    assert db.read("lease", 2) == [10_000, 10_000, 0, 0]


def test_a_lease_ends_when_its_time_is_over_and_an_entry_says_so(db: Driver) -> None:
    lease = granted(db)
    assert later(db, 9_999) == 0
    db.time_ms += 1
    db.write("put", "k", "v")
    assert db.read("lease", lease) == [10_000, 0, 0, 0], "time alone ends nothing"
    assert db.expire() == 1
    assert db.read("lease", lease) is None


def test_keeping_a_lease_begins_its_time_anew(db: Driver) -> None:
    lease = granted(db)
    db.time_ms += 8_000
    assert db.write("lease_keep", lease) == ("ok", 3, 10_000)
    assert later(db, 9_999) == 0
    assert later(db, 1) == 1


def test_a_lease_that_is_kept_after_its_time_and_before_its_end_goes_on(db: Driver) -> None:
    lease = granted(db)
    db.time_ms += 60_000
    assert db.write("lease_keep", lease)[0] == "ok"
    assert db.expire() == 0


@pytest.mark.parametrize("name", ["lease_keep", "lease_revoke"])
def test_what_needs_a_lease_says_when_it_is_not_there(db: Driver, name: str) -> None:
    code, _, body = db.write(name, 77)
    assert code == "lease_expired"
    assert body == {"message": "lease 77 has ended or never was: grant another"}
    assert db.machine.lease_count == 0


def test_the_leases_are_listed_in_order_page_by_page(db: Driver) -> None:
    numbers = [granted(db, 1000 * (n + 1)) for n in range(3)]
    db.write("put_leased", "k", "v", numbers[1])
    locked(db, "l", numbers[1])
    db.time_ms += 400
    db.write("put", "time", "passes")
    first = [[numbers[0], 1000, 600, 0, 0], [numbers[1], 2000, 1600, 1, 1]]
    assert db.read("leases", 0, 2) == [first, True]
    assert db.read("leases", numbers[1], 2) == [[[numbers[2], 3000, 2600, 0, 0]], False]


def test_a_full_table_takes_no_lease_and_keeps_no_answer(
    db: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LEASES", 1)
    lease = granted(db)
    assert db.send(50, "lease_grant", 1000, ack=50)[0] == "overloaded"
    assert db.send(51, "lease_revoke", lease, ack=50)[0] == "ok"
    assert db.send(50, "lease_grant", 1000, ack=50)[0] == "ok", "the same serial, tried again"


# -- keys ---------------------------------------------------------------------------------------


def test_a_key_goes_with_its_lease(db: Driver) -> None:
    lease = granted(db)
    assert db.write("put_leased", "k", "v", lease) == ("ok", 3, None)
    assert db.read("get", "k") == ["v", 3]
    db.write("put", "other", "v")
    assert later(db, 10_000) == 1
    assert db.keys() == ["other"]


def test_a_revoked_lease_takes_its_keys_at_once(db: Driver) -> None:
    lease = granted(db)
    db.write("put_leased", "k", "v", lease)
    assert db.write("lease_revoke", lease) == ("ok", 4, None)
    assert db.keys() == []


def test_no_key_is_written_with_a_lease_that_is_not_there(db: Driver) -> None:
    db.write("put", "k", "old")
    assert db.write("put_leased", "k", "v", 99)[0] == "lease_expired"
    assert db.read("get", "k") == ["old", 2]


DETACHING: list[list[Any]] = [
    ["put", "k", "w"],
    ["cas", "k", "w", 3],
    ["txn", [], [["put", "k", "w"]], []],
    ["txn", [], [["delete", "k"], ["put", "k", "w"]], []],
    ["txn", [], [["delete_prefix", ""], ["put", "k", "w"]], []],
]


@pytest.mark.parametrize("write", DETACHING, ids=repr)
def test_a_key_that_is_written_without_the_lease_stays(db: Driver, write: list[Any]) -> None:
    lease = granted(db)
    db.write("put_leased", "k", "v", lease)
    assert db.write(*write)[0] == "ok"
    assert db.read("lease", lease)[2] == 0
    later(db, 10_000)
    assert db.keys() == ["k"]


@pytest.mark.parametrize("write", [["delete", "k"], ["delete_prefix", ""]], ids=repr)
def test_a_key_that_is_deleted_and_written_anew_is_bound_to_nothing(
    db: Driver, write: list[Any]
) -> None:
    lease = granted(db)
    db.write("put_leased", "k", "v", lease)
    db.write(*write)
    audit(db.machine)
    db.write("put", "k", "w")
    later(db, 10_000)
    assert db.keys() == ["k"]


def test_a_key_moves_from_one_lease_to_another(db: Driver) -> None:
    first, second = granted(db), granted(db, 60_000)
    db.write("put_leased", "k", "v", first)
    db.write("put_leased", "k", "v", second)
    later(db, 10_000)
    assert db.keys() == ["k"]
    later(db, 50_000)
    assert db.keys() == []


def test_a_transaction_that_is_rolled_back_leaves_keys_bound_as_they_were(db: Driver) -> None:
    lease = granted(db)
    db.write("put_leased", "a", "v", lease)
    db.write("put_ttl", "b", "v", 20_000)
    db.write("put", "long", "v" * limits.VALUE_BYTES)

    def tables() -> list[list[Any]]:
        return [record for record in db.machine.snapshot() if record[0] in ("key", "bond")]

    before = tables()
    db.machine.observe_changes(True)
    changes = [["put", "a", "w"], ["put", "a", "x"], ["delete_prefix", "b"], ["put", "b", "y"]]
    assert db.write("txn", [], [*changes, *[["get", "long"]] * 6], [])[0] == "invalid"
    assert tables() == before
    assert db.machine.take_changes() == [], "nothing has happened, for those who watch"
    audit(db.machine)
    assert later(db, 20_000) == 2
    assert db.keys() == ["long"]


def test_a_key_with_a_time_to_live_goes_when_it_is_over(db: Driver) -> None:
    assert db.write("put_ttl", "k", "v", 5_000) == ("ok", 2, None)
    assert later(db, 4_999) == 0
    assert later(db, 1) == 1
    assert db.keys() == []


def test_writing_a_key_again_replaces_its_time_to_live(db: Driver) -> None:
    db.write("put_ttl", "longer", "v", 5_000)
    db.write("put_ttl", "shorter", "v", 5_000)
    db.write("put_ttl", "forever", "v", 5_000)
    db.time_ms += 1_000
    db.write("put_ttl", "longer", "v", 5_000)
    db.write("put_ttl", "shorter", "v", 1_000)
    db.write("put", "forever", "v")
    assert later(db, 1_000) == 1
    assert db.keys() == ["forever", "longer"]
    assert later(db, 3_000) == 0
    assert later(db, 1_000) == 1
    assert db.keys() == ["forever"]


def test_a_key_that_is_renewed_often_takes_no_more_memory(db: Driver) -> None:
    for _ in range(1000):
        db.write("put_ttl", "k", "v", 5_000)
    assert len(db.machine.state.keys.bonds.by_end) < 100


def test_renewing_many_keys_goes_through_few_bonds_at_a_time(
    db: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heap of ends is full of bonds that were after two renewals of all keys. To make it anew in
    one command would take a second with a million keys."""
    looked_at = []
    is_of_now = Bonds._is_of_now

    def counted(bonds: Bonds, entry: tuple[int, str]) -> bool:
        looked_at.append(entry)
        return is_of_now(bonds, entry)

    monkeypatch.setattr(Bonds, "_is_of_now", counted)
    sizes = []
    for serial in range(10):
        for number in range(500):
            looked_at.clear()
            db.time_ms += 1
            db.write("put_ttl", f"k{number}", "v", 20_000 - serial)
            assert len(looked_at) <= bonds.MOVED_AT_ONCE
            tables = db.machine.state.keys.bonds
            sizes.append(len(tables.by_end) + len(tables._outgrown))
    audit(db.machine)
    assert 1_000 < max(sizes) < 2_000
    assert later(db, 19_000) == 0
    assert later(db, 1_000) > 0
    later(db, 1_000)
    assert db.keys() == []


def test_puts_of_a_run_end_bonds_like_all_puts(db: Driver) -> None:
    lease = granted(db)
    db.write("put_leased", "k3", "v", lease)
    bodies = [[db.session, 90, [100 + n, "put", f"k{n}", "w"]] for n in range(5)]
    db.machine.apply_all(encode_entries(db.index + 1, 1, db.time_ms, COMMAND, bodies))
    db.index += 5
    later(db, 10_000)
    assert len(db.keys()) == 5


# -- the order of ends --------------------------------------------------------------------------


def test_what_ends_in_one_moment_ends_in_one_entry_and_in_order(db: Driver) -> None:
    lease = granted(db)
    for key in "cab":
        db.write("put_leased", key, "v", lease)
    db.write("put_ttl", "d", "v", 10_000)
    db.machine.observe_changes(True)
    assert later(db, 10_000) == 2
    changes = [(key, None, db.index, "v") for key in "abcd"]
    assert db.machine.take_changes() == changes


def test_one_entry_ends_only_so_much_and_the_next_goes_on(
    db: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXPIRE_AT_ONCE", 4)
    for lease in [granted(db) for _ in range(3)]:
        for key in "abc":
            db.write("put_leased", f"{key}{lease}", "v", lease)
    db.time_ms += 10_000
    ended = []
    while db.machine.expiry_due(db.time_ms):
        ended.append(db.expire())
    assert ended == [1, 1, 1], "a lease ends as a whole"
    assert db.keys() == []


def test_it_is_known_when_the_next_thing_ends(db: Driver) -> None:
    start_ms = db.time_ms = 0
    assert db.machine.next_expiry_ms == start_ms + limits.SESSION_TTL_MS, "the session"
    lease = granted(db)
    assert db.machine.next_expiry_ms == start_ms + 10_000
    db.write("put_ttl", "k", "v", 7_000)
    assert db.machine.next_expiry_ms == start_ms + 7_000
    db.write("delete", "k")
    db.time_ms += 8_000
    db.write("lease_keep", lease)
    assert not db.machine.expiry_due(start_ms + 10_000)
    assert db.machine.next_expiry_ms == start_ms + 18_000


def test_an_empty_machine_waits_for_nothing() -> None:
    assert Machine().next_expiry_ms is None
    assert not Machine().expiry_due(10**12)


def grant_to(db: Driver, owner: str) -> int:
    """Grant a lease as a leader proposes it for a user of that name."""
    db.serial += 1
    op = owned([db.serial, "lease_grant", 10_000], owner)
    code, _, number = db.apply(db.session, db.serial, op)
    assert code == "ok"
    return int(number)


def test_a_lease_belongs_to_the_user_that_the_leader_names(db: Driver) -> None:
    lease, anybodys = grant_to(db, "billing"), granted(db)
    for machine in (db.machine, db.reborn()):
        assert machine.owner_of(lease) == "billing"
        assert machine.owner_of(anybodys) == ""
        assert machine.owner_of(lease + 1_000) is None
    assert db.write("lease_revoke", lease)[0] == "ok"
    assert db.machine.owner_of(lease) is None


def test_no_client_says_to_whom_a_lease_belongs(db: Driver) -> None:
    with pytest.raises(InvalidRequest, match="lease_grant takes ttl_ms; 2 given"):
        db.write("lease_grant", 10_000, "billing")


def test_only_leases_get_an_owner_and_only_from_users_with_a_name() -> None:
    for op in ([1, "put", "k", "v"], [1, "open"], [1, "lease_keep", 7]):
        assert owned(op, "billing") == op
    assert owned([1, "lease_grant", 500], "") == [1, "lease_grant", 500]


def test_the_owner_is_in_the_hash_and_in_the_record_only_if_there_is_one(db: Driver) -> None:
    other = Driver()
    other.time_ms = db.time_ms
    grant_to(db, "billing")
    grant_to(other, "orders")
    records = [list(machine.snapshot())[-1] for machine in (db.machine, other.machine)]
    assert [record[-1] for record in records] == ["billing", "orders"]
    assert db.machine.state_hash() != other.machine.state_hash()


def test_leases_of_older_logs_and_snapshots_are_anybodys(db: Driver) -> None:
    lease = granted(db)
    assert list(db.machine.snapshot())[-1] == ["lease", lease, 10_000, db.time_ms + 10_000]
    assert db.reborn().state_hash() == db.machine.state_hash()
    assert db.reborn().owner_of(lease) == ""


# -- puts on a condition ---------------------------------------------------------------------------


def test_a_put_if_absent_is_done_once_and_again_when_its_time_is_over(db: Driver) -> None:
    ttl = ["ttl", 10_000]
    assert db.write("put_if", "k", "first", 0, ttl) == ("ok", 2, None)
    assert db.write("put_if", "k", "second", 0, ttl) == ("compare_failed", 3, ["first", 2])
    assert later(db, 9_999) == 0
    assert later(db, 1) == 1
    assert db.write("put_if", "k", "third", 0, ttl)[0] == "ok"
    assert db.read("get", "k")[0] == "third"


def test_a_put_of_a_revision_ends_as_it_says(db: Driver) -> None:
    lease = granted(db)
    db.write("put", "k", "v")
    assert db.write("put_if", "k", "w", 3, ["lease", lease])[0] == "ok"
    assert db.read("lease", lease)[2] == 1
    assert db.write("put_if", "k", "x", 3, None) == ("compare_failed", 5, ["w", 4])
    assert db.read("lease", lease)[2] == 1
    assert db.write("put_if", "k", "x", 4, None)[0] == "ok"
    assert db.read("lease", lease)[2] == 0


def test_a_put_keeps_the_time_or_the_lease_that_the_key_has(db: Driver) -> None:
    lease = granted(db)
    db.write("put_ttl", "timed", "v", 1_000)
    db.write("put_leased", "leased", "v", lease)
    db.time_ms += 600
    for key in ("timed", "leased", "new"):
        assert db.write("put_if", key, "w", None, "keep")[0] == "ok"
    assert db.read("lease", lease)[2] == 1
    assert later(db, 399) == 0
    assert later(db, 1) == 1
    db.write("lease_revoke", lease)
    assert db.keys() == ["new"]


def test_a_put_under_a_lease_that_has_ended_changes_nothing(db: Driver) -> None:
    db.write("put_ttl", "k", "v", 1_000)
    assert db.write("put_if", "k", "w", 2, ["lease", 99])[0] == "lease_expired"
    assert db.write("put_if", "k", "w", 1, ["lease", 99])[0] == "compare_failed"
    assert db.read("get", "k") == ["v", 2]
    assert later(db, 1_000) == 1


def test_a_transaction_puts_keys_that_end_and_takes_back_what_they_were_bound_to(
    db: Driver,
) -> None:
    lease = granted(db)
    db.write("put_ttl", "k", "v", 1_000)
    both = [["put_if", "k", "w", None, ["lease", lease]], ["put_if", "l", "w", None, ["ttl", 500]]]
    assert db.write("txn", [], [*both, ["put_if", "m", "w", None, ["lease", 99]]], [])[0] == (
        "lease_expired"
    )
    assert (db.read("lease", lease)[2], db.keys()) == (0, ["k"])
    assert dict(db.machine.state.keys.bonds.of_key) == {"k": (0, db.time_ms + 1_000)}
    assert db.write("txn", [], both, [])[2] == [True, [None, None]]
    assert db.read("lease", lease)[2] == 1
    assert later(db, 500) == 1
    assert db.keys() == ["k"]
    assert db.reborn().state_hash() == db.machine.state_hash()


def test_a_key_lives_for_ten_years_and_not_a_millisecond_longer(db: Driver) -> None:
    years_ms = limits.KEY_TTL_MAX_MS
    db.write("put_ttl", "k", "v", years_ms)
    db.write("put_if", "l", "v", 0, ["ttl", years_ms])
    assert db.machine.state.keys.bonds.next_end_ms == db.time_ms + years_ms
    db.machine = db.reborn()
    assert later(db, years_ms - 1) == 1, "the session alone"
    db.session = db.open()
    assert db.keys() == ["k", "l"]
    assert later(db, 1) == 2
