"""`cluster create` and `delete` with everything real but the program `kind` (fake_kind.py)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.cluster import fake_kind
from tests.cli.cluster.fake_kubernetes import FakeKubernetes, serving
from tests.cli.conftest import Result, execute
from tests.system.ports import free_ports

CLUSTER = "raftzmq-test"
REGISTRY = "raftzmq-test-registry"
REGISTRY_IMAGE = "raftzmq-test-registry:1"
BASE_IMAGE = "python:3.11-slim"
NODES = [
    f"{CLUSTER}-{role}" for role in ("control-plane", "worker", "worker2", "worker3", "worker4")
]

# A registry such as registry:2 is, from Debian's package of the same program.
REGISTRY_DOCKERFILE = f"""
FROM {BASE_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends docker-registry >/dev/null
RUN printf 'version: 0.1\\nstorage: {{inmemory: {{}}}}\\nhttp: {{addr: ":5000"}}\\n' >/registry.yml
ENTRYPOINT ["docker-registry", "serve", "/registry.yml"]
"""

KIND_CONFIG = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [{"role": "control-plane"}, *[{"role": "worker"}] * 4],
    "containerdConfigPatches": [
        '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"'
    ],
}

pytestmark = [pytest.mark.system, pytest.mark.proof]


def docker(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words], input=stdin, capture_output=True, text=True, check=False
    )


def existing(kind: str, name: str) -> bool:
    return docker(kind, "inspect", name).returncode == 0


@pytest.fixture(scope="module")
def registry_image() -> str:
    """Skips where this cannot be tried, and says why."""
    for program in ("docker", "kubectl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if docker("version").returncode != 0:
        pytest.skip("docker does not answer")
    if existing("network", fake_kind.NETWORK):
        pytest.skip("there is a docker network `kind` already, which is not the test's own")
    if not existing("image", BASE_IMAGE) and docker("pull", BASE_IMAGE).returncode != 0:
        pytest.skip(f"{BASE_IMAGE} can neither be found nor pulled")
    if not existing("image", REGISTRY_IMAGE):
        built = docker(
            "build", "--network=host", "-t", REGISTRY_IMAGE, "-", stdin=REGISTRY_DOCKERFILE
        )
        if built.returncode != 0:
            pytest.skip(f"no image of a registry could be built: {built.stderr[-300:]}")
    return REGISTRY_IMAGE


@dataclass(frozen=True)
class Machine:
    """A machine with the stand-in for kind on its PATH, and ways to look at what came about."""

    home: Path
    kubernetes: FakeKubernetes
    port: int
    registry_image: str

    @property
    def registry(self) -> str:
        return f"localhost:{self.port}"

    @property
    def fault(self) -> Path:
        return self.home / "fault"

    @property
    def record(self) -> Path:
        return self.home / "record"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "KUBECONFIG": str(self.home / "kubeconfig"),
            "FAKE_KIND_RECORD": str(self.record),
            "FAKE_KIND_SERVER": self.kubernetes.url,
            "FAKE_KIND_IMAGE": BASE_IMAGE,
            "FAKE_KIND_FAULT": str(self.fault),
            "RAFTZMQ_CLUSTER_NAME": CLUSTER,
            "RAFTZMQ_REGISTRY": self.registry,
            "RAFTZMQ_REGISTRY_NAME": REGISTRY,
            "RAFTZMQ_REGISTRY_IMAGE": self.registry_image,
        }

    def run(self, command: str) -> Result:
        return execute(["cluster", command], **self.environ)

    def calls(self, *beginning: str) -> list[dict[str, Any]]:
        """The calls of kind that began with these words."""
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        calls = [json.loads(line) for line in lines]
        return [call for call in calls if call["words"][: len(beginning)] == [*beginning]]

    def contexts(self) -> list[str]:
        words = ["kubectl", "config", "get-contexts", "-o", "name"]
        done = subprocess.run(
            words,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    def state(self) -> list[Any]:
        """Everything that a second `create` must leave as it is."""
        found = [json.loads(docker("inspect", name).stdout)[0] for name in [*NODES, REGISTRY]]
        listing = ("ls", "-lR", "--full-time", "/etc/containerd")
        return [
            [(c["Id"], c["State"]["StartedAt"], c["NetworkSettings"]["Networks"]) for c in found],
            [docker("exec", node, *listing).stdout for node in NODES],
            self.kubernetes.objects,
            self.kubernetes.changes,
        ]


@pytest.fixture
def machine(tmp_path: Path, registry_image: str) -> Iterator[Machine]:
    (tmp_path / "bin").mkdir()
    kind = tmp_path / "bin" / "kind"
    kind.write_text(f'#!/bin/sh\nexec {sys.executable} {fake_kind.__file__} "$@"\n')
    kind.chmod(0o755)
    try:
        with serving() as kubernetes:
            yield Machine(tmp_path, kubernetes, free_ports(1), registry_image)
    finally:
        docker("rm", "--force", "--volumes", REGISTRY, *NODES)
        docker("network", "rm", fake_kind.NETWORK)


def test_create_makes_what_kind_documents_for_a_local_registry_and_delete_undoes_it(
    machine: Machine,
) -> None:
    created = machine.run("create")
    assert created.code == 0, created

    (call,) = machine.calls("create", "cluster")
    assert call["words"] == ["create", "cluster", "--name", CLUSTER, "--config", "-"]
    assert call["config"] == KIND_CONFIG

    file = f"/etc/containerd/certs.d/{machine.registry}/hosts.toml"
    question = f"import urllib.request as u; print(u.urlopen('http://{REGISTRY}:5000/v2/').status)"
    for node in NODES:
        assert docker("exec", node, "cat", file).stdout == f'[host."http://{REGISTRY}:5000"]\n'
        assert docker("exec", node, "python3", "-c", question).stdout == "200\n"

    path = "/api/v1/namespaces/kube-public/configmaps/local-registry-hosting"
    assert machine.kubernetes.objects[path]["data"] == {
        "localRegistryHosting.v1": f'host: "{machine.registry}"\n'
        'help: "https://kind.sigs.k8s.io/docs/user/local-registry/"\n'
    }
    registry = json.loads(docker("inspect", REGISTRY).stdout)[0]
    assert registry["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert registry["HostConfig"]["PortBindings"] == {
        "5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(machine.port)}]
    }
    assert set(registry["NetworkSettings"]["Networks"]) == {"bridge", "kind"}
    assert f"$ kind create cluster --name {CLUSTER} --config -" in created.err

    before = machine.state()
    again = machine.run("create")
    assert again.code == 0, again
    assert machine.state() == before
    assert len(machine.calls("create", "cluster")) == 1

    deleted = machine.run("delete")
    assert deleted.code == 0, deleted
    assert [name for name in [*NODES, REGISTRY] if existing("container", name)] == []
    assert not existing("network", "kind")
    assert machine.contexts() == []

    nothing = machine.run("delete")
    assert nothing.code == 0, nothing
    assert "nothing to delete" in nothing.out


def test_a_kind_that_fails_midway_can_be_run_again(machine: Machine) -> None:
    machine.fault.touch()
    failed = machine.run("create")
    assert failed.code == 1
    assert failed.err.splitlines()[-1] == (
        "raftzmq: 'kind create cluster' failed: "
        "ERROR: failed to create cluster: failed to init node with kubeadm"
    )
    machine.fault.unlink()
    again = machine.run("create")
    assert again.code == 0, again
    assert "a registry already answers" in again.out
    assert machine.contexts() == [f"kind-{CLUSTER}"]


def test_a_registry_that_is_no_container_is_not_used(machine: Machine) -> None:
    with serving() as other:
        other.objects["/v2/"] = {}
        address = f"localhost:{other.server_port}"
        done = execute(["cluster", "create"], **{**machine.environ, "RAFTZMQ_REGISTRY": address})
    assert done.code == 1
    (line,) = [line for line in done.err.splitlines() if line.startswith("raftzmq: ")]
    assert "is not a container of this Docker" in line
    assert "--registry localhost:PORT" in line
    assert machine.calls("create", "cluster") == []


def test_a_registry_of_somebody_else_stays(machine: Machine) -> None:
    port = f"127.0.0.1:{machine.port}:5000"
    docker("run", "-d", "--name", REGISTRY, "-p", port, machine.registry_image)
    created = machine.run("create")
    assert created.code == 0, created
    assert machine.run("delete").code == 0
    assert existing("container", REGISTRY)
