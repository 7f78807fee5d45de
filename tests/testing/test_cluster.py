"""Clusters of real processes, as the tests of an application disturb them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raftzmq import Client, InvalidRequest, Unavailable
from raftzmq.testing import Cluster, ports

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3, election_timeout_ms=1000) as cluster:
        yield cluster


def until(ready: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline_s, "not within 60 s"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_takes_writes_of_both_clients(cluster: Cluster) -> None:
    assert cluster.names == ("raft-0", "raft-1", "raft-2")
    assert set(cluster.running) == set(cluster.names)
    db = cluster.client()
    assert isinstance(db, Client)
    assert db.put("k", "v").leader == cluster.leader

    async def read() -> object:
        async with cluster.async_client(timeout=30) as other:
            item = await other.get("k")
            return item and item.value

    assert asyncio.run(read()) == "v"
    assert "raft-1" in cluster.log("raft-1")


def test_a_leader_that_is_killed_is_replaced_and_comes_back(cluster: Cluster) -> None:
    db = cluster.client(timeout=60)
    db.put("kept", "x")
    killed = cluster.kill_leader()
    assert killed not in cluster.running
    assert cluster.leader != killed
    assert db.put("k", "v").leader != killed
    cluster.restart(killed)
    cluster.wait_until_ready()
    item = db.get("kept", stale=True, endpoint=cluster.endpoint(killed), timeout=60)
    assert item is not None
    assert item.value == "x"


def test_a_node_listens_when_it_has_been_started(cluster: Cluster) -> None:
    name = cluster.names[0]
    cluster.restart(name)
    host, _, port = cluster.endpoint(name).rpartition(":")
    socket.create_connection((host, int(port))).close()
    cluster.wait_until_ready()


def test_a_node_that_has_lost_its_disk_gets_everything_again(cluster: Cluster) -> None:
    db = cluster.client(timeout=60)
    db.put("before", "x")
    wiped = next(name for name in cluster.names if name != cluster.leader)
    cluster.wipe(wiped)
    assert not (cluster.directory / wiped).exists()
    cluster.restart(wiped)
    cluster.wait_until_ready()
    item = db.get("before", stale=True, endpoint=cluster.endpoint(wiped), timeout=60)
    assert item is not None
    assert item.value == "x"


def test_it_shows_itself_and_its_nodes(cluster: Cluster) -> None:
    cluster.kill("raft-1")
    cluster.pause("raft-2")
    first, second, third = cluster.endpoints
    assert repr(cluster) == (
        f"<Cluster: raft-0 at {first} runs, raft-1 at {second} is down, "
        f"raft-2 at {third} stands still>"
    )
    cluster.repair()


@pytest.mark.proof
def test_a_leader_that_stops_hands_over(cluster: Cluster) -> None:
    stopped = cluster.leader
    cluster.stop(stopped)
    assert cluster.leader != stopped
    cluster.restart(stopped)
    cluster.wait_until_ready()


def test_a_leader_that_stands_still_is_replaced(cluster: Cluster) -> None:
    paused = cluster.leader
    cluster.pause(paused)
    assert cluster.leader != paused
    cluster.resume(paused)
    cluster.wait_until_ready()


def test_the_smaller_side_of_a_partition_does_nothing(cluster: Cluster) -> None:
    alone = cluster.leader
    others = [name for name in cluster.names if name != alone]
    cluster.partition([alone], others)
    assert cluster.leader in others
    db = cluster.client(timeout=60)
    assert db.put("k", "other side").leader in others
    status = db.status(cluster.endpoint(alone))
    assert status["commit_index"] < db.status(cluster.endpoint(others[0]))["commit_index"]
    cluster.partition()  # each on its own
    with pytest.raises(Unavailable):
        db.get("k", timeout=4)
    cluster.heal()
    cluster.wait_until_ready()
    item = db.get("k")
    assert item is not None
    assert item.value == "other side"


def test_what_is_wrong_is_said(cluster: Cluster) -> None:
    with pytest.raises(InvalidRequest, match=r"there is no node 'raft-9': there are raft-0, "):
        cluster.kill("raft-9")
    with pytest.raises(InvalidRequest, match="two groups"):
        cluster.partition(["raft-0"], ["raft-0", "raft-1"])
    with pytest.raises(InvalidRequest, match="1 to 9"):
        Cluster(0)


def test_to_start_it_again_does_nothing_and_not_after_its_end(cluster: Cluster) -> None:
    pids = [node.pid for node in cluster._nodes.values()]
    cluster.start()
    assert [node.pid for node in cluster._nodes.values()] == pids
    other = Cluster(1)
    other.close()
    with pytest.raises(InvalidRequest, match="closed: make another"):
        other.start()


def test_a_lack_of_ports_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_RANGE", range(port, port + 1))
        with pytest.raises(RuntimeError, match=f"no ports are free for 3 nodes.* between {port}"):
            ports.free_ports(3)


def test_a_lack_of_descriptors_is_said(tmp_path: Path) -> None:
    script = (
        "import resource\n"
        "from raftzmq.testing import Cluster\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "Cluster(1).start()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    last = result.stderr.splitlines()[-1]
    assert last.startswith("RuntimeError: raft-0 has ended with code -"), result.stderr
    assert "Too many open files" in last


@pytest.mark.proof
def test_a_body_that_raises_has_the_logs_shown_and_kept(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cluster = Cluster(1)
    with pytest.raises(ZeroDivisionError), cluster:
        raise ZeroDivisionError
    assert f"-- raft-0: {cluster.directory}/raft-0.log\n" in capfd.readouterr().err
    assert (cluster.directory / "raft-0.log").is_file()
    assert cluster.running == ()
    with Cluster(1) as other:
        pass
    assert not other.directory.exists()


def test_nodes_load_nothing_for_a_port_that_they_do_not_have() -> None:
    script = (
        "import sys\n"
        "import raftzmq.testing.nursery\n"
        "loaded = {'asyncio', 'prometheus_client', 'ssl'} & {*sys.modules}\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


PROGRAM = """
import os, time
from raftzmq.testing import Cluster
from raftzmq.testing.nodes import NURSERY
with Cluster(1) as cluster:
    child = os.fork()
    if child:
        print(child, NURSERY._process.pid, cluster._nodes["raft-0"].pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.proof
def test_all_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environment
    ) as tests:
        assert tests.stdout is not None
        child, *others = (int(pid) for pid in tests.stdout.readline().split())
        assert all(map(is_alive, others))
        tests.send_signal(signal.SIGKILL)
        try:
            until(lambda: not any(map(is_alive, others)))
            assert is_alive(child)  # and it has what its parent had open
        finally:
            os.kill(child, signal.SIGKILL)
