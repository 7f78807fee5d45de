"""A real cluster of three nodes for the session, and ways to run the program against it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raftzmq_cli.cluster import rollout, tools
from raftzmq_cli.main import run
from tests.cli.programs import Programs, documents, pod, statefulset
from tests.system.ports import free_ports

PROGRAM = (sys.executable, "-m", "raftzmq_cli")
LIMIT_S = 300
"""No command of these tests may take longer; it is only there so that none hangs."""
PATIENCE_S = "60"
"""For answers, where a test gives no --timeout: nodes that are there may take their time."""


STEADY = {"RAFTZMQ_ELECTION_TIMEOUT_MS": "2000"}
"""For nodes that do not change their leader merely because they wait for the processor."""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def environment(**more: str) -> dict[str, str]:
    """The environment without anything that would configure the program, but with patience."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAFTZMQ_", "KUBERNETES_"))}
    return {**kept, "RAFTZMQ_TIMEOUT": PATIENCE_S, **more}


def execute(arguments: Sequence[str], **environ: str) -> Result:
    """Run the program as a process of its own."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment(**environ),
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class LocalCluster:
    """A cluster made by `raftzmq local up`."""

    directory: Path
    base_port: int

    @property
    def endpoints(self) -> str:
        return ",".join(f"127.0.0.1:{self.base_port + 10 * k + 1}" for k in range(3))

    def endpoint(self, name: str) -> str:
        """The client port of a node."""
        return self.endpoints.split(",")[int(name.removeprefix("raft-"))]

    @property
    def up_arguments(self) -> list[str]:
        where = ["--dir", str(self.directory), "--base-port", str(self.base_port)]
        return ["local", "up", *where, "--wait", "200"]

    def up(self, *more: str) -> Result:
        return execute([*self.up_arguments, *more], **STEADY)

    def down(self, *more: str) -> Result:
        return execute(["local", "down", "--dir", str(self.directory), *more])

    def status(self) -> Result:
        return execute(["local", "status", "--dir", str(self.directory), "-w", "json"])

    def pids(self) -> dict[str, int]:
        files = self.directory.glob("raft-*/node.pid")
        return {file.parent.name: int(file.read_text()) for file in files}

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.pids()[name], number)


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    cluster = LocalCluster(tmp_path_factory.mktemp("cluster"), free_ports(3))
    try:
        started = cluster.up()
        assert started.code == 0, started
        yield cluster
    finally:
        cluster.down("--purge")


@pytest.fixture
def cluster(shared_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The session's cluster, whole again after each test that harms it."""
    yield shared_cluster
    repaired = shared_cluster.up()
    assert repaired.code == 0, repaired


class Program:
    """Runs commands inside this process, which is quick."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture = capture
        self._patch = patch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Result:
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capture.readouterr()
        code = run(arguments)
        captured = self._capture.readouterr()
        return Result(code, captured.out, captured.err)


@pytest.fixture
def program(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    for name in list(os.environ):
        if name.startswith(("RAFTZMQ_", "KUBERNETES_", "MINOMBREPOD")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RAFTZMQ_TIMEOUT", PATIENCE_S)
    return Program(capfd, monkeypatch)


@pytest.fixture
def raftzmq(
    program: Program, shared_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> Program:
    """The program with the session's cluster as its endpoints."""
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", shared_cluster.endpoints)
    return program


@pytest.fixture
def nobody() -> Iterator[str]:
    """An endpoint where nothing listens, for the port is taken."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@pytest.fixture
def programs(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A PATH with nothing on it but what a test puts there, and a directory to work in."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tools, "_asked", set())
    monkeypatch.setattr(rollout, "_POLL_S", 0.01)
    return Programs(tmp_path / "bin")


@pytest.fixture
def kubernetes(programs: Programs) -> Programs:
    """kubectl with a Kubernetes that answers, and three nodes that are well."""
    programs.on("kubectl")
    programs.on("kubectl config current-context", "there\n")
    programs.on("kubectl config view", {"contexts": [{"context": {"namespace": "team"}}]})
    programs.on("kubectl version", {"serverVersion": {"major": "1", "minor": "20+"}})
    programs.on("kubectl get statefulset raft", statefulset(3))
    programs.on("kubectl get pods", {"items": [pod(f"raft-{k}") for k in range(3)]})
    programs.on("kubectl get pod client", pod("client"))
    programs.on("kubectl get events", {"items": []})
    programs.on("kubectl get namespace", {"metadata": {"name": "team"}})
    programs.on("kubectl get secret raft-keys", "secret/raft-keys\n")
    programs.on("kubectl get secret raft-client", "secret/raft-client\n")
    programs.on("kubectl kustomize", "kind: StatefulSet\n")
    programs.on("kubectl exec client", documents(["raft-0", "raft-1", "raft-2"]))
    programs.on("kubectl exec client txn", {"succeeded": True, "results": []})
    return programs
