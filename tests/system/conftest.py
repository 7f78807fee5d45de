"""What the system tests share: a running cluster of three, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq import Client
from tests.system.processes import Cluster


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes that have formed a cluster and elected a leader. A parameter is arguments for
    each of them, such as STEADY."""
    with Cluster(tmp_path, arguments=getattr(request, "param", ())) as three:
        try:
            yield three.start()
        finally:
            three.show()


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.endpoints) as connected:
        yield connected
