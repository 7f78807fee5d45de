"""Helm installs the chart on the Kubernetes that somebody has named, scales it, takes it down.
Meanwhile the application of docs/python-kubernetes.md uses the cluster, from its own namespace."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.images import repository_of
from tests.acceptance.test_acceptance import OVERLAY, target
from tests.kube import application
from tests.kube.helm import Helm
from tests.kube.server import CONTEXT, ON_A_SERVER, kubectl, made_namespace
from tests.system.processes import wait_for

pytestmark = ON_A_SERVER


def test_it_is_installed_used_scaled_and_taken_down(helm: Helm, tmp_path: Path) -> None:
    image = target(OVERLAY).image
    repository = repository_of(image)
    values = {
        "image": {"repository": repository, "tag": image.removeprefix(f"{repository}:")},
        "storage": {"rootOwned": OVERLAY == "hostpath"},
    }
    keys = tmp_path / "keys"
    with made_namespace() as namespace, made_namespace() as shop:
        make_keys(keys, namespace)
        assert "error" not in helm.on_a_server("install", CONTEXT, namespace, **values)
        assert client(namespace, "put", "kept", "yes")
        application.apply(keys, namespace, shop, image)
        application.counts_visitors(shop)
        scaled = helm.on_a_server("upgrade", CONTEXT, namespace, **values, replicas=5)
        assert "error" not in scaled
        wait_for("five members", lambda: len(voters(namespace)) == 5)
        assert client(namespace, "get", "kept") == "yes\n"
        application.counts_visitors(shop)
        assert helm.on_a_server("uninstall", CONTEXT, namespace) == {}
        left = kubectl("get", "statefulset,service,cronjob", "-n", namespace, "-o", "name")
        assert left == ""
        volumes = kubectl("get", "pvc", "-n", namespace, "-o", "name").split()
        assert len(volumes) == 5, "data stays"


def make_keys(directory: Path, namespace: str) -> None:
    """Both Secrets, as docs/install.md says."""
    application.keys("create", str(directory))
    secrets = application.keys("secret", str(directory))
    kubectl("create", "-n", namespace, "-f", "-", stdin=secrets)


def client(namespace: str, *words: str) -> str:
    """`raftzmq client …` in the pod `client`."""
    return kubectl("exec", "-n", namespace, "client", "--", "raftzmq", "client", *words)


def voters(namespace: str) -> list[str]:
    members = json.loads(client(namespace, "member", "list", "-w", "json"))
    return [one["name"] for one in members if one["voter"]]
