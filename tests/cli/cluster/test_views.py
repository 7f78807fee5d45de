"""`raftzmq cluster --design views`: the older design, against a kubectl that is played."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import yaml

from raftzmq_cli.cluster import checkout, deployments_record, tools
from raftzmq_cli.cluster.deployment import Deployment
from raftzmq_cli.cluster.deployments_record import Entry, Where
from raftzmq_cli.cluster.images import Image
from raftzmq_cli.cluster.kubectl import Kubectl
from raftzmq_cli.cluster.views_deployment import ViewsDeployment
from raftzmq_cli.common.designs import Design
from tests.cli.conftest import Program
from tests.cli.programs import Programs, pod

STORAGE = ("storage-a", "storage-b", "storage-c")
VIEWS = ("--design", "views")
UP = ("cluster", "apply", *VIEWS, "--registry", "example.com")


def deployment(available: int = 3, **status: Any) -> dict[str, Any]:
    """The Deployment `storage` as Kubernetes describes it, rolled out but for what is given."""
    return {
        "metadata": {"name": "storage", "generation": 1},
        "spec": {"replicas": 3},
        "status": {
            "observedGeneration": 1,
            "replicas": 3,
            "updatedReplicas": 3,
            "availableReplicas": available,
            **status,
        },
    }


def said(primary: str | None = STORAGE[0], backup: str | None = STORAGE[1]) -> dict[str, Any]:
    """What `views client status -w json` says."""
    return {
        "view": 2,
        "primary": primary,
        "backup": backup,
        "idle": [name for name in STORAGE if name not in (primary, backup)],
        "healthy": backup is not None,
        "reason": "" if primary else "waits for the first storage server",
        "servers": [{"name": name, "incarnation": f"run of {name}"} for name in STORAGE],
    }


@pytest.fixture
def views(kubernetes: Programs) -> Programs:
    """kubectl with a Kubernetes in which all is well."""
    names = ("views-client", *STORAGE, "view-server")
    kubernetes.on("kubectl get deployment storage", deployment())
    kubernetes.on("kubectl get pods", {"items": [pod(name) for name in names]})
    kubernetes.on("kubectl exec views-client", said())
    kubernetes.on("kubectl kustomize", "rendered")
    return kubernetes


def test_apply_ends_when_there_are_a_primary_and_a_backup_that_has_everything(
    views: Programs, program: Program
) -> None:
    views.on("kubectl exec views-client", said(None, None), said(backup=None), said())
    result = program(*UP)
    assert result.code == 0, result
    assert views.calls("kubectl", "apply")[0][1] == "rendered"
    waited = [line for line in result.lines if line.startswith("  ")]
    assert waited[:2] == [
        "  waits for the first storage server",
        "  storage-a is primary, and has no backup yet",
    ]
    assert "the cluster is up: view 2, primary storage-a, backup storage-b, idle stor" in result.out
    assert result.lines[-1].endswith("status --context there --namespace team --design views")


def test_apply_waits_for_pods_and_says_what_is_missing(views: Programs, program: Program) -> None:
    pulling = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    items = [pod("view-server"), pod("views-client", ready=False, state=pulling)]
    well = [pod(name) for name in ("view-server", "views-client", *STORAGE)]
    views.on("kubectl get pods", {"items": items}, {"items": items}, {"items": well})
    # Asked once by itself, and then at each look; at the third the pods are well.
    seen = [*[deployment()] * 3, deployment(2), deployment()]
    views.on("kubectl get deployment storage", *seen)
    result = program(*UP)
    assert result.code == 0, result
    assert "views-client: ErrImagePull: no such image; 0 of 3 storage servers are" in result.out
    assert "  2 of 3 have been ready for their time\n" in result.out


def test_status_shows_every_pod_with_its_role(views: Programs, program: Program) -> None:
    result = program("cluster", "status", *VIEWS, "-w", "json")
    assert result.code == 0, result
    assert [(row["pod"], row["role"]) for row in result.json] == [
        ("view-server", None),
        ("storage-a", "primary"),
        ("storage-b", "backup"),
        ("storage-c", "idle"),
        ("views-client", None),
    ]


@pytest.mark.parametrize(
    ("answer", "code"), [(said(backup=None), 1), ("who knows", 3)], ids=["no backup", "silence"]
)
def test_status_is_not_well_without_a_backup_or_an_answer(
    answer: Any, code: int, views: Programs, program: Program
) -> None:
    views.on("kubectl exec", answer)
    assert program("cluster", "status", *VIEWS).code == code


def test_status_of_nothing_says_how_to_make_something(views: Programs, program: Program) -> None:
    views.on("kubectl get pods", {"items": []})
    result = program("cluster", "status", *VIEWS)
    assert result.code == 3
    assert "'raftzmq cluster apply --design views'" in result.err


def test_remove_waits_for_the_pods_of_this_design_only(views: Programs, program: Program) -> None:
    views.on("kubectl get pods", {"items": []})
    for design in Design:
        deployments_record.add(of(design))
    result = program("cluster", "remove", *VIEWS)
    assert result.code == 0, result
    selectors = {
        words[words.index("--selector") + 1] for words, _ in views.calls("kubectl", "pods")
    }
    assert selectors == {"app.kubernetes.io/name=raftzmq-views"}
    assert deployments_record.load() == [of(Design.RAFT)]


def of(design: Design) -> Entry:
    return Entry(Where.K8S, "there", "team", "base", "example.com", "1", "", "", design)


def test_a_record_of_before_there_were_two_designs_is_of_raft(programs: Programs) -> None:
    deployments_record.add(of(Design.RAFT))
    text = deployments_record.FILE.read_text()
    deployments_record.FILE.write_text(text.replace(',\n      "design": "raft"', ""))
    assert "design" not in deployments_record.FILE.read_text()
    assert deployments_record.load() == [of(Design.RAFT)]


def test_down_takes_down_the_design_that_is_up(views: Programs, program: Program) -> None:
    deployments_record.add(of(Design.VIEWS))
    views.on("kubectl get pods", {"items": []})
    result = program("down")
    assert result.code == 0, result
    assert "taking down: context there, namespace team, design views\n" in result.out
    assert views.calls("kubectl", "delete", "views-check")
    assert deployments_record.load() == []


def test_there_are_no_overlays(views: Programs, program: Program) -> None:
    result = program(*UP, "--overlay", "hostpath")
    assert result.code == 2
    assert "has no overlays: leave --overlay hostpath out" in result.err


def test_fewer_than_three_are_warned_of_and_waited_for_until_time_is_over(
    views: Programs, program: Program
) -> None:
    views.on("kubectl get pods", {"items": [pod("view-server"), pod("views-client")]})
    result = program(*UP, "--replicas", "2", "--timeout", "1")
    assert result.code == 3
    assert "0 of 2 storage servers are there" in result.err
    assert "warning: 2 of the usual 3 storage servers: there is no spare\n" in result.out


def test_the_acceptance_run_is_that_of_the_design(
    views: Programs, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def hand_over(words: list[str], *_: object) -> int:
        given.extend(words)
        return 0

    monkeypatch.setattr(tools, "hand_over", hand_over)
    assert program("cluster", "test", "k8s", *VIEWS).code == 0
    assert " ".join(VIEWS) in " ".join(given)
    assert "--overlay" not in given


def test_what_is_rendered_has_the_image_the_namespace_and_the_number() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    made: Deployment = ViewsDeployment(checkout.root(), Kubectl("there", "team"), "base")
    text = made.render((1, 20), Image("registry.example.com/team", "1.2.3"), replicas=4)
    documents = list(yaml.safe_load_all(text))
    assert {document["metadata"]["namespace"] for document in documents} == {"team"}
    assert text.count("image: registry.example.com/team/raftzmq:1.2.3") == 3
    (storage,) = [document for document in documents if document["kind"] == "Deployment"]
    assert storage["spec"]["replicas"] == 4
