"""Fixtures for pytest. Nothing is imported before a test asks for one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from raftzmq.client.aio import AsyncClient
    from raftzmq.client.blocking import Client
    from raftzmq.testing import Cluster, FakeCluster

ELECTION_TIMEOUT_MS = 1000
"""Tests keep a machine busy: leaders are to stay in office all the same."""

_CLUSTER: pytest.StashKey[Cluster] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting `raftzmq_nodes`."""
    parser.addini("raftzmq_nodes", "number of nodes of raftzmq_cluster", default="3")


@pytest.fixture
def raftzmq_fake() -> FakeCluster:
    """A cluster in memory: `raftzmq_fake.client()`, and a clock that the test moves."""
    from raftzmq.testing import FakeCluster

    return FakeCluster()


@pytest.fixture(scope="session")
def raftzmq_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of real processes, for all tests of this run; of this worker, with pytest-xdist."""
    from raftzmq.testing import Cluster

    size = int(request.config.getini("raftzmq_nodes"))
    with Cluster(size, election_timeout_ms=ELECTION_TIMEOUT_MS) as cluster:
        request.config.stash[_CLUSTER] = cluster
        yield cluster
        del request.config.stash[_CLUSTER]


@pytest.fixture
def raftzmq_client(
    raftzmq_cluster: Cluster,
    raftzmq_prefix: str,  # noqa: ARG001 -- for the order in which both end
) -> Iterator[Client]:
    """A client of raftzmq_cluster, in which no fault of an earlier test is left. It is closed, and
    has given up what it held, before what the test has written is deleted."""
    from raftzmq.client.blocking import Client

    with Client(raftzmq_cluster.endpoints) as client:
        yield client


@pytest.fixture
def raftzmq_async_client(
    raftzmq_cluster: Cluster,
    raftzmq_prefix: str,  # noqa: ARG001 -- as above
) -> AsyncClient:
    """The same for asyncio, for an `async with` of the test: the event loop is that of the plugin
    which runs it."""
    return raftzmq_cluster.async_client()


@pytest.fixture
def raftzmq_prefix(raftzmq_cluster: Cluster) -> Iterator[str]:
    """A prefix for the keys and names of this test. Afterwards what the test has written is gone,
    there and elsewhere; what was there before stays."""
    from raftzmq.client.blocking import Client
    from raftzmq.errors import Refused

    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    prefix = f"test-{worker}-{secrets.token_hex(4)}/"
    raftzmq_cluster.repair()
    with Client(raftzmq_cluster.endpoints, timeout=30) as client:
        revision, queues = client.keys(limit=1).revision, _queues(client)
        yield prefix
        raftzmq_cluster.repair()
        client.delete_prefix(prefix)
        for item in client.scan():
            if item.revision > revision:
                client.delete(item.key)
        for kind, name in _queues(client) - queues:
            with suppress(Refused):  # a client of the test's own has it yet
                client.forget(kind, name)


def _queues(client: Client) -> set[tuple[str, str]]:
    """The kinds and names of what stays when nobody has a place in it."""
    kinds = ("semaphore", "counter")
    return {(kind, queue.name) for kind in kinds for queue in client.queues(kind)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the cluster where a test that uses it has failed."""
    report = yield
    cluster = item.config.stash.get(_CLUSTER, None)
    names: list[Any] = getattr(item, "fixturenames", [])
    if report.failed and cluster is not None and "raftzmq_cluster" in names:
        report.sections.append(("logs of raftzmq_cluster", cluster.last_lines()))
    return report
