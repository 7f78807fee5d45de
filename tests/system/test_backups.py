"""Snapshots that clients take of real nodes: from any of them, whole, and of one moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq import AsyncClient, Client, Unavailable
from raftzmq.machine import Machine
from raftzmq.storage import OsFiles
from raftzmq.storage.snapshot_files import check_snapshot, read_records
from tests.system.processes import STEADY, Cluster

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), arguments=STEADY) as cluster:
        cluster.start()
        with cluster.client() as db:
            for k in range(500):
                db.put(f"key/{k}", str(k) * 1000)
        yield cluster


def restored(path: Path) -> Machine:
    check_snapshot(OsFiles(), path)
    return Machine.restore(read_records(OsFiles(), path))


def test_the_blocking_client_writes_one_to_a_file(nodes: Cluster, tmp_path: Path) -> None:
    leader = nodes.leader()
    with Client(nodes.endpoints) as db:
        last = db.put("key/last", "v").revision
        with db.snapshot() as snapshot, (tmp_path / "backup").open("wb") as file:
            file.writelines(snapshot)
        assert snapshot.node != leader.name, "a follower has more time for it"
    machine = restored(tmp_path / "backup")
    assert machine.revision == snapshot.revision >= last
    assert len(machine.state.keys) == snapshot.keys == 501
    assert snapshot.size == (tmp_path / "backup").stat().st_size > 2 * 512 * 1024


def test_the_asyncio_client_reads_one_from_a_node_of_its_choice(
    nodes: Cluster, tmp_path: Path
) -> None:
    leader = nodes.leader()

    async def taken() -> tuple[str, bytes]:
        async with AsyncClient(nodes.endpoints) as db:
            snapshot = db.snapshot(endpoint=leader.endpoint)
            data = b"".join([piece async for piece in snapshot])
            return snapshot.node, data

    name, data = asyncio.run(taken())
    assert name == leader.name
    (tmp_path / "backup").write_bytes(data)
    assert restored(tmp_path / "backup").state.keys.items["key/7"][0] == "7" * 1000


def test_a_node_that_goes_in_the_middle_breaks_it_off(nodes: Cluster) -> None:
    with Client(nodes.endpoints) as db:
        snapshot = db.snapshot(timeout=2)
        next(snapshot)
        node = nodes[snapshot.node]
        node.kill()
        with pytest.raises(Unavailable):
            next(snapshot)
        node.start()
        nodes.wait_until_ready()
        with pytest.raises(Unavailable, match=r"broke off after \d+ bytes: .* begin anew"):
            next(snapshot)
