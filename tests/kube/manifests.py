"""The manifests as kubectl renders them, and the questions that tests ask of them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

KUBE: Final = Path(__file__).parents[2] / "kube"

Object = dict[str, Any]

WHOLE: Final = ("base", "overlays/kind", "overlays/no-volumes", "overlays/hostpath")
"""What is a whole cluster."""

ALL: Final = (*WHOLE, "check")
"""What is applied on its own."""

VIEWS: Final = ("views", "views/check")
"""The same of the older design, which tests/kube/test_views.py is about."""

EVERY: Final = (*ALL, *VIEWS)

BUDGETS: Final = ("components/disruption-budget", "components/disruption-budget-v1beta1")


@functools.cache
def rendered(directory: str | Path) -> str:
    """The YAML of a directory of kube/ (or another). Skips without kubectl; a warning fails."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBE / directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kubectl has warned"
    return done.stdout


def objects(directory: str | Path) -> list[Object]:
    """The objects of a directory of kube/."""
    return list(yaml.safe_load_all(rendered(directory)))


def with_components(directory: Path, *names: str) -> list[Object]:
    """The objects of base with these components, by a kustomization in this directory."""
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(KUBE / "base", directory)],
        "components": [os.path.relpath(KUBE / "components" / name, directory) for name in names],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return objects(directory)


def only(directory: str | Path, kind: str, name: str | None = None) -> Object:
    """The one object of a kind, and of that name if there are several."""
    found = [item for item in objects(directory) if item["kind"] == kind]
    if name is not None:
        found = [item for item in found if item["metadata"]["name"] == name]
    assert len(found) == 1, f"{directory} has {len(found)} objects of kind {kind}"
    return found[0]


def pods(directory: str | Path) -> Iterator[tuple[Object, Object]]:
    """Metadata and spec of every Pod, and of the pods that a StatefulSet or Deployment makes."""
    for item in objects(directory):
        if item["kind"] == "Pod":
            yield item["metadata"], item["spec"]
        elif item["kind"] in ("StatefulSet", "Deployment"):
            template = item["spec"]["template"]
            yield template["metadata"], template["spec"]


def containers(spec: Object) -> list[Object]:
    """All containers of a pod, those that run first among them."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def the_container(spec: Object) -> Object:
    """The container that a pod is about."""
    return next(container for container in spec["containers"] if container["name"] == "raftzmq")


def node_pod(directory: str | Path) -> Object:
    """The spec of the nodes' pods."""
    spec: Object = only(directory, "StatefulSet")["spec"]["template"]["spec"]
    return spec


def environment(container: Object) -> dict[str, Object]:
    """Name -> the rest of each variable."""
    return {variable["name"]: variable for variable in container.get("env", ())}
