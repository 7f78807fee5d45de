"""Both clients under one interface, and a fake cluster to talk to."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import pytest

from raftzmq import AsyncClient, Client
from raftzmq.client.handles.claim import Claim
from raftzmq.client.handles.group import Group
from raftzmq.client.handles.json_view import JsonView
from raftzmq.client.handles.lease import Lease
from raftzmq.client.handles.mirror import Mirror
from raftzmq.client.handles.watch import Watch
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.sockets import Links, turn
from raftzmq.testing import FakeCluster as InMemoryCluster
from tests.client.fake_cluster import FakeCluster
from tests.client.not_of_fakes import can_be_of_fakes

Connect = Callable[[Sequence[str]], Any]
T = TypeVar("T")


class InThread:
    """Something of the asyncio client whose methods block: its event loop runs in a thread. A test
    written for the blocking client so runs with either."""

    def __init__(self, loop: asyncio.AbstractEventLoop, inner: Any) -> None:
        self._loop = loop
        self._inner = inner

    def _call(self, method: Any, *args: Any, **options: Any) -> Any:
        """Call it in the loop, and wait for what is to be awaited; cancel it if interrupted."""

        async def call() -> Any:
            result = method(*map(_bare, args), **{k: _bare(v) for k, v in options.items()})
            return await result if inspect.isawaitable(result) else result

        future = asyncio.run_coroutine_threadsafe(call(), self._loop)
        try:
            result = future.result(300)
        except BaseException:
            future.cancel()
            raise
        if result is self._inner:
            return self
        wrapped = isinstance(result, Claim | Group | Lease | Watch | Mirror | JsonView)
        wrapped = wrapped or hasattr(result, "__anext__")
        return InThread(self._loop, result) if wrapped else result

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if isinstance(value, JsonView):
            return InThread(self._loop, value)
        return partial(self._call, value) if callable(value) else value

    def __call__(self, *args: Any) -> Any:
        return self._call(self._inner, *args)

    def __enter__(self) -> Any:
        return self._call(self._inner.__aenter__)

    def __exit__(self, *error: Any) -> Any:
        return self._call(self._inner.__aexit__, *error)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            return self._call(self._inner.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None


def _bare(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_bare(part) for part in argument]
    return argument._inner if isinstance(argument, InThread) else argument


class AsyncInThread(InThread):
    """An AsyncClient so."""

    def __init__(self, client: AsyncClient) -> None:
        super().__init__(asyncio.new_event_loop(), client)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where time passes for real, nothing is sent again or besides only because the machine is
    slow, and what ends is waited for."""
    if "cluster" in request.fixturenames:
        monkeypatch.setattr("raftzmq.client.session.flight.SILENCE_MS", 3_600_000)
        monkeypatch.setattr("raftzmq.client.session.answers.RENEW_MS", 3_600_000)
        monkeypatch.setattr("raftzmq.client.session.members.FIRST_MS", 3_600_000)
        monkeypatch.setattr("raftzmq.client.session.routing.SUSPECT_MS", 300)
        monkeypatch.setattr("raftzmq.client.blocking_shell.JOIN_S", 60.0)


@pytest.fixture
def impatience(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of messages that get lost: silence is noticed soon."""
    monkeypatch.setattr("raftzmq.client.session.flight.SILENCE_MS", 200)


TIMEOUTS_S = (0.4, 4.0, 40.0)


def given_time(attempt: Callable[[float], T], enough: Callable[[T], bool]) -> T:
    """What `attempt` gives with a short timeout, for what ends only by its timeout; with a longer
    one where the machine was too slow for the rest to happen before, so that it is not `enough`."""
    for timeout_s in TIMEOUTS_S:
        result = attempt(timeout_s)
        if enough(result):
            break
    return result


def count_turns(monkeypatch: pytest.MonkeyPatch, name: str) -> list[None]:
    """The turns that the client of that module makes from now on: few, unless it is kept busy."""
    turns: list[None] = []

    def counted(session: Session, links: Links) -> list[Call]:
        turns.append(None)
        return turn(session, links)

    monkeypatch.setattr(name, counted)
    return turns


def until(ready: Callable[[], object]) -> None:
    """Wait until `ready` returns something true."""
    deadline_s = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline_s, "not within 60 s"
        time.sleep(0.002)


KINDS = ("blocking", "asyncio")
FAKES = ("fake", "fake asyncio")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What both clients are tested with, those of raftzmq.testing are too, as far as they can."""
    if "connect" in metafunc.fixturenames:
        fakes = FAKES if can_be_of_fakes(metafunc.function) else ()
        metafunc.parametrize("connect", [*KINDS, *fakes], indirect=True)


@pytest.fixture
def connect(request: pytest.FixtureRequest, cluster: FakeCluster) -> Iterator[Connect]:
    """Makes clients, of the one kind and then of the other; closes them before the cluster ends.
    A fake has a cluster of its own, whose node always does as it should."""
    ends: list[Callable[[], None]] = []
    fake = InMemoryCluster() if request.param in FAKES else None

    def make(endpoints: Sequence[str]) -> Any:
        if request.param in {"blocking", "fake"}:
            client = Client(endpoints) if fake is None else fake.client()
            ends.append(client.close)
            return client
        proxy = AsyncInThread(AsyncClient(endpoints) if fake is None else fake.async_client())
        ends.append(proxy.end)
        return proxy

    yield make
    for end in ends:
        end()
