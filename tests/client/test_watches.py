"""Watches of both clients: iterators that wait, and end when they are told to."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from raftzmq import Client, Event, InvalidRequest, Overloaded, Unavailable, WatchLost, limits
from raftzmq.client.direct import DirectClient
from raftzmq.client.handles.watch import Watch
from raftzmq.client.operations.keys import put
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.transport.operator_wire import StatusRequest
from raftzmq.transport.watch_wire import WatchRequest
from tests.client.conftest import Connect, given_time, until
from tests.client.fake_cluster import IGNORE, SERVE, FakeCluster


@pytest.fixture
def db(connect: Connect, cluster: FakeCluster) -> Any:
    return connect(cluster.endpoints)


def test_what_is_written_after_it_is_open_is_seen(db: Any) -> None:
    db.put("w/before", "x")
    with db.watch(prefix="w/", previous=True) as watch:
        first = db.put("w/1", "a").revision
        db.put("elsewhere", "x")
        db.put("w/1", b"\xff")
        db.delete("w/1")
        events = list(islice(watch, 3))
        assert events[0] == Event(first, "w/1", "a", None)
        assert [e.kind for e in events] == ["put", "put", "delete"]
        assert [e.previous for e in events] == [None, "a", b"\xff"]
        assert watch.revision == events[-1].revision
        assert watch.next(timeout=0.01) is None
        assert watch.batch(timeout=0) == ()


def test_iterating_opens_it_and_a_start_brings_the_past(db: Any) -> None:
    revisions = [db.put("k", str(i)).revision for i in range(3)]
    watch = db.watch("k", start=revisions[1])
    assert [event.value for event in islice(watch, 2)] == ["1", "2"]
    db.put("k", "3")
    assert [event.value for event in watch.batch(timeout=60)] == ["3"]
    watch.close()


def test_it_goes_on_when_the_only_node_that_was_named_is_gone(
    connect: Connect, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftzmq.client.session.members.FIRST_MS", 0)
    named = cluster.nodes[1]
    db = connect([named.endpoint])
    with db.watch("k") as watch:
        until(lambda: any(isinstance(r, StatusRequest) for n in cluster.nodes for r in n.requests))
        db.put("k", "before")
        assert watch.next(timeout=60).value == "before"
        cluster.kill(named)
        db.put("k", "after", timeout=60)
        assert watch.next(timeout=60).value == "after"


def left_by_break(db: Any) -> None:
    for event in db.watch("k", start=1):
        assert event.value == "v"
        break


def left_by_return(db: Any) -> str:
    for event in db.watch("k", start=1):
        return str(event.value)
    raise AssertionError


def left_by_an_exception(db: Any) -> None:
    try:
        for event in db.watch("k", start=1):
            raise KeyError(event.key)
    except KeyError:
        pass


def left_without_a_look(db: Any) -> None:
    db.watch("k").open()


def left_in_a_circle(db: Any) -> None:
    watch = db.watch("k", start=1)
    circle = [watch]
    circle.append(circle)
    watch.next()


def left_after_a_timeout(db: Any) -> None:
    assert db.watch("k").next(timeout=0.05) is None


LEFT = (
    left_by_break,
    left_by_return,
    left_by_an_exception,
    left_without_a_look,
    left_in_a_circle,
    left_after_a_timeout,
)


@pytest.mark.parametrize("leave", LEFT)
def test_a_watch_that_nobody_has_any_more_ends(
    db: Any, cluster: FakeCluster, leave: Callable[[Any], object]
) -> None:
    db.put("k", "v")
    with db.watch("other") as kept:
        for _ in range(3):
            leave(db)
        gc.collect()
        until(lambda: cluster.watches.count <= 1)
        db.put("other", "seen")
        assert kept.next(timeout=60).value == "seen"


def test_a_with_that_does_not_begin_leaves_no_watch(
    db: Any, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node in cluster.nodes:
        cluster.always(node, IGNORE)
    monkeypatch.setattr(Watch._open, "__kwdefaults__", {"timeout": 0.05})
    watch = db.watch("k")
    with pytest.raises(Unavailable, match="began to watch"), watch:
        pass
    for node in cluster.nodes:
        cluster.always(node, SERVE)
    db.put("k", "v")
    assert cluster.watches.count == 0


def test_beyond_the_most_it_says_so(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WATCHES_PER_CLIENT", 3)
    watches = [db.watch(f"k{i}").open() for i in range(3)]
    same = db.watch("k0").open()  # costs a node nothing
    further = db.watch("k3")
    for _ in range(2):
        with pytest.raises(Overloaded, match=r"has 3 watches.*close those"):
            further.open()
        with pytest.raises(Overloaded, match="has 3 watches"):
            next(further)
    watches[1].close()
    db.watch("k3").open()
    same.close()


def test_why_no_node_watches_is_said(db: Any, cluster: FakeCluster) -> None:
    cluster.watches.full = True
    with pytest.raises(Unavailable, match=r"began to watch within 0.3 s: this connection has"):
        db.watch("k").open(timeout=0.3)


def test_what_is_left_of_a_batch_is_not_lost(db: Any) -> None:
    revisions = [db.put("k", str(i)).revision for i in range(3)]
    with db.watch("k", start=revisions[0]) as watch:
        assert watch.next().value == "0"
        assert watch.revision >= revisions[0]
        assert watch.revision < revisions[1]
        assert [event.value for event in watch.batch()] == ["1", "2"]


def test_closing_ends_the_wait_and_the_watch_at_the_node(db: Any, cluster: FakeCluster) -> None:
    watch = db.watch("k").open()
    seen: list[Any] = []
    waiting = threading.Thread(target=lambda: seen.extend(watch))
    waiting.start()
    db.put("k", "v")
    until(lambda: seen)
    watch.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert [event.value for event in seen] == ["v"]
    until(lambda: not cluster.watches.count)
    watch.close()


def test_equal_watches_share_one_at_the_node(db: Any, cluster: FakeCluster) -> None:
    watches = [db.watch(prefix="w/").open() for _ in range(20)]
    db.put("w/1", "a")
    assert {watch.next(timeout=60).value for watch in watches} == {"a"}
    requests = [r for n in cluster.nodes for r in n.requests if isinstance(r, WatchRequest)]
    assert len(requests) == 1


def test_it_goes_on_when_its_node_dies(db: Any, cluster: FakeCluster) -> None:
    with db.watch("k") as watch:
        db.put("k", "1")
        assert watch.next(timeout=60).value == "1"
        node = next(
            n for n in cluster.nodes if any(isinstance(r, WatchRequest) for r in n.requests)
        )
        cluster.lead(next(other for other in cluster.nodes if other is not node))
        cluster.kill(node)
        db.put("k", "2", timeout=60)
        assert watch.next(timeout=60).value == "2"


def test_what_is_forgotten_is_said_with_where_to_begin(db: Any, cluster: FakeCluster) -> None:
    db.put("k", "1")
    cluster.watches.forgotten = 100
    with pytest.raises(WatchLost) as caught:
        db.watch("k", start=1).next(timeout=60)
    assert (caught.value.reason, caught.value.start) == ("compacted", 101)


def test_without_a_node_it_is_not_opened(db: Any, cluster: FakeCluster) -> None:
    for node in cluster.nodes:
        cluster.always(node, IGNORE)
    watch = db.watch("k")
    with pytest.raises(Unavailable, match="no node began to watch"):
        watch.open(timeout=0.05)
    with pytest.raises(InvalidRequest):
        db.watch()


def test_closing_the_client_ends_it_with_an_error(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    watch = db.watch("k").open()
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            watch.next()
        except Unavailable as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    db.close()
    waiting.join(60)
    assert ended
    with pytest.raises(Unavailable):
        watch.next()


def test_ctrl_c_ends_the_wait(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db, db.watch("k") as watch:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            watch.next()
        db.put("k", "v")
        event = watch.next(timeout=60)
        assert event is not None
        assert event.value == "v"


def test_a_watch_that_nothing_happens_to_keeps_nobody_busy(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db, db.watch("k") as watch:

        def spent(seconds: float) -> float:
            before = time.process_time()
            watch.next(timeout=seconds)
            return (time.process_time() - before) / seconds

        assert given_time(spent, lambda share: share < 0.5) < 0.5


def test_the_direct_client_watches_too(cluster: FakeCluster) -> None:
    client = DirectClient(cluster.endpoints)
    one, two = Subscription("k", None, None, False), Subscription("k", None, None, False)
    for subscription in (one, two):
        client.watch(subscription)
    while not (one.opened and two.opened):
        client.wait()
        client.take_news()
    client.run(put("k", "v"), 60)
    while not (one.has_news and two.has_news):
        client.wait()
        client.take_news()
    assert one.take() is two.take()
    client.unwatch(one)
    client.close()
