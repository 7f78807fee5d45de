"""Which deployment a command is about: by its design, its Kubernetes and its overlay."""

from __future__ import annotations

from typing import Final

from raftzmq_cli.cluster import checkout
from raftzmq_cli.cluster.deployment import BASE, Deployment
from raftzmq_cli.cluster.kubectl import Kubectl, connect
from raftzmq_cli.cluster.views_deployment import ViewsDeployment
from raftzmq_cli.common.designs import Design

KIND_OVERLAY: Final = "kind"
"""The overlay that is applied to a cluster of kind, unless another is asked for."""


def deployment_of(
    design: Design, context: str | None, namespace: str | None, overlay: str | None
) -> Deployment:
    """The deployment for the options of a command. Raises ToolUnavailable, InvalidRequest."""
    kubectl = connect(context, namespace)
    on_kind = kubectl.is_kind and design is Design.RAFT
    chosen = deployment_for(design, kubectl, overlay or (KIND_OVERLAY if on_kind else BASE))
    chosen.require()
    return chosen


def deployment_for(design: Design, kubectl: Kubectl, overlay: str) -> Deployment:
    """The deployment of a design; `overlay` is of Raft's only. Raises InvalidRequest."""
    kinds = {Design.RAFT: Deployment, Design.VIEWS: ViewsDeployment}
    return kinds[design](checkout.root(), kubectl, overlay)
