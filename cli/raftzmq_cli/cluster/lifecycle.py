"""All steps of bringing a deployment up, one after the other, and of taking it down again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raftzmq_cli.cluster import checkout, deployments_record, images, rollout, tools
from raftzmq_cli.cluster.deployment import Deployment
from raftzmq_cli.cluster.deployments_record import BroughtUp, Where
from raftzmq_cli.cluster.images import Image
from raftzmq_cli.cluster.kind import Kind
from raftzmq_cli.cluster.kubectl import Kubectl
from raftzmq_cli.cluster.registry import Registry
from raftzmq_cli.cluster.views_deployment import ViewsDeployment
from raftzmq_cli.common.designs import Design
from raftzmq_cli.local.commands import line, program


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build and how much of it to run."""

    image: Image
    base_image: str
    build_network: str | None
    replicas: int | None
    timeout_s: float
    design: Design


def bring_up(plan: Plan, kind: Kind | None, choose: Callable[[], Deployment]) -> None:
    """Create (on kind only), build, push, apply. `choose` gives the deployment once that can be.

    What is begun is written down first, so that `down` finds it even if a step fails.
    """
    root = checkout.root()
    if kind is not None:
        registry = kind.registry.address
        line(f"on kind: cluster {kind.name}, registry {registry}, image {plan.image}")
        tools.require_docker()
        tools.require_kind()
        begun = Kubectl(kind.context, "default")
        deployments_record.add(_entry(plan, kind, deployment_for(plan.design, begun, Where.KIND)))
        kind.create(line)
    deployment = choose()
    kubectl = deployment.kubectl
    if kind is None:
        line(
            f"on the Kubernetes of context {kubectl.context}, namespace {kubectl.namespace}, "
            f"overlay {deployment.overlay}, image {plan.image}"
        )
        kubectl.server_version()
    images.build(plan.image, root, plan.base_image, plan.build_network)
    images.push(plan.image, Registry(plan.image.registry))
    if kind is None:
        deployments_record.add(_entry(plan, None, deployment))
    apply_and_wait(deployment, plan.image, plan.replicas, plan.timeout_s)


def apply_and_wait(
    deployment: Deployment, image: Image, replicas: int | None, timeout_s: float
) -> None:
    """Apply, and wait until all pods are ready and are members. Raises NotInTime."""
    kubectl = deployment.kubectl
    count = deployment.apply(image, replicas, line)
    warning = deployment.warning(count)
    if warning is not None:
        line(warning)
    if count == 0:
        line("the StatefulSet has 0 replicas: 'raftzmq cluster scale 3' starts them")
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


def take_down(entry: BroughtUp, purge: bool, timeout_s: float) -> None:
    """Of kind, the cluster and its registry; elsewhere what was applied, and nothing else."""
    line(f"taking down: {entry}")
    if entry.where is Where.KIND:
        Kind(entry.cluster_name, Registry(entry.registry, entry.registry_name)).delete(line)
        deployments_record.forget(entry)
        return
    kubectl = Kubectl(entry.context, entry.namespace)
    remove_and_wait(deployment_for(entry.design, kubectl, entry.overlay), purge, timeout_s)


def deployment_for(design: Design, kubectl: Kubectl, overlay: str) -> Deployment:
    """The deployment of a design; `overlay` is of Raft's only. Raises InvalidRequest."""
    kinds = {Design.RAFT: Deployment, Design.VIEWS: ViewsDeployment}
    return kinds[design](checkout.root(), kubectl, overlay)


def design_option(design: Design) -> str:
    """What a command needs besides, to be about this design."""
    return "" if design is Design.RAFT else f" --design {design}"


def _entry(plan: Plan, kind: Kind | None, deployment: Deployment) -> BroughtUp:
    return BroughtUp(
        where=Where.K8S if kind is None else Where.KIND,
        context=deployment.kubectl.context,
        namespace=deployment.kubectl.namespace,
        overlay=deployment.overlay,
        registry=plan.image.registry,
        tag=plan.image.tag,
        cluster_name="" if kind is None else kind.name,
        registry_name="" if kind is None else kind.registry.container,
        design=plan.design,
    )
