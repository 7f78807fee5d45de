"""Both clients against three real nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from raftzmq import AsyncClient, Client, Compare, Fenced, Get, Incr, InvalidRequest, Put, Refused
from tests.client.conftest import AsyncInThread
from tests.system.processes import STEADY, Cluster, wait_for

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory: Path = tmp_path_factory.mktemp("cluster")
    with Cluster(directory, arguments=STEADY) as cluster:
        yield cluster.start()


@pytest.fixture(params=["blocking", "asyncio"])
def db(request: pytest.FixtureRequest, nodes: Cluster) -> Iterator[Any]:
    if request.param == "blocking":
        with Client(nodes.endpoints) as client:
            yield client
    else:
        proxy = AsyncInThread(AsyncClient(nodes.endpoints))
        yield proxy
        proxy.end()


def test_every_operation_works(db: Any) -> None:
    db.delete_prefix("op/")
    written = db.put("op/a", "text")
    assert db.get("op/a").revision == written.revision
    assert db.put("op/b", b"\xff\x00").index > written.index
    assert [item.value for item in db.prefix("op/")] == ["text", b"\xff\x00"]
    assert db.cas("op/a", "new", written.revision).succeeded
    refused = db.put_if_absent("op/a", "never")
    assert (refused.succeeded, refused.current.value) == (False, "new")
    done = db.txn(
        compares=[Compare("op/none", "revision", "=", 0)],
        then=[Put("op/c", "1"), Get("op/a")],
    )
    assert (done.succeeded, done.results[1].value) == (True, "new")
    for _ in range(2):  # the second is refused
        once = db.put("op/once", "1", if_absent=True, ttl=3600)
    assert (once.succeeded, once.current.value) == (False, "1")
    assert db.cas("op/once", "2", once.revision, keep_end=True).succeeded
    assert db.txn(then=[Put("op/once", "3", keep_end=True)]).succeeded
    assert [db.incr("op/number", by).value for by in (1, 5, -7)] == [1, 6, -1]
    assert db.txn(then=[Incr("op/number", 2)]).results[0].value == 1
    with pytest.raises(InvalidRequest, match="'op/a' does not hold a decimal integer; nothing was"):
        db.incr("op/a")
    assert db.delete("op/number", previous=True).previous.value == "1"
    assert db.put("op/once", "4", lease=db.lease_grant(10)).succeeded
    found = db.get("op/once", details=True)
    assert found.lease is not None
    assert 0 < found.remaining <= 10
    assert (db.count("op/once"), db.keys("op/").items[-1]) == (1, "op/once")
    assert db.delete("op/once", previous=True).previous.value == "4"
    assert [item.key for item in db.range("op/a", "op/c")] == ["op/a", "op/b"]
    assert db.range("op/", "op/zzz", 2).more
    assert db.delete("op/a").count == 1
    assert db.delete_prefix("op/").count == 2
    assert db.get("op/a") is None


def test_what_was_written_is_read_stale_from_every_node_soon(db: Any, nodes: Cluster) -> None:
    revision = db.put("stale", "v").revision
    for endpoint in nodes.endpoints:

        def applied(endpoint: str = endpoint) -> bool:
            item = db.get("stale", stale=True, endpoint=endpoint)
            return item is not None and item.revision >= revision

        wait_for(f"{endpoint} applies it", applied)


def test_leadership_is_transferred_and_followed(db: Any, nodes: Cluster) -> None:
    leader = nodes.leader().name
    to = next(node.name for node in nodes.nodes if node.name != leader)
    db.transfer(to)
    assert db.put("k", "v").leader == to
    with pytest.raises(Refused):
        db.transfer("other-9")


def test_writes_go_on_while_leaders_are_killed_and_each_is_done_once(
    db: Any, nodes: Cluster
) -> None:
    db.delete_prefix("n/")

    def write(worker: int) -> list[tuple[str, int]]:
        done = []
        for i in range(150):
            key = f"n/{worker}/{i}"
            done.append((key, db.put(key, "v").revision))
        return done

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write, worker) for worker in range(8)]
        leader = nodes.leader()
        leader.kill()
        written = dict(pair for writer in writers for pair in writer.result())
    leader.start()
    nodes.wait_until_ready()
    stored = {item.key: item.revision for item in db.prefix("n/", 10_000)}
    assert stored == written
    assert len(set(written.values())) == 1200


def test_a_paused_leader_is_left_for_its_successor(db: Any, nodes: Cluster) -> None:
    db.put("k", "before")
    leader = nodes.leader()
    leader.pause()
    try:
        assert db.put("k", "after").leader != leader.name
    finally:
        leader.resume()
    nodes.wait_until_ready()


def test_what_a_dead_client_held_passes_to_who_waits_with_a_higher_token(
    db: Any, nodes: Cluster
) -> None:
    dead = db.acquire("lock", "dead", db.lease_grant(0.5))  # which nobody keeps alive
    with db.lock("dead", timeout=60) as lock:
        assert lock.token > dead
        with pytest.raises(Fenced):
            db.put("k", "late", fence=("dead", dead))
        db.put("k", "mine", fence=lock)


@pytest.mark.parametrize("turns", [8, pytest.param(30, marks=pytest.mark.proof)])
def test_locks_pass_on_and_a_watch_misses_nothing_while_a_leader_is_killed(
    nodes: Cluster, turns: int
) -> None:
    tokens: list[int] = []
    written: list[int] = []
    inside: list[int] = []

    def work(worker: int) -> None:
        for turn in range(turns):
            with client.lock("busy") as lock:
                inside.append(worker)
                assert inside == [worker], "one at a time"
                tokens.append(lock.token)
                put = client.put(f"seen/{worker}", str(turn), fence=lock)
                written.append(put.revision)
                inside.clear()

    watcher = AsyncInThread(AsyncClient(nodes.endpoints))
    with Client(nodes.endpoints) as client, watcher.watch(prefix="seen/") as watch:
        with ThreadPoolExecutor(6) as pool:
            workers = [pool.submit(work, worker) for worker in range(6)]
            leader = nodes.leader()
            leader.kill()
            for done in workers:
                done.result()
        assert [watch.next(timeout=60).revision for _ in written] == written
        middle = len(written) // 2
        with client.watch(prefix="seen/", start=written[middle], previous=True) as again:
            seen = [again.next(timeout=60) for _ in written[middle:]]
        assert [event.revision for event in seen if event is not None] == written[middle:]
    watcher.end()
    leader.start()
    nodes.wait_until_ready()
    assert (len(tokens), tokens) == (6 * turns, sorted(set(tokens)))


def test_the_status_of_every_node_is_there(db: Any) -> None:
    roles = sorted(status.status["role"] for status in db.statuses(timeout=60))
    assert roles == ["follower", "follower", "leader"]


def test_an_asyncio_client_may_have_many_outstanding_calls(nodes: Cluster) -> None:
    async def main() -> None:
        async with AsyncClient(nodes.endpoints) as db:
            await db.put("first", "")

            async def repeat(worker: int) -> None:
                for turn in range(20):
                    await db.put(f"many/{worker}", str(turn))

            await asyncio.gather(*[repeat(worker) for worker in range(256)])
            assert [item.value for item in await db.prefix("many/")] == ["19"] * 256

    asyncio.run(main())


@pytest.mark.parametrize("puts", [24, pytest.param(240, marks=pytest.mark.proof)])
def test_megabytes_of_its_own_do_not_cost_a_client_its_lock(nodes: Cluster, puts: int) -> None:
    megabyte = "v" * 1_000_000
    with Client(nodes.endpoints) as db:
        lock = db.lock("kept", ttl=2)
        with lock, ThreadPoolExecutor(puts) as pool:
            waiting = [
                pool.submit(db.put, f"mb/{n % 8}", megabyte, timeout=300) for n in range(puts)
            ]
            for put in waiting:
                put.result()
            lock.check()
        assert not lock.lost.is_set()
        db.delete_prefix("mb/")
