"""The doctor, on clusters of real processes that are really ill."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from raftzmq import Client
from raftzmq.errors import StoreFull
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for
from tests.system.sluggish import delay_file

pytestmark = pytest.mark.system

BOUND_S: Final = 30.0
"""More than the doctor may take on a busy machine: it waits for nobody longer than some seconds."""


SLOWLY: Final = (
    *("--quota", "1MiB"),
    *("--election-timeout-ms", "800", "--heartbeat-ms", "50"),
)


def examine(*words: str) -> tuple[int, list[str]]:
    """Run a doctor as a process of its own; return its exit code and its lines."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
    done = subprocess.run(
        [sys.executable, "-m", "raftzmq_cli", *words],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        env=environment,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def ask(endpoints: Sequence[str]) -> tuple[int, list[str]]:
    return examine("client", "--endpoints", ",".join(endpoints), "doctor")


def is_of_the_cluster(line: str) -> bool:
    """Whether a line is about the nodes, and not about the machine that this test runs on."""
    return line[2:].partition(":")[0] not in {"disk", "memory", "fsync", "pauses", "room"}


def line_of(lines: Sequence[str], check: str) -> str:
    """The line of a check, without the check's name."""
    found = [line for line in lines if line[1:].startswith(f" {check}: ")]
    assert len(found) == 1, lines
    return found[0].replace(f" {check}:", "", 1)


@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"])
def test_nodes_that_stand_still_are_killed_and_are_damaged(cluster: Cluster) -> None:
    code, lines = ask(cluster.endpoints)
    assert code in (0, 1), lines
    assert lines[0].startswith("OK: " if code == 0 else "ATTENTION: ")
    assert {line for line in lines[1:] if line[0] != "✓" and is_of_the_cluster(line)} == set()
    leader = cluster.leader()
    still, other = cluster.followers()

    still.pause()
    code, lines = ask([leader.endpoint])
    assert code == 1
    assert lines[0].startswith("ATTENTION: it works, and needs a look at answers, quorum")
    said = line_of(lines, "answers")
    assert said.startswith(f"! {still.name} at {still.endpoint}: is connected, but does not answer")
    assert "It stands still: see its processor" in said
    assert line_of(lines, "quorum").startswith(f"! 2 of 3 voters answer, {still.name} missing")
    still.resume()

    still.kill()
    other.kill()
    code, lines = ask(cluster.endpoints)
    assert code == 3
    assert lines[0].startswith("FAILING: quorum")
    assert "1 of 3 voters answer, 2 are needed" in line_of(lines, "quorum")
    assert "bring back 1 of them" in line_of(lines, "quorum")
    assert "nothing listens there" in line_of(lines, "answers")

    _, lines = examine("doctor", "--offline", "--data-dir", str(still.data_dir))
    assert lines[1].startswith("✓ directory: ")
    assert f"of {still.name}: every line was read, nothing is damaged" in lines[1]
    _, lines = examine("doctor", "--offline", "--data-dir", str(leader.data_dir))
    assert lines[1].startswith("✓ directory: ")
    assert f"of {leader.name}: process {leader.pid} runs on it" in lines[1]
    before = contents(still)
    log = still.segments()[0]
    data = bytearray(log.read_bytes())
    second = data.index(b"\n") + 1
    data[second + 20] ^= 1
    log.write_bytes(data)
    code, lines = examine(
        "doctor", "--data-dir", str(still.data_dir), "--endpoints", leader.endpoint
    )
    assert code == 3
    assert lines[0].startswith("FAILING: directory, quorum")
    assert f"{log}, line 2, byte {second}: the checksum does not match" in lines[1]
    assert "--rejoin" in lines[1]
    assert contents(still) == {**before, log: bytes(data)}, "it changes nothing"


def contents(node: NodeProcess) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in node.data_dir.rglob("*") if path.is_file()}


@pytest.mark.proof
def test_a_store_that_is_full_a_slow_disk_an_open_port_and_an_even_number(tmp_path: Path) -> None:
    with Cluster(tmp_path, size=2, arguments=SLOWLY) as cluster:
        for node in cluster.nodes:
            node.program = "tests.system.sluggish"
            node.arguments += ["--insecure", "--listen", f"tcp://*:{node.port}"]
        cluster.start()
        slow = cluster.followers()[0]
        delay_file(slow.data_dir).write_text("0.3")
        with Client(cluster.endpoints) as client, pytest.raises(StoreFull):
            fill(client)
        code, lines = ask(cluster.endpoints)
        assert code == 3, lines
        assert lines[0].startswith("FAILING: quota"), lines
        assert "what adds is refused; delete what is not needed" in line_of(lines, "quota")
        said = line_of(lines, "fsync")
        assert said.startswith(f"! p99 of {slow.name} "), said
        assert "move it to a faster disk" in said
        assert line_of(lines, "voters").startswith("! 2 voters bear the loss of 0, as 1 would")
        assert "from other machines without keys; make keys" in line_of(lines, "keys")


def fill(client: Client) -> None:
    for number in range(50):
        client.put(f"key/{number}", "x" * 100_000, timeout=60)


@pytest.mark.proof
def test_a_cluster_that_waits_for_a_member(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        alone = cluster.nodes[0]
        alone.start()
        wait_for("it says that it waits", lambda: (alone.status() or {}).get("waiting"))
        code, lines = ask([alone.endpoint])
        assert code == 3
        assert lines[0].startswith("FAILING: leader")
        said = line_of(lines, "members")
        assert said.startswith("! raft-0 is no member: ")
        assert "raft-1" in said


@pytest.fixture
def mute() -> Iterator[str]:
    """An endpoint that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_wrong_endpoints_are_told_apart_in_bounded_time(mute: str) -> None:
    began_s = time.monotonic()
    code, lines = ask([mute, "no-such-host.invalid:6001", "127.0.0.1:1"])
    assert time.monotonic() - began_s < BOUND_S
    assert code == 3
    assert lines[0] == "FAILING: answers"
    assert f"{mute}: is connected, but does not answer" in lines[1]
    assert "the name no-such-host.invalid does not resolve" in lines[1]
    assert "127.0.0.1:1: no connection: nothing listens there" in lines[1]
    assert "raftzmq local up" in lines[1]


def test_json_has_a_document_for_each_check(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    code, lines = examine(
        *("doctor", "--offline", "--data-dir", str(tmp_path / "none")),
        *("--keys", str(tmp_path / "keys"), "-w", "json"),
    )
    assert code == 3
    document = json.loads(lines[0])
    assert (document["verdict"], document["exit_code"]) == ("failing", 3)
    assert document["summary"].startswith("FAILING: key files")
    results = {check["check"]: check["result"] for check in document["checks"]}
    assert results == {"directory": "attention", "key files": "failing"}
    assert all(check["cure"] for check in document["checks"])
