"""The line of docs/install.md that runs one container, and the three nodes of compose.yaml."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq import Client
from tests.containers.engine import ROOT, Engine, answer, docker, eventually, unique

pytestmark = [pytest.mark.system, pytest.mark.proof]

PAGE = ROOT / "docs" / "install.md"
UP_S = 180.0

OTHER_PORTS = """
services:
  raft-0: {ports: !override ["127.0.0.1::6001"]}
  raft-1: {ports: !override ["127.0.0.1::6001"]}
  raft-2: {ports: !override ["127.0.0.1::6001"]}
"""
"""So that clusters that somebody runs on this machine are not in the way."""


def test_the_one_line_starts_a_node_that_takes_writes(image: str, containers: Engine) -> None:
    (text,) = (line for line in PAGE.read_text().splitlines() if line.startswith("    docker run"))
    assert "docker build -f containers/Dockerfile -t raftzmq ." in PAGE.read_text()
    words = shlex.split(text)
    place = words.index("raftzmq")
    options = [word.replace("6001:6001", ":6001") for word in words[2:place]]
    assert options == ["--rm", "-p", "127.0.0.1::6001"]
    node = containers.start(*words[place + 1 :], options=options)
    with Client([answer("port", node, "6001")]) as db:
        db.put("greeting", "hello")
        assert (item := db.get("greeting"))
        assert item.value == "hello"


class Compose:
    """The project of containers/compose.yaml, under a name of its own."""

    def __init__(self, image: str, override: Path) -> None:
        self.name = unique("compose")
        self.files = (ROOT / "containers" / "compose.yaml", override)
        self.env = {**os.environ, "RAFTZMQ_IMAGE": image, "COMPOSE_PROJECT_NAME": self.name}

    def __call__(self, *words: str) -> str:
        """What `docker compose` prints, which must succeed."""
        files = [word for file in self.files for word in ("-f", str(file))]
        done = subprocess.run(
            ["docker", "compose", *files, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=UP_S,
            env=self.env,
        )
        assert done.returncode == 0, f"compose {' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def client(self, node: str, *words: str) -> str:
        return self("exec", "-T", node, "raftzmq", "client", "--timeout", "60", *words).strip()

    def leader(self, asked: str) -> str:
        found = json.loads(self.client(asked, "status", "-w", "json"))
        name: str = next(node["node"] for node in found if node["role"] == "leader")
        return name

    def state(self, node: str, field: str) -> str:
        return answer("inspect", "--format", f"{{{{.{field}}}}}", self.container(node))

    def container(self, node: str) -> str:
        return self("ps", "--all", "--quiet", node).strip()

    def up(self) -> None:
        self("up", "--detach", "--wait", "--no-build")


@pytest.fixture
def compose(image: str, tmp_path: Path) -> Iterator[Compose]:
    if docker("compose", "version").code != 0:
        pytest.skip("the plugin `docker compose` is not installed")
    override = tmp_path / "ports.yaml"
    override.write_text(OTHER_PORTS)
    made = Compose(image, override)
    try:
        yield made
    finally:
        made("down", "--volumes", "--timeout", "1")


def test_three_nodes_with_keys_go_on_without_their_leader_and_it_is_started_again(
    compose: Compose,
) -> None:
    compose.up()
    compose.client("raft-0", "put", "greeting", "hello")
    leader = compose.leader("raft-0")
    other = next(node for node in ("raft-0", "raft-1", "raft-2") if node != leader)

    # Not by `docker kill`, after which Docker restarts nothing.
    os.kill(int(compose.state(leader, "State.Pid")), signal.SIGKILL)
    compose.client(other, "put", "second", "written")
    eventually(lambda: compose.state(leader, "RestartCount") == "1", "a restart of the leader")
    eventually(lambda: compose.state(leader, "State.Health.Status") == "healthy", "its health")

    refused = docker(
        "exec", "-e", "RAFTZMQ_KEY=", compose.container(other), "raftzmq", "client", "get", "second"
    )
    assert (refused.code, refused.out) == (4, ""), "a client without a key was let in"

    compose("down")
    compose.up()
    assert compose.client(other, "get", "greeting") == "hello"
    assert compose.client(leader, "get", "second") == "written"


def test_a_program_on_the_machine_reaches_all_three_by_their_published_ports(
    compose: Compose, tmp_path: Path
) -> None:
    compose.up()
    key = tmp_path / "admin.key"
    compose("cp", "raft-0:/etc/raftzmq/keys/admin.key", str(key))
    endpoints = [compose("port", f"raft-{k}", "6001").strip() for k in range(3)]
    with Client(endpoints, key=key) as db:
        db.put("greeting", "hello")
        assert (item := db.get("greeting"))
        assert item.value == "hello"
