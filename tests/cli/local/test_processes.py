"""A local cluster's directory and processes, without starting nodes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq import Client
from raftzmq.errors import InvalidRequest, Refused, Unavailable
from raftzmq_cli.client import statuses
from raftzmq_cli.common import exits
from raftzmq_cli.common.messages import short
from raftzmq_cli.local import commands, processes
from raftzmq_cli.local.commands import first_line
from raftzmq_cli.local.processes import LocalCluster, LocalNode


@pytest.fixture
def cluster(tmp_path: Path) -> LocalCluster:
    made = LocalCluster(tmp_path / "here", 3, 7000)
    made.directory.mkdir()
    made.write()
    return made


@pytest.fixture
def impostor(cluster: LocalCluster) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose command line has a node's words, but which ignores SIGTERM."""
    node = cluster.nodes[0]
    program = (
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('ready', flush=True); signal.pause()"
    )
    arguments = ["node", node.name, "--data-dir", str(node.data)]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_ports_go_in_tens_and_peers_name_all(cluster: LocalCluster) -> None:
    assert [node.port for node in cluster.nodes] == [7000, 7010, 7020]
    assert cluster.endpoints == ("127.0.0.1:7001", "127.0.0.1:7011", "127.0.0.1:7021")
    expected = "raft-0=127.0.0.1:7000,raft-1=127.0.0.1:7010,raft-2=127.0.0.1:7020"
    assert {node.peers for node in cluster.nodes} == {expected}


def test_a_cluster_is_read_back_as_it_was_written(cluster: LocalCluster) -> None:
    assert processes.load(cluster.directory) == cluster


def test_a_cluster_with_keys_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    made = LocalCluster(tmp_path, 3, 7000, tmp_path / "keys")
    made.write()
    assert processes.load(tmp_path) == made
    assert all(node.command[-2:] == ["--keys", str(made.keys)] for node in made.nodes)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_description_is_refused(cluster: LocalCluster, text: str) -> None:
    (cluster.directory / "cluster.json").write_text(text)
    with pytest.raises(InvalidRequest, match=r"cluster\.json"):
        processes.load(cluster.directory)


def test_without_a_pid_file_a_node_is_down(cluster: LocalCluster) -> None:
    assert cluster.nodes[0].pid() is None


@pytest.mark.parametrize("text", ["", "nonsense", "999999999"])
def test_a_stale_pid_file_is_a_node_that_is_down(cluster: LocalCluster, text: str) -> None:
    node = cluster.nodes[0]
    node.directory.mkdir()
    node.pid_file.write_text(text)
    assert node.pid() is None


def test_another_process_with_the_same_number_is_not_taken_for_the_node(
    cluster: LocalCluster,
) -> None:
    node = cluster.nodes[0]
    node.directory.mkdir()
    node.pid_file.write_text(str(os.getpid()))
    assert node.pid() is None
    assert node.signal(signal.SIGKILL) is False


def test_a_process_with_the_nodes_command_line_is_the_node(
    cluster: LocalCluster, impostor: subprocess.Popen[bytes]
) -> None:
    node = cluster.nodes[0]
    node.directory.mkdir()
    node.pid_file.write_text(str(impostor.pid))
    assert node.pid() == impostor.pid


def test_a_node_that_does_not_stop_is_killed_after_the_grace(
    cluster: LocalCluster, impostor: subprocess.Popen[bytes]
) -> None:
    node = cluster.nodes[0]
    node.directory.mkdir()
    node.pid_file.write_text(str(impostor.pid))
    (line,) = processes.stop(cluster.nodes, grace_s=0.2)
    assert "was killed" in line
    assert impostor.wait(timeout=60) == -signal.SIGKILL
    assert not node.pid_file.exists()


def test_two_commands_do_not_work_in_one_directory_at_a_time(tmp_path: Path) -> None:
    with (
        processes.locked(tmp_path),
        pytest.raises(Refused, match="wait"),
        processes.locked(tmp_path),
    ):
        pass


def test_purging_leaves_what_is_not_ours(cluster: LocalCluster) -> None:
    cluster.nodes[1].data.mkdir(parents=True)
    mine = cluster.directory / "notes.txt"
    mine.write_text("mine")
    cluster.purge()
    assert list(cluster.directory.iterdir()) == [mine]


def test_purging_removes_the_directory_when_nothing_is_left(cluster: LocalCluster) -> None:
    cluster.nodes[1].data.mkdir(parents=True)
    cluster.purge()
    assert not cluster.directory.exists()


def test_the_first_line_says_what_is_started(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cluster.directory.parent)
    place = "127.0.0.1:7000, 7010, 7020, without keys; data in here"
    nodes = cluster.nodes
    assert first_line(cluster, nodes) == f"starting a local cluster of 3 nodes, {place}"
    assert (
        first_line(cluster, nodes[1:2]) == f"starting raft-1 of a local cluster of 3 nodes, {place}"
    )
    assert first_line(cluster, []) == f"a local cluster of 3 nodes is running already, {place}"


def test_paths_are_shown_from_here_if_they_are_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    assert short(tmp_path / "in" / "x") == "x"
    assert short(tmp_path / "out") == str(tmp_path / "out")


def test_the_description_is_plain_json(cluster: LocalCluster) -> None:
    document = json.loads((cluster.directory / "cluster.json").read_text())
    assert document == {"format": 1, "nodes": 3, "base_port": 7000}


def test_up_is_said_only_when_a_write_was_acknowledged(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A leader that answers may still have a long log to apply, or be replaced."""
    tries = 0

    def txn(_client: Client, *, timeout: float) -> None:
        nonlocal tries
        tries += 1
        assert timeout > 0
        if tries < 3:
            raise Unavailable("no leader answered")

    monkeypatch.setattr(Client, "txn", txn)
    monkeypatch.setattr(statuses, "collect", lambda _run, _timeout_s: [])
    monkeypatch.setattr(statuses, "verdict", lambda _documents: exits.DONE)
    monkeypatch.setattr(statuses, "summary", lambda _documents: "3 nodes")
    monkeypatch.setattr(LocalNode, "pid", lambda _node: 1)
    assert commands.wait_until_up(cluster, cluster.nodes, [], 30) == exits.DONE
    assert tries == 3
    assert capsys.readouterr().out.splitlines() == [
        "  3 nodes; no write is acknowledged yet",
        "the cluster is up: 3 nodes",
    ]
