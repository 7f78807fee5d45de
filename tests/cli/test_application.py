"""The application of docs/python-kubernetes.md: its manifest, and its program with real nodes."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from raftzmq.client.discovery import default_endpoints
from tests.cli.conftest import LIMIT_S, LocalCluster, environment
from tests.containers.engine import ROOT, eventually
from tests.system.ports import free_ports

MANIFEST = ROOT / "examples" / "application.yaml"


def manifest() -> dict[str, Any]:
    """The objects by their kinds."""
    return {item["kind"]: item for item in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.mark.parametrize("version", ["1.25", "1.31"])
def test_every_object_is_valid(version: str) -> None:
    assert len(manifest()) == 3
    for item in manifest().values():
        assert kubernetes_validate.validate(item, version, strict=True) == version


def base(file: str) -> dict[str, Any]:
    """The first object of a file."""
    text = (ROOT / "kube" / "base" / file).read_text()
    found: dict[str, Any] = next(yaml.safe_load_all(text))
    return found


def test_it_asks_the_nodes_of_the_cluster_of_another_namespace() -> None:
    objects = manifest()
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    given = {item["name"]: item["value"] for item in container["env"]}
    service = base("service.yaml")["metadata"]["name"]
    assert default_endpoints({**given, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == tuple(
        f"raft-{k}.{service}.default.svc.cluster.local:6001" for k in range(3)
    )
    policy = objects["NetworkPolicy"]
    assert policy["metadata"]["namespace"] == given["RAFTZMQ_NAMESPACE"]
    own = base("network-policy.yaml")["spec"]
    assert policy["spec"]["podSelector"] == own["podSelector"]
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == own["ingress"][1]["ports"]
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert rule["from"][0]["podSelector"]["matchLabels"] == labels


def answer(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LIMIT_S) as reply:
        return str(reply.read().decode())


def visitor(port: int) -> int:
    """The number that this one has; 0: the cluster did not answer in the application's time."""
    try:
        return int(answer(port, "/").removeprefix("visitor "))
    except OSError:
        return 0


def is_ready(port: int) -> bool:
    try:
        return answer(port, "/readyz") == "ready\n"
    except OSError:
        return False


def test_its_program_counts_visitors(shared_cluster: LocalCluster, tmp_path: Path) -> None:
    program = tmp_path / "visitors.py"
    program.write_text(manifest()["ConfigMap"]["data"]["visitors.py"])
    port = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, str(program)],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        env=environment(RAFTZMQ_ENDPOINTS=shared_cluster.endpoints, PORT=str(port)),
    )
    try:
        eventually(lambda: is_ready(port), "the application")
        eventually(lambda: 0 < visitor(port) < visitor(port), "one visitor after another")
    finally:
        process.kill()
        process.wait()
