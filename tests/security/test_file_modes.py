"""What nodes and local clusters leave on a disk is for their user, and their group to read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raftzmq import Client
from raftzmq_cli.local import processes
from raftzmq_cli.local.processes import LocalCluster
from raftzmq_cli.local.view_servers import LocalViews
from tests.cli.conftest import Result, execute
from tests.storage.test_file_modes import too_open
from tests.system.ports import free_ports
from tests.system.processes import Cluster

pytestmark = pytest.mark.system

OPEN_TO_ALL = ("sh", "-c", 'umask 0; exec "$0" "$@"')


@contextmanager
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def test_every_file_that_a_node_makes_is_private_whatever_the_umask(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        for each in cluster.nodes:
            each.within = OPEN_TO_ALL
        node = cluster.start().followers()[0]
        with Client(cluster.endpoints) as client:
            client.put("key", "value")
        assert too_open(node.data_dir) == []
        node.kill()
        for path in (node.data_dir, *node.data_dir.rglob("*")):
            path.chmod(0o777)
        node.start("--rejoin")
        cluster.wait_until_ready()
        assert (node.data_dir / "aside-1" / "log").is_dir()
        assert too_open(node.data_dir) == []


@pytest.mark.parametrize(
    ("kind", "size", "design"),
    [(LocalCluster, 1, ()), (LocalViews, 2, ("--design", "views"))],
    ids=["raft", "views"],
)
def test_every_file_of_a_local_cluster_is_private_and_becomes_so_if_it_was_not(
    kind: Callable[..., LocalCluster], size: int, design: tuple[str, ...], tmp_path: Path
) -> None:
    cluster = kind(tmp_path / "local", size, free_ports())

    def up() -> Result:
        where = ("--dir", str(cluster.directory), "--base-port", str(cluster.base_port))
        return execute(["local", "up", "--nodes", f"{size}", *where, "--wait", "60", *design])

    with no_umask():
        try:
            assert up().code == 0
            made = {path.name for path in cluster.directory.rglob("*")}
            assert {"node.log", "node.pid", "cluster.json", "lock"} <= made
            assert too_open(cluster.directory) == []
            processes.stop(cluster.nodes)
            for node in cluster.nodes:
                for path in (node.directory, *node.directory.rglob("*")):
                    path.chmod(0o777)
            assert up().code == 0
            assert [found for node in cluster.nodes for found in too_open(node.directory)] == []
        finally:
            processes.stop(cluster.nodes)
