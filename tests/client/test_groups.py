"""Groups of live members, and barriers, of both clients."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from raftzmq import AsyncClient, Client, InvalidRequest, LeaseExpired, NotAcquired, limits
from tests.client.conftest import Connect, until
from tests.client.fake_cluster import FakeCluster

if TYPE_CHECKING:
    from typing import assert_type

    from raftzmq.client import aio, blocking


@pytest.fixture
def db(connect: Connect, cluster: FakeCluster) -> Any:
    client = connect(cluster.endpoints)
    client.put("first", "")
    return client


def test_members_come_say_what_they_like_and_go(db: Any) -> None:
    workers = db.group("workers")
    assert workers.members() == {}
    with workers.join("a") as first:
        with db.group("workers").join(b"\xff") as second:
            assert workers.members() == {str(first.id): "a", str(second.id): b"\xff"}
            second.update("b")
            assert workers.members() == {str(first.id): "a", str(second.id): "b"}
        until(lambda: workers.members() == {str(first.id): "a"})
    until(lambda: workers.members() == {})


def test_a_member_is_a_key_and_the_lease_that_holds_it(db: Any) -> None:
    with db.group("workers").join("a") as me:
        item = db.get(me.key, details=True)
        assert (item.key, item.value, item.lease) == (f"workers/{me.id}", "a", me.id)
        db.put("other", "goes too", lease=me)
        with db.lock("l", lease=me) as lock:
            assert lock.held
    until(lambda: db.get("other") is None)


def test_a_member_whose_lease_has_ended_is_none(db: Any) -> None:
    me = db.group("workers").join("a")
    db.lease_revoke(me.id)
    with pytest.raises(LeaseExpired):
        me.update("b")
    assert db.group("workers").members() == {}


def test_one_that_was_closed_is_not_joined_again(db: Any) -> None:
    member = db.group("workers").join("a")
    member.close()
    with pytest.raises(LeaseExpired), member:
        pytest.fail("it is closed")
    until(lambda: db.group("workers").members() == {})


def test_who_is_there_is_followed(db: Any) -> None:
    there = db.group("workers").mirror()
    with db.group("workers").join("a") as me:
        until(lambda: there.copy() == {str(me.id): "a"})
        me.update("b")
        until(lambda: there.copy() == {str(me.id): "b"})
    until(lambda: there.copy() == {})
    there.close()


def test_many_are_read_in_pages_in_the_order_of_joining(db: Any) -> None:
    lease = db.lease_grant(60)
    for number in (10, 9, 100, *range(1000, 2300)):
        db.put(f"workers/{number}", "", lease=lease)
    db.put("workers0", "is no member")
    names = list(db.group("workers").members())
    assert names == ["9", "10", "100", *map(str, range(1000, 2300))]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_wrong_is_said_when_it_is_made(kind: type[Any]) -> None:
    db = kind("127.0.0.1:9")
    for name in ("", None, 5, "x" * (limits.KEY_BYTES - 8)):
        with pytest.raises(InvalidRequest):
            db.group(name)
        with pytest.raises(InvalidRequest):
            db.barrier(name, 2)
    for wrong in (
        {"ttl": 0},
        {"data": 5},
        {"on_lost": 5},
        {"data": "x" * (limits.VALUE_BYTES + 1)},
    ):
        with pytest.raises(InvalidRequest):
            db.group("workers").join(**wrong)
    for parties in (0, -1, True, 1.5, "2"):
        with pytest.raises(InvalidRequest):
            db.barrier("start", parties)
    with pytest.raises(InvalidRequest):
        db.barrier("start", 2, ttl=0)


# -- barriers -----------------------------------------------------------------------------------


def test_nobody_passes_before_all_have_arrived(connect: Connect, cluster: FakeCluster) -> None:
    parties = 3
    passed: list[int] = []
    clients = [connect(cluster.endpoints) for _ in range(parties)]

    def pass_it(db: Any) -> None:
        db.barrier("start/7", parties).wait()
        passed.append(parties)

    threads = [threading.Thread(target=pass_it, args=[one]) for one in clients[1:]]
    for thread in threads:
        thread.start()
    until(lambda: len(clients[0].barrier("start/7", parties).members()) == parties - 1)
    assert not passed
    clients[0].barrier("start/7", parties).wait(timeout=60)
    for thread in threads:
        thread.join(60)
    assert len(passed) == parties - 1
    clients[0].barrier("start/7", parties).wait(timeout=60)  # it is open: also for who comes late


def test_who_waits_in_vain_has_not_arrived(db: Any, cluster: FakeCluster) -> None:
    barrier = db.barrier("start/8", 2)
    with pytest.raises(NotAcquired, match=r"[01] of 2 have arrived at barrier 'start/8' in time"):
        barrier.wait(timeout=0.1)
    until(lambda: barrier.members() == {})


def test_who_is_cut_off_from_a_barrier_is_told(connect: Connect, cluster: FakeCluster) -> None:
    waits, other = connect(cluster.endpoints), connect(cluster.endpoints)
    told: list[Exception] = []

    def wait() -> None:
        try:
            waits.barrier("start/10", 2, ttl=1).wait(timeout=60)
        except LeaseExpired as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: other.barrier("start/10", 2).members())
    (member,) = other.barrier("start/10", 2).members()
    other.lease_revoke(int(member))
    thread.join(60)
    assert len(told) == 1


def test_a_barrier_for_one_lets_pass(db: Any) -> None:
    db.barrier("start/9", 1).wait(timeout=60)


if TYPE_CHECKING:

    async def _typed(db: Client, other: AsyncClient) -> None:
        assert_type(db.group("g").join(), blocking.Member)
        assert_type(db.group("g").mirror(), blocking.Mirror)
        assert_type(await other.group("g").join().open(), aio.Member)
        db.barrier("b", 2).wait(timeout=1)
        await other.barrier("b", 2).wait(timeout=1)
