"""Clients and what they made in another event loop, outside of any, in their own I/O thread, in a
process that can have no thread more; and what `on_lost` may be."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from raftzmq import (
    AsyncClient,
    Client,
    InvalidRequest,
    LeaseExpired,
    NotHeld,
    RaftzmqError,
    Unavailable,
)
from raftzmq.client import blocking_shell
from raftzmq.client.session.session import Session
from tests.client.conftest import until
from tests.client.fake_cluster import FakeCluster

Made = dict[str, Any]


async def make_all(db: AsyncClient) -> Made:
    """One of each, in use."""
    await db.put("k", "v")
    semaphore = db.semaphore("s", 3)
    await semaphore.wait()
    election = db.election("e")
    await election.campaign()
    return {
        "db": db,
        "lock": await db.lock("l").acquire(),
        "new lock": db.lock("m"),
        "semaphore": semaphore,
        "plain": db.semaphore("p", 1, plain=True),
        "election": election,
        "lease": await db.lease(10),
        "new lease": db.lease(10),
        "watch": await db.watch("k").open(),
        "new watch": db.watch("k"),
    }


async def as_coroutine(function: Callable[[], object]) -> None:
    function()


USES: dict[str, Callable[[Made], Awaitable[object]]] = {
    "get": lambda made: made["db"].get("k"),
    "put": lambda made: made["db"].put("k", "v"),
    "statuses": lambda made: made["db"].statuses(),
    "acquire by number": lambda made: made["db"].acquire("lock", "x", made["lease"].id),
    "close": lambda made: made["db"].close(),
    "release": lambda made: made["lock"].release(),
    "release in the background": lambda made: made["lock"].release(wait=False),
    "leave": lambda made: made["lock"].__aexit__(None, None, None),
    "acquire": lambda made: made["new lock"].acquire(),
    "enter": lambda made: made["new lock"].__aenter__(),
    "describe": lambda made: made["lock"].describe(),
    "wait": lambda made: made["semaphore"].wait(),
    "signal": lambda made: made["semaphore"].signal(),
    "resize": lambda made: made["semaphore"].resize(3),
    "wait of a plain one": lambda made: made["plain"].wait(),
    "signal of a plain one": lambda made: made["plain"].signal(),
    "resign": lambda made: made["election"].resign(),
    "leader": lambda made: made["election"].leader(),
    "observe": lambda made: anext(made["election"].observe()),
    "open a lease": lambda made: made["new lease"].open(),
    "close a lease": lambda made: as_coroutine(made["lease"].close),
    "revoke": lambda made: made["lease"].revoke(),
    "next": lambda made: made["watch"].next(),
    "batch": lambda made: made["watch"].batch(),
    "open a watch": lambda made: made["new watch"].open(),
    "iterate": lambda made: anext(made["new watch"]),
    "close a watch": lambda made: as_coroutine(made["watch"].close),
}


@pytest.fixture
def first(cluster: FakeCluster) -> Iterator[tuple[asyncio.Runner, Made]]:
    """Objects of each kind, and the event loop in which they were made."""
    with asyncio.Runner() as runner:
        made = runner.run(make_all(AsyncClient(cluster.endpoints)))
        yield runner, made
        runner.run(made["db"].close())


async def use(name: str, made: Made) -> None:
    with pytest.raises(InvalidRequest, match="another event loop"):
        await USES[name](made)


def test_in_another_event_loop_nothing_works_and_nothing_changes(
    first: tuple[asyncio.Runner, Made],
) -> None:
    runner, made = first
    with asyncio.Runner() as second:
        for name in USES:
            second.run(use(name, made))

    async def go_on() -> None:
        db = made["db"]
        for name in ("lock", "semaphore", "election", "lease"):
            made[name].check()
        await db.put("k", "w")
        assert (await made["watch"].next(timeout=30)).value == "w"
        async with made["new lock"], made["new lease"]:
            pass
        await made["lock"].release()
        await made["semaphore"].signal()

    runner.run(go_on())


def test_outside_of_an_event_loop_it_is_said(first: tuple[asyncio.Runner, Made]) -> None:
    _, made = first
    for name in ("lease", "watch"):
        with pytest.raises(InvalidRequest, match="use Client elsewhere"):
            made[name].close()
    made["lease"].check()


def test_once_its_loop_is_closed_a_client_only_ends(cluster: FakeCluster) -> None:
    db = AsyncClient(cluster.endpoints)
    made = asyncio.run(make_all(db))
    made["lease"].close()
    made["watch"].close()

    async def end() -> None:
        for name in ("get", "acquire", "wait", "open a lease", "open a watch"):
            await use(name, made)
        await db.close()
        await db.close()
        with pytest.raises(Unavailable, match="is closed: make another"):
            await db.get("k")

    asyncio.run(end())
    gc.collect()


# -- on_lost ------------------------------------------------------------------------------------


def test_a_coroutine_that_is_called_on_a_loss_is_awaited(cluster: FakeCluster) -> None:
    async def main() -> None:
        told: asyncio.Queue[str] = asyncio.Queue()

        async def tell() -> None:
            await asyncio.sleep(0)
            told.put_nowait("lost")

        async with AsyncClient(cluster.endpoints) as db:
            for on_lost in (tell, partial(tell)):
                lock = await db.lock("l", on_lost=on_lost).acquire()
                lease = await db.lease(10, on_lost=on_lost)
                queue = await db.describe("lock", "l")
                assert queue is not None
                for number in (queue.holders[0].lease, lease.id):
                    await db.lease_revoke(number)
                for state in (lock._places[0].lease, lease._state):
                    assert state is not None
                    db._shell._session.leases.end(state, LeaseExpired("it ended"), 0)
                for _ in range(2):
                    assert await asyncio.wait_for(told.get(), 60) == "lost"
                assert not lock.held

    asyncio.run(main())


def test_the_blocking_client_refuses_a_coroutine_function(cluster: FakeCluster) -> None:
    async def tell() -> None:
        raise AssertionError

    with Client(cluster.endpoints) as db:
        makes: list[Callable[[], object]] = [
            lambda: db.lock("l", on_lost=tell),
            lambda: db.semaphore("s", 1, on_lost=tell),
            lambda: db.election("e", on_lost=tell),
            lambda: db.lease(10, on_lost=tell),
        ]
        for make in makes:
            with pytest.raises(InvalidRequest, match="on_lost is a coroutine function"):
                make()
        assert not cluster.operations("lease_grant")


# -- threads ------------------------------------------------------------------------------------


class NoThreads:
    """Nobody can start a thread of that name, until `allowed`."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused = 0
        self.allowed = False
        start = threading.Thread.start

        def start_or_not(thread: threading.Thread) -> None:
            if thread.name == name and not self.allowed:
                self.refused += 1
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_or_not)


def test_a_client_works_once_its_thread_can_be_started(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = NoThreads("raftzmq-client", monkeypatch)
    with Client(cluster.endpoints) as db:
        for call in (lambda: db.get("k"), lambda: db.put("k", "v"), db.lock("l").acquire):
            with pytest.raises(Unavailable, match="cannot have a thread for the client"):
                call()
        threads.allowed = True
        assert db.put("k", "v").index
        with db.lock("l"):
            pass


def test_without_files_for_its_thread_it_says_so(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(24, "Too many open files")

    with Client(cluster.endpoints) as db:
        with monkeypatch.context() as patch:
            patch.setattr("_socket.socketpair", refuse)
            with pytest.raises(Unavailable, match="Too many open files"):
                db.get("k")
        assert db.get("k") is None


def test_a_loss_is_told_once_a_thread_can_be_started(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking_shell, "RETRY_MS", 10)
    threads = NoThreads("raftzmq-lost", monkeypatch)
    told = threading.Event()
    with Client(cluster.endpoints) as db:
        lock = db.lock("l", on_lost=told.set).acquire()
        state = lock._places[0].lease
        assert state is not None

        def end(session: Session, now_ms: int) -> None:
            session.leases.end(state, LeaseExpired("it ended"), now_ms)

        db._shell.post(end)
        assert lock.lost.wait(60)
        until(lambda: threads.refused > 2)
        assert db.put("k", "v").index
        assert not told.is_set()
        threads.allowed = True
        assert told.wait(60)


def test_the_io_thread_does_not_wait_for_itself(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:
        db.put("k", "v")
        watch = db.watch("k")
        told: list[str] = []

        def in_io_thread(session: Session, now_ms: int) -> None:
            for call in (lambda: db.get("k"), db.lock("l").acquire, watch.open):
                try:
                    call()
                except RaftzmqError as error:
                    told.append(type(error).__name__)

        db._shell.post(in_io_thread)
        until(lambda: len(told) == 3)
        assert told == ["InvalidRequest"] * 3
        assert db.get("k") is not None


def test_threads_that_release_a_lock_together_release_it_once(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:
        for _ in range(20):
            lock = db.lock("l").acquire()
            ends: list[str] = []
            at_once = threading.Barrier(3)

            def release(lock: Any = lock, ends: list[str] = ends, at: Any = at_once) -> None:
                at.wait(60)
                try:
                    lock.release()
                    ends.append("released")
                except NotHeld:
                    ends.append("not held")

            threads = [threading.Thread(target=release) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert sorted(ends) == ["not held", "not held", "released"]


def test_a_lock_that_another_task_waits_for_is_refused_and_the_wait_goes_on(
    cluster: FakeCluster,
) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db, AsyncClient(cluster.endpoints) as other:
            lock = db.lock("l")
            async with other.lock("l"):
                first = asyncio.create_task(lock.acquire())
                while not lock._acquiring._inside:
                    await asyncio.sleep(0)
                with pytest.raises(InvalidRequest, match="an object of its own"):
                    await lock.acquire()
            await asyncio.wait_for(first, 60)
            lock.check()

    asyncio.run(main())
