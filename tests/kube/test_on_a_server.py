"""A real API server takes the manifests. It is asked to store nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq_cli.cluster import checkout
from raftzmq_cli.cluster.api_versions import understood_by
from raftzmq_cli.cluster.deployment import Deployment
from raftzmq_cli.cluster.kubectl import Kubectl
from tests.kube.manifests import BUDGETS, EVERY, KUBE, objects, rendered
from tests.kube.server import CONTEXT, ON_A_SERVER, kubectl, made_namespace

BUDGET_V1 = (1, 21)
VERSIONS = 'jsonpath={range .items[*]}{.metadata.uid} {.metadata.generation}{"\\n"}{end}'
"""Of each object: a change makes another generation of it."""

pytestmark = ON_A_SERVER


@pytest.fixture(scope="module")
def server() -> tuple[int, int]:
    """The version of the server."""
    found = json.loads(kubectl("get", "--raw", "/version"))
    return int(found["major"]), int(found["minor"].rstrip("+"))


@pytest.fixture
def namespace() -> Iterator[str]:
    """One for this test alone."""
    with made_namespace() as name:
        yield name


@pytest.fixture(scope="module")
def empty() -> Iterator[str]:
    """A namespace in which nothing is ever made: what runs elsewhere makes no difference."""
    with made_namespace() as name:
        yield name


@pytest.mark.parametrize("how", ["client", "server"])
@pytest.mark.parametrize("directory", EVERY)
def test_the_server_would_take_every_object(
    directory: str, how: str, server: tuple[int, int], empty: str
) -> None:
    text = understood_by(server, rendered(directory))
    told = kubectl("apply", f"--dry-run={how}", "-n", empty, "--filename", "-", stdin=text)
    assert told.count("dry run)") == len(objects(directory))


def test_the_server_would_take_the_budget_of_its_version(
    server: tuple[int, int], empty: str
) -> None:
    budget = BUDGETS[0] if server >= BUDGET_V1 else BUDGETS[1]
    file = str(KUBE / budget / "disruption-budget.yaml")
    assert "dry run)" in kubectl("apply", "--dry-run=server", "-n", empty, "-f", file)


@pytest.mark.parametrize("overlay", ["base", "kind", "no-volumes", "hostpath"])
@pytest.mark.parametrize("first", ["cluster apply", "kustomize"])
def test_after_either_way_of_applying_the_other_changes_nothing(
    first: str, overlay: str, server: tuple[int, int], namespace: str, tmp_path: Path
) -> None:
    ours = Deployment(checkout.root(), Kubectl(CONTEXT, namespace), overlay).render(server)
    directory = KUBE / ("base" if overlay == "base" else f"overlays/{overlay}")
    budget = [] if overlay == "kind" else [KUBE / BUDGETS[0]]
    settings = {
        "namespace": namespace,
        "resources": [os.path.relpath(directory, tmp_path.resolve())],
        "components": [os.path.relpath(one, tmp_path.resolve()) for one in budget],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(settings))
    theirs = understood_by(server, kubectl("kustomize", str(tmp_path)))
    texts = [ours, theirs] if first == "cluster apply" else [theirs, ours]
    made = (
        "get",
        "statefulset/raft",
        "pod/client",
        "networkpolicy/raft",
        "-n",
        namespace,
        "-o",
        VERSIONS,
    )
    kubectl("apply", "--filename", "-", stdin=texts[0])
    before = kubectl(*made)
    told = kubectl("apply", "--filename", "-", stdin=texts[1]).splitlines()
    assert len(told) == ours.count("\nkind: ")
    # kubectl says "configured" of what the server completes, whether it changes or not.
    assert kubectl(*made) == before
