"""The application of docs/python-kubernetes.md, as its head says it is applied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.containers.engine import ROOT
from tests.kube.server import kubectl
from tests.system.processes import wait_for

MANIFEST: Final = ROOT / "examples" / "application.yaml"
IMAGE: Final = "localhost:5001/raftzmq:0.3.0.dev0"

VISIT: Final = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8080/", timeout=20).read().decode())
"""

PATIENCE_S: Final = 120.0


def keys(*words: str) -> str:
    """`raftzmq keys …`; what it prints."""
    command = (sys.executable, "-m", "raftzmq_cli", "keys", *words)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def apply(directory: Path, namespace: str, shop: str, image: str) -> None:
    """Have the application run in the namespace `shop`, with the cluster in the other one, whose
    keys are in the directory."""
    where = ("--keys", str(directory))
    keys("add", "shop", "--read", "shop/", "--write", "shop/", *where)
    kubectl("replace", "-n", namespace, "-f", "-", stdin=keys("secret", str(directory)))
    secret = f"--from-file=client.key={directory / 'shop.key'}"
    kubectl("create", "secret", "generic", "raft-client", "-n", shop, secret)
    text = MANIFEST.read_text()
    for example, here in (
        ("namespace: shop", f"namespace: {shop}"),
        ("namespace: default", f"namespace: {namespace}"),
        ("value: default", f"value: {namespace}"),
        ("metadata.name: shop", f"metadata.name: {shop}"),
        (f"image: {IMAGE}", f"image: {image}"),
    ):
        assert example in text
        text = text.replace(example, here)
    kubectl("apply", "-f", "-", stdin=text)
    rollout = ("rollout", "status", "deployment/visitors", f"--timeout={PATIENCE_S:g}s")
    kubectl(*rollout, "-n", shop)


def counts_visitors(shop: str) -> None:
    """Each of the two pods counts on where the other one was."""
    listed = kubectl("get", "pods", "-n", shop, "-l", "app=visitors", "-o", "name")
    pods = listed.split()
    assert len(pods) == 2
    # Nodes read their keys again within a second or two, once kubelet has brought them the Secret.
    wait_for("a visitor", lambda: _visitor(shop, pods[0]), PATIENCE_S)
    seen = [_visitor(shop, pod) or 0 for pod in (*pods, *pods)]
    assert all(seen), seen
    assert seen == sorted(set(seen)), seen


def _visitor(shop: str, pod: str) -> int | None:
    """The number of a new visitor; None: the cluster did not answer in the application's time."""
    program = f"try:\n  exec({VISIT!r})\nexcept OSError as error:\n  print(error)"
    said = kubectl("exec", "-n", shop, pod, "--", "python", "-c", program).strip()
    return int(said.removeprefix("visitor ")) if said.startswith("visitor ") else None
