"""Both clients under one interface, and a fake cluster to talk to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest

from raftzmq import AsyncClient, Client
from raftzmq.client.calls import Call
from raftzmq.client.links import Links, turn
from raftzmq.client.session import ClientSession
from tests.client.fake_cluster import FakeCluster

Connect = Callable[[Sequence[str]], Any]
T = TypeVar("T")


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
            done = asyncio.run_coroutine_threadsafe(method(*args, **options), self._loop)
            return done.result(300)

        return call

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
    """Where time passes for real, nothing is sent again only because the machine is slow, and what
    ends is waited for."""
    if "cluster" in request.fixturenames:
        monkeypatch.setattr("raftzmq.client.flight.SILENCE_MS", 3_600_000)
        monkeypatch.setattr("raftzmq.client.session.RENEW_MS", 3_600_000)
        monkeypatch.setattr("raftzmq.client.steering.SUSPECT_MS", 300)
        monkeypatch.setattr("raftzmq.client.blocking.JOIN_S", 60.0)


@pytest.fixture
def impatience(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of messages that get lost: silence is noticed soon."""
    monkeypatch.setattr("raftzmq.client.flight.SILENCE_MS", 200)


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

    def counted(session: ClientSession, links: Links) -> list[Call]:
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
