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
from collections.abc import Callable, Iterator
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
from tests.acceptance.with_kubectl import Target
from tests.containers import engine

pytestmark = pytest.mark.system

VARIABLES = "RAFTZMQ_TEST_"
CONTEXT = os.environ.get(f"{VARIABLES}CONTEXT")
IMAGE = os.environ.get(f"{VARIABLES}IMAGE")
NAMESPACE = os.environ.get(f"{VARIABLES}NAMESPACE")
OVERLAY = os.environ.get(f"{VARIABLES}OVERLAY")
REPORTS = os.environ.get(f"{VARIABLES}REPORTS")


def accept(make: Callable[[Callable[[str], None]], Platform], evidence: Path) -> None:
    """Play the scenario; every step must pass, and nothing be lost."""
    report = play(make, Narrator(sys.stdout), evidence)
    print("\n".join(report.lines()))
    if REPORTS:
        Path(REPORTS).mkdir(parents=True, exist_ok=True)
        (Path(REPORTS) / f"{report.platform}.json").write_text(json.dumps(report.document))
    assert report.failure is None, report.lines()
    assert [step.name for step in report.steps] == [name for name, _, _ in STEPS]
    assert all(step.passed and step.writer.acknowledged for step in report.steps)
    assert (report.lost, report.wrong) == (0, 0)
    assert report.passed


@pytest.fixture
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


def test_on_processes(tmp_path: Path) -> None:
    accept(Local, tmp_path)


def test_on_containers(image: str, tmp_path: Path) -> None:
    accept(lambda say: Docker(say, image), tmp_path)


@pytest.mark.kubernetes
@pytest.mark.skipif(not CONTEXT, reason=f"{VARIABLES}CONTEXT names no Kubernetes to try this on")
def test_on_kubernetes(tmp_path: Path) -> None:
    target = Target(
        context=CONTEXT or "",
        namespace=NAMESPACE or f"raftzmq-acceptance-{secrets.token_hex(4)}",
        deploy=NAMESPACE is None,
        overlay=OVERLAY,
        image=IMAGE or f"localhost:5001/raftzmq:{__version__}",
    )
    accept(lambda say: Kubernetes(say, target), tmp_path)
