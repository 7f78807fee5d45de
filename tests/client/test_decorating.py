"""Locks and what is like them as they are written: tried, decorating functions, with an owner."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from raftzmq import AsyncClient, Client, InvalidRequest, NotAcquired, Unavailable
from tests.client.conftest import Connect, until
from tests.client.fake_cluster import IGNORE, FakeCluster

if TYPE_CHECKING:
    from typing import assert_type


@pytest.fixture
def db(connect: Connect, cluster: FakeCluster) -> Any:
    client = connect(cluster.endpoints)
    client.put("first", "")
    return client


@pytest.fixture
def blocking(cluster: FakeCluster) -> Iterator[Client]:
    with Client(cluster.endpoints) as client:
        yield client


# -- tried ------------------------------------------------------------------------------------


def test_a_lock_that_is_tried_is_held_or_nothing_is(db: Any) -> None:
    lock, other = db.lock("l"), db.lock("l")
    assert lock.try_acquire() is True
    assert lock.held
    assert lock.remaining > 0
    assert other.try_acquire() is False
    assert not other.held
    assert db.describe("lock", "l").waiting == 0
    with pytest.raises(InvalidRequest, match="held already"):
        lock.try_acquire()
    lock.release()
    assert other.try_acquire()
    other.release()


def test_permits_that_are_tried_are_held_or_none_are(db: Any) -> None:
    semaphore, other = db.semaphore("s", 3), db.semaphore("s", 3)
    assert semaphore.try_wait(2) is True
    assert other.try_wait(2) is False
    assert other.try_wait() is True
    queue = db.describe("semaphore", "s")
    assert (queue.free, queue.held, queue.waiting) == (0, 2, 0)
    with pytest.raises(InvalidRequest):
        other.try_wait(4)
    semaphore.signal()
    other.signal()


def test_a_try_without_an_answer_does_not_say_that_others_hold_it(
    db: Any, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftzmq.client.session.places.AT_ONCE_MS", 300)
    with db.lock("first"):
        pass
    for node in cluster.nodes:
        cluster.always(node, IGNORE)
    with pytest.raises(Unavailable, match="could not acquire lock 'l' at once"):
        db.lock("l").try_acquire()
    with pytest.raises(NotAcquired):
        db.lock("l", timeout=0).acquire()


# -- whose it is ------------------------------------------------------------------------------


def test_a_place_says_whose_it_is(db: Any) -> None:
    mine = f"{socket.gethostname()}:{os.getpid()}"
    with db.lock("a"), db.lock("b", owner="nightly"), db.semaphore("s", 2), db.election("e"):
        said = {
            (kind, name): [place.value for place in db.describe(kind, name).holders]
            for kind, name in [("lock", "a"), ("lock", "b"), ("semaphore", "s"), ("election", "e")]
        }
    assert said == {
        ("lock", "a"): [mine],
        ("lock", "b"): ["nightly"],
        ("semaphore", "s"): [mine],
        ("election", "e"): [None],
    }


def test_a_host_whose_name_is_no_text_owns_too(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "h\udcff")
    with db.lock("a") as lock:
        assert lock.describe().holders[0].value == f"h?:{os.getpid()}"


@pytest.mark.parametrize("owner", [5, b"me", [], "x" * 1100])
@pytest.mark.parametrize("make", [lambda c: c.lock, lambda c: c.semaphore])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_owner_is_a_short_text(kind: type[Any], make: Callable[[Any], Any], owner: Any) -> None:
    with pytest.raises(InvalidRequest, match="value of a place"):
        make(kind("127.0.0.1:9"))("n", owner=owner)


# -- decorating -------------------------------------------------------------------------------


def test_each_call_of_a_decorated_function_holds_what_its_arguments_name(
    blocking: Client,
) -> None:
    db = blocking
    held: list[list[str]] = []

    @db.lock("report-{day}-{kind}", owner="me")
    def report(day: int, kind: str = "daily", *more: str) -> str:
        """Report."""
        held.append([queue.name for queue in db.queues("lock")])
        return f"{day}{kind}{more}"

    assert report(7) == "7daily()"
    assert report(kind="weekly", day=8) == "8weekly()"
    assert report(9, "x", "y") == "9x('y',)"
    assert held == [["report-7-daily"], ["report-8-weekly"], ["report-9-x"]]
    assert (report.__name__, report.__doc__) == ("report", "Report.")
    assert list(inspect.signature(report).parameters) == ["day", "kind", "more"]
    with pytest.raises(TypeError, match="day"):
        report()  # type: ignore[call-arg]
    with pytest.raises(InvalidRequest):
        report("x" * 5000)  # type: ignore[arg-type]  # the name that it gives is too long
    assert len(held) == 3
    until(lambda: not db.queues("lock").items)


def test_a_decorated_function_is_called_by_one_thread_at_a_time(blocking: Client) -> None:
    inside = 0
    seen: list[int] = []

    @blocking.lock("one")
    def work() -> None:
        nonlocal inside
        inside += 1
        seen.append(inside)
        inside -= 1

    threads = [threading.Thread(target=lambda: [work() for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [1] * 20


def test_a_body_that_raises_gives_back_what_it_held(blocking: Client) -> None:
    @blocking.semaphore("s-{n}", 1)
    def fail(n: int) -> None:
        raise LookupError(n)

    for _ in range(2):
        with pytest.raises(LookupError):
            fail(1)


def test_a_method_is_decorated_where_its_client_is(blocking: Client) -> None:
    class Job:
        name = "j"

        @blocking.election("job-{step}", "me")
        def run(self, step: int) -> str:
            return f"{self.name}{step}"

    assert Job().run(3) == "j3"


def test_a_call_that_does_not_get_it_does_not_run(blocking: Client) -> None:
    ran: list[int] = []

    @blocking.lock("l", timeout=0)
    def work() -> None:
        ran.append(1)

    with blocking.lock("l"), pytest.raises(NotAcquired):
        work()
    assert not ran


def test_a_coroutine_function_is_decorated_by_the_asyncio_client(cluster: FakeCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.endpoints) as db:
            inside: list[str] = []

            @db.lock("report-{day}")
            async def report(day: int) -> str:
                names = [queue.name for queue in await db.queues("lock")]
                inside.append(names[0])
                assert len(names) == 1
                return f"{day}"

            assert inspect.iscoroutinefunction(report)
            assert await asyncio.gather(*[report(3) for _ in range(5)]) == ["3"] * 5
            assert inside == ["report-3"] * 5

    asyncio.run(main())


WRONG = [
    "{other}",
    "{}",
    "{0}",
    "{args}",
    "{kwargs}",
    "{day!r}",
    "{day:03}",
    "{day.year}",
    "{",
    "}",
]


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_wrong_placeholder_is_an_error_when_decorating(kind: type[Any], name: str) -> None:
    def plain(day: int, *args: int, **kwargs: int) -> None: ...

    async def coroutine(day: int, *args: int, **kwargs: int) -> None: ...

    function = plain if kind is Client else coroutine
    lock = kind("127.0.0.1:9").lock(f"report-{name}")
    with pytest.raises(InvalidRequest, match="report-") as raised:
        lock(function)
    assert str(raised.value).count("\n") == 0


def test_braces_are_written_twice(blocking: Client) -> None:
    names: list[str] = []

    @blocking.lock("{{a}}")
    def work() -> None:
        names.append(blocking.queues("lock").items[0].name)

    work()
    with blocking.lock("{a}"):  # as it stands, where nothing is filled in
        names.append(blocking.queues("lock", "{a").items[0].name)
    assert names == ["{a}", "{a}"]


def test_what_does_not_run_within_its_call_is_not_decorated() -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    async def coroutine() -> None: ...

    class Job:
        async def __call__(self) -> None: ...

    job: Any = Job()
    wrong: list[Any] = [generator, asynchronous, coroutine, job, functools.partial(coroutine), 5]
    for function in wrong:
        with pytest.raises(InvalidRequest):
            Client("127.0.0.1:9").lock("l")(function)
    wrong = [generator, asynchronous, lambda: None, len, 5]
    for function in wrong:
        with pytest.raises(InvalidRequest):
            AsyncClient("127.0.0.1:9").lock("l")(function)
    AsyncClient("127.0.0.1:9").lock("l")(job)
    Client("127.0.0.1:9").lock("l")(len)
    with pytest.raises(InvalidRequest, match="cannot be filled"):
        Client("127.0.0.1:9").lock("l-{a}")(max)


if TYPE_CHECKING:

    async def _typed(db: Client, other: AsyncClient) -> None:
        @db.lock("l-{n}")
        def plain(n: int, *, name: str = "") -> bytes:
            return b""

        @other.semaphore("l-{n}", 2)
        async def coroutine(n: int) -> bytes:
            return b""

        assert_type(plain(1, name="n"), bytes)
        assert_type(await coroutine(1), bytes)
        plain("1")  # type: ignore[arg-type]
        await coroutine()  # type: ignore[call-arg]
        assert_type(db.lock("l").try_acquire(), bool)
        assert_type(await other.semaphore("l").try_wait(2), bool)
