"""What only the asyncio client has: cancellation, one event loop, no threads."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time

import pytest

from raftzmq import (
    AsyncClient,
    InvalidRequest,
    Item,
    OutcomeUnknown,
    Unavailable,
)
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.sockets import Links, turn
from tests.client.conftest import count_turns
from tests.client.fake_cluster import IGNORE, FakeCluster


def test_it_starts_no_threads(cluster: FakeCluster) -> None:
    async def main() -> None:
        before = set(threading.enumerate())
        async with AsyncClient(cluster.endpoints) as db:
            await db.put("k", "v")
            assert set(threading.enumerate()) == before

    asyncio.run(main())


def test_concurrent_calls_travel_together(cluster: FakeCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            await db.put("first", "")
            before = len(cluster.nodes[0].requests)
            written = await asyncio.gather(*[db.put(f"k{i}", "v") for i in range(500)])
            assert len({one.index for one in written}) == 500
            assert len(cluster.nodes[0].requests) == before + 1

    asyncio.run(main())


def test_a_cancelled_call_loses_no_other_calls_answer(cluster: FakeCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            await db.put("k", "v")
            for i in range(200):
                tasks = [asyncio.create_task(db.get("k")) for _ in range(8)]
                await asyncio.sleep(0 if i % 2 else 0.0005)
                for task in tasks[::2]:
                    task.cancel()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(isinstance(answer, Item) for answer in answers[1::2])

    asyncio.run(main())


def test_a_cancelled_write_is_not_waited_for_by_those_that_follow(cluster: FakeCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            await db.put("first", "")
            cluster.script(cluster.nodes[0], IGNORE)
            cancelled = asyncio.create_task(db.put("cancelled", "v"))
            while len(cluster.operations("put")) < 2:
                await asyncio.sleep(0.002)
            cancelled.cancel()
            await db.put("k", "v")
        request = [r for r in cluster.nodes[0].requests if getattr(r, "ops", None)][-2]
        serial = next(op[0] for op in cluster.operations("put") if op[2] == "k")
        assert getattr(request, "ack", None) == serial
        assert cluster.times_executed("put", "cancelled") == 0
        assert cancelled.cancelled()

    asyncio.run(main())


def test_other_tasks_run_while_a_call_waits(cluster: FakeCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            await db.get("k")
            ticks = 0
            with cluster.held():
                call = asyncio.create_task(db.get("k"))
                for _ in range(10):
                    await asyncio.sleep(0.005)
                    ticks += 1
                assert not call.done()
            await call
            assert ticks == 10

    asyncio.run(main())


def test_the_event_loop_is_not_kept_busy_by_a_call_that_waits(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            await db.get("k")
            for node in cluster.nodes:
                cluster.kill(node)
            turns = count_turns(monkeypatch, "raftzmq.client.aio_shell.turn")
            with pytest.raises(Unavailable):
                await db.get("k", timeout=1)
            assert len(turns) < 200
            turns.clear()
            await asyncio.sleep(0.5)
            assert len(turns) < 20

    asyncio.run(main())


def test_answers_that_arrive_during_a_turn_are_not_forgotten(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_turn(session: Session, links: Links) -> list[Call]:
        finished = turn(session, links)
        time.sleep(0.005)
        links.readable()  # from here on, the file descriptors do not tell of what has arrived
        return finished

    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            await db.put("k", "v")
            monkeypatch.setattr(
                "raftzmq.client.session.session.LINK_CHECK_MS", 3_600_000
            )  # nor a timer
            monkeypatch.setattr("raftzmq.client.aio_shell.turn", slow_turn)
            for _ in range(20):
                await asyncio.wait_for(db.get("k", timeout=3600), 60)

    asyncio.run(main())


def test_a_client_belongs_to_one_event_loop(cluster: FakeCluster) -> None:
    db = AsyncClient(cluster.endpoints)

    async def use() -> None:
        await db.get("k")

    async def use_and_close() -> None:
        with pytest.raises(InvalidRequest, match="another event loop"):
            await db.get("k")

    with asyncio.Runner() as first:
        first.run(use())
        with asyncio.Runner() as second:
            second.run(use_and_close())
        first.run(db.close())


def test_closing_while_calls_wait_fails_them_all(cluster: FakeCluster) -> None:
    async def main() -> None:
        db = AsyncClient(cluster.endpoints)
        await db.put("first", "")
        for node in cluster.nodes:
            cluster.always(node, IGNORE)
        tasks = [asyncio.create_task(db.put(f"k{i}", "v")) for i in range(5)]
        while len(cluster.operations("put")) < 6:
            await asyncio.sleep(0.002)
        await asyncio.gather(db.close(), db.close())
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, OutcomeUnknown) for answer in answers)

    asyncio.run(main())


def test_a_fault_in_the_client_fails_every_call_instead_of_hanging(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        async with AsyncClient(cluster.endpoints) as db:
            await db.put("first", "")

            def fail(*_: object) -> None:
                raise MemoryError("planted")

            monkeypatch.setattr(Session, "tick", fail)
            with pytest.raises(Unavailable, match="planted"):
                await db.put("k", "v", timeout=30)
            with pytest.raises(Unavailable, match="planted"):
                await db.get("k")
        assert len(faults) == 1

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_connects_anew(cluster: FakeCluster) -> None:
    db = AsyncClient(cluster.endpoints)

    async def use(key: str) -> None:
        await db.put(key, "v", timeout=30)
        async with db.lock("n", timeout=30):
            pass
        assert await db.get(key) is not None

    async def fork() -> None:
        await use("parent")
        pid = os.fork()
        if not pid:
            code = 1
            try:
                asyncio.events._set_running_loop(None)
                asyncio.run(use("child"))
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert await db.get("child") is not None
        await db.close()

    asyncio.run(fork())


def test_a_program_that_never_closes_its_client_ends(cluster: FakeCluster) -> None:
    script = (
        "import asyncio, sys\n"
        "from raftzmq import AsyncClient\n"
        "async def main():\n"
        "    db = AsyncClient(sys.argv[1:])\n"
        "    print((await db.put('k', 'v', timeout=60)).index)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *cluster.endpoints],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip().isdigit()


def test_callers_that_are_answered_together_call_again_together(cluster: FakeCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            await db.put("first", "")

            async def worker() -> None:
                for _ in range(20):
                    await db.put("k", "v" * 100)

            before = len(cluster.nodes[0].requests)
            await asyncio.gather(*[worker() for _ in range(256)])
            assert len(cluster.nodes[0].requests) - before == 20

    asyncio.run(main())


def test_a_watch_of_a_cancelled_task_ends(cluster: FakeCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:

            async def follow(key: str) -> None:
                async for _ in db.watch(key):
                    pass

            followers = [asyncio.create_task(follow(f"k{i}")) for i in range(3)]
            while cluster.watches.count < 3:
                await asyncio.sleep(0.002)
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)
            del followers, follower
            while cluster.watches.count:
                gc.collect()
                await asyncio.sleep(0.002)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_watch_may_become_garbage_in_another_thread_and_after_the_loop(
    cluster: FakeCluster,
) -> None:
    left = []

    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            left.extend([await db.watch("k").open() for _ in range(2)])
            await asyncio.to_thread(left.pop)
            await asyncio.to_thread(gc.collect)

    asyncio.run(main())
    left.clear()
    gc.collect()
