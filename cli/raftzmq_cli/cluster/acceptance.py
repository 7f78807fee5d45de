"""`raftzmq cluster test`: hand over to the acceptance run of the checkout."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from raftzmq_cli.cluster import checkout, tools
from raftzmq_cli.cluster.deployment import Deployment
from raftzmq_cli.cluster.deployments_record import Where
from raftzmq_cli.cluster.images import image_of
from raftzmq_cli.cluster.kubectl import kind_context
from raftzmq_cli.cluster.options import (
    CLUSTER_NAME,
    REGISTRY,
    ChosenDesign,
    ClusterName,
    Context,
    Namespace,
    Overlay,
    Place,
    RegistryAddress,
    Tag,
)
from raftzmq_cli.cluster.targets import deployment_of
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.settings import GroupOutput, Output

commands = Commands()


@commands.command(
    "test",
    """
    raftzmq cluster test kind
    raftzmq cluster test k8s --overlay hostpath -w json
    """,
)
def acceptance_run(
    place: Place = None,
    design: ChosenDesign = Design.RAFT,
    context: Context = None,
    namespace: Namespace = None,
    overlay: Overlay = None,
    cluster_name: ClusterName = CLUSTER_NAME,
    registry: RegistryAddress = REGISTRY,
    tag: Tag = None,
    worker_stop: Annotated[
        str,
        typer.Option(
            envvar="RAFTZMQ_WORKER_STOP", help="Command that stops a worker; {} is its name."
        ),
    ] = "docker stop {}",
    worker_start: Annotated[
        str, typer.Option(envvar="RAFTZMQ_WORKER_START", help="Command that starts it again.")
    ] = "docker start {}",
    deploy: Annotated[
        bool,
        typer.Option("--deploy", help="Deploy for this run, and remove it afterwards."),
    ] = False,
    output: GroupOutput = None,
) -> int:
    """Run the acceptance test: failures, scaling, lost writes.

    It kills leaders, stops workers, scales and rolls, and counts lost writes.

    It runs on the current deployment, or with --deploy on one of its own. It prints each step, and
    exits with 0 if it passes and 1 if not.
    """
    root = checkout.root()
    image = image_of(registry, tag)
    if place is Where.KIND and context is None:
        context = kind_context(cluster_name)
    deployment = deployment_of(design, context, namespace, overlay)
    deployment.kubectl.server_version()
    words = [
        *(sys.executable, "-m", "tests.acceptance", "k8s"),
        *("--context", deployment.kubectl.context),
        *("--namespace", deployment.kubectl.namespace),
        *_design_and_overlay(deployment),
        *("--registry", image.registry),
        *("--tag", image.tag),
        *("--worker-stop", worker_stop),
        *("--worker-start", worker_start),
    ]
    if deploy:
        words.append("--deploy")
    if output is Output.JSON:
        words += ["-w", output]
    return tools.hand_over(words, root)


def _design_and_overlay(deployment: Deployment) -> list[str]:
    """Raft has overlays; the older design has none."""
    if deployment.design is Design.RAFT:
        return ["--overlay", deployment.overlay]
    return ["--design", deployment.design]
