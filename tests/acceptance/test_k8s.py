"""What the k8s platform makes of its options and of what Kubernetes says, and the pods it makes."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.acceptance.k8s import command_for, takes_pods
from tests.acceptance.manifests import CHECK_DIRECTORY, check_manifest, writer_manifests
from tests.acceptance.with_kubectl import ready


def test_the_name_of_the_worker_goes_where_the_option_says() -> None:
    words = command_for("ssh {} 'systemctl stop kubelet'", "kube-worker2")
    assert words == ["ssh", "kube-worker2", "systemctl stop kubelet"]


def pod(**metadata: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True"}]
    return {"metadata": metadata, "status": {"conditions": conditions}}


def test_a_pod_that_is_asked_to_end_is_not_ready() -> None:
    assert ready(pod())
    assert not ready(pod(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert not ready({"metadata": {}, "status": {}})


def worker(status: str, **spec: Any) -> dict[str, Any]:
    return {"spec": spec, "status": {"conditions": [{"type": "Ready", "status": status}]}}


def test_the_writer_goes_to_no_worker_that_is_down_or_kept_free() -> None:
    assert takes_pods(worker("True"))
    assert not takes_pods(worker("Unknown"))
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    assert not takes_pods(worker("True", taints=[taint]))


def test_the_writer_is_one_script_in_a_hardened_pod() -> None:
    script, writer = writer_manifests("an/image:1", "kube-worker4", "x/", {"A": "b"})["items"]
    compile(script["data"]["writer.py"], "writer.py", "exec")
    assert writer["spec"]["nodeName"] == "kube-worker4"
    container = writer["spec"]["containers"][0]
    assert container["image"] == "an/image:1"
    assert container["env"] == [{"name": "A", "value": "b"}]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert writer["spec"]["securityContext"]["runAsNonRoot"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_check_is_the_one_of_the_project_on_the_workers_that_is_told() -> None:
    made = check_manifest(CHECK_DIRECTORY, "an/image:1", "kube-worker4")
    assert made["metadata"]["name"] == "client-check"
    assert made["spec"]["restartPolicy"] == "Never"
    assert made["spec"]["nodeName"] == "kube-worker4"
    assert made["spec"]["containers"][0]["image"] == "an/image:1"
