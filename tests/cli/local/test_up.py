"""`raftzmq local`: two directories on the same ports, an `up` that fails, both designs here."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raftzmq_cli.client import first_write
from raftzmq_cli.local import processes, view_servers
from raftzmq_cli.local.processes import LocalCluster, LocalNode
from raftzmq_cli.local.view_servers import LocalViews
from tests.cli.conftest import Program, Result, execute
from tests.system.ports import free_ports

pytestmark = pytest.mark.system


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@contextmanager
def down_at_the_end(*clusters: LocalCluster) -> Iterator[None]:
    try:
        yield
    finally:
        for cluster in clusters:
            processes.stop(cluster.nodes)


def up(directory: Path, base_port: int, *more: str) -> Result:
    where = ("--dir", str(directory), "--base-port", str(base_port))
    return raftzmq("local", "up", "--nodes", "1", *where, "--wait", "60", *more)


def raftzmq(*arguments: str) -> Result:
    """Run the program in a process of its own, which ends before the nodes that it starts."""
    return execute(arguments)


def test_a_second_directory_on_the_same_ports_is_refused(here: Path) -> None:
    port = free_ports()
    first, second = (LocalCluster(here / name, 1, port) for name in ("first", "second"))
    with down_at_the_end(first, second):
        started = up(first.directory, port)
        assert started.code == 0, started
        assert started.lines[-1].endswith("local down --dir first")
        pid = first.nodes[0].pid()

        refused = up(second.directory, port)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.count("\n") == 1
        for part in (f"port {port} is taken", "local down --dir first", "--base-port"):
            assert part in refused.err
        assert not second.file.exists(), "it would hold the next try to the same ports"
        assert not second.is_running
        assert first.nodes[0].pid() == pid

        free = refused.err.split("--base-port ")[1].split()[0]
        asked = LocalCluster(second.directory, 1, int(free))
        with down_at_the_end(asked):
            assert up(second.directory, int(free)).code == 0


@pytest.mark.proof
def test_status_and_down_do_not_speak_of_the_nodes_of_another_directory(here: Path) -> None:
    port = free_ports()
    first, second = (LocalCluster(here / name, 1, port) for name in ("first", "second"))
    second.directory.mkdir()
    second.write()
    with down_at_the_end(first, second):
        assert up(first.directory, port).code == 0
        shown = raftzmq("local", "status", "--dir", "second")
        assert shown.code == 3
        assert "another node answers" in shown.out
        assert raftzmq("local", "status", "--dir", "first").code == 0
        stopped = raftzmq("local", "down", "--dir", "second")
        assert "no node was running\n" in stopped.out
        assert "local down --dir first" in stopped.err
        nowhere = raftzmq("local", "down")
        assert "no local cluster in .raftzmq/local" in nowhere.out
        assert "local down --dir first" in nowhere.err
        assert first.is_running


def test_a_copy_of_a_running_node_is_not_taken_for_it(here: Path) -> None:
    port = free_ports()
    first = LocalCluster(here / "first", 1, port)
    with down_at_the_end(first):
        assert up(first.directory, port).code == 0
        os.system("cp -r first copy")
        assert raftzmq("local", "status", "--dir", "copy").code == 3


def test_a_failed_up_stops_what_it_started_and_does_not_block_the_next(
    here: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_ports(3)
    cluster = LocalCluster(here / "c", 3, port)
    whole = LocalNode.command.fget  # type: ignore[attr-defined]
    broken = lambda node: ["false"] if node.name == "raft-1" else whole(node)  # noqa: E731
    with down_at_the_end(cluster), monkeypatch.context() as patch:
        patch.setattr(LocalNode, "command", property(broken))
        failed = program("local", "up", "--dir", "c", "--base-port", str(port))
        assert failed.code == 1
        assert "raft-1 ended at once" in failed.err
        assert "is stopped again" in failed.err
        assert not cluster.is_running
        assert not cluster.file.exists()
        assert cluster.nodes[1].log_file.exists(), "somebody will want to read why"
        assert not cluster.nodes[0].data.exists()
    with down_at_the_end(LocalCluster(here / "c", 1, port)):
        assert up(cluster.directory, port).code == 0


def interrupted(*_: object) -> bool:
    raise KeyboardInterrupt


def test_a_failed_up_keeps_the_data_of_a_cluster_that_had_formed(
    here: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_ports()
    cluster = LocalCluster(here / "c", 1, port)
    with down_at_the_end(cluster):
        monkeypatch.setattr(first_write, "is_acknowledged", interrupted)
        where = ("--dir", "c", "--base-port", str(port), "--wait", "60")
        assert program("local", "up", "--nodes", "1", *where).code == 130
        assert not cluster.is_running
        assert cluster.file.exists()
        identity = cluster.nodes[0].identity()
        assert identity is not None
        assert identity.cluster
        monkeypatch.undo()
        monkeypatch.chdir(here)
        assert up(cluster.directory, port).code == 0
        assert cluster.nodes[0].identity() == identity


def test_the_older_design_on_ports_that_are_taken_is_refused(here: Path) -> None:
    port = free_ports()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        refused = up(here / "v", port, "--design", "views")
    assert refused.code == 1
    assert f"port {port} is taken" in refused.err
    assert "--base-port" in refused.err
    assert list(here.rglob("node.pid")) == []
    assert list(here.rglob("cluster.json")) == []


@pytest.mark.proof
def test_down_takes_down_both_designs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up local`, `down`, `local up --design views`, `down`: nothing may be left running."""
    monkeypatch.setenv("PATH", str(here))  # no docker, no kind
    raft_port, views_port = free_ports(), free_ports(3)
    raft = LocalCluster((here / processes.DIRECTORY), 1, raft_port)
    views = LocalViews((here / view_servers.DIRECTORY), 2, views_port)
    base = ("--nodes", "1", "--wait", "60", "--base-port")
    with down_at_the_end(raft, views):
        assert raftzmq("local", "up", *base, str(raft_port)).code == 0
        assert raftzmq("down").code == 0
        start_views(views)
        assert (
            raftzmq("local", "status").code == raftzmq("local", "status", "--design", "views").code
        )
        result = raftzmq("down")
        assert result.code == 0
        assert "no node was running" not in result.out
        assert "storage-0 stopped" in result.out
        assert not views.is_running

        assert raftzmq("local", "up", *base, str(raft_port)).code == 0
        start_views(views)
        result = raftzmq("local", "down")
        assert "storage-0 stopped" in result.out
        assert "raft-0 stopped" in result.out
        purged = raftzmq("down", "--purge")
        assert purged.code == 0
        assert not raft.directory.exists()
        assert not views.directory.exists()


def start_views(views: LocalViews) -> None:
    where = ("--base-port", str(views.base_port), "--wait", "60")
    started = raftzmq("local", "up", "--design", "views", "--nodes", "2", *where)
    assert started.code == 0, started
    assert started.lines[-1].endswith("local down --design views")


@pytest.mark.proof
def test_a_view_server_of_another_directory_is_not_taken_for_ones_own(here: Path) -> None:
    port = free_ports(3)
    first, second = (LocalViews(here / name, 2, port) for name in ("first", "second"))
    second.directory.mkdir()
    second.write()
    with down_at_the_end(first):
        assert up(first.directory, port, "--design", "views", "--nodes", "2").code == 0
        shown = raftzmq("local", "status", "--dir", "second")
        assert (shown.code, shown.out) == (3, "")
        assert "is not running" in shown.err
        assert json.loads(second.file.read_text())["base_port"] == port
        refused = up(second.directory, port, "--design", "views", "--nodes", "2")
        assert refused.code == 1
        assert "local down --dir first" in refused.err
        assert "stay the same" in refused.err


def test_a_cluster_with_keys_lets_in_only_who_has_one(here: Path) -> None:
    port = free_ports(3)
    cluster = LocalCluster(here / "c", 3, port, here / "keys")
    where = ("--dir", "c", "--wait", "60", "--base-port", str(port))
    with down_at_the_end(cluster):
        started = raftzmq("local", "up", *where, "--keys", "keys")
        assert started.code == 0, started
        assert "with the keys in keys" in started.lines[0]
        assert "  export RAFTZMQ_KEY=keys/admin.key" in started.lines
        get = ("client", "--endpoints", ",".join(cluster.endpoints), "get", "k")
        assert raftzmq(*get).code == 4
        assert raftzmq(*get, "--key", "keys/admin.key").code == 0

        assert raftzmq("local", "status", "--dir", "c").code == 0
        assert cluster.nodes[0].signal(signal.SIGKILL)
        while cluster.nodes[0].pid() is not None:
            time.sleep(0.01)
        again = raftzmq("local", "up", *where)
        assert again.code == 0, "it knows its keys"
        refused = raftzmq("local", "up", *where, "--keys", "others")
        assert (refused.code, refused.out) == (2, "")
        assert "with the keys in keys: leave out --keys" in refused.err
        assert not (here / "others").exists()


def test_the_older_design_with_keys_lets_in_only_who_has_one(here: Path) -> None:
    port = free_ports(3)
    servers = LocalViews(here / "v", 2, port, here / "keys")
    where = ("--design", "views", "--nodes", "2", "--dir", "v", "--base-port", str(port))
    with down_at_the_end(servers):
        started = raftzmq("local", "up", *where, "--wait", "60", "--keys", "keys")
        assert started.code == 0, started
        client = ("views", "client", "--view-server", servers.view_server)
        assert raftzmq(*client, "get", "k").code == 4
        assert raftzmq(*client, "--key", "keys/admin.key", "get", "k").code == 0
        assert raftzmq("local", "status", "--dir", "v").code == 0
