"""A cluster in memory, and clients of it: the same methods as of a real one, without a network."""

from __future__ import annotations

import asyncio
from typing import Final, Self

from raftzmq.client.aio import AsyncClient
from raftzmq.client.blocking import Client
from raftzmq.client.operations.arguments import call_ms, is_finite
from raftzmq.errors import InvalidRequest
from raftzmq.testing.conversation import Conversation
from raftzmq.testing.fake_aio_shell import FakeAsyncShell, Loops
from raftzmq.testing.fake_blocking_shell import FakeBlockingShell
from raftzmq.testing.faults import Ordered
from raftzmq.testing.memory_cluster import ENDPOINT, PATIENCE_S, MemoryCluster

CRASHED: Final = "the test has crashed this client"

ROUNDS: Final = 8
"""In so many rounds of the event loop tasks get to what they do at a moment of the fake's clock."""


class FakeCluster:
    """A cluster of one node in this process, for tests: the real state machine, with neither
    network nor threads, and with a clock that the test moves. Several clients may share it.

        fake = FakeCluster()
        first, second = fake.client(), fake.client()
        with first.lock("report"):
            assert second.get("report") is None
            fake.advance(60)      # the lock is kept alive meanwhile, as in reality

    The same calls in the same order give the same results, to the last token and revision.

    Time passes in `advance` and in `sleep`. It also passes where a call waits for what nothing else
    can bring about: a blocking call whose answer depends on another client, and a call of the
    asyncio client when each task of the event loop waits for the fake. Then it passes until the
    call ends, as the call's timeout has it. A wait without a timeout ends in Deadlock after
    `patience` seconds of that clock.
    """

    def __init__(self, *, seed: int = 1, patience: float = PATIENCE_S) -> None:
        """`seed` is for what is random in a session: the lengths of its pauses."""
        self._cluster = MemoryCluster(seed=seed, patience=patience)
        self._loops = Loops(self._cluster)

    def client(self, *, timeout: float | None = None) -> FakeClient:
        """Another blocking client of this cluster; `timeout` is as of `Client`."""
        return FakeClient(self, timeout=timeout)

    def async_client(self, *, timeout: float | None = None) -> AsyncFakeClient:
        """Another asyncio client of this cluster; `timeout` is as of `AsyncClient`."""
        return AsyncFakeClient(self, timeout=timeout)

    @property
    def now(self) -> float:
        """What the fake's clock shows, in seconds."""
        return self._cluster.now_ms / 1000

    def advance(self, seconds: float) -> None:
        """Let that much time pass. What ends by itself does: leases that nobody keeps alive, keys
        with a time to live, timeouts of calls. Clients that are connected keep theirs alive, and
        `on_lost` is called of what is lost. Tasks of an event loop run only after this returns: see
        `sleep`. Raises InvalidRequest.

            fake.disconnect(holder)
            fake.advance(30)           # longer than the time to live: `on_lost` has been called
        """
        self._cluster.advance(_milliseconds(seconds))

    async def sleep(self, seconds: float) -> None:
        """As `advance`; other tasks of the event loop run meanwhile, each at its time."""
        cluster = self._cluster
        end_ms = cluster.now_ms + _milliseconds(seconds)
        await _run_others()
        while cluster.now_ms < end_ms:
            cluster.step(end_ms)
            await _run_others()

    def fail_next(
        self, error: Ordered, *, done: bool = False, skip: int = 0, times: int = 1
    ) -> None:
        """Have the next call of any client raise this error, or one of this class: the next
        `times` calls, after `skip` that do not. Nothing is done then, but with OutcomeUnknown and
        `done`; that error is raised by writes alone. Raises InvalidRequest.

            fake.fail_next(OutcomeUnknown, done=True)
            fake.fail_next(NotAcquired("busy"), skip=1)
        """
        self._cluster.faults.order(error, done=done, skip=skip, times=times)

    def disconnect(self, *clients: FakeClient | AsyncFakeClient) -> None:
        """Cut the connections of these clients; of all that there are, if none is given. They go on
        by their own clocks, so that their leases end: `on_lost` is called in `advance`."""
        with self._cluster.lock:
            for one in self._chosen(clients):
                one.cut(self._cluster.now_ms)

    def reconnect(self, *clients: FakeClient | AsyncFakeClient) -> None:
        """Connect them again."""
        with self._cluster.lock:
            for one in self._chosen(clients):
                one.connected = True
            self._cluster.settle()

    def crash(self, client: FakeClient | AsyncFakeClient) -> None:
        """Have the client vanish, as if its process had been killed: what it holds is held until
        its lease ends. Its calls raise Unavailable from now on."""
        with self._cluster.lock:
            client._shell.conversation.end(CRASHED)
            self._cluster.settle()

    def _chosen(self, clients: tuple[FakeClient | AsyncFakeClient, ...]) -> list[Conversation]:
        chosen = [client._shell.conversation for client in clients]
        return chosen or self._cluster.conversations


class FakeClient(Client):
    """A Client of a cluster in memory: of `fake`, or of one of its own, which is `client.fake`.

    db = FakeClient()
    db.put("session/7", "ada", ttl=60)
    db.fake.advance(61)
    assert db.get("session/7") is None
    """

    _shell: FakeBlockingShell

    def __init__(self, fake: FakeCluster | None = None, *, timeout: float | None = None) -> None:
        """`timeout` is as of `Client`: seconds, of the fake's clock."""
        if timeout is not None:
            call_ms(timeout)
        self._timeout = timeout
        self.fake = FakeCluster() if fake is None else fake
        self.endpoints = (ENDPOINT,)
        self._shell = FakeBlockingShell(self.fake._cluster)

    def __enter__(self) -> Self:
        super().__enter__()
        return self


class AsyncFakeClient(AsyncClient):
    """An AsyncClient of a cluster in memory: of `fake`, or of one of its own, which is
    `client.fake`.

        db = AsyncFakeClient()
        async with db.lock("report"):
            await db.fake.sleep(60)    # other tasks run meanwhile
    """

    _shell: FakeAsyncShell

    def __init__(self, fake: FakeCluster | None = None, *, timeout: float | None = None) -> None:
        """`timeout` is as of `AsyncClient`: seconds, of the fake's clock."""
        if timeout is not None:
            call_ms(timeout)
        self._timeout = timeout
        self.fake = FakeCluster() if fake is None else fake
        self.endpoints = (ENDPOINT,)
        self._shell = FakeAsyncShell(self.fake._loops)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self


def _milliseconds(seconds: float) -> int:
    if not is_finite(seconds) or seconds < 0:
        raise InvalidRequest("time passes by a number of seconds, 0 or more")
    return round(seconds * 1000)


async def _run_others() -> None:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
