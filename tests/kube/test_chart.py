"""The chart, rendered by Helm itself, is what kustomize gives; its values reach the objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.kube.helm import CHART, Helm
from tests.kube.manifests import KUBE, Object, objects, with_components
from tests.kube.test_manifests import VERSION
from tests.kube.test_schemas import VERSIONS
from tests.monitoring.rules import ALERTS

pytestmark = pytest.mark.proof

WARNING = 2
"""The least severity, of those that Helm's lint knows, that fails here. 1 is advice."""


def rendered(answer: dict[str, Any]) -> dict[tuple[str, str], Object]:
    """(kind, name) -> object."""
    assert "error" not in answer, answer["error"]
    found = [
        item
        for text in answer["manifests"]
        for item in yaml.safe_load_all(text)
        if item is not None
    ]
    named = {(item["kind"], item["metadata"]["name"]): item for item in found}
    assert len(named) == len(found), "two objects have one name"
    return named


def from_kustomize(directory: Path, *components: str) -> dict[tuple[str, str], Object]:
    """The same of kube/base with components, but for the label that says by what it is managed."""
    text = yaml.safe_dump_all(with_components(directory, *components))
    managed = text.replace("managed-by: kustomize", "managed-by: Helm")
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(managed)}


def test_without_values_it_is_what_kustomize_gives(helm: Helm, tmp_path: Path) -> None:
    assert rendered(helm.render()) == from_kustomize(tmp_path, "disruption-budget")


def test_with_a_pod_monitor_it_is_what_kustomize_gives_with_that_component(
    helm: Helm, tmp_path: Path
) -> None:
    wanted = from_kustomize(tmp_path, "disruption-budget", "pod-monitor")
    assert rendered(helm.render(podMonitor=True)) == wanted


def test_with_backups_it_is_what_kustomize_gives_with_that_component(
    helm: Helm, tmp_path: Path
) -> None:
    wanted = from_kustomize(tmp_path, "disruption-budget", "backup")
    assert rendered(helm.render(backup={"enabled": True})) == wanted


def test_the_values_of_backups_reach_the_job_and_its_volume(helm: Helm, tmp_path: Path) -> None:
    values = {"enabled": True, "schedule": "0 * * * *", "keep": 24, "size": "50Gi"}
    changed = rendered(helm.render(backup=values, keys={"client": "raft-client-of-backups"}))
    wanted = from_kustomize(tmp_path, "backup")
    claim, job = wanted["PersistentVolumeClaim", "raft-backups"], wanted["CronJob", "raft-backup"]
    claim["spec"]["resources"]["requests"]["storage"] = "50Gi"
    job["spec"]["schedule"] = "0 * * * *"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    command = pod["containers"][0]["command"]
    command[command.index("--keep=7")] = "--keep=24"
    (key,) = (volume["secret"] for volume in pod["volumes"] if "secret" in volume)
    key["secretName"] = "raft-client-of-backups"
    assert changed["PersistentVolumeClaim", "raft-backups"] == claim
    assert changed["CronJob", "raft-backup"] == job


def test_without_a_budget_it_is_the_base(helm: Helm, tmp_path: Path) -> None:
    assert rendered(helm.render(disruptionBudget=False)) == from_kustomize(tmp_path)


def test_the_alerts_are_those_of_the_documents(helm: Helm) -> None:
    rule = rendered(helm.render(alerts=True))["PrometheusRule", "raft"]
    assert rule["apiVersion"] == "monitoring.coreos.com/v1"
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())


def test_its_values_reach_the_objects_and_nothing_else_changes(helm: Helm, tmp_path: Path) -> None:
    memory = {"requests": {"memory": "4Gi"}, "limits": {"memory": "8Gi"}}
    changed = rendered(
        helm.render(
            image={"repository": "registry.example.com/raftzmq", "tag": "one"},
            replicas=5,
            initialMembers=5,
            storage={"size": "20Gi", "className": "fast"},
            resources=memory,
            keys={"nodes": "other-keys", "client": "other-client"},
        )
    )
    wanted = from_kustomize(tmp_path, "disruption-budget")
    nodes = wanted["StatefulSet", "raft"]["spec"]
    client = wanted["Pod", "client"]["spec"]
    nodes["replicas"] = 5
    (container,) = nodes["template"]["spec"]["containers"]
    container["resources"] = memory
    (initial,) = (item for item in container["env"] if item["name"] == "RAFTZMQ_REPLICAS")
    initial["value"] = "5"
    for pod in (nodes["template"]["spec"], client):
        pod["containers"][0]["image"] = "registry.example.com/raftzmq:one"
        names = {"raft-keys": "other-keys", "raft-client": "other-client"}
        for volume in pod["volumes"]:
            if "secret" in volume:
                volume["secret"]["secretName"] = names[volume["secret"]["secretName"]]
    claim = nodes["volumeClaimTemplates"][0]["spec"]
    claim["resources"]["requests"]["storage"] = "20Gi"
    claim["storageClassName"] = "fast"
    assert changed == wanted


def test_with_volumes_of_root_it_is_what_kustomize_gives_with_that_component(
    helm: Helm, tmp_path: Path
) -> None:
    wanted = from_kustomize(tmp_path, "disruption-budget", "backup", "root-owned-volumes")
    assert rendered(helm.render(backup={"enabled": True}, storage={"rootOwned": True})) == wanted


def test_the_binding_names_the_namespace_of_the_release(helm: Helm) -> None:
    binding = rendered(helm.render(namespace="raft-here"))["RoleBinding", "raft"]
    assert [subject["namespace"] for subject in binding["subjects"]] == ["raft-here"]


def test_a_cluster_that_could_not_form_is_refused(helm: Helm) -> None:
    assert "replicas must be at least initialMembers" in helm.render(replicas=1)["error"]
    single = rendered(helm.render(replicas=1, initialMembers=1))
    assert single["StatefulSet", "raft"]["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"replica": 5}, "additional properties 'replica' not allowed"),
        ({"storage": {"sise": "1Gi"}}, "additional properties 'sise' not allowed"),
        ({"replicas": "many"}, "at '/replicas': got string, want integer"),
    ],
)
def test_a_value_that_is_none_is_refused(helm: Helm, values: dict[str, Any], error: str) -> None:
    assert error in helm.render(**values)["error"]


def test_lint_finds_nothing(helm: Helm) -> None:
    found = helm.render(podMonitor=True, alerts=True, backup={"enabled": True})["lint"]
    assert found["errors"] == []
    assert [one for one in found["messages"] if one["severity"] >= WARNING] == []


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_every_object_is_valid(helm: Helm, version: str) -> None:
    values: dict[str, Any] = {"replicas": 5, "storage": {"className": "fast"}}
    values["backup"] = {"enabled": True}
    for (kind, _), item in rendered(helm.render(**values)).items():
        assert kubernetes_validate.validate(item, version, strict=True) == version, kind


def test_its_versions_are_that_of_raftzmq() -> None:
    """A chart's own version is written in another form when it is one of development."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == VERSION
    assert chart["version"] == VERSION.replace(".dev", "-dev")


def test_its_links_lead_to_the_files_that_kustomize_reads() -> None:
    for name in ("base", "components"):
        assert (CHART / name).resolve() == KUBE / name
    assert (CHART / "alerts.yaml").resolve() == ALERTS
    assert objects("base")
