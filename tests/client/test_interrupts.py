"""Interrupts of the blocking client: an exception at each line of each public call.

A signal handler may raise between any two steps. Afterwards the next call works within its timeout,
and nothing is held that the caller does not know of.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import raftzmq.client
from raftzmq import Client
from raftzmq.client.blocking import Lease
from raftzmq.client.blocking_claims import _Claim
from raftzmq.client.operations.queues import KINDS
from tests.client.fake_cluster import FakeCluster

FOLDER = str(Path(raftzmq.client.__file__).parent)

Objects = dict[str, Any]
Act = Callable[[Client, Objects], object]


class Interrupt(BaseException):
    """What the signal handler raises."""


class Tracer:
    """Raises at the `at`th line of the client's code that this thread comes to."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen = 0
        self.where = ""

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        if event == "call" and self._is_collecting(frame):
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.at:
                self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                raise Interrupt
        return self

    def _is_collecting(self, frame: FrameType | None) -> bool:
        """Nobody would get what is raised in `__del__` or in a finalizer."""
        while frame is not None and not (
            frame.f_code.co_name == "__del__" or frame.f_code.co_filename == weakref.__file__
        ):
            frame = frame.f_back
        return frame is not None


def _lock(db: Client, objects: Objects) -> None:
    lock = objects["claim"] = db.lock("n", timeout=5)
    lock.acquire()
    lock.release()


def _lock_in_background(db: Client, objects: Objects) -> None:
    lock = objects["claim"] = db.lock("n", timeout=5)
    lock.acquire()
    lock.release(wait=False)


def _lock_tried(db: Client, objects: Objects) -> None:
    lock = objects["claim"] = db.lock("n")
    assert lock.try_acquire()
    lock.release()


def _decorated(db: Client, objects: Objects) -> None:
    @db.lock("n", timeout=5)
    def work() -> None: ...

    work()


def _with_lock(db: Client, objects: Objects) -> None:
    with db.lock("n", timeout=5) as lock:
        lock.check()


def _with_semaphore(db: Client, objects: Objects) -> None:
    with db.semaphore("n", 1, timeout=5):
        pass


def _semaphore(db: Client, objects: Objects) -> None:
    semaphore = objects["claim"] = db.semaphore("n", 2, timeout=5)
    semaphore.wait()
    semaphore.wait()
    semaphore.signal()
    semaphore.signal()


def _semaphore_tried(db: Client, objects: Objects) -> None:
    semaphore = objects["claim"] = db.semaphore("n", 2)
    assert semaphore.try_wait()
    assert semaphore.try_wait()
    semaphore.signal()
    semaphore.signal()


def _election(db: Client, objects: Objects) -> None:
    election = objects["claim"] = db.election("n", "me", timeout=5)
    election.campaign()
    election.leader()
    election.resign()


def _with_election(db: Client, objects: Objects) -> None:
    with db.election("n", timeout=5):
        pass


def _lease(db: Client, objects: Objects) -> None:
    lease = objects["lease"] = db.lease(7)
    lease.close()


def _lease_revoked(db: Client, objects: Objects) -> None:
    lease = objects["lease"] = db.lease(7)
    lease.revoke()


def _with_lease(db: Client, objects: Objects) -> None:
    with db.lease(7) as lease:
        lease.check()


def _acquire(db: Client, objects: Objects) -> None:
    lease = objects["lease"] = db.lease(7)
    token = db.acquire("lock", "n", lease, timeout=5)
    db.release("lock", "n", token)
    lease.revoke()


def _watch(db: Client, objects: Objects) -> None:
    with db.watch("k", start=1) as watch:
        watch.next(timeout=5)


def _with_rwlock(db: Client, objects: Objects) -> None:
    with db.rwlock("n", timeout=5).write() as held:
        held.check()


def _mirror(db: Client, objects: Objects) -> None:
    with db.mirror("k") as mirror:
        mirror.copy()


ACTS: tuple[Act, ...] = (
    lambda db, _: db.get("k"),
    lambda db, _: db.put("k", "v"),
    lambda db, _: db.range(),
    lambda db, _: db.statuses(),
    lambda db, _: db.queues("lock"),
    _lock,
    _lock_in_background,
    _lock_tried,
    _with_lock,
    _decorated,
    _semaphore,
    _semaphore_tried,
    _with_semaphore,
    _election,
    _with_election,
    _lease,
    _lease_revoked,
    _with_lease,
    _acquire,
    _watch,
    _mirror,
    _with_rwlock,
)
STEP = 7
"""Of the lines, each seventh: all with --proof."""

NAMES = ("get", "put", "range", "statuses", "queues", *(act.__name__ for act in ACTS[5:]))


def interrupted(act: Act, db: Client, objects: Objects, at: int) -> Tracer:
    """Run it with an interrupt at the line `at`, if it comes to so many."""
    tracer = Tracer(at)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        act(db, objects)
    except Interrupt:
        pass
    finally:
        sys.settrace(before)
    return tracer


def give_back(objects: Objects) -> None:
    """What a caller can do that looks at the objects it has."""
    claim: _Claim | None = objects.pop("claim", None)
    while claim is not None and claim.held:
        claim._leave()
    lease: Lease | None = objects.pop("lease", None)
    if lease is not None and not lease.lost.is_set():
        lease.close()
    del claim, lease
    gc.collect(0)


@pytest.fixture
def other(cluster: FakeCluster) -> Iterator[Client]:
    with Client(cluster.endpoints) as client:
        client.put("k", "v")
        yield client


def nothing_is_held(other: Client) -> bool:
    own = [lease for lease in other.leases() if lease.ttl == 7]
    queues = [queue for kind in KINDS for queue in other.queues(kind)]
    return not own and not any(queue.held or queue.waiting for queue in queues)


pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")


def check_lines(act: Act, db: Client, other: Client, *, first: int, step: int) -> None:
    """Interrupt it at the `first` line, and at each `step`th after that."""
    at = first
    while True:
        objects: Objects = {}
        tracer = interrupted(act, db, objects, at)
        where = f"interrupted at {tracer.where}"
        began = time.monotonic()
        assert db.get("k", timeout=5), where
        assert time.monotonic() - began < 4, f"{where}: the next call was late"
        give_back(objects)
        deadline = time.monotonic() + 5
        while not nothing_is_held(other):
            assert time.monotonic() < deadline, f"{where}: held by nobody"
        if not tracer.where:
            break
        at += step
    assert at > 10


@pytest.mark.parametrize("act", ACTS, ids=NAMES)
def test_an_interrupt_leaves_a_working_client(
    act: Act, cluster: FakeCluster, other: Client
) -> None:
    with Client(cluster.endpoints) as db:
        db.put("k", "v")
        check_lines(act, db, other, first=1 + ACTS.index(act) % STEP, step=STEP)


@pytest.mark.proof
@pytest.mark.parametrize("act", ACTS, ids=NAMES)
def test_an_interrupt_at_any_line_leaves_a_working_client(
    act: Act, cluster: FakeCluster, other: Client
) -> None:
    with Client(cluster.endpoints) as db:
        db.put("k", "v")
        check_lines(act, db, other, first=1, step=1)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the collector closes it
def test_an_interrupt_of_the_first_call_leaves_a_working_client(
    cluster: FakeCluster, other: Client
) -> None:
    at, where = 0, "somewhere"
    while where:
        at += STEP
        with Client(cluster.endpoints) as db:
            where = interrupted(ACTS[0], db, {}, at).where
            assert db.get("k", timeout=5), where
    gc.collect()  # here, where it may say that it has closed them
    assert not [t for t in threading.enumerate() if t.name == "raftzmq-client"][1:]
