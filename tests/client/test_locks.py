"""Locks and what is like them, of both clients, with nodes that misbehave."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from raftzmq import (
    Client,
    Fenced,
    ForkedClient,
    InvalidRequest,
    LeaseExpired,
    NotAcquired,
    NotFound,
    NotHeld,
    Queue,
    Unavailable,
)
from tests.client.conftest import Connect, until
from tests.client.fake_cluster import DIE, IGNORE, LOSE_ANSWER, FakeCluster, OutcomeUnknown

FAULTS: list[tuple[str, Any]] = [
    ("lease", LOSE_ANSWER),
    ("acquire", IGNORE),
    ("acquire", LOSE_ANSWER),
    ("acquire", DIE),
    ("acquire", OutcomeUnknown()),
    ("release", IGNORE),
    ("release", LOSE_ANSWER),
]
"""What becomes of the message that carries each step."""


@pytest.fixture
def db(connect: Connect, cluster: FakeCluster) -> Any:
    client = connect(cluster.endpoints)
    client.put("first", "")
    return client


@pytest.fixture
def other(connect: Connect, cluster: FakeCluster) -> Any:
    """Another client of the same kind."""
    return connect(cluster.endpoints)


def places(db: Any, name: str = "l", kind: str = "lock") -> tuple[int, int]:
    """How many hold and how many wait."""
    queue: Queue | None = db.describe(kind, name)
    return (0, 0) if queue is None else (queue.held, queue.waiting)


def test_a_lock_is_held_by_one_at_a_time_with_growing_tokens(db: Any, other: Any) -> None:
    tokens: list[int] = []
    inside = 0

    def work(client: Any) -> None:
        nonlocal inside
        for _ in range(5):
            with client.lock("l") as lock:
                inside += 1
                assert (inside, lock.held) == (1, True)
                tokens.append(lock.token)
                inside -= 1

    threads = [threading.Thread(target=work, args=[one]) for one in (db, other, db, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(tokens) == 20
    assert tokens == sorted(set(tokens))
    until(lambda: places(db) == (0, 0))


def test_the_body_never_runs_without_the_lock(db: Any, other: Any) -> None:
    with db.lock("l"):
        for timeout in (0, 0.05):
            lock = other.lock("l", timeout=timeout)
            with pytest.raises(NotAcquired, match="could not acquire lock 'l'"), lock:
                pytest.fail("it was held by another")
            assert not lock.held
        until(lambda: places(db) == (1, 0))
    with other.lock("l", timeout=60):
        assert places(db) == (1, 0)


@pytest.mark.parametrize(("step", "fault"), FAULTS, ids=str)
def test_whatever_is_lost_there_is_one_place_and_then_none(
    db: Any, cluster: FakeCluster, step: str, fault: Any, impatience: None
) -> None:
    lock = db.lock("l")
    if step != "lease":
        lock.acquire()
        lock.release()
    if step == "release":
        lock.acquire()
    cluster.script(cluster.nodes[0], fault)
    if fault == DIE:
        cluster.lead(cluster.nodes[1])
    if step == "release":
        lock.release()
    else:
        with lock:
            assert places(db) == (1, 0)
    until(lambda: places(db) == (0, 0))


def test_one_that_gives_up_without_an_answer_leaves_nothing_behind(
    db: Any, other: Any, cluster: FakeCluster, impatience: None
) -> None:
    db.lock("warm").acquire()
    lock = db.lock("l", timeout=0.05)
    cluster.script(cluster.nodes[0], LOSE_ANSWER)
    with pytest.raises(NotAcquired):
        lock.acquire()
    assert places(other) == (1, 0), "the cluster has done what it was asked for"
    until(lambda: places(other) == (0, 0))


def test_a_waiter_that_is_interrupted_leaves_the_line(cluster: FakeCluster) -> None:
    def press() -> None:
        until(lambda: places(db) == (1, 1))
        os.kill(os.getpid(), signal.SIGINT)

    with Client(cluster.endpoints) as db, db.lock("l"):
        pressed = threading.Thread(target=press)
        with Client(cluster.endpoints) as other:
            pressed.start()
            with pytest.raises(KeyboardInterrupt), other.lock("l"):
                pytest.fail("it was held by another")
            pressed.join(60)
            until(lambda: places(db) == (1, 0))


@contextlib.contextmanager
def cut_off(cluster: FakeCluster) -> Iterator[None]:
    for node in cluster.nodes:
        cluster.always(node, IGNORE)
    yield
    for node in cluster.nodes:
        cluster.always(node, "serve")


def test_a_holder_that_is_cut_off_is_told_by_its_own_clock(
    db: Any, other: Any, cluster: FakeCluster
) -> None:
    told = threading.Event()
    lock = db.lock("l", ttl=0.5, on_lost=told.set)

    def hold() -> None:
        with lock, cut_off(cluster):
            assert told.wait(60)
            assert lock.lost.is_set()
            with pytest.raises(LeaseExpired):
                lock.check()

    with pytest.raises(LeaseExpired, match=r"not confirmed within its 0\.5 s"):
        hold()
    cluster.pass_time(60_000)
    assert places(other) == (0, 0)
    with db.lock("l", ttl=60) as again:
        assert not again.lost.is_set()


def test_a_loss_within_with_is_told_as_one(db: Any, cluster: FakeCluster) -> None:
    lock = db.lock("nightly", ttl=0.5)

    def hold() -> None:
        with lock, cut_off(cluster):
            until(lock.lost.is_set)

    with pytest.raises(LeaseExpired, match=r"^lock 'nightly' was lost while held: "):
        hold()


def test_what_the_body_raises_is_not_hidden_by_a_loss(db: Any, cluster: FakeCluster) -> None:
    lock = db.lock("l", ttl=0.5)

    def hold() -> None:
        with lock, cut_off(cluster):
            until(lock.lost.is_set)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hold()


def test_a_lock_of_a_lease_that_has_ended_is_lost(db: Any, cluster: FakeCluster) -> None:
    lease = db.lease(ttl=3)
    lock = db.lock("l", lease=lease)
    lock.acquire()
    cluster.pass_time(60_000)
    until(lock.lost.is_set)
    assert (lease.alive, lease.remaining) == (False, 0.0)
    with pytest.raises(LeaseExpired):
        lock.release()
    with pytest.raises(LeaseExpired), db.lock("m", lease=lease):
        pytest.fail("there is no lease")


def test_leaving_does_not_wait_for_the_cluster(
    db: Any, other: Any, cluster: FakeCluster, impatience: None
) -> None:
    with db.lock("l"):
        for node in cluster.nodes:
            cluster.always(node, IGNORE)
    for node in cluster.nodes:
        cluster.always(node, "serve")
    until(lambda: places(other) == (0, 0))


def test_closing_gives_up_everything(connect: Connect, cluster: FakeCluster, other: Any) -> None:
    db = connect(cluster.endpoints)
    lock = db.lock("l")
    lock.acquire()
    lease = db.lease(ttl=60)
    assert len(other.leases()) == 2
    db.close()
    assert not lease.alive
    assert places(other) == (0, 0)
    assert len(other.leases()) == 0
    with pytest.raises(LeaseExpired):
        lock.check()
    with pytest.raises(Unavailable):
        lock.describe()


def test_a_forked_child_holds_nothing(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db, db.lock("l") as lock:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                lock.check()
            except ForkedClient:
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        lock.check()


def test_a_lease_is_granted_kept_shown_and_revoked(db: Any, cluster: FakeCluster) -> None:
    with db.lease(ttl=3) as lease:
        assert (lease.ttl, lease.alive, lease.lost.is_set()) == (3.0, True, False)
        assert 0 < lease.remaining <= 3.0
        until(lambda: cluster.operations("lease_keep"))
        lease.check()
        db.put("mine", "v", lease=lease)
        db.put("short", "v", ttl=5)
        info = db.lease_info(lease.id)
        assert (info.id, info.ttl, info.keys, info.places) == (lease.id, 3.0, 1, 0)
        lease.revoke()
        assert not lease.alive
        with pytest.raises(LeaseExpired):
            lease.check()
        with pytest.raises(LeaseExpired):
            db.lease_revoke(lease.id)
    assert db.get("mine") is None
    cluster.pass_time(5000)
    assert db.get("short") is None


def test_a_lease_can_be_kept_by_its_number(db: Any) -> None:
    number = db.lease_grant(60)
    assert db.lease_keep(number) == 60.0
    token = db.acquire("lock", "l", number)
    assert places(db) == (1, 0)
    db.release("lock", "l", token)
    with pytest.raises(NotHeld):
        db.release("lock", "l", token)
    with db.lock("l", lease=number) as lock:
        assert db.describe("lock", "l").holders[0].lease == number
        db.lease_revoke(number)
        with pytest.raises(LeaseExpired):
            db.lease_keep(number)
        with pytest.raises(NotHeld):
            lock.release()


def test_a_write_behind_a_fence_is_done_only_by_who_holds(db: Any, other: Any) -> None:
    with db.lock("l") as lock:
        db.put("k", "v", fence=lock)
        written = db.put("k", "w", fence=[lock, ("l", lock.token)])
        db.cas("k", "x", written.revision, fence=lock)
        assert db.get("k").value == "x"
        old = lock.token
    with other.lock("l") as lock:
        writes: list[Callable[[], Any]] = [
            lambda: db.put("k", "late", fence=("l", old)),
            lambda: db.put("k", "late", ttl=5, fence=[lock, ("l", old)]),
            lambda: db.delete("k", fence=("l", old)),
            lambda: db.delete_prefix("k", fence=("l", old)),
            lambda: db.put_if_absent("new", "late", fence=("l", old)),
            lambda: db.txn(fence=("l", old)),
        ]
        for write in writes:
            with pytest.raises(Fenced):
                write()
    assert db.get("k").value == "x"


def test_semaphores_count_permits(db: Any, other: Any) -> None:
    with pytest.raises(NotFound):
        db.semaphore("s").wait()
    sem = db.semaphore("s", permits=3)
    first = sem.wait()
    assert sem.wait(2) > first
    assert len(sem.tokens) == 2
    with pytest.raises(NotAcquired):
        other.semaphore("s", permits=3, timeout=0).wait()
    with pytest.raises(InvalidRequest, match="resize"):
        other.semaphore("s", permits=4).wait()
    sem.signal()
    with other.semaphore("s", count=2, timeout=60):
        assert [place.permits for place in sem.describe().holders] == [1, 2]
    sem.resize(1)
    sem.signal()
    with pytest.raises(NotHeld):
        sem.signal()
    until(lambda: places(db, "s", "semaphore") == (0, 0))
    assert [summary.capacity for summary in db.queues("semaphore")] == [1]
    db.forget("semaphore", "s")
    assert not db.queues("semaphore")


def test_who_waits_for_more_than_a_shrunk_semaphore_has_is_told_and_holds_nobody_up(
    db: Any, other: Any
) -> None:
    told: list[str] = []
    sem = db.semaphore("s", permits=3)
    sem.wait(3)

    def wait() -> None:
        with pytest.raises(InvalidRequest) as refused:
            other.semaphore("s").wait(3, timeout=60)
        told.append(str(refused.value))

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: places(db, "s", "semaphore") == (1, 1))
    sem.resize(2)
    waiter.join(60)
    assert told == ["3 permits of a semaphore that has 2"]
    sem.signal()
    with other.semaphore("s", count=2, timeout=60):
        assert places(db, "s", "semaphore") == (1, 0)


def test_plain_semaphores_are_signalled_by_anybody(db: Any, other: Any) -> None:
    sem = db.semaphore("p", permits=1, plain=True)
    sem.wait()
    with pytest.raises(NotAcquired):
        db.semaphore("p", plain=True).wait(timeout=0)
    assert other.semaphore("p", plain=True).signal(2) == 2
    sem.wait(2)
    assert sem.describe().capacity == 0
    assert other.signal("p") == 1


def test_no_permit_is_lost_when_waiters_give_up_as_it_comes(db: Any, other: Any) -> None:
    random, taken = Random(7), []
    db.signal("p", 1)

    def wait() -> None:
        for _ in range(50):
            with contextlib.suppress(NotAcquired):
                taken.append(db.semaphore("p", plain=True).wait(timeout=random.uniform(0, 0.01)))

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    for _ in range(99):
        other.signal("p", 1)
    for waiter in waiters:
        waiter.join(120)
    until(lambda: places(other, "p", "counter") == (0, 0))
    until(lambda: other.describe("counter", "p").free == 100 - len(taken))
    assert 0 < len(taken) < 150, "some gave up"


def test_elections_have_one_leader_whom_others_see(db: Any, other: Any) -> None:
    watcher = other.election("e")
    assert watcher.leader() is None
    candidate = db.election("e", "me:80")
    with candidate:
        seen = watcher.leader()
        assert (seen.term, seen.value) == (candidate.term, "me:80")
        leaders: Any = watcher.observe()
        assert next(leaders) == seen
        rival = other.election("e", "you:80", timeout=0)
        with pytest.raises(NotAcquired):
            rival.campaign()
    assert next(leaders) is None
    assert rival.campaign(timeout=60) > seen.term
    assert next(leaders).value == "you:80"
    rival.resign()
    with pytest.raises(NotHeld):
        rival.resign()


def test_one_object_is_one_claimant(db: Any) -> None:
    with db.lock("l") as lock:
        with pytest.raises(InvalidRequest, match="an object of its own"):
            lock.acquire()
        lock.release(wait=False)
    with pytest.raises(NotHeld):
        lock.release()
    with pytest.raises(NotHeld):
        assert lock.token


@pytest.mark.parametrize(
    "options", [{"ttl": 0.1}, {"timeout": -1}, {"lease": 0}, {"timeout": "1"}, {"name": ""}]
)
def test_what_is_wrong_is_said_when_the_lock_is_made(db: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        db.lock(**{"name": "l", **options})


def test_a_client_that_nobody_holds_goes_with_what_it_held(cluster: FakeCluster) -> None:
    db = Client(cluster.endpoints)
    lock = db.lock("l", on_lost=lambda: None).acquire()
    lease = db.lease(ttl=60, on_lost=lambda: None)
    gone = weakref.ref(db)
    del db, lock, lease
    gc.collect()
    until(lambda: gone() is None)
    kept = len(cluster.operations("lease_keep"))
    cluster.pass_time(60_000)
    with Client(cluster.endpoints) as other, other.lock("l"):
        assert len(cluster.operations("lease_keep")) == kept
