"""Both clients under one interface, and a fake cluster to talk to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from raftzmq import AsyncClient, Client
from tests.client.fake_cluster import FakeCluster

Connect = Callable[[Sequence[str]], Any]


class AsyncInThread:
    """An AsyncClient whose methods block: its event loop runs in a thread of its own. A test
    written for the blocking client so runs with either."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = AsyncClient(endpoints)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **options: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(method(*args, **options), self._loop).result(20)

        return call

    def end(self) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def impatience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where time passes for real, silence is noticed sooner."""
    if "cluster" in request.fixturenames:
        monkeypatch.setattr("raftzmq.client.flight.SILENCE_MS", 200)
        monkeypatch.setattr("raftzmq.client.steering.SUSPECT_MS", 300)


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest, cluster: FakeCluster) -> Iterator[Connect]:
    """Makes clients, of the one kind and then of the other; closes them before the cluster ends."""
    ends: list[Callable[[], None]] = []

    def make(endpoints: Sequence[str]) -> Any:
        if request.param == "blocking":
            client = Client(endpoints)
            ends.append(client.close)
            return client
        proxy = AsyncInThread(endpoints)
        ends.append(proxy.end)
        return proxy

    yield make
    for end in ends:
        end()
