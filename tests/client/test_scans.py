"""Scans with both clients: lazily, of one revision, and what is left is given back."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from raftzmq import (
    AsyncClient,
    Client,
    InvalidRequest,
    InvalidValue,
    Item,
    Overloaded,
    Unavailable,
    Unsupported,
    limits,
)
from raftzmq.client.handles import scan
from raftzmq.transport.scan_wire import ScanEnd, ScanNext, ScanRequest
from tests.client.conftest import Connect, until
from tests.client.fake_cluster import IGNORE, LOSE_ANSWER, FakeCluster, Refuse

if TYPE_CHECKING:
    from typing import assert_type

JOBS = [f"jobs/{k:02}" for k in range(20)]


class Job(pydantic.BaseModel):
    page: int


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCAN_PAGE_KEYS", 6)


@pytest.fixture
def db(connect: Connect, cluster: FakeCluster) -> Any:
    db = connect(cluster.endpoints)
    for k, key in enumerate(JOBS):
        db.put(key, f'{{"page":{k}}}')
    db.put("other", "v")
    return db


def asked(cluster: FakeCluster, kind: Any) -> list[Any]:
    return [r for node in cluster.nodes for r in node.requests if isinstance(r, kind)]


def held(cluster: FakeCluster) -> int:
    return sum(len(one.scans) for one in cluster.scans.values())


def test_it_gives_every_item_in_order(db: Any) -> None:
    items = list(db.scan("jobs/"))
    assert [item.key for item in items] == JOBS
    assert items == list(db.prefix("jobs/").items)
    assert [item.key for item in db.scan()] == [*JOBS, "other"]
    assert list(db.scan("nothing")) == []
    assert [item.value for item in db.scan("other", stale=True)] == ["v"]


def test_keys_alone_a_limit_and_a_beginning(db: Any) -> None:
    assert list(db.scan("jobs/", keys_only=True)) == JOBS
    assert list(db.scan("jobs/", keys_only=True, limit=8)) == JOBS[:8]
    assert list(db.scan("jobs/", keys_only=True, limit=6)) == JOBS[:6]
    assert list(db.scan("jobs/", keys_only=True, after="jobs/10")) == JOBS[11:]
    assert list(db.scan("jobs/", keys_only=True, after="jobs/105", limit=1)) == ["jobs/11"]
    assert list(db.scan("jobs/", keys_only=True, after="z")) == []


def test_it_asks_for_a_page_when_the_one_before_is_used_up(db: Any, cluster: FakeCluster) -> None:
    reader = db.scan("jobs/")
    assert asked(cluster, ScanRequest) == [], "nothing is asked before it is read"
    for _ in range(6):
        next(reader)
    assert (len(asked(cluster, ScanRequest)), asked(cluster, ScanNext)) == (1, [])
    next(reader)
    assert [request.after for request in asked(cluster, ScanNext)] == ["jobs/05"]
    assert len(list(reader)) == 13


def test_all_are_of_one_revision_whatever_is_written_meanwhile(db: Any) -> None:
    reader = db.scan("jobs/")
    first = next(reader)
    for key in JOBS:
        db.put(key, "later")
    db.delete(JOBS[15])
    db.put("jobs/155", "new")
    rest = list(reader)
    assert [first.key, *(item.key for item in rest)] == JOBS
    assert all(item.value != "later" and item.revision <= reader.revision for item in rest)


def test_a_linearizable_one_asks_the_leader_first_a_stale_one_does_not(
    db: Any, cluster: FakeCluster
) -> None:
    list(db.scan("jobs/", stale=True))
    assert not cluster.operations("count")
    revision = db.put("jobs/last", "v").revision
    reader = db.scan("jobs/")
    next(reader)
    assert len(cluster.operations("count")) == 1
    assert asked(cluster, ScanRequest)[-1].start == revision
    assert (reader.revision, reader.node) == (revision, "raft-0")


def test_all_pages_are_of_the_node_that_gave_the_first(db: Any, cluster: FakeCluster) -> None:
    chosen = cluster.nodes[2]
    reader = db.scan("jobs/", endpoint=chosen.endpoint)
    assert len(list(reader)) == 20
    assert reader.node == "raft-2"
    asking = (ScanRequest, ScanNext)
    assert len([r for r in chosen.requests if isinstance(r, asking)]) == 4
    assert len(asked(cluster, asking)) == 4


def _break(db: Any) -> None:
    for item in db.scan("jobs/"):
        assert item.key == JOBS[0]
        break


def _leave_the_with(db: Any) -> None:
    with db.scan("jobs/") as reader:
        next(reader)


def _close(db: Any) -> None:
    reader = db.scan("jobs/")
    next(reader)
    reader.close()
    reader.close()
    assert list(reader) == []


def _raise(db: Any) -> None:
    def read() -> None:
        with db.scan("jobs/") as reader:
            next(reader)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()


def _read_to_the_end(db: Any) -> None:
    assert len(list(db.scan("jobs/"))) == 20


@pytest.mark.parametrize(
    "leave",
    [_break, _leave_the_with, _close, _raise, _read_to_the_end],
    ids=lambda one: one.__name__,
)
def test_whoever_stops_early_frees_what_the_node_keeps(
    db: Any, cluster: FakeCluster, leave: Callable[[Any], None]
) -> None:
    leave(db)
    gc.collect()
    until(lambda: held(cluster) == 0 and asked(cluster, ScanEnd))
    assert len(asked(cluster, ScanEnd)) == 1


def test_what_is_left_is_given_back_also_by_a_client_that_closes(
    db: Any, cluster: FakeCluster
) -> None:
    reader = db.scan("jobs/")
    next(reader)
    assert held(cluster) == 1
    reader.close()
    db.close()
    until(lambda: held(cluster) == 0)


def test_one_page_is_all_that_is_asked_for_where_there_is_no_more(
    db: Any, cluster: FakeCluster
) -> None:
    assert len(list(db.scan("jobs/1", limit=3))) == 3
    assert len(list(db.scan("other"))) == 1
    db.get("k")
    assert asked(cluster, ScanNext | ScanEnd) == []


@pytest.mark.usefixtures("impatience")
def test_an_answer_that_was_lost_is_asked_for_again(db: Any, cluster: FakeCluster) -> None:
    reader = db.scan("jobs/", keys_only=True)
    read = [next(reader)]
    node = next(node for node in cluster.nodes if node.name == reader.node)
    cluster.script(node, IGNORE, LOSE_ANSWER)
    read += list(reader)
    assert read == JOBS
    assert [r.after for r in asked(cluster, ScanNext)][:3] == ["jobs/05"] * 3


def test_a_slow_reader_lets_the_node_know_that_it_reads(
    db: Any, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "FRESH_MS", -1)
    assert list(db.scan("jobs/", keys_only=True)) == JOBS
    assert [r.after for r in asked(cluster, ScanNext)][:3] == ["jobs/00", "jobs/01", "jobs/02"]


def test_a_node_that_starts_anew_amid_a_scan_is_one_error(db: Any, cluster: FakeCluster) -> None:
    reader = db.scan("jobs/", keys_only=True)
    next(reader)
    node = next(node for node in cluster.nodes if node.name == reader.node)
    cluster.kill(node)
    cluster.revive(node)
    for _ in range(5):
        next(reader)
    broke_off = (
        r"^the scan of 'jobs/' broke off after 6 keys, at revision \d+: .*: it may have started "
        r"anew.*; read it again$"
    )
    with pytest.raises(Unavailable, match=broke_off):
        next(reader)
    assert len(list(db.scan("jobs/"))) == 20


def test_a_node_that_is_gone_amid_a_scan_is_the_same_error(db: Any, cluster: FakeCluster) -> None:
    reader = db.scan("jobs/", keys_only=True, timeout=0.6)
    next(reader)
    gone = next(node for node in cluster.nodes if node.name == reader.node)
    cluster.kill(gone)
    broke_off = r"^the scan of 'jobs/' broke off after 6 keys, .* read it again$"
    with pytest.raises(Unavailable, match=broke_off):
        list(reader)
    cluster.lead(next(node for node in cluster.nodes if node is not gone))
    assert len(list(db.scan("jobs/"))) == 20, "another node goes on"


def test_a_node_of_an_older_release_is_told_of(db: Any, cluster: FakeCluster) -> None:
    for node in cluster.nodes:
        node.old = True
    with pytest.raises(Unsupported, match=r"runs an older build, which knows no scans: upgrade"):
        next(db.scan("jobs/", stale=True))


def test_a_node_that_holds_too_many_says_so(
    db: Any, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SCANS", 0)
    with pytest.raises(
        Overloaded, match=r"^not done within 0\.3 s: raft-. holds 0 scans that are "
    ):
        next(db.scan("jobs/", stale=True, timeout=0.3))


def test_a_refusal_is_raised_as_it_is(db: Any, cluster: FakeCluster) -> None:
    for node in cluster.nodes:
        cluster.always(node, Refuse("denied"))
    with pytest.raises(Exception, match="denied"):
        next(db.scan("jobs/"))


def test_values_as_json(db: Any) -> None:
    assert [item.value["page"] for item in db.json.scan("jobs/")] == [*range(20)]
    read = list(db.json(Job).scan("jobs/", after="jobs/02", limit=2))
    assert [item.value for item in read] == [Job(page=3), Job(page=4)]
    db.put("jobs/01", "no")
    reader = db.json(Job).scan("jobs/")
    assert next(reader).value == Job(page=0)
    with pytest.raises(InvalidValue, match="'jobs/01'"):
        next(reader)
    assert next(reader).value == Job(page=2), "reading may go on"


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": True},
        {"limit": "5"},
        {"limit": 1.5},
        {"after": 5},
        {"after": "k" * 5000},
        {"timeout": 0},
        {"timeout": "1"},
        {"endpoint": "nowhere"},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_at_once(db: Any, options: Any) -> None:
    with pytest.raises(InvalidRequest):
        db.scan("jobs/", **options)
    with pytest.raises(InvalidRequest):
        db.json.scan("jobs/", **options)


@pytest.mark.parametrize("prefix", [5, None, b"jobs/", "k" * 5000], ids=lambda one: str(one)[:9])
def test_a_wrong_prefix_is_refused_at_once(db: Any, prefix: Any) -> None:
    with pytest.raises(InvalidRequest, match="prefix"):
        db.scan(prefix)


def test_what_it_is_is_not_known_before_it_has_begun(db: Any) -> None:
    for name in ("revision", "node"):
        with pytest.raises(InvalidRequest, match="has not begun"):
            getattr(db.scan("jobs/"), name)


def test_a_child_reads_nothing_of_its_parents(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:
        for key in JOBS:
            db.put(key, "v")
        reader = db.scan("jobs/")
        for _ in range(6):
            next(reader)
        child = os.fork()
        if not child:
            try:
                next(reader)
            except BaseException as error:
                gc.collect()
                os._exit(0 if type(error).__name__ == "ForkedClient" else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert len(list(reader)) == 14, "and nothing was ended there"


if TYPE_CHECKING:
    # What mypy must see of both.

    def _types_of_the_blocking_one(db: Client) -> None:
        assert_type(next(db.scan("k")), Item)
        assert_type(next(db.scan("k", keys_only=True)), str)
        assert_type(next(db.json(Job).scan("k")), Item[Job])

    async def _types_of_the_asyncio_one(db: AsyncClient) -> None:
        assert_type([item async for item in db.scan("k")], list[Item])
        assert_type([key async for key in db.scan("k", keys_only=True)], list[str])
        async with db.json.scan("k") as reader:
            assert_type(await anext(reader), Item[Any])
