"""The acceptance run as tests: on processes always, on containers where there is docker, and on the
Kubernetes that somebody has named.

    RAFTZMQ_TEST_IMAGE      the image for containers; built here by default
    RAFTZMQ_TEST_CONTEXT    kubectl's context of the Kubernetes; workers are stopped there
    RAFTZMQ_TEST_NAMESPACE  a deployment that is there; by default one is made and removed
    RAFTZMQ_TEST_OVERLAY    what of kube/ to deploy
    RAFTZMQ_TEST_REPORTS    a directory for each platform's report, as JSON
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from raftzmq import __version__
from tests.acceptance.__main__ import play
from tests.acceptance.docker import Docker
from tests.acceptance.k8s import Kubernetes
from tests.acceptance.local import Local
from tests.acceptance.platforms import Platform
from tests.acceptance.report import Narrator
from tests.acceptance.scenario import STEPS
from tests.acceptance.views_k8s import ViewsKubernetes
from tests.acceptance.views_platforms import ViewsDocker, ViewsLocal, ViewsPlatform
from tests.acceptance.views_scenario import STEPS as VIEWS_STEPS
from tests.acceptance.with_kubectl import Target
from tests.containers import engine

pytestmark = pytest.mark.system

OF_RAFT = [name for name, _, _ in STEPS]
OF_VIEWS = [name for name, _, _ in VIEWS_STEPS]
VARIABLES = "RAFTZMQ_TEST_"
CONTEXT = os.environ.get(f"{VARIABLES}CONTEXT")
IMAGE = os.environ.get(f"{VARIABLES}IMAGE")
NAMESPACE = os.environ.get(f"{VARIABLES}NAMESPACE")
OVERLAY = os.environ.get(f"{VARIABLES}OVERLAY")
REPORTS = os.environ.get(f"{VARIABLES}REPORTS")


def accept(
    make: Callable[[Callable[[str], None]], Platform | ViewsPlatform],
    evidence: Path,
    steps: Sequence[str] = OF_RAFT,
) -> None:
    """Play the scenario; every step must pass, and nothing be lost."""
    report = play(make, Narrator(sys.stdout), evidence)
    print("\n".join(report.lines()))
    if REPORTS:
        Path(REPORTS).mkdir(parents=True, exist_ok=True)
        (Path(REPORTS) / f"{report.platform}.json").write_text(json.dumps(report.document))
    assert report.failure is None, report.lines()
    assert [step.name for step in report.steps] == list(steps)
    assert all(step.passed and step.writer.acknowledged for step in report.steps)
    assert (report.lost, report.wrong) == (0, 0)
    assert report.passed


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image of this checkout, unless another one is given."""
    if reason := engine.why_not():
        pytest.skip(reason)
    if IMAGE:
        yield IMAGE
        return
    tag = engine.unique("acceptance")
    try:
        engine.build(tag)
        yield tag
    finally:
        engine.docker("image", "rm", "--force", tag)


@pytest.mark.proof
def test_on_processes(tmp_path: Path) -> None:
    accept(Local, tmp_path)


@pytest.mark.proof
def test_on_containers(image: str, tmp_path: Path) -> None:
    accept(lambda say: Docker(say, image), tmp_path)


@pytest.mark.proof
def test_the_older_design_on_processes(tmp_path: Path) -> None:
    accept(ViewsLocal, tmp_path, OF_VIEWS)


@pytest.mark.proof
def test_the_older_design_on_containers(image: str, tmp_path: Path) -> None:
    accept(lambda say: ViewsDocker(say, image), tmp_path, OF_VIEWS)


@pytest.mark.kubernetes
@pytest.mark.skipif(not CONTEXT, reason=f"{VARIABLES}CONTEXT names no Kubernetes to try this on")
def test_on_kubernetes(tmp_path: Path) -> None:
    accept(lambda say: Kubernetes(say, target(OVERLAY)), tmp_path)


@pytest.mark.kubernetes
@pytest.mark.skipif(not CONTEXT, reason=f"{VARIABLES}CONTEXT names no Kubernetes to try this on")
def test_the_older_design_on_kubernetes(tmp_path: Path) -> None:
    without_pause = [name for name in OF_VIEWS if name != "pause primary"]
    accept(lambda say: ViewsKubernetes(say, target(None)), tmp_path, without_pause)


def target(overlay: str | None) -> Target:
    """The Kubernetes that was named, with a namespace of its own for each deployment."""
    return Target(
        context=CONTEXT or "",
        namespace=NAMESPACE or f"raftzmq-acceptance-{secrets.token_hex(4)}",
        deploy=NAMESPACE is None,
        overlay=overlay,
        image=IMAGE or f"localhost:5001/raftzmq:{__version__}",
    )
