"""Read/write locks, the first leader that an observer hears of, and a leader that changes what is
known of it, as docs/coordination.md has it: of both clients."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from raftzmq import (
    AsyncClient,
    Client,
    Fenced,
    InvalidRequest,
    NotAcquired,
    NotHeld,
    Unsupported,
)
from raftzmq.client.handles.rwlock import READERS
from raftzmq.client.operations import queues
from tests.client.conftest import Connect, InThread, until
from tests.client.fake_cluster import FakeCluster

if TYPE_CHECKING:
    from typing import assert_type

    from raftzmq.client import aio, blocking


@pytest.fixture
def db(connect: Connect, cluster: FakeCluster) -> Any:
    client = connect(cluster.endpoints)
    client.put("first", "")
    return client


def reads(db: Any, **options: Any) -> Any:
    return claim(db, "read", options)


def writes(db: Any, **options: Any) -> Any:
    return claim(db, "write", options)


def claim(db: Any, what: str, options: dict[str, Any]) -> Any:
    bare = getattr(db, "_inner", db)
    made = getattr(bare.rwlock("rw", **options), what)()
    return InThread(db._loop, made) if isinstance(db, InThread) else made


def test_many_read_or_one_writes(db: Any) -> None:
    with reads(db), reads(db) as reader:
        assert reader.describe().capacity == READERS
        assert writes(db).try_wait() is False
    with writes(db) as writer:
        assert reads(db).try_wait() is False
        assert writes(db).try_wait() is False
        db.put("k", "v", fence=writer)
        late = (writer.name, writer.token)
    with pytest.raises(Fenced):
        db.put("k", "v", fence=late)
    with pytest.raises(NotAcquired), reads(db), writes(db, timeout=0.05):
        pytest.fail("somebody reads")


def test_a_writer_is_not_starved_by_those_who_read_later(db: Any) -> None:
    order: list[str] = []

    def work(claim: Any, name: str) -> None:
        with claim:
            order.append(name)

    with reads(db):
        threads = []
        for waiting, (make, name) in enumerate([(writes, "w"), (reads, "r"), (writes, "w2")]):
            thread = threading.Thread(target=work, args=[make(db), name])
            thread.start()
            threads.append(thread)
            until(lambda n=waiting: db.describe("semaphore", "rw").waiting == n + 1)  # type: ignore[misc]
        assert reads(db).try_wait() is False, "it comes behind the writer that waits"
    for thread in threads:
        thread.join(60)
    assert order == ["w", "r", "w2"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_wrong_is_said_when_it_is_made(kind: type[Any]) -> None:
    for wrong in ({"ttl": 0}, {"timeout": -1}, {"owner": 5}, {"lease": 0}, {"on_lost": 5}):
        with pytest.raises(InvalidRequest):
            kind("127.0.0.1:9").rwlock("rw", **wrong)
    with pytest.raises(InvalidRequest):
        kind("127.0.0.1:9").rwlock("")


def test_a_semaphore_of_that_name_is_another_thing(db: Any) -> None:
    with db.semaphore("rw", 3), pytest.raises(InvalidRequest, match="resize it"):
        reads(db).wait()


def test_an_observer_hears_at_once_that_nobody_leads(db: Any) -> None:
    leaders: Any = db.election("e").observe()
    assert next(leaders) is None
    with db.election("e", "me") as won:
        seen = next(leaders)
        assert (seen.term, seen.value) == (won.term, "me")
        assert next(db.election("e").observe()) == seen
    assert next(leaders) is None


def test_a_leader_proclaims_another_value_and_observers_hear_it(db: Any) -> None:
    leaders: Any = db.election("e").observe()
    with db.election("e", "here") as won:
        assert next(leaders).value == "here"
        for value in ("there", None):
            won.proclaim(value)
            seen = next(leaders)
            assert (seen.term, seen.value) == (won.term, value)
            assert db.election("e").leader() == seen
        with pytest.raises(InvalidRequest):
            won.proclaim(5)
    with pytest.raises(NotHeld):
        won.proclaim("late")


def test_who_leads_no_more_proclaims_nothing(db: Any) -> None:
    with db.lease(10) as lease, db.lease(10) as other:
        first = db.election("e", "here", lease=lease)
        first.campaign()
        db.release("election", "e", first.term)  # by others: it does not know
        with db.election("e", "another", lease=other):
            with pytest.raises(Fenced, match="nothing was written"):
                first.proclaim("there")
            assert db.election("e").leader().value == "another"


def test_where_an_older_node_leads_an_observer_hears_of_leaders(
    db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_old(*_: Any) -> Any:
        raise Unsupported("unknown operation")

    monkeypatch.setattr(queues, "proclaimed", too_old)
    leaders: Any = db.election("e").observe()
    assert next(leaders) is None
    with db.election("e", "me") as won:
        assert next(leaders).term == won.term
    assert next(leaders) is None


def test_a_leader_changes_what_is_known_of_it_behind_its_fence(db: Any) -> None:
    chief = db.mirror("chief/")
    with db.lease(10) as lease, db.election("chief", lease=lease) as won:
        for address in ("10.0.0.7", "10.0.0.8"):
            db.put("chief/address", address, lease=lease.id, fence=won)
            until(lambda address=address: chief.get("address") == address)  # type: ignore[misc]
        term = won.term
    until(lambda: chief.copy() == {})
    with pytest.raises(Fenced):
        db.put("chief/address", "10.0.0.7", fence=("chief", term))


if TYPE_CHECKING:

    async def _typed(db: Client, other: AsyncClient) -> None:
        assert_type(db.rwlock("l").read(), blocking.Semaphore)
        assert_type(other.rwlock("l").write(), aio.Semaphore)
