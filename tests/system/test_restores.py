"""Backups of a cluster that is written to, and the cluster that is made of one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from raftzmq import Item, WatchLost, limits
from raftzmq.lines import decode_entry
from raftzmq.machine import Machine
from raftzmq.offline import backups
from raftzmq.storage import OsFiles
from tests.cli.conftest import environment
from tests.system.keyed import PATIENCE_S, KeyedCluster, Writer
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), arguments=STEADY) as cluster:
        yield cluster.start()


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "raftzmq_cli", *map(str, words)]


def asked(cluster: Cluster | None, **more: str) -> dict[str, str]:
    endpoints = {} if cluster is None else {"RAFTZMQ_ENDPOINTS": ",".join(cluster.endpoints)}
    return environment(**endpoints, **more)


def cli(
    cluster: Cluster | None, *words: object, code: int = 0, piped: bytes | None = None, **more: str
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        command(*words),
        env=asked(cluster, **more),
        capture_output=True,
        input=piped,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done
    assert done.stderr.count(b"\n") <= 1, "one line says what is wrong"
    return done


def save(cluster: Cluster, path: Path, *words: object) -> dict[str, Any]:
    said = cli(cluster, "client", "snapshot", "save", path, "-w", "json", *words)
    document: dict[str, Any] = json.loads(said.stdout)
    return document


def replayed(node: NodeProcess, index: int) -> Machine:
    """The state that a node's log makes, up to an index."""
    machine = Machine()
    for segment in node.segments():
        for line in segment.read_bytes().splitlines(keepends=True):
            entry = decode_entry(line)
            if entry.index > index:
                return machine
            if entry.kind in ("command", "commands"):
                machine.apply_all([entry])
            else:
                machine.advance(entry.index, entry.time_ms)
    return machine


def has_in_log(node: NodeProcess, machine: Machine) -> bool:
    return replayed(node, machine.applied_index).applied_index == machine.applied_index


@pytest.mark.parametrize("who", ["a follower", pytest.param("the leader", marks=pytest.mark.proof)])
def test_it_is_the_log_replayed_up_to_its_revision(
    nodes: Cluster, tmp_path: Path, who: str
) -> None:
    """While somebody writes; and every write that was acknowledged before is in it."""
    leader = nodes.leader()
    node = leader if who == "the leader" else nodes.followers()[0]
    with Writer(nodes.client, "counted") as writer:
        writer.go_on()
        acknowledged = int(writer.written[-1])
        saved = save(nodes, tmp_path / "backup", "--node", node.name)
        writer.go_on()
    assert not writer.failed
    assert saved["node"] == node.name
    _, machine = backups.load(OsFiles(), tmp_path / "backup")
    assert machine.revision == saved["revision"]
    assert int(str(machine.state.keys.items["counted"][0])) >= acknowledged
    for other in nodes.nodes:
        wait_for(f"{other.name} has it in its log", partial(has_in_log, other, machine))
        assert replayed(other, machine.applied_index).state_hash() == machine.state_hash()


def test_it_is_whole_though_the_leader_changes(nodes: Cluster, tmp_path: Path) -> None:
    with nodes.client() as db, db.snapshot() as snapshot:
        first = next(snapshot)
        db.transfer(snapshot.node, timeout=PATIENCE_S)
        assert nodes.leader().name == snapshot.node
        db.put("after", "the snapshot", timeout=PATIENCE_S)
        (tmp_path / "backup").write_bytes(first + b"".join(snapshot))
    _, machine = backups.load(OsFiles(), tmp_path / "backup")
    assert machine.revision == snapshot.revision
    assert "after" not in machine.state.keys.items


def test_clients_of_the_old_cluster_go_on_in_the_new_one(nodes: Cluster, tmp_path: Path) -> None:
    with nodes.client() as db:
        seen = db.put("config", "old").revision
        db.put("bytes", b"\xff\x00")
        lease = db.lease_grant(3600)
        db.put("leased", "v", lease=lease)
        token = db.acquire("lock", "nightly", lease)
        saved = save(nodes, tmp_path / "backup", "--verify")
        db.put("config", "lost")
        db.delete("leased")
    with Cluster(tmp_path / "new", arguments=STEADY) as new:
        directories = [word for n in new.nodes for word in ("--data-dir", n.data_dir)]
        said = cli(
            None,
            *("snapshot", "restore", tmp_path / "backup", *directories),
            *("--peers", new.peers, "-w", "json"),
        )
        made = json.loads(said.stdout)
        assert made["cluster"] != saved["cluster"]
        assert made["revision"] == saved["revision"] + limits.REVISION_GAP
        new.start()
        with new.client() as db:
            assert db.get("config") == Item("config", "old", seen)
            assert [item.value for item in db.prefix("b")] == [b"\xff\x00"]
            assert [item.value for item in db.prefix("leased")] == ["v"]
            assert [3000 < one.remaining <= 3600 for one in db.leases(lease - 1, 1)] == [True]
            queue = db.describe("lock", "nightly")
            assert queue is not None
            assert [place.token for place in queue.holders] == [token]
            db.release("lock", "nightly", token)
            assert db.acquire("lock", "nightly", lease) > saved["revision"] + limits.REVISION_GAP
            assert db.put("config", "new").revision > made["revision"]
            with pytest.raises(WatchLost) as lost:
                next(iter(db.watch("config", start=saved["revision"])))
            assert lost.value.start > saved["revision"] + limits.REVISION_GAP
            with db.watch("config", start=lost.value.start) as watch:
                assert next(watch).value == "new"


@pytest.mark.proof
def test_what_is_there_is_kept_unless_it_is_forced(nodes: Cluster, tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("something else")
    words = ("client", "snapshot", "save", tmp_path / "backup")
    assert b"is there already" in cli(nodes, *words, code=2).stderr
    assert (tmp_path / "backup").read_text() == "something else"
    cli(nodes, *words, "--force")
    cli(nodes, "snapshot", "status", tmp_path / "backup")
    assert b"no directory" in cli(nodes, *words[:3], tmp_path / "no" / "backup", code=2).stderr


@pytest.mark.proof
def test_it_goes_through_pipes_and_damage_is_told(nodes: Cluster) -> None:
    data = cli(nodes, "client", "snapshot", "save", "-").stdout
    told = json.loads(cli(None, "snapshot", "status", "-", "-w", "json", piped=data).stdout)
    assert told["bytes"] == len(data)
    assert {member["name"] for member in told["members"]} == {"raft-0", "raft-1", "raft-2"}
    damaged = data[:-200] + b"?" + data[-199:]
    refused = cli(None, "snapshot", "status", "-", code=1, piped=damaged)
    assert b", line " in refused.stderr
    assert b", byte " in refused.stderr


def test_the_newest_are_kept_and_each_is_verified(nodes: Cluster, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("of somebody else")
    for number in range(3):
        with nodes.client() as db:
            db.put("number", str(number))
        said = cli(
            nodes, *("client", "snapshot", "save", "--into", tmp_path, "--keep", "2"), "--verify"
        )
        assert b"revision" in said.stdout
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert names[0] == "mine"
    found = [backups.load(OsFiles(), tmp_path / name)[1] for name in names[1:]]
    assert [machine.state.keys.items["number"][0] for machine in found] == ["1", "2"]
    noted = [(node.status() or {})["last_backup"]["revision"] for node in nodes.nodes]
    assert noted == [found[-1].revision] * 3


@pytest.mark.proof
def test_one_that_fails_removes_nothing_and_leaves_nothing(nodes: Cluster, tmp_path: Path) -> None:
    cli(nodes, "client", "snapshot", "save", "--into", tmp_path, "--keep", "1")
    kept = [path.name for path in tmp_path.iterdir()]
    words = ("client", "snapshot", "save", "--into", tmp_path, "--keep", "1", "--timeout", "1")
    cli(None, *words, code=3, RAFTZMQ_ENDPOINTS="127.0.0.1:1")
    assert [path.name for path in tmp_path.iterdir()] == kept


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_interrupted_leaves_nothing(
    nodes: Cluster, tmp_path: Path, number: signal.Signals
) -> None:
    with nodes.client() as db:
        for k in range(40):
            db.put(f"large/{k}", "v" * 900_000, timeout=PATIENCE_S)
    words = command("client", "snapshot", "save", tmp_path / "backup", "--verify")
    process = subprocess.Popen(words, env=asked(nodes))
    try:
        wait_for("it writes", lambda: any(tmp_path.iterdir()))
        process.send_signal(number)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    assert [path.name for path in tmp_path.iterdir()] in ([], ["backup"])
    with nodes.client() as db:
        db.delete_prefix("large/")


@pytest.mark.proof
def test_with_keys_it_takes_an_admin(tmp_path: Path) -> None:
    with KeyedCluster(tmp_path) as cluster:
        cluster.start()
        words = ("client", "snapshot", "save", tmp_path / "backup")
        cli(cluster, *words, RAFTZMQ_KEY=str(cluster.keys.file_of("admin")))
        assert backups.contents(OsFiles(), tmp_path / "backup").sessions == 0
