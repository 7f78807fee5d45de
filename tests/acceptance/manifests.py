"""The Pods that the acceptance run itself puts into a Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.acceptance.expectation import run
from tests.acceptance.platforms import PYTHON, SCRIPT

CHECK: Final = "client-check"
WRITER: Final = "acceptance-writer"
CONTAINER: Final = "raftzmq"
ORDERS: Final = "/work/orders.json"
REPORT: Final = "/work/report.json"
KEY_DIRECTORY: Final = "/etc/raftzmq/client"
CHECK_DIRECTORY: Final = Path(__file__).parents[2] / "kube" / "check"

Manifest = dict[str, Any]


def check_manifest(directory: Path, image: str, worker: str | None) -> Manifest:
    """The Pod of a directory of kube/ with this image, on this worker if one is given. Raises
    Unmet."""
    text = run("kubectl", "kustomize", str(directory)).expect().out
    pod: Manifest = yaml.safe_load(text)
    if worker is not None:
        pod["spec"]["nodeName"] = worker  # past the scheduler: cordoned or not, and on no other
    pod["spec"]["containers"][0]["image"] = image
    return pod


def writer_manifests(
    image: str,
    worker: str | None,
    prefix: str,
    environment: Mapping[str, str],
    secret: str | None = None,
) -> Manifest:
    """writer.py in a ConfigMap, and the Pod that runs it, on this worker if one is given, and with
    the key in a Secret."""
    command = [PYTHON, "/acceptance/writer.py", "--prefix", prefix]
    container: Manifest = {
        "name": CONTAINER,
        "image": image,
        "command": [*command, "--orders", ORDERS, "--report", REPORT],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "script", "mountPath": "/acceptance"},
            {"name": "work", "mountPath": "/work"},
        ],
    }
    volumes: list[Manifest] = [
        {"name": "script", "configMap": {"name": WRITER}},
        {"name": "work", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    if secret is not None:
        mounts: list[Manifest] = container["volumeMounts"]
        mounts.append({"name": "key", "mountPath": KEY_DIRECTORY, "readOnly": True})
        volumes.append({"name": "key", "secret": {"secretName": secret, "defaultMode": 0o440}})
    labels = {
        "app.kubernetes.io/name": "raftzmq",
        "app.kubernetes.io/component": "acceptance",
        "app.kubernetes.io/part-of": "raftzmq",
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": WRITER, "labels": labels},
        "spec": {
            **({"nodeName": worker} if worker is not None else {}),
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        },
    }
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": WRITER, "labels": labels},
        "data": {SCRIPT.name: SCRIPT.read_text()},
    }
    return {"apiVersion": "v1", "kind": "List", "items": [script, pod]}
