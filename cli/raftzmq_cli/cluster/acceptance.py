"""Handing over to the acceptance run of the checkout, with the options of this deployment."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from raftzmq_cli.cluster import tools
from raftzmq_cli.cluster.deployment import Deployment
from raftzmq_cli.cluster.images import Image
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.settings import Output


@dataclass(frozen=True, slots=True)
class Workers:
    """The commands that take a worker down and bring it back; {} is its name."""

    stop: str
    start: str


def play(
    checkout: Path,
    deployment: Deployment,
    image: Image,
    workers: Workers,
    deploy: bool,
    output: Output | None,
) -> int:
    """Run `python -m tests.acceptance k8s`; return its exit code."""
    words = [
        *(sys.executable, "-m", "tests.acceptance", "k8s"),
        *("--context", deployment.kubectl.context),
        *("--namespace", deployment.kubectl.namespace),
        *design_and_overlay(deployment),
        *("--registry", image.registry),
        *("--tag", image.tag),
        *("--worker-stop", workers.stop),
        *("--worker-start", workers.start),
    ]
    if deploy:
        words.append("--deploy")
    if output is Output.JSON:
        words += ["-w", output]
    return tools.hand_over(words, checkout)


def design_and_overlay(deployment: Deployment) -> list[str]:
    """Raft has overlays; the older design has none."""
    if deployment.design is Design.RAFT:
        return ["--overlay", deployment.overlay]
    return ["--design", deployment.design]
