"""The fake's asyncio client: tasks wait, and time passes when nothing else can run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raftzmq import AsyncClient, Event, NotAcquired, OutcomeUnknown, Put, Unavailable
from raftzmq.testing import AsyncFakeClient, Deadlock, FakeCluster

Body = Callable[[FakeCluster, AsyncFakeClient, AsyncFakeClient], Awaitable[None]]


def run(body: Body) -> None:
    async def main() -> None:
        fake = FakeCluster()
        async with fake.async_client() as db, fake.async_client() as other:
            assert isinstance(db, AsyncClient)
            await body(fake, db, other)

    asyncio.run(main())


def test_a_single_task_waits_by_the_fakes_clock() -> None:
    async def body(fake: FakeCluster, db: AsyncFakeClient, other: AsyncFakeClient) -> None:
        async with db.lock("l"):
            began = fake.now
            with pytest.raises(NotAcquired):
                await other.lock("l", timeout=5).acquire()
            assert fake.now - began == pytest.approx(5, abs=0.01)
            with pytest.raises(Deadlock, match="lock 'l' has no timeout"):
                await other.lock("l").acquire()
        async with other.lock("l", timeout=0) as lock:
            assert lock.held

    run(body)


def test_while_other_tasks_run_only_the_test_moves_the_clock() -> None:
    async def body(fake: FakeCluster, db: AsyncFakeClient, other: AsyncFakeClient) -> None:
        lock = await db.lock("l").acquire()
        began = fake.now
        waiting = asyncio.create_task(other.lock("l", timeout=30).acquire())
        for _ in range(20):
            await asyncio.sleep(0)
        assert fake.now == began
        await fake.sleep(20)
        assert not waiting.done()
        await lock.release()
        assert (await waiting).held
        assert fake.now == began + 20

    run(body)


def test_tasks_do_what_they_do_at_its_time_while_the_clock_moves() -> None:
    async def body(fake: FakeCluster, db: AsyncFakeClient, other: AsyncFakeClient) -> None:
        async def try_again() -> int:
            for attempt in range(100):
                try:
                    await other.lock("l", timeout=2).acquire()
                except NotAcquired:
                    continue
                return attempt
            return -1

        await db.lock("l", ttl=5).acquire()
        fake.crash(db)
        trying = asyncio.create_task(try_again())
        await fake.sleep(10)
        assert trying.done()
        assert trying.result() == 2

    run(body)


def test_a_loss_is_told_in_the_event_loop() -> None:
    async def body(fake: FakeCluster, db: AsyncFakeClient, other: AsyncFakeClient) -> None:
        told: list[Any] = []

        async def on_lost() -> None:
            told.append(asyncio.current_task())

        lock = await db.lock("l", ttl=5, on_lost=on_lost).acquire()
        fake.disconnect(db)
        await fake.sleep(6)
        assert lock.lost.is_set()
        assert len(told) == 1
        fake.reconnect()

    run(body)


def test_watches_and_faults() -> None:
    async def body(fake: FakeCluster, db: AsyncFakeClient, other: AsyncFakeClient) -> None:
        async with db.watch(prefix="w/") as watch:
            written = await other.put("w/1", "a")
            assert await watch.next() == Event(written.revision, "w/1", "a", None)
            assert await watch.next(timeout=3) is None
            with pytest.raises(Deadlock, match="watch"):
                await watch.next()
        fake.fail_next(Unavailable)
        with pytest.raises(Unavailable):
            await db.get("w/1")
        fake.fail_next(OutcomeUnknown, done=True)
        with pytest.raises(OutcomeUnknown):
            await db.put("w/2", "b")
        assert await db.get("w/2") is not None

    run(body)


def test_a_cancelled_wait_leaves_no_place() -> None:
    async def body(fake: FakeCluster, db: AsyncFakeClient, other: AsyncFakeClient) -> None:
        async with db.lock("l"):
            waiting = asyncio.create_task(other.lock("l").acquire())
            await fake.sleep(1)
            waiting.cancel()
            await fake.sleep(1)
            queue = await db.describe("lock", "l")
            assert queue is not None
            assert (queue.held, queue.waiting) == (1, 0)

    run(body)


def test_both_kinds_share_a_cluster_and_a_loop_may_end() -> None:
    fake = FakeCluster()
    db = fake.client()

    async def main() -> None:
        other = fake.async_client()
        await other.lock("l", ttl=5).acquire()
        assert db.put("k", "v").succeeded
        item = await other.get("k")
        assert item is not None

    asyncio.run(main())
    fake.advance(60)
    assert db.lock("l", timeout=60).acquire().held


def test_no_time_passes_between_calls_that_the_node_can_answer() -> None:
    """It once did before each second call left: a scan of several messages had no answer in 5 s."""

    async def body(fake: FakeCluster, db: AsyncFakeClient, other: AsyncFakeClient) -> None:
        for start in range(0, 5000, 100):
            await db.txn(then=[Put(f"jobs/{k}", "v") for k in range(start, start + 100)])
        began = fake.now
        assert len([key async for key in db.scan("jobs/", keys_only=True)]) == 5000
        assert await other.count("jobs/") == 5000
        assert fake.now == began

    run(body)
