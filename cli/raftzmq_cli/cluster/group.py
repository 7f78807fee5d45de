"""`raftzmq cluster`: the way to Kubernetes, step by step, with docker, kind and kubectl."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from raftzmq_cli.cluster.deployments_record import Where
from raftzmq_cli.cluster.options import (
    BASE_IMAGE,
    CLUSTER_NAME,
    REGISTRY,
    REGISTRY_IMAGE,
    REGISTRY_NAME,
    WAIT_S,
    BaseImage,
    BuildNetwork,
    ChosenDesign,
    ClusterName,
    Context,
    Namespace,
    Overlay,
    Purge,
    RegistryAddress,
    RegistryImage,
    RegistryName,
    Replicas,
    Tag,
    Timeout,
)
from raftzmq_cli.common import exits
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.invocation import examples_text
from raftzmq_cli.common.settings import GroupOutput, Output
from raftzmq_cli.local.commands import line

if TYPE_CHECKING:
    from raftzmq_cli.cluster.deployment import Deployment
    from raftzmq_cli.cluster.images import Image
    from raftzmq_cli.cluster.kind import Kind
    from raftzmq_cli.cluster.kubectl import Kubectl

app = typer.Typer(
    name="cluster",
    help="A cluster on Kubernetes: on one that kind makes here, or on any that kubectl reaches.",
    epilog=examples_text(
        """
        raftzmq cluster up kind           all of it: create, build, push, apply
        raftzmq cluster up k8s            build, push, apply on kubectl's current context
        raftzmq cluster status
        raftzmq cluster scale 5
        raftzmq cluster remove            what was applied; the Kubernetes stays
        raftzmq cluster delete            the kind cluster and its registry

        Each command shows what it runs and can be run again. Exit codes: 0 done; 1 a step
        failed; 2 wrong usage; 3 no answer, or not in time; 4 Kubernetes does not permit it.
        """
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)

Place = Annotated[
    Where | None,
    typer.Argument(
        metavar="kind|k8s",
        help="kind: a cluster that is made here; k8s: the one that kubectl's context reaches.",
        show_default=False,
    ),
]
_KIND_OVERLAY: Final = "kind"


@app.callback()
def group(ctx: typer.Context) -> None:
    # What was started ends with this program, however it is told to end.
    for number in (signal.SIGTERM, signal.SIGHUP):
        before = signal.signal(number, signal.default_int_handler)
        ctx.call_on_close(partial(signal.signal, number, before))


@app.command(
    "create",
    epilog=examples_text(
        "raftzmq cluster create\nraftzmq cluster create --registry localhost:5002"
    ),
)
def create(
    cluster_name: ClusterName = CLUSTER_NAME,
    registry: RegistryAddress = REGISTRY,
    registry_name: RegistryName = REGISTRY_NAME,
    registry_image: RegistryImage = REGISTRY_IMAGE,
) -> None:
    """Make a kind cluster of one control plane and four workers, and a registry it pulls from."""
    kind_of(cluster_name, registry, registry_name, registry_image).create(line)


@app.command("build", epilog=examples_text("raftzmq cluster build --network host"))
def build(
    registry: RegistryAddress = REGISTRY,
    tag: Tag = None,
    base_image: BaseImage = BASE_IMAGE,
    network: BuildNetwork = None,
) -> None:
    """Build the image from this checkout."""
    from raftzmq_cli.cluster import checkout, images

    image = image_of(registry, tag)
    images.build(image, checkout.root(), base_image, network)
    line(f"image {image} is built; next: raftzmq cluster push")


@app.command("push")
def push(registry: RegistryAddress = REGISTRY, tag: Tag = None) -> None:
    """Push the image to the registry."""
    from raftzmq_cli.cluster import images
    from raftzmq_cli.cluster.registry import Registry

    image = image_of(registry, tag)
    images.push(image, Registry(registry))
    line(f"image {image} is pushed; next: raftzmq cluster apply")


@app.command(
    "apply",
    epilog=examples_text(
        """
        raftzmq cluster apply
        raftzmq cluster apply --overlay no-volumes --namespace try
        raftzmq cluster apply --design views
        """
    ),
)
def apply(
    design: ChosenDesign = Design.RAFT,
    context: Context = None,
    namespace: Namespace = None,
    overlay: Overlay = None,
    registry: RegistryAddress = REGISTRY,
    tag: Tag = None,
    replicas: Replicas = None,
    timeout: Timeout = WAIT_S,
) -> None:
    """Apply the manifests, and wait until all pods are ready and are members.

    Applying again changes what has changed; the number of replicas only with --replicas.
    """
    from raftzmq_cli.cluster.lifecycle import apply_and_wait

    deployment = deployment_of(design, context, namespace, overlay)
    apply_and_wait(deployment, image_of(registry, tag), replicas, timeout)


@app.command(
    "up",
    epilog=examples_text(
        """
        raftzmq cluster up
        raftzmq cluster up k8s --registry registry.example.com/team
        raftzmq cluster up --context staging --namespace raftzmq --replicas 5
        """
    ),
)
def up(
    place: Place = None,
    design: ChosenDesign = Design.RAFT,
    context: Context = None,
    namespace: Namespace = None,
    overlay: Overlay = None,
    cluster_name: ClusterName = CLUSTER_NAME,
    registry: RegistryAddress = REGISTRY,
    registry_name: RegistryName = REGISTRY_NAME,
    registry_image: RegistryImage = REGISTRY_IMAGE,
    tag: Tag = None,
    base_image: BaseImage = BASE_IMAGE,
    network: BuildNetwork = None,
    replicas: Replicas = None,
    timeout: Timeout = WAIT_S,
) -> None:
    """All steps: on kind create, build, push and apply; on another Kubernetes the last three.

    Without kind or k8s: k8s if a --context is given, else kind.
    """
    from raftzmq_cli.cluster.lifecycle import Plan, bring_up

    where = place or (Where.KIND if context is None else Where.K8S)
    made = kind_of(cluster_name, registry, registry_name, registry_image)
    plan = Plan(image_of(registry, tag), base_image, network, replicas, timeout, design)
    if where is Where.KIND:
        refuse_other_context(context, made)
        bring_up(plan, made, lambda: deployment_of(design, made.context, namespace, overlay))
    else:
        bring_up(plan, None, lambda: deployment_of(design, context, namespace, overlay))


@app.command(
    "test",
    epilog=examples_text(
        """
        raftzmq cluster test kind
        raftzmq cluster test k8s --overlay hostpath -w json
        """
    ),
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
            envvar="RAFTZMQ_WORKER_STOP", help="Takes a worker down; {} is the worker's name."
        ),
    ] = "docker stop {}",
    worker_start: Annotated[
        str, typer.Option(envvar="RAFTZMQ_WORKER_START", help="Brings it back.")
    ] = "docker start {}",
    deploy: Annotated[
        bool,
        typer.Option("--deploy", help="Deploy for this run, and take it down in the end."),
    ] = False,
    output: GroupOutput = None,
) -> int:
    """Play the acceptance run: kill leaders, stop workers, scale, roll, and count what is lost.

    It is played on what was applied before, or, with --deploy, on a deployment of its own.
    It says what it does, and ends with 0 if all is as it has to be, and 1 if not.
    """
    from raftzmq_cli.cluster import acceptance, checkout
    from raftzmq_cli.cluster.kubectl import kind_context

    root = checkout.root()
    if place is Where.KIND and context is None:
        context = kind_context(cluster_name)
    deployment = deployment_of(design, context, namespace, overlay)
    deployment.kubectl.server_version()
    workers = acceptance.Workers(worker_stop, worker_start)
    return acceptance.play(root, deployment, image_of(registry, tag), workers, deploy, output)


@app.command("scale", epilog=examples_text("raftzmq cluster scale 5\nraftzmq cluster scale 0"))
def scale(
    replicas: Annotated[int, typer.Argument(min=0, max=99, help="How many nodes.")],
    context: Context = None,
    namespace: Namespace = None,
    timeout: Timeout = WAIT_S,
) -> None:
    """Set the number of replicas, and wait until the membership is the same.

    The leader does it, one node at a time: new ones are caught up before they vote, surplus ones
    vote until they have been removed.
    """
    from raftzmq_cli.cluster import scaling

    kubectl = connect(context, namespace)
    scaling.scale(kubectl, replicas, timeout, line)


@app.command("status", epilog=examples_text("raftzmq cluster status -w json"))
def status(
    design: ChosenDesign = Design.RAFT,
    context: Context = None,
    namespace: Namespace = None,
    output: GroupOutput = None,
) -> int:
    """Show every pod, its worker, and what the node in it says. Exit codes as `client status`."""
    from raftzmq_cli.client import statuses
    from raftzmq_cli.cluster import membership, pods, views_pods
    from raftzmq_cli.cluster.kubectl import STATEFULSET

    kubectl = connect(context, namespace)
    if design is Design.VIEWS:
        return views_pods.status(kubectl, output or Output.SIMPLE)
    live = kubectl.get("statefulset", STATEFULSET)
    if live is None:
        raise exits.NothingThere(
            f"nothing is deployed in context {kubectl.context}, namespace {kubectl.namespace}: "
            "'raftzmq cluster apply' does that"
        )
    found = pods.nodes(kubectl)
    documents = membership.ask(kubectl, int(live["spec"]["replicas"]), found)
    rows = membership.joined(documents, found)
    membership.show(output or Output.SIMPLE, rows)
    if not rows:
        exits.say("raftzmq: the StatefulSet has 0 replicas: see 'raftzmq cluster scale'")
    return statuses.verdict(rows)


@app.command("remove")
def remove(
    design: ChosenDesign = Design.RAFT,
    context: Context = None,
    namespace: Namespace = None,
    overlay: Overlay = None,
    purge: Purge = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Delete what `apply` made; the Kubernetes and the namespace stay, and the data too.

    With --purge the volumes are removed as well.
    """
    from raftzmq_cli.cluster.lifecycle import remove_and_wait

    remove_and_wait(deployment_of(design, context, namespace, overlay), purge, timeout)


@app.command("delete")
def delete(
    cluster_name: ClusterName = CLUSTER_NAME,
    registry: RegistryAddress = REGISTRY,
    registry_name: RegistryName = REGISTRY_NAME,
) -> None:
    """Delete the kind cluster, and the registry if `create` made it."""
    kind_of(cluster_name, registry, registry_name, REGISTRY_IMAGE).delete(line)


def connect(context: str | None, namespace: str | None) -> Kubectl:
    """kubectl for these options, with a Kubernetes that answers. Raises ToolUnavailable."""
    from raftzmq_cli.cluster import kubectl

    connected = kubectl.connect(context, namespace)
    connected.server_version()
    return connected


def deployment_of(
    design: Design, context: str | None, namespace: str | None, overlay: str | None
) -> Deployment:
    """The deployment for a context. Raises ToolUnavailable, InvalidRequest."""
    from raftzmq_cli.cluster import deployment, kubectl
    from raftzmq_cli.cluster import lifecycle as bringing_up

    connected = kubectl.connect(context, namespace)
    on_kind = connected.is_kind and design is Design.RAFT
    usual = _KIND_OVERLAY if on_kind else deployment.BASE
    chosen = bringing_up.deployment_for(design, connected, overlay or usual)
    chosen.require()
    return chosen


def image_of(registry: str, tag: str | None) -> Image:
    from raftzmq import __version__
    from raftzmq_cli.cluster.images import Image

    return Image(registry, tag or __version__)


def kind_of(name: str, address: str, container: str, image: str) -> Kind:
    from raftzmq_cli.cluster.kind import Kind
    from raftzmq_cli.cluster.registry import Registry

    return Kind(name, Registry(address, container, image))


def refuse_other_context(context: str | None, made: Kind) -> None:
    """Raises InvalidRequest if the context given is not the one that kind makes."""
    if context not in (None, made.context):
        from raftzmq.errors import InvalidRequest

        raise InvalidRequest(
            f"on kind the context is {made.context}: leave --context {context} out, or say k8s"
        )
