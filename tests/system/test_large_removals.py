"""What has very many keys is deleted while everybody else goes on: nobody loses a lease by it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from raftzmq import Client, Put
from tests.amounts import amount
from tests.system.processes import STEADY, Cluster, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"]),
]

KEYS = amount(10_000, 1_000_000)
LEASED = amount(5_000, 250_000)
TTL_S = 2.0
PATIENCE_S = 120.0


def load(db: Client, names: list[str], lease: int | None = None) -> None:
    """Write the keys, a hundred in a transaction, from many threads."""

    def put(group: list[str]) -> None:
        db.txn(then=[Put(name, "v", lease=lease) for name in group], timeout=PATIENCE_S)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(put, [names[at : at + 100] for at in range(0, len(names), 100)]))


def term_of(cluster: Cluster) -> int:
    status = cluster.leader().status()
    assert status is not None
    return int(status["term"])


@contextmanager
def undisturbed(cluster: Cluster) -> Iterator[None]:
    """Meanwhile another client keeps its lock, and the leader leads on."""
    term = term_of(cluster)
    with Client(cluster.endpoints) as other, other.lock("held", ttl=TTL_S) as lock:
        yield
        assert lock.held
        other.put("fenced", "v", fence=lock)
    assert term_of(cluster) == term


def test_a_prefix_of_very_many_keys(cluster: Cluster) -> None:
    with Client(cluster.endpoints) as db:
        load(db, [f"many/{number:07}" for number in range(KEYS)])
        with undisturbed(cluster):
            assert db.delete_prefix("many/", timeout=PATIENCE_S).count == KEYS
        assert not db.prefix("many/").items


def test_a_lease_with_very_many_keys(cluster: Cluster) -> None:
    with Client(cluster.endpoints) as db:
        lease = db.lease_grant(24 * 3600)
        load(db, [f"leased/{number:07}" for number in range(LEASED)], lease)
        with undisturbed(cluster):
            db.lease_revoke(lease, timeout=PATIENCE_S)
            assert db.lease_info(lease) is None
            wait_for("the keys have gone", lambda: not db.prefix("leased/", 1).items, PATIENCE_S)
