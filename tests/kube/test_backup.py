"""The component that backs a cluster up each night."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from raftzmq import __version__
from raftzmq.client.discovery import default_endpoints
from raftzmq_cli.cluster.api_versions import RENAMED, understood_by
from raftzmq_cli.common import buckets
from raftzmq_cli.main import run
from tests.kube.manifests import KUBE, Object, only, rendered, with_components
from tests.kube.test_schemas import VERSIONS

NEWER, OLDER = "components/backup", "components/backup-v1beta1"


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """An overlay of the base with backups."""
    up = "/".join([".."] * len(tmp_path.resolve().parts[1:]))
    settings: dict[str, Any] = {
        "namespace": "elsewhere",
        "resources": [f"{up}{(KUBE / 'base').resolve()}"],
        "components": [f"{up}{(KUBE / NEWER).resolve()}"],
        "images": [{"name": "localhost:5001/raftzmq", "newName": "mine", "newTag": "1"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def job() -> Object:
    document: Object = yaml.safe_load((KUBE / NEWER / "backup.yaml").read_text())
    return document


def pod() -> Object:
    spec: Object = job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def test_it_is_the_same_for_1_20() -> None:
    newer, older = ((KUBE / one / "backup.yaml").read_text() for one in (NEWER, OLDER))
    renamed = RENAMED["CronJob", "batch/v1"]
    assert newer.replace("apiVersion: batch/v1\n", f"apiVersion: {renamed.older}\n") == older
    assert understood_by((1, 20), newer) == older
    assert understood_by((1, 21), newer) == newer
    claims = [(KUBE / one / "claim.yaml").read_text() for one in (NEWER, OLDER)]
    assert claims[0] == claims[1]


@pytest.mark.parametrize("name", ["backup.yaml", "claim.yaml"])
def test_it_is_valid(name: str) -> None:
    item = yaml.safe_load((KUBE / NEWER / name).read_text())
    for version in (VERSIONS[0], VERSIONS[-1]):
        assert kubernetes_validate.validate(item, version, strict=True) == version


def test_it_moves_with_the_rest(cluster: Path) -> None:
    found = only(cluster, "CronJob")
    assert found["metadata"]["namespace"] == "elsewhere"
    spec = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == "mine:1"
    (volume,) = [v for v in spec["volumes"] if "persistentVolumeClaim" in v]
    claim = only(cluster, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert claim["metadata"]["namespace"] == "elsewhere"
    assert "raft-backup" in rendered(cluster)


def test_the_command_is_one_and_what_fails_is_not_tried_for_ever(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It says why it fails in one line, and the pod that did stays."""
    (container,) = pod()["containers"]
    program, *words = [word.replace("/backups", str(tmp_path)) for word in container["command"]]
    assert program == "raftzmq"
    assert {"--keep=7", "--verify"} <= {*words}
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", "127.0.0.1:1")
    words = [word for word in words if not word.startswith("--timeout")]
    assert run([*words, "--timeout=0.5"]) == 3
    said = capfd.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert [*tmp_path.iterdir()] == []
    assert pod()["restartPolicy"] == "Never"
    assert job()["spec"]["concurrencyPolicy"] == "Forbid"
    assert job()["spec"]["failedJobsHistoryLimit"] >= 1


def test_it_finds_the_nodes_and_its_key_and_keeps_to_the_restricted_profile() -> None:
    spec = pod()
    (container,) = spec["containers"]
    env = {one["name"]: one.get("value", "ns") for one in container["env"]}
    assert default_endpoints({**env, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == tuple(
        f"raft-{k}.raft-service.ns.svc.cluster.local:6001" for k in range(3)
    )
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert str(Path(env["RAFTZMQ_KEY"]).parent) in mounts
    assert container["image"] == f"localhost:5001/raftzmq:{__version__}"
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = container["securityContext"]
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("component", [NEWER, OLDER])
def test_with_a_bucket_there_is_no_volume_and_a_secret_says_where(
    tmp_path: Path,
    component: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = with_components(tmp_path, Path(component).name, "backup-s3")
    assert not [item for item in found if item["kind"] == "PersistentVolumeClaim"]
    (changed,) = [item for item in found if item["kind"] == "CronJob"]
    if component == NEWER:
        for version in (VERSIONS[0], VERSIONS[-1]):
            assert kubernetes_validate.validate(changed, version, strict=True) == version
    spec = changed["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,), (before,) = spec["containers"], pod()["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "raft-backup-s3"}}]
    added = [one for one in container["env"] if one not in before["env"]]
    assert added == [{"name": "TMPDIR", "value": "/backups"}]
    assert len(container["env"]) == len(before["env"]) + 1
    assert container["volumeMounts"] == before["volumeMounts"]
    (scratch,) = [volume for volume in spec["volumes"] if volume["name"] == "backups"]
    assert set(scratch) == {"name", "emptyDir"}
    into = [word for word in container["command"] if word not in before["command"]]
    assert into == ["--into=$(BACKUP_INTO)"]
    assert {*container["command"], "--into=/backups"} == {*before["command"], *into}
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *buckets.ROLES):
        monkeypatch.delenv(variable, raising=False)
    words = [word.replace("$(BACKUP_INTO)", "s3://bucket/a") for word in container["command"][1:]]
    assert run(words) == 2
    said = capfd.readouterr().err
    assert said.startswith("raftzmq: no credentials for s3://: set AWS_ACCESS_KEY_ID and ")
    assert run(container["command"][1:]) == 2
    assert "there is no directory $(BACKUP_INTO)" in capfd.readouterr().err


def test_the_comment_makes_the_secret_that_the_job_reads() -> None:
    text = (KUBE / "components" / "backup-s3" / "kustomization.yaml").read_text()
    names = re.findall(r"--from-literal=(\w+)=", text)
    assert "generic raft-backup-s3 " in text
    assert {*names} == {"BACKUP_INTO", *buckets.KEYS, "AWS_ENDPOINT_URL", "AWS_REGION"}
