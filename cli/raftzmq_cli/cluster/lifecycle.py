"""`raftzmq cluster apply | up | remove`: from nothing to a cluster that serves, and back."""

from __future__ import annotations

from raftzmq.errors import InvalidRequest
from raftzmq_cli.cluster import checkout, deployments_record, rollout, tools
from raftzmq_cli.cluster.deployment import Deployment
from raftzmq_cli.cluster.deployments_record import Entry, Where
from raftzmq_cli.cluster.images import Image, build_image, image_of, push_image
from raftzmq_cli.cluster.kind import Kind
from raftzmq_cli.cluster.kubectl import Kubectl
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
    KindImage,
    Namespace,
    Overlay,
    Place,
    Purge,
    RegistryAddress,
    RegistryImage,
    RegistryName,
    Replicas,
    Tag,
    Timeout,
)
from raftzmq_cli.cluster.registry import Registry
from raftzmq_cli.cluster.targets import KIND_OVERLAY, deployment_for, deployment_of
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.messages import line, program

commands = Commands()


@commands.command(
    "apply",
    """
    raftzmq cluster apply
    raftzmq cluster apply --overlay no-volumes --namespace try
    raftzmq cluster apply --design views
    """,
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
    """Apply the manifests, and wait until all pods are members and a write succeeds.

    Applying again updates what has changed. The number of replicas changes only with --replicas.
    """
    deployment = deployment_of(design, context, namespace, overlay)
    apply_and_wait(deployment, image_of(registry, tag), replicas, timeout)


@commands.command(
    "up",
    """
    raftzmq cluster up
    raftzmq cluster up k8s --registry registry.example.com/team
    raftzmq cluster up --context staging --namespace raftzmq --replicas 5
    """,
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
    kind_image: KindImage = None,
    tag: Tag = None,
    base_image: BaseImage = BASE_IMAGE,
    network: BuildNetwork = None,
    replicas: Replicas = None,
    timeout: Timeout = WAIT_S,
) -> None:
    """Run all steps: create (on kind only), build, push and apply.

    Default: k8s if --context is given, else kind.
    """
    where = place or (Where.KIND if context is None else Where.K8S)
    kind = Kind(cluster_name, Registry(registry, registry_name, registry_image), kind_image)
    image = image_of(registry, tag)
    if where is Where.KIND:
        _refuse_other_context(context, kind)
    root = checkout.root()
    if where is Where.KIND:
        _begin_on_kind(kind, image, design)
        context = kind.context
    deployment = deployment_of(design, context, namespace, overlay)
    if where is Where.K8S:
        _begin_on(deployment, image)
    build_image(image, root, base_image, network)
    push_image(image, Registry(image.registry))
    if where is Where.K8S:
        deployments_record.add(_entry(deployment, image))
    apply_and_wait(deployment, image, replicas, timeout)


@commands.command("remove")
def remove(
    design: ChosenDesign = Design.RAFT,
    context: Context = None,
    namespace: Namespace = None,
    overlay: Overlay = None,
    purge: Purge = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Delete what `apply` made. Cluster, namespace and data stay.

    With --purge the volumes are deleted too.
    """
    remove_and_wait(deployment_of(design, context, namespace, overlay), purge, timeout)


def apply_and_wait(
    deployment: Deployment, image: Image, replicas: int | None, timeout_s: float
) -> None:
    """Apply, and wait until all is up. Raises NotInTime."""
    kubectl = deployment.kubectl
    count = deployment.apply(image, replicas, line)
    warning = deployment.warning(count)
    if warning is not None:
        line(warning)
    if count == 0:
        line("the StatefulSet has 0 replicas: start nodes with 'raftzmq cluster scale 3'")
        return
    is_up = deployment.wait(count, rollout.Patience(timeout_s, line))
    where = f"--context {kubectl.context} --namespace {kubectl.namespace}"
    line(f"the cluster is up: {is_up}; try next:")
    line(f"  kubectl {where} exec {deployment.try_next}")
    line(f"  {program()} cluster status {where}{design_option(deployment.design)}")


def remove_and_wait(deployment: Deployment, purge: bool, timeout_s: float) -> None:
    """Delete what `apply` made, and wait until its pods have ended. Raises NotInTime."""
    kubectl = deployment.kubectl
    deployment.remove(purge, line)
    deployment.wait_gone(rollout.Patience(timeout_s, line))
    removed = (kubectl.context, kubectl.namespace, deployment.design)
    for entry in deployments_record.load():
        if entry.where is Where.K8S and entry.place == removed:
            deployments_record.forget(entry)
    line(f"removed from context {kubectl.context}, namespace {kubectl.namespace}")


def take_down(entry: Entry, purge: bool, timeout_s: float) -> None:
    """Of kind, the cluster and its registry; elsewhere what was applied, and nothing else."""
    line(f"taking down: {entry}")
    if entry.where is Where.KIND:
        Kind(entry.cluster_name, Registry(entry.registry, entry.registry_name)).delete(line)
        deployments_record.forget(entry)
        return
    kubectl = Kubectl(entry.context, entry.namespace)
    remove_and_wait(deployment_for(entry.design, kubectl, entry.overlay), purge, timeout_s)


def design_option(design: Design) -> str:
    """What a command needs besides, to be about this design."""
    return "" if design is Design.RAFT else f" --design {design}"


def _begin_on_kind(kind: Kind, image: Image, design: Design) -> None:
    """Have the cluster of kind. It is written down first, so that `down` finds it even if a step
    fails."""
    line(f"on kind: cluster {kind.name}, registry {kind.registry.address}, image {image}")
    tools.require_docker()
    tools.require_kind()
    deployments_record.add(
        Entry(
            where=Where.KIND,
            context=kind.context,
            namespace="default",
            overlay=KIND_OVERLAY,
            registry=image.registry,
            tag=image.tag,
            cluster_name=kind.name,
            registry_name=kind.registry.container,
            design=design,
        )
    )
    kind.create(line)


def _begin_on(deployment: Deployment, image: Image) -> None:
    """Say where it goes, and require that the Kubernetes answers."""
    kubectl = deployment.kubectl
    line(
        f"on Kubernetes: context {kubectl.context}, namespace {kubectl.namespace}, "
        f"overlay {deployment.overlay}, image {image}"
    )
    kubectl.server_version()


def _entry(deployment: Deployment, image: Image) -> Entry:
    """What is recorded of a deployment on a Kubernetes that was there before."""
    return Entry(
        where=Where.K8S,
        context=deployment.kubectl.context,
        namespace=deployment.kubectl.namespace,
        overlay=deployment.overlay,
        registry=image.registry,
        tag=image.tag,
        cluster_name="",
        registry_name="",
        design=deployment.design,
    )


def _refuse_other_context(context: str | None, kind: Kind) -> None:
    """Raises InvalidRequest if the context given is not the one that kind makes."""
    if context not in (None, kind.context):
        raise InvalidRequest(
            f"on kind the context is {kind.context}: leave --context {context} out, or say k8s"
        )
