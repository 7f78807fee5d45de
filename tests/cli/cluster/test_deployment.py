"""What is rendered for a Kubernetes, by the real kustomize of kubectl from the real manifests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from raftzmq.errors import InvalidRequest
from raftzmq_cli.cluster import checkout
from raftzmq_cli.cluster.api_versions import understood_by
from raftzmq_cli.cluster.deployment import Deployment, chosen_replicas, initial_members
from raftzmq_cli.cluster.images import Image
from raftzmq_cli.cluster.kubectl import Kubectl
from tests.cli.programs import statefulset
from tests.kube.manifests import objects

IMAGE = Image("registry.example.com/team", "1.2.3")
DIGEST = "sha256:" + "0" * 64
OVERLAYS = ("base", "kind", "no-volumes", "hostpath")


def rendered(overlay: str, server: tuple[int, int] = (1, 31), **more: Any) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    deployment = Deployment(checkout.root(), Kubectl("there", "team"), overlay)
    return list(yaml.safe_load_all(deployment.render(server, IMAGE, **more)))


def containers(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for document in documents:
        spec = document.get("spec", {})
        pod = spec.get("template", {}).get("spec", {}) if document["kind"] != "Pod" else spec
        yield from [*pod.get("containers", []), *pod.get("initContainers", [])]


def one(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_namespace_image_and_numbers_are_everywhere(overlay: str) -> None:
    documents = rendered(overlay, replicas=5, initial=2)
    assert {document["metadata"]["namespace"] for document in documents} == {"team"}
    images = {container["image"] for container in containers(documents)}
    assert images == {"registry.example.com/team/raftzmq:1.2.3"}
    assert one(documents, "StatefulSet")["spec"]["replicas"] == 5
    numbers = {
        variable["value"]
        for container in containers(documents)
        for variable in container.get("env", [])
        if variable["name"] == "RAFTZMQ_REPLICAS"
    }
    assert numbers == {"2"}


def test_a_known_digest_is_pinned() -> None:
    images = {container["image"] for container in containers(rendered("base", digest=DIGEST))}
    assert images == {f"registry.example.com/team/raftzmq:1.2.3@{DIGEST}"}


@pytest.mark.parametrize(
    ("server", "version"),
    [((1, 20), "policy/v1beta1"), ((1, 21), "policy/v1"), ((2, 0), "policy/v1")],
)
def test_the_disruption_budget_is_one_that_the_server_understands(
    server: tuple[int, int], version: str
) -> None:
    budget = one(rendered("base", server), "PodDisruptionBudget")
    assert budget["apiVersion"] == version


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_one_that_an_old_server_understands(overlay: str) -> None:
    assert one(rendered(overlay, (1, 20)), "PodDisruptionBudget")["apiVersion"] == "policy/v1beta1"


def test_only_what_an_older_server_lacks_is_renamed_for_it() -> None:
    text = "".join(
        f"apiVersion: {version}\nkind: {kind}\nmetadata:\n  apiVersion: {version}\n---\n"
        for version, kind in [("batch/v1", "Job"), ("batch/v1", "CronJob"), ("v1", "Pod")]
    ).removesuffix("---\n")
    assert understood_by((1, 21), text) == text
    lines = understood_by((1, 20), text).splitlines()
    changed = [(was, now) for was, now in zip(text.splitlines(), lines, strict=True) if was != now]
    assert changed == [("apiVersion: batch/v1", "apiVersion: batch/v1beta1")]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_applied_is_what_kustomize_gives(overlay: str) -> None:
    """To the order of a list: Kubernetes takes no other order of a pod's variables."""
    place = "base" if overlay == "base" else f"overlays/{overlay}"
    given = [item for item in objects(place) if item["kind"] != "PodDisruptionBudget"]
    applied = Deployment(checkout.root(), Kubectl("there", "default"), overlay).render((1, 31))
    ours = [i for i in yaml.safe_load_all(applied) if i["kind"] != "PodDisruptionBudget"]
    assert [item["kind"] for item in ours] == [item["kind"] for item in given]
    for own, theirs in zip(ours, given, strict=True):
        own["metadata"].pop("namespace")
        theirs["metadata"].pop("namespace", None)
        assert own == theirs


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_change_their_own_values_and_no_order(overlay: str) -> None:
    before = list(
        yaml.safe_load_all(
            Deployment(checkout.root(), Kubectl("there", "team"), overlay).render((1, 31))
        )
    )
    after = rendered(overlay, replicas=5, initial=2)
    changed = {
        path for old, new in zip(before, after, strict=True) for path in differences(old, new)
    }
    assert {path.rpartition("/")[2] for path in changed} == {"image", "replicas", "value"}


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Where two objects differ."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for key in old:
            yield from differences(old[key], new[key], f"{path}/{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{path}/{index}")
    elif old != new:
        yield path


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_one_disruption_budget_with_every_overlay(overlay: str) -> None:
    assert one(rendered(overlay), "PodDisruptionBudget")


def test_nothing_of_the_rendering_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []  # by this test: others render beside it
    make = tempfile.mkdtemp

    def noted(*arguments: Any, **named: Any) -> str:
        made.append(Path(make(*arguments, **named)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", noted)
    rendered("base")
    assert [path.parent for path in made] == [checkout.root() / ".raftzmq"]
    assert not made[0].exists()


def test_an_unknown_overlay_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="base, hostpath, kind, no-volumes"):
        Deployment(checkout.root(), Kubectl("there", "team"), "nonsense").require()


@pytest.mark.parametrize(
    ("live", "given", "replicas"),
    [(None, None, 3), (None, 5, 5), (5, None, 5), (5, 3, 3), (0, None, 0)],
)
def test_a_scaled_cluster_keeps_its_number_unless_another_is_given(
    live: int | None, given: int | None, replicas: int
) -> None:
    found = None if live is None else statefulset(live)
    assert chosen_replicas(found, given) == replicas


@pytest.mark.parametrize(
    ("live", "replicas", "initial"),
    [(None, 1, 1), (None, 3, 3), (None, 5, 3), (1, 5, 1), (3, 1, 3)],
)
def test_the_initial_members_are_chosen_once(live: int | None, replicas: int, initial: int) -> None:
    found = None if live is None else statefulset(replicas, initial=live)
    assert initial_members(found, replicas) == initial
