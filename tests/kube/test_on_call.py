"""What the person on call does with kubectl, on the Kubernetes that somebody has named: an upgrade
and the way back, a backup by the nightly job, and a majority of volumes that is lost for good."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from raftzmq import __version__, limits
from raftzmq.versions import SPOKEN
from raftzmq_cli.cluster.api_versions import understood_by
from raftzmq_cli.cluster.kubectl import Kubectl
from tests.acceptance.expectation import PATIENCE_S, Done, run, until
from tests.acceptance.images import pushed, repository_of
from tests.acceptance.k8s import Kubernetes
from tests.acceptance.test_acceptance import CONTEXT, OVERLAY, target
from tests.acceptance.with_kubectl import ROLLOUT_S
from tests.acceptance.writing import Writing
from tests.containers import engine
from tests.kube.manifests import with_components
from tests.upgrade.builds import RELEASE, build_image, release_commit

pytestmark = [
    pytest.mark.system,
    pytest.mark.kubernetes,
    pytest.mark.skipif(not CONTEXT, reason="RAFTZMQ_TEST_CONTEXT names no Kubernetes"),
]

WELL_S: Final = 2 * PATIENCE_S


@pytest.fixture
def release() -> Iterator[str]:
    """The release's image, in the registry."""
    if reason := engine.why_not():
        pytest.skip(reason)
    commit = release_commit()
    if commit is None:
        pytest.skip(f"release {RELEASE} is not in this clone: fetch the whole history")
    image = f"{repository_of(target(OVERLAY).image)}:{RELEASE}"
    build_image(commit, image)
    yield pushed(image)
    engine.docker("image", "rm", "--force", image)


@pytest.fixture
def cluster() -> Iterator[OnCall]:
    """Three replicas of the present build."""
    made = OnCall(print, target(OVERLAY))
    try:
        made.deploy()
        yield made
    finally:
        made.close()


class OnCall(Kubernetes):
    """The commands of the runbook."""

    def raftzmq(self, *words: str) -> Done:
        """`raftzmq client …` in the pod `client`."""
        return self.kubectl("exec", "client", "--", "raftzmq", "client", *words)

    def item(self, key: str) -> dict[str, Any]:
        """What is under a key."""
        (found,) = json.loads(self.raftzmq("get", key, "-w", "json").expect().out)
        return dict(found)

    def upgrade(self) -> dict[str, Any]:
        """What `upgrade status` says; nothing while there is no leader."""
        said = self.raftzmq("upgrade", "status", "-w", "json")
        found: dict[str, Any] = json.loads(said.out) if said.out.startswith("{") else {}
        return found

    def image(self) -> str:
        """What the pods run now, with its digest: a tag may have meant another image once."""
        path = "jsonpath={.spec.template.spec.containers[0].image}"
        return self.act("get", "statefulset/raft", "-o", path).out.strip()

    def put_on(self, image: str) -> None:
        """Roll all pods to another image."""
        self.act("set", "image", "statefulset/raft", f"raftzmq={image}")
        arguments = ("rollout", "status", "statefulset/raft", f"--timeout={ROLLOUT_S}s")
        self.kubectl(*arguments, patience_s=ROLLOUT_S + PATIENCE_S).expect()

    def recover(self, *options: str) -> Done:
        """`raftzmq cluster recover …`."""
        where = ("--context", self.target.context, "--namespace", self.target.namespace)
        words = (sys.executable, "-m", "raftzmq_cli", "cluster", "recover", *where, *options)
        return run(*words, patience_s=2 * ROLLOUT_S)


def test_a_roll_back_and_forth_a_nightly_backup_and_a_lost_majority(
    cluster: OnCall, release: str, tmp_path: Path
) -> None:
    is_rolled_back_and_forth_under_a_writer(cluster, release)
    is_backed_up_by_the_nightly_job(cluster, tmp_path)
    is_recovered_from_one_volume(cluster)


def is_rolled_back_and_forth_under_a_writer(cluster: OnCall, release: str) -> None:
    present = cluster.image()
    writing = Writing(cluster, "on-call/")
    writing.begin("back")
    cluster.raftzmq("upgrade", "downgrade").expect()
    until("all settled", lambda: None if cluster.upgrade().get("settled") else "not yet")
    cluster.put_on(release)
    assert cluster.upgrade()["cluster_version"] == 1
    assert {node["build"] for node in cluster.upgrade()["nodes"]} == {RELEASE}

    writing.begin("forth")
    cluster.put_on(present)
    cluster.raftzmq("upgrade", "finish").expect()
    assert cluster.upgrade()["cluster_version"] == SPOKEN.highest
    assert {node["build"] for node in cluster.upgrade()["nodes"]} == {__version__}
    for step in ("back", "forth"):
        tally = writing.tally(step)
        assert tally.acknowledged, step
        assert not tally.refused, step
    findings = writing.findings()
    assert (findings["lost"], findings["wrong"]) == (0, 0)


def is_backed_up_by_the_nightly_job(cluster: OnCall, directory: Path) -> None:
    server = Kubectl(cluster.target.context, cluster.target.namespace).server_version()
    whole = with_components(directory, "backup", "root-owned-volumes")
    nightly = [item for item in whole if item["metadata"]["name"].startswith("raft-backup")]
    cluster.act("apply", "-f", "-", given=understood_by(server, yaml.safe_dump_all(nightly)))
    image = cluster.image()
    cluster.act("set", "image", "cronjob/raft-backup", f"raftzmq={image}", f"owner={image}")
    # `kubectl create job --from` of today no longer knows the CronJob of Kubernetes 1.20.
    cron = json.loads(cluster.act("get", "cronjob", "raft-backup", "-o", "json").out)
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "tonight"},
        "spec": cron["spec"]["jobTemplate"]["spec"],
    }
    cluster.act("create", "-f", "-", given=json.dumps(job))
    cluster.act("wait", "job/tonight", "--for=condition=Complete", f"--timeout={PATIENCE_S:g}s")
    assert "verified" in cluster.act("logs", "job/tonight").out
    statuses = json.loads(cluster.raftzmq("status", "-w", "json").expect().out)
    assert all(node["last_backup"] for node in statuses)


def is_recovered_from_one_volume(cluster: OnCall) -> None:
    cluster.raftzmq("put", "kept", "yes").expect()
    before = cluster.item("kept")["revision"]
    cluster.act("delete", "pvc", "data-raft-0", "data-raft-1", "--wait=false")
    cluster.act("delete", "pod", "raft-0", "raft-1", "--force", "--grace-period=0")

    told = cluster.recover().expect().out
    command = next(line for line in told.splitlines() if line.startswith("go on"))
    assert "--from raft-2" in command
    confirm = command.partition("--confirm ")[2].strip().strip('"')
    cluster.recover("--from", "raft-2", "--confirm", confirm).expect()

    assert cluster.item("kept")["value"] == "yes"
    cluster.raftzmq("put", "after", "too").expect()
    assert cluster.item("after")["revision"] > before + limits.REVISION_GAP
    until("three members", lambda: None if _is_well(cluster) else "not yet", WELL_S)


def _is_well(cluster: OnCall) -> bool:
    said = cluster.raftzmq("status", "-w", "json")
    nodes = json.loads(said.out) if said.code == 0 else []
    return len(nodes) == 3 and all(node["healthy"] for node in nodes)
