"""`async with db.lock(..., cancel_on_loss=True)`: the body is cancelled when the lock is lost."""

# ruff: noqa: PT012 (what raises is the end of a whole body)

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raftzmq import AsyncClient, Client, InvalidRequest, LeaseExpired
from tests.client.fake_cluster import FakeCluster

MAKERS: dict[str, Callable[[AsyncClient], Any]] = {
    "lock": lambda db: db.lock("n", cancel_on_loss=True),
    "semaphore": lambda db: db.semaphore("n", 2, cancel_on_loss=True),
    "election": lambda db: db.election("n", "me", cancel_on_loss=True),
}


def run(cluster: FakeCluster, body: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            await db.put("first", "")
            await asyncio.wait_for(body(db), 60)

    asyncio.run(main())


def lose(claim: Any) -> None:
    """End its lease, here and in the cluster."""
    lease = claim._places[-1].lease
    claim._shell.post(lambda session, now: session.leases.drop(lease, "it ended", now))


def lose_soon(claim: Any) -> None:
    asyncio.get_running_loop().call_later(0.01, lose, claim)


def is_clean() -> bool:
    """Whether the task can go on as if nothing had been."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling() == 0


@pytest.mark.parametrize("kind", MAKERS)
def test_the_body_is_cancelled_and_the_loss_is_raised(cluster: FakeCluster, kind: str) -> None:
    async def body(db: AsyncClient) -> None:
        reached: list[str] = []
        with pytest.raises(LeaseExpired, match=f"{kind} 'n' was lost while held: it ended") as lost:
            async with MAKERS[kind](db) as claim:
                lose_soon(claim)
                try:
                    await asyncio.sleep(3600)
                finally:
                    reached.append("the end")
        assert reached == ["the end"]
        assert isinstance(lost.value.__cause__, asyncio.CancelledError)
        assert is_clean()
        await asyncio.sleep(0)
        async with MAKERS[kind](db) as again:  # anew, in the same task
            assert again.held

    run(cluster, body)


def test_a_task_group_within_is_cancelled_too(cluster: FakeCluster) -> None:
    async def body(db: AsyncClient) -> None:
        ended: list[int] = []

        async def work(n: int) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(n)

        with pytest.raises(LeaseExpired):
            async with db.lock("n", cancel_on_loss=True) as lock, asyncio.TaskGroup() as group:
                for n in range(3):
                    group.create_task(work(n))
                lose_soon(lock)
        assert sorted(ended) == [0, 1, 2]
        assert is_clean()

    run(cluster, body)


def test_a_cancellation_from_outside_stays_one(cluster: FakeCluster) -> None:
    async def body(db: AsyncClient) -> None:
        inside = asyncio.Event()
        claims: list[Any] = []

        async def work() -> None:
            async with db.lock("n", cancel_on_loss=True) as lock:
                claims.append(lock)
                inside.set()
                await asyncio.sleep(3600)

        for both in (False, True):
            inside.clear()
            task = asyncio.create_task(work())
            await inside.wait()
            if both:
                lose(claims[-1])
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()

    run(cluster, body)


def test_a_timeout_around_it_stays_one(cluster: FakeCluster) -> None:
    async def body(db: AsyncClient) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), db.lock("n", cancel_on_loss=True):
                await asyncio.sleep(3600)
        assert is_clean()
        with pytest.raises(LeaseExpired):
            async with asyncio.timeout(60), db.lock("n", cancel_on_loss=True) as lock:
                lose_soon(lock)
                await asyncio.sleep(3600)
        assert is_clean()

    run(cluster, body)


def test_a_body_that_raises_or_swallows_has_its_own_way(cluster: FakeCluster) -> None:
    async def body(db: AsyncClient) -> None:
        with pytest.raises(LookupError):
            async with db.lock("n", cancel_on_loss=True) as lock:
                lose_soon(lock)
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    raise LookupError from None
        assert is_clean()
        with pytest.raises(LeaseExpired):
            async with db.lock("n", cancel_on_loss=True) as lock:
                lose_soon(lock)
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)
        assert is_clean()

    run(cluster, body)


def test_what_is_lost_once_the_body_is_over_cancels_nothing(cluster: FakeCluster) -> None:
    async def body(db: AsyncClient) -> None:
        with pytest.raises(LeaseExpired):
            async with db.lock("n", cancel_on_loss=True) as lock:
                lose(lock)  # in this very step: the body never waits again
        await asyncio.sleep(0.01)
        assert is_clean()
        async with db.lock("n", cancel_on_loss=True) as lock:
            pass
        async with db.lock("n", cancel_on_loss=True) as lock:
            await lock.release()
        await asyncio.sleep(0.01)
        assert is_clean()

    run(cluster, body)


def test_of_two_in_one_another_each_has_its_own(cluster: FakeCluster) -> None:
    async def body(db: AsyncClient) -> None:
        async with db.lease(60) as lease:
            with pytest.raises(LeaseExpired, match="lock 'outer'"):
                async with db.lock("outer", cancel_on_loss=True) as outer:
                    lose_soon(outer)
                    async with db.lock("inner", lease=lease, cancel_on_loss=True):
                        await asyncio.sleep(3600)
            assert is_clean()
            async with db.lock("outer", cancel_on_loss=True) as outer:
                with pytest.raises(LeaseExpired, match="lock 'inner'"):
                    async with db.lock("inner", lease=lease, cancel_on_loss=True) as inner:
                        lose_soon(inner)
                        await asyncio.sleep(3600)
                outer.check()
        assert is_clean()

    run(cluster, body)


def test_a_decorated_coroutine_function_is_cancelled(cluster: FakeCluster) -> None:
    async def body(db: AsyncClient) -> None:
        told: list[str] = []

        def forget() -> None:
            told.append("lost")

        @db.lock("n", cancel_on_loss=True, on_lost=forget)
        async def work() -> None:
            await asyncio.sleep(3600)

        def soon(session: Any, now_ms: int) -> None:
            for lease in list(session.leases._kept):
                session.leases.drop(lease, "it ended", now_ms)

        asyncio.get_running_loop().call_later(0.2, db._shell.post, soon)
        with pytest.raises(LeaseExpired):
            await work()
        assert told == ["lost"]
        assert is_clean()

    run(cluster, body)


def test_tasks_that_share_a_semaphore_are_cancelled_each_by_its_own(cluster: FakeCluster) -> None:
    async def body(db: AsyncClient) -> None:
        semaphore = db.semaphore("n", 5, cancel_on_loss=True)
        inside = 0

        async def work() -> None:
            nonlocal inside
            async with semaphore:
                inside += 1
                await asyncio.sleep(3600)

        tasks = [asyncio.create_task(work()) for _ in range(3)]
        while inside < 3:
            await asyncio.sleep(0.001)
        lose(semaphore)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [LeaseExpired] * 3
        assert [task.cancelling() for task in tasks] == [0] * 3

    run(cluster, body)


@pytest.mark.parametrize("wrong", [0, 1, None, "yes", []])
@pytest.mark.parametrize("make", ["lock", "semaphore", "election"])
def test_it_is_a_flag_and_of_the_asyncio_client(make: str, wrong: Any) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidRequest, match="cancel_on_loss is True or False"):
            getattr(kind("127.0.0.1:9"), make)("n", cancel_on_loss=wrong)
    with pytest.raises(InvalidRequest, match=r"use on_lost, or check\(\)"):
        getattr(Client("127.0.0.1:9"), make)("n", cancel_on_loss=True)


def test_a_plain_semaphore_has_nothing_to_lose() -> None:
    with pytest.raises(InvalidRequest, match="holds nothing"):
        AsyncClient("127.0.0.1:9").semaphore("n", 2, plain=True, cancel_on_loss=True)
