"""`raftzmq local up --rejoin NODE`: a damaged node comes back; the only copy is never set aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftzmq_cli.local import processes
from raftzmq_cli.local.processes import LocalCluster
from tests.cli.conftest import Result, execute
from tests.system.ports import free_ports

pytestmark = [pytest.mark.system, pytest.mark.proof]


def damage(cluster: LocalCluster, name: str) -> None:
    node = next(node for node in cluster.nodes if node.name == name)
    segment = max((node.data / "log").iterdir())
    content = bytearray(segment.read_bytes())
    content[4] ^= 1
    segment.write_bytes(content)


def test_a_damaged_node_rejoins_as_its_log_advises_and_not_the_only_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cluster = LocalCluster(tmp_path / "c", 3, free_ports(3))

    def up(*more: str) -> Result:
        where = ("--dir", "c", "--base-port", str(cluster.base_port), "--wait", "60")
        return execute(["local", "up", *where, *more])

    try:
        assert up().code == 0
        assert up("--rejoin", "raft-1").code == 4, "it is running"
        endpoints = ("--endpoints", ",".join(cluster.endpoints))
        for copy in ("aside-1", "set-aside-1"):
            execute(["client", *endpoints, "put", "k", copy])
            execute(["local", "down", "--dir", "c"])
            damage(cluster, "raft-1")
            failed = up()
            assert failed.code == 1
            assert "local up --rejoin raft-1 --dir c" in failed.err
            rejoined = up("--rejoin", "raft-1")
            assert rejoined.code == 0, rejoined
            assert execute(["client", *endpoints, "get", "k"]).out == f"{copy}\n"
        node = cluster.nodes[1]
        assert (node.data / "aside-1").is_dir()
        assert (node.directory / "set-aside-1").is_dir(), "nothing that was set aside is lost"

        execute(["local", "down", "--dir", "c"])
        damage(cluster, "raft-0")
        damage(cluster, "raft-1")
        refused = up("--rejoin", "raft-1")
        assert refused.code == 1
        assert "not set aside" in refused.err
        assert not (node.directory / "set-aside-2").exists()
    finally:
        processes.stop(cluster.nodes)
