"""Mirrors of both clients: mappings that follow the cluster."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from raftzmq import (
    AsyncClient,
    Client,
    ForkedClient,
    InvalidRequest,
    Item,
    Overloaded,
    Unavailable,
    limits,
)
from raftzmq.client.session import mirrors
from tests.client.conftest import Connect, InThread, until
from tests.client.fake_cluster import IGNORE, FakeCluster

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import assert_type

    from raftzmq import Value
    from raftzmq.client import aio, blocking


@pytest.fixture
def db(connect: Connect, cluster: FakeCluster) -> Any:
    client = connect(cluster.endpoints)
    client.put("c/a", "1")
    client.put("d", "elsewhere")
    return client


def bare(thing: Any) -> Any:
    return getattr(thing, "_inner", thing)


def test_it_is_what_the_cluster_holds(db: Any) -> None:
    mirror = db.mirror("c/")
    assert mirror.copy() == {"a": "1"}
    first = db.put("c/b", b"\xff").revision
    until(lambda: mirror.get("b") == b"\xff")
    assert mirror.revision >= first
    assert mirror.item("b") == Item("c/b", b"\xff", first)
    db.delete("c/a")
    until(lambda: mirror.copy() == {"b": b"\xff"})
    mapping = bare(mirror)
    assert ("b" in mapping, "a" in mapping, 5 in mapping) == (True, False, False)
    assert (mapping["b"], len(mapping), list(mapping)) == (b"\xff", 1, ["b"])
    assert mapping == {"b": b"\xff"}
    assert mapping != {}
    assert mirror.current
    assert mirror.age < 60
    assert mirror.prefix == "c/"
    for missing in ("a", "c/b", ""):
        with pytest.raises(KeyError):
            mapping[missing]
    mirror.close()
    assert not mirror.current
    assert mirror.copy() == {"b": b"\xff"}


def test_many_keys_are_read_in_pages(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "PAGE_KEYS", 2)
    for n in range(5):
        db.put(f"c/{n}", str(n))
    with db.mirror("c/") as mirror:
        assert mirror.copy() == {"a": "1", **{str(n): str(n) for n in range(5)}}
    assert len(db.mirror("").copy()) == 7


def test_changes_are_told_one_call_at_a_time(db: Any) -> None:
    inside: list[int] = []
    seen: list[Any] = []
    overlaps: list[int] = []

    def on_change() -> None:
        overlaps.append(len(inside))
        inside.append(1)
        seen.append(mirror.get("a") if isinstance(mirror, InThread) is False else "")
        inside.pop()

    mirror = db.mirror("c/", on_change=on_change)
    before = len(seen)
    assert before == 0, "what it is read with is no change"
    for n in range(20):
        db.put("c/a", str(n))
        db.put("d", str(n))
    until(lambda: mirror.get("a") == "19")
    until(lambda: seen and (seen[-1] in ("19", "")))
    assert set(overlaps) == {0}
    assert len(seen) <= 20
    mirror.close()


def test_one_that_nobody_has_any_more_is_followed_no_more(db: Any, cluster: FakeCluster) -> None:
    mirror = db.mirror("c/")
    until(lambda: cluster.watches.count == 1)
    del mirror

    def gone() -> bool:
        gc.collect()
        return cluster.watches.count == 0

    until(gone)


def test_what_nodes_forgot_is_read_anew(
    db: Any, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "RETRY_MS", 1)
    mirror = db.mirror("c/")
    until(lambda: cluster.watches.count == 1)
    for node in cluster.nodes:
        cluster.kill(node)
    cluster.watches.forgotten = 1000
    for node in cluster.nodes:
        cluster.revive(node)
    db.put("c/b", "2", timeout=60)
    until(lambda: mirror.copy() == {"a": "1", "b": "2"})
    mirror.close()


def test_one_that_cannot_be_read_says_so_and_leaves_nothing(
    connect: Connect, cluster: FakeCluster
) -> None:
    db = connect(cluster.endpoints)
    for node in cluster.nodes:
        cluster.always(node, IGNORE)
    with pytest.raises(Unavailable, match=r"could not read all that begins with 'c/' within 0\.2"):
        db.mirror("c/", timeout=0.2)
    session = bare(db)._shell
    session = session._session if hasattr(session, "_session") else session._io._session
    until(lambda: not session.mirrors._all)


def test_one_too_many_says_so(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WATCHES_PER_CLIENT", 1)
    db.mirror("c/")
    other = db.watch("c/a")
    other.open()
    with pytest.raises(Overloaded):
        db.mirror("d/")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("wrong", [5, b"", None, "\ud800"])
def test_a_prefix_is_text(kind: type[Any], wrong: Any) -> None:
    with pytest.raises(InvalidRequest):
        kind("127.0.0.1:9").mirror(wrong)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_on_change_is_a_function(kind: type[Any]) -> None:
    async def coroutine() -> None: ...

    for wrong in [5, "f", []] + ([coroutine] if kind is Client else []):
        with pytest.raises(InvalidRequest, match="on_change"):
            kind("127.0.0.1:9").mirror("c/", on_change=wrong)


def test_the_asyncio_client_awaits_what_it_tells(cluster: FakeCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            seen: list[Value | None] = []
            running = 0

            async def on_change() -> None:
                nonlocal running
                running += 1
                await asyncio.sleep(0.001)
                assert running == 1
                seen.append(mirror.get("a"))
                running -= 1

            mirror = db.mirror("c/", on_change=on_change)
            with pytest.raises(InvalidRequest, match="not open"):
                mirror.get("a")
            assert await mirror is mirror
            for n in range(10):
                await db.put("c/a", str(n))
            while not seen or seen[-1] != "9":
                await asyncio.sleep(0.001)
            async with db.mirror("c/") as other:
                assert other["a"] == "9"

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_function_that_raises_is_told_again(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    told: list[int] = []

    def on_change() -> None:
        told.append(1)
        raise LookupError

    with Client(cluster.endpoints) as db, db.mirror("c/", on_change=on_change):
        for n in range(2):
            db.put("c/a", str(n))
            until(lambda n=n: len(told) > n)  # type: ignore[misc]
    until(lambda: len(raised) >= 2)


def test_all_that_is_written_at_once_is_seen_at_once(cluster: FakeCluster) -> None:
    from raftzmq import Put

    with Client(cluster.endpoints) as db, db.mirror("c/") as mirror:
        db.txn(then=[Put(f"c/{k}", "0") for k in range(20)])
        until(lambda: len(mirror) == 20)
        stop = threading.Event()
        torn: list[set[Value]] = []

        def read() -> None:
            while not stop.is_set():
                values = set(mirror.copy().values())
                if len(values) != 1:
                    torn.append(values)

        thread = threading.Thread(target=read)
        thread.start()
        for n in range(50):
            db.txn(then=[Put(f"c/{k}", str(n)) for k in range(20)])
        until(lambda: mirror.get("0") == "49")
        stop.set()
        thread.join(60)
        assert not torn


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_in_a_forked_child_it_is_the_parents(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:
        db.put("c/a", "1", timeout=30)
        mirror = db.mirror("c/")
        pid = os.fork()
        if not pid:
            code = 1
            try:
                assert not mirror.current
                for use in (lambda: mirror["a"], lambda: mirror.age, mirror.close):
                    with pytest.raises(ForkedClient):
                        use()
                assert db.mirror("c/", timeout=30)["a"] == "1"
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert mirror["a"] == "1"
        assert mirror.current


if TYPE_CHECKING:

    def _blocking(db: Client) -> None:
        mirror = db.mirror("c/", on_change=lambda: None)
        assert_type(mirror, blocking.Mirror)
        assert_type(mirror["a"], Value)
        mapping: Mapping[str, Value] = mirror
        mapping.get("a")
        mirror["a"] = "1"  # type: ignore[index]

    async def _asyncio(db: AsyncClient) -> None:
        mirror = await db.mirror("c/")
        assert_type(mirror, aio.Mirror)
        assert_type(mirror.get("a"), Value | None)
