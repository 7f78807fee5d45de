"""No entry removes more than its bound, however much there is; what is more goes in several."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.core.entry import COMMANDS
from raftzmq.lines import encode_entry
from raftzmq.machine import Machine, bounded, validate_write
from tests.machine.audit import audit
from tests.machine.driver import Driver, restored

BOUND = 4


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr(limits, "REMOVALS_PER_ENTRY", BOUND)
    monkeypatch.setattr(limits, "SWEPT_PER_REMOVAL", 2)
    driver = Driver()
    driver.time_ms = 1_000_000
    driver.machine.observe_changes(True)
    return driver


def logged(db: Driver, name: str, *arguments: Any) -> Any:
    """Apply a write as a leader proposes it; return its result."""
    db.serial += 1
    op = [db.serial, name, *arguments]
    validate_write(op)
    return db.apply(db.session, db.serial, bounded(op))


def fill(db: Driver, count: int, lease: int = 0, prefix: str = "k") -> list[str]:
    """Write so many keys, under a lease or not, not in their order."""
    keys = [f"{prefix}{number:03}" for number in range(count)]
    for key in reversed(keys):
        if lease:
            db.write("put_leased", key, "v", lease)
        else:
            db.write("put", key, "v")
    db.machine.take_changes()
    return keys


def removed(db: Driver) -> list[str]:
    """The keys that were removed since this was asked last, in order."""
    changes = db.machine.take_changes()
    assert all(value is None for _, value, _, _ in changes)
    return [key for key, _, _, _ in changes]


def expire(db: Driver) -> int:
    _, _, count = db.apply(0, 0, [0, "expire", BOUND])
    audit(db.machine)
    return int(count)


def granted(db: Driver, ttl_ms: int = 10_000) -> int:
    return int(db.write("lease_grant", ttl_ms)[2])


def locked(db: Driver, name: str, lease: int) -> int:
    return int(db.write("acquire", "lock", name, lease, 1, 0, True, None)[2][0])


# -- a prefix -----------------------------------------------------------------------------------


def test_a_large_prefix_is_deleted_in_order_and_in_steps(db: Driver) -> None:
    keys = fill(db, 2 * BOUND + 1)
    fill(db, 1, prefix="other")
    steps = []
    more = True
    while more:
        count, more = logged(db, "delete_first", "k", BOUND)[2]
        steps.append(removed(db))
        assert len(steps[-1]) == count
    assert steps == [keys[:BOUND], keys[BOUND : 2 * BOUND], keys[2 * BOUND :]]
    assert db.keys() == ["other000"]


@pytest.mark.parametrize("count", [0, 1, BOUND])
def test_a_prefix_within_the_bound_is_deleted_in_one_step(db: Driver, count: int) -> None:
    fill(db, count)
    assert logged(db, "delete_first", "", BOUND)[2] == [count, False]
    fill(db, count)
    assert logged(db, "delete_prefix", "")[2] == count


def test_a_step_that_is_sent_again_gives_its_first_result_and_deletes_no_more(db: Driver) -> None:
    fill(db, 3 * BOUND)
    first = db.send(500, "delete_first", "k", BOUND, ack=500)
    assert db.send(500, "delete_first", "k", BOUND, ack=500) == first
    assert len(db.keys()) == 2 * BOUND


@pytest.mark.parametrize(
    "op",
    [
        ["delete_prefix", "k"],
        ["txn", [], [["put", "k", "v"], ["delete_prefix", "k"]], []],
        ["txn", [], [["delete_prefix", "k00"], ["delete_prefix", "k"]], []],
        ["fenced", "LOCK", ["delete_prefix", "k"]],
        ["fenced", "LOCK", ["txn", [], [["delete_prefix", "k"]], []]],
    ],
    ids=repr,
)
def test_what_must_be_deleted_at_once_is_refused_above_the_bound(db: Driver, op: list[Any]) -> None:
    token = locked(db, "l", granted(db))
    keys = fill(db, BOUND + 1)
    before = db.read("range", "", "", 100)
    op = [[["l", token]] if part == "LOCK" else part for part in op]
    code, _, body = logged(db, *op)
    assert code == "invalid"
    assert "delete_first" in body["message"]
    assert str(BOUND) in body["message"]
    assert db.read("range", "", "", 100) == before
    assert db.keys() == keys
    assert removed(db) == []


def test_without_a_bound_as_in_older_logs_all_is_done_at_once(db: Driver) -> None:
    many = 3 * BOUND
    fill(db, many)
    assert db.write("delete_prefix", "k")[2] == many
    fill(db, many)
    assert db.write("txn", [], [["delete_prefix", "k"]], [])[2] == [True, [many]]
    lease = granted(db)
    fill(db, many, lease)
    assert db.write("lease_revoke", lease)[0] == "ok"
    assert db.keys() == []
    fill(db, many, granted(db))
    db.time_ms += 10_000
    assert db.expire() == 1
    assert db.keys() == []


def test_the_leader_gives_a_bound_to_what_may_remove_much() -> None:
    most = limits.REMOVALS_PER_ENTRY
    fences: list[Any] = [["l", 3]]
    assert bounded([1, "delete_prefix", "k"]) == [1, "delete_prefix", "k", most]
    assert bounded([1, "lease_revoke", 7]) == [1, "lease_revoke", 7, most]
    deleting = ["txn", [], [], [["get", "k"], ["delete_prefix", "k"]]]
    assert bounded([1, *deleting]) == [1, *deleting, most]
    assert bounded([1, "fenced", fences, deleting]) == [1, "fenced", fences, [*deleting, most]]
    for op in (
        ["txn", [], [["put", "k", "v"], ["delete", "k"]], []],
        ["put", "k", "v"],
        ["delete", "k"],
        ["delete_first", "k", 5],
        ["fenced", fences, ["cas", "k", "v", 1]],
        ["open", "5ec2e75ec2e75ec2"],
    ):
        assert bounded([1, *op]) == [1, *op]


# -- several commands in one entry ----------------------------------------------------------------


def together(db: Driver, *ops: list[Any]) -> list[Any]:
    """Apply writes in one entry, as a leader proposes those of one moment; return their results."""
    first = db.serial + 1
    db.serial += len(ops)
    body = [[db.session, first, [bounded([first + n, *op]) for n, op in enumerate(ops)]]]
    db.index = max(db.index, db.machine.revision) + 1
    entry = encode_entry(db.index, 1, db.time_ms, COMMANDS, body)
    (results,) = db.machine.apply_all([entry])
    db.index = db.machine.revision
    audit(db.machine)
    return results


def test_commands_of_one_entry_share_its_bound(db: Driver) -> None:
    keys = fill(db, 2 * BOUND)
    step = ["delete_first", "k", BOUND]
    results = together(db, ["delete_first", "k", 1], step, step, ["delete_prefix", "k007"])
    assert [result[2] for result in results[:3]] == [[1, True], [BOUND - 1, True], [0, True]]
    assert results[3][0] == "overloaded", "it may be sent again"
    assert removed(db) == keys[:BOUND]
    assert logged(db, "delete_prefix", "k007")[2] == 1, "the next entry has room again"


def test_a_transaction_that_has_no_room_left_is_overloaded_and_takes_all_back(db: Driver) -> None:
    keys = fill(db, BOUND)
    fill(db, 1, prefix="x")
    change = ["txn", [], [["put", "a", "v"], ["delete_prefix", "k"]], []]
    results = together(db, ["delete_prefix", "x"], change, change)
    assert [result[0] for result in results] == ["ok", "overloaded", "overloaded"]
    assert db.keys() == keys
    assert removed(db) == ["x000"]


def test_leases_that_are_revoked_in_one_entry_share_its_bound(db: Driver) -> None:
    leases = [granted(db) for _ in range(3)]
    for lease in leases:
        fill(db, 1, lease, prefix=f"{lease}/")
    results = together(db, *(["lease_revoke", lease] for lease in leases))
    assert [result[0] for result in results] == ["ok", "ok", "overloaded"]
    assert db.read("lease", leases[2]) is not None, "nothing of it was done"


# -- a lease with more than that ------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["lease_revoke", "expire"])
def test_a_large_lease_is_gone_at_once_and_its_keys_go_step_by_step(db: Driver, ends: str) -> None:
    fill(db, 9, prefix="a")
    lease = granted(db)
    keys = fill(db, 3 * BOUND + 1, lease)
    fill(db, 9, prefix="z")
    if ends == "lease_revoke":
        assert logged(db, "lease_revoke", lease)[0] == "ok"
        assert removed(db) == []
    else:
        db.time_ms += 10_000
        assert expire(db) == 1
    assert db.machine.lease_count == 0
    assert db.read("lease", lease) is None
    assert db.read("leases", 0, 10) == [[], False]
    writes: list[list[Any]] = [["lease_keep", lease], ["lease_revoke", lease]]
    for write in [*writes, ["put_leased", "x", "v", lease]]:
        assert logged(db, *write)[0] == "lease_expired"
    gone = removed(db)
    while db.machine.expiry_due(db.time_ms):
        assert db.machine.next_expiry_ms == db.machine.time_ms, "the leader goes on at once"
        expire(db)
        step = removed(db)
        assert len(step) <= BOUND
        gone += step
    assert sorted(gone) == keys
    assert len(gone) == len(keys)
    assert len(db.keys()) == 18


def test_the_places_of_a_large_lease_mean_nothing_before_they_go(db: Driver) -> None:
    lease, other = granted(db), granted(db, 60_000)
    tokens = [locked(db, f"l{number}", lease) for number in range(2 * BOUND)]
    waiting = [locked(db, f"l{number}", other) for number in range(2 * BOUND)]
    keys = fill(db, BOUND, lease)
    logged(db, "lease_revoke", lease)
    last = f"l{2 * BOUND - 1}"
    for leave in ("release", "cancel"):
        assert logged(db, leave, "lock", last, tokens[-1])[0] == "not_held"
    assert logged(db, "fenced", [[last, tokens[-1]]], ["put", "x", "v"])[0] == "fenced"
    assert db.machine.read([1, "await", "lock", last, tokens[-1], 0])[0] == "not_held"
    held = []
    while db.machine.expiry_due(db.time_ms):
        expire(db)
        held.append(sum(db.machine.state.queues.places[token].held for token in waiting))
        assert db.keys() == keys or held[-1] == len(waiting), "places go before keys"
    assert held[:2] == [BOUND, 2 * BOUND], "those in line come, as places go"
    assert db.keys() == []


def test_a_key_that_is_written_anew_before_its_turn_stays(db: Driver) -> None:
    lease, other = granted(db), granted(db, 60_000)
    fill(db, 3 * BOUND, lease)
    logged(db, "lease_revoke", lease)
    db.write("put", "k011", "new")
    db.write("put_leased", "k010", "new", other)
    while db.machine.expiry_due(db.time_ms):
        expire(db)
    assert db.keys() == ["k010", "k011"]


def test_a_lease_within_the_bound_ends_whole_also_beside_a_large_one(db: Driver) -> None:
    large = granted(db, 5_000)
    small = [granted(db, 10_000) for _ in range(4)]
    fill(db, 5 * BOUND, large)
    for lease in small:
        fill(db, 2, lease, prefix=f"s{lease}/")
    db.time_ms += 10_000
    left = [3]
    while left[-1]:
        expire(db)
        assert len(removed(db)) <= BOUND
        kept = [len(db.read("prefix", f"s{lease}/", 9)[0]) for lease in small]
        assert set(kept) <= {0, 2}, "each of them whole"
        left.append(sum(kept))
    assert db.read("prefix", "k", 1)[0], "and none of them waits for the large one"


def test_keys_with_ends_of_their_own_and_sessions_share_the_bound(db: Driver) -> None:
    for number in range(2 * BOUND):
        db.write("put_ttl", f"t{number}", "v", 1_000)
    idle = [db.open() for _ in range(2 * BOUND)]
    db.machine.take_changes()
    db.time_ms += limits.SESSION_TTL_MS
    db.write("put", "x", "v")  # this session is in use
    db.machine.take_changes()
    counts = []
    while db.machine.expiry_due(db.time_ms):
        counts.append(expire(db))
        assert len(removed(db)) <= BOUND
    assert counts == [BOUND] * 4
    assert not db.machine.state.sessions.table.keys() & set(idle)


def test_a_snapshot_in_the_midst_of_it_goes_on_in_the_same_way(db: Driver) -> None:
    leases = [granted(db) for _ in range(2)]
    for lease in leases:
        fill(db, 3 * BOUND, lease, prefix=f"{lease}/")
        for name in "abc":
            locked(db, f"{lease}{name}", lease)
        logged(db, "lease_revoke", lease)
    while db.machine.expiry_due(db.time_ms):
        copy: Machine = restored(db.machine)
        audit(copy)
        assert copy.state_hash() == db.machine.state_hash()
        expire(db)
        copy.apply(db.index, db.time_ms, [0, 0, [0, "expire", BOUND]])
        assert copy.state_hash() == db.machine.state_hash()
    assert db.keys() == []
    assert db.machine.place_count == 0


# -- a million -------------------------------------------------------------------------------------

MANY = 20_000
MOST = 1_000_000


@pytest.mark.parametrize("count", [MANY, pytest.param(MOST, marks=pytest.mark.proof)])
@pytest.mark.parametrize("leased", [False, True], ids=["prefix", "lease"])
def test_no_entry_touches_more_than_it_may_of_very_many_keys(count: int, leased: bool) -> None:
    db = Driver()
    lease = granted(db, limits.LEASE_TTL_MAX_MS) if leased else 0
    fill(db, count, lease)
    db.machine.observe_changes(True)
    if leased:
        assert logged(db, "lease_revoke", lease)[0] == "ok"
    gone = 0
    entries = 0
    while len(db.machine):
        if leased:
            db.apply(0, 0, [0, "expire", limits.REMOVALS_PER_ENTRY])
        else:
            logged(db, "delete_first", "k", limits.REMOVALS_PER_ENTRY)
        step = len(removed(db))
        assert 0 < step <= limits.REMOVALS_PER_ENTRY
        gone += step
        entries += 1
    assert gone == count
    assert entries == -(-count // limits.REMOVALS_PER_ENTRY)
