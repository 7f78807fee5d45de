"""One cluster for all tests of raftzmq.contrib: they run in one worker (tests/parallel.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from raftzmq import Client
from tests.system.processes import STEADY, Cluster


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("contrib"), arguments=STEADY) as cluster:
        yield cluster.start()


@pytest.fixture(scope="session")
def endpoints(nodes: Cluster) -> str:
    return ",".join(nodes.endpoints)


@pytest.fixture(scope="session")
def shared(nodes: Cluster) -> Iterator[Client]:
    with nodes.client() as client:
        yield client


@pytest.fixture
def client(shared: Client) -> Client:
    """A client of a cluster that holds no keys."""
    shared.delete_prefix("")
    return shared
