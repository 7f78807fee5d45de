"""For the tests of applications that use raftzmq: a cluster in memory, and one of real processes.

    from raftzmq.testing import FakeCluster

    fake = FakeCluster()
    db = fake.client()          # code that takes a Client takes it
    with db.lock("report", ttl=10):
        ...
    fake.advance(30)            # the fake's clock, which nothing else moves

Nothing else of raftzmq imports this. docs/testing.md shows how to use it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from raftzmq.testing.cluster import Cluster as Cluster
    from raftzmq.testing.fake_clients import AsyncFakeClient as AsyncFakeClient
    from raftzmq.testing.fake_clients import FakeClient as FakeClient
    from raftzmq.testing.fake_clients import FakeCluster as FakeCluster
    from raftzmq.testing.memory_cluster import Deadlock as Deadlock

_HOMES: Final = {
    "AsyncFakeClient": "raftzmq.testing.fake_clients",
    "Cluster": "raftzmq.testing.cluster",
    "Deadlock": "raftzmq.testing.memory_cluster",
    "FakeClient": "raftzmq.testing.fake_clients",
    "FakeCluster": "raftzmq.testing.fake_clients",
}

__all__ = ["AsyncFakeClient", "Cluster", "Deadlock", "FakeClient", "FakeCluster"]


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used: the fake loads no processes, nor they a fake."""
    if name in _HOMES:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
