"""The fake: a real node and real sessions in this process, with a clock that the test moves."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from raftzmq import (
    Client,
    Compare,
    DiskFull,
    Fenced,
    InvalidRequest,
    Item,
    LeaseExpired,
    NotAcquired,
    OutcomeUnknown,
    Put,
    Unavailable,
    WatchLost,
)
from raftzmq.testing import Deadlock, FakeClient, FakeCluster


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


def test_it_is_a_client_and_speaks_of_the_same_cluster(fake: FakeCluster) -> None:
    db, other = fake.client(), fake.client()
    assert isinstance(db, Client)
    written = db.put("k", "v")
    assert other.get("k") == Item("k", "v", written.revision)
    assert other.status()["role"] == "leader"
    assert not db.put("k", "again", if_absent=True).succeeded
    assert db.txn(compares=[Compare("k", "value", "=", "v")], then=[Put("l", "w")]).succeeded
    assert [item.key for item in other.range()] == ["k", "l"]
    assert FakeClient().get("k") is None


def test_time_passes_where_the_test_says_so_and_nowhere_else(fake: FakeCluster) -> None:
    db = fake.client()
    began = fake.now
    db.put("session", "ada", ttl=60)
    for number in range(1100):  # a clock that stands still that long is no broken one here
        db.put("k", str(number))
    assert fake.now == began
    fake.advance(59.9)
    assert db.get("session") is not None
    fake.advance(0.2)
    assert db.get("session") is None


def test_weeks_pass_in_a_moment_and_nothing_ends_late(fake: FakeCluster) -> None:
    db = fake.client()
    db.put("a", "", ttl=14 * 86_400)
    fake.advance(14 * 86_400 - 1)
    assert db.get("a") is not None
    fake.advance(1.1)
    assert db.get("a") is None


def test_a_lock_is_kept_while_its_holder_lives_and_free_after_its_time(fake: FakeCluster) -> None:
    holder, other = fake.client(), fake.client()
    lock = holder.lock("report", ttl=10).acquire()
    fake.advance(600)
    assert lock.held
    with pytest.raises(NotAcquired):
        other.lock("report", timeout=0).acquire()
    fake.crash(holder)
    began = fake.now
    taken = other.lock("report").acquire()  # without a timeout: it waits for the lease to end
    assert 0 < fake.now - began <= 10.1
    assert taken.token > lock.token
    with pytest.raises(Unavailable, match="crashed"):
        holder.get("k")


def test_who_is_cut_off_is_told_of_its_loss(fake: FakeCluster) -> None:
    holder, other = fake.client(), fake.client()
    told: list[float] = []
    lock = holder.lock("report", ttl=10, on_lost=lambda: told.append(fake.now)).acquire()
    token = lock.token
    fake.disconnect(holder)
    fake.advance(9)
    assert lock.held
    began = fake.now
    fake.advance(30)
    assert lock.lost.is_set()
    assert len(told) == 1
    assert told[0] - began <= 1.01
    with pytest.raises(LeaseExpired):
        lock.check()
    with pytest.raises(Unavailable, match="no connection"):
        holder.put("k", "v")
    fake.reconnect(holder)
    with pytest.raises(Fenced):
        holder.put("k", "v", fence=("report", token))
    assert other.lock("report", timeout=0).acquire().token > token


def test_a_wait_takes_its_timeout_of_the_fakes_clock(fake: FakeCluster) -> None:
    holder, other = fake.client(), fake.client()
    with holder.lock("report"):
        began = fake.now
        with pytest.raises(NotAcquired):
            other.lock("report", timeout=5).acquire()
        assert fake.now - began == pytest.approx(5, abs=0.01)
        with pytest.raises(Deadlock, match="lock 'report' has no timeout"):
            other.lock("report").acquire()
        assert other.describe("lock", "report").waiting == 0  # type: ignore[union-attr]
    assert other.lock("report", timeout=0).acquire().held


def test_a_thread_that_waits_leaves_the_clock_to_those_that_act(fake: FakeCluster) -> None:
    holder, other = fake.client(), fake.client()
    lock = holder.lock("report").acquire()
    waits, began = threading.Event(), fake.now
    result: list[Any] = []

    def wait() -> None:
        waits.set()
        result.append(other.lock("report").acquire(timeout=1000))

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(60)
    lock.release()
    thread.join(60)
    assert result[0].held
    assert fake.now - began < 1000


def test_watches_elections_semaphores_and_leases_work(fake: FakeCluster) -> None:
    db, other = fake.client(), fake.client()
    with db.watch(prefix="w/") as watch:
        other.put("w/1", "a")
        other.put("w/2", "b", ttl=5)
        fake.advance(6)
        assert [watch.next().key for _ in range(3)] == ["w/1", "w/2", "w/2"]  # type: ignore[union-attr]
        began = fake.now
        assert watch.next(timeout=3) is None
        assert fake.now - began == pytest.approx(3, abs=0.01)
        with pytest.raises(Deadlock, match="watch"):
            watch.next()
    with db.election("boss", "db"):
        assert other.election("boss").leader().value == "db"  # type: ignore[union-attr]
    with db.semaphore("slots", 2), db.semaphore("slots", 2), pytest.raises(NotAcquired):
        other.semaphore("slots", 2, timeout=1).wait()
    with db.lease(ttl=10) as lease:
        db.put("member", "x", lease=lease)
        fake.advance(100)
        assert other.get("member") is not None
    assert other.get("member") is None


def test_a_snapshot_can_be_taken_of_it(fake: FakeCluster) -> None:
    db = fake.client()
    db.put("k", "v")
    assert b'"k"' in b"".join(db.snapshot())


@pytest.mark.parametrize("error", [Unavailable, DiskFull, NotAcquired("busy")], ids=str)
def test_what_the_test_orders_fails_and_is_not_done(fake: FakeCluster, error: Any) -> None:
    db = fake.client()
    kind = error if isinstance(error, type) else type(error)
    fake.fail_next(error, skip=1, times=2)
    db.put("k", "0")
    for _ in range(2):
        with pytest.raises(kind):
            db.put("k", "1")
    assert db.get("k").value == "0"  # type: ignore[union-attr]
    fake.fail_next(error)
    with pytest.raises(kind):
        db.lock("l").acquire()
    assert db.describe("lock", "l") is None


@pytest.mark.parametrize("done", [True, False])
def test_an_unknown_outcome_is_of_a_write_that_was_done_or_not(
    fake: FakeCluster, done: bool
) -> None:
    db = fake.client()
    fake.fail_next(OutcomeUnknown, done=done)
    assert db.get("k") is None  # no read ends so
    with pytest.raises(OutcomeUnknown):
        db.put("k", "v")
    assert (db.get("k") is not None) is done


def test_orders_that_mean_nothing_are_refused(fake: FakeCluster) -> None:
    orders: list[dict[str, Any]] = [
        {"error": ValueError},
        {"error": WatchLost},
        {"error": Unavailable, "done": True},
        {"error": Unavailable, "times": 0},
        {"error": Unavailable, "skip": -1},
    ]
    for order in orders:
        with pytest.raises(InvalidRequest):
            fake.fail_next(**order)
    for seconds in (-1, float("nan"), "1"):
        with pytest.raises(InvalidRequest):
            fake.advance(seconds)  # type: ignore[arg-type]
    fake.client().put("k", "v")


def test_the_same_calls_give_the_same_results() -> None:
    def run() -> list[object]:
        fake = FakeCluster()
        db, other = fake.client(), fake.client()
        tokens: list[object] = [db.lock("l", ttl=5).acquire().token]
        fake.disconnect(db)
        tokens.append(other.lock("l").acquire().token)
        return [*tokens, fake.now, other.put("k", "v")]

    assert run() == run()


def test_closing_gives_up_and_ends_the_use(fake: FakeCluster) -> None:
    db, other = fake.client(), fake.client()
    with db:
        db.lock("l").acquire()
    assert other.lock("l", timeout=0).acquire().held
    db.close()
    with pytest.raises(Unavailable, match="closed"):
        db.get("k")


def test_a_client_that_nobody_has_any_more_holds_nothing_for_long(fake: FakeCluster) -> None:
    other = fake.client()
    lock = fake.client().lock("l", ttl=5).acquire()
    del lock
    assert other.lock("l").acquire().held
    assert fake.now < 6
