"""The options of `raftzmq cluster`, each of which is an environment variable as well."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from raftzmq_cli.cluster.deployments_record import Where
from raftzmq_cli.common.designs import Design

WAIT_S: Final = 300.0
REGISTRY: Final = "localhost:5001"
REGISTRY_NAME: Final = "kind-registry"
REGISTRY_IMAGE: Final = "registry:2"
CLUSTER_NAME: Final = "raftzmq"
BASE_IMAGE: Final = "python:3.14-slim"

Place = Annotated[
    Where | None,
    typer.Argument(
        metavar="kind|k8s",
        help="kind: a kind cluster on this machine; k8s: the cluster of kubectl's context.",
        show_default=False,
    ),
]
ChosenDesign = Annotated[
    Design,
    typer.Option(
        "--design",
        envvar="RAFTZMQ_DESIGN",
        help="raft: a StatefulSet of Raft nodes; views: the older design, a view server and a "
        "Deployment of storage servers.",
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context", envvar="RAFTZMQ_CONTEXT", help="kubectl's context (default: the current one)."
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        envvar="RAFTZMQ_NAMESPACE",
        help="The namespace (default: that of the context, else `default`).",
    ),
]
Overlay = Annotated[
    str | None,
    typer.Option(
        "--overlay",
        envvar="RAFTZMQ_OVERLAY",
        help="Part of kube/ to apply: base, or one of kube/overlays (default: kind on a context "
        "of kind, else base).",
    ),
]
RegistryAddress = Annotated[
    str,
    typer.Option(
        "--registry",
        envvar="RAFTZMQ_REGISTRY",
        help="The image registry, HOST:PORT or HOST:PORT/PATH.",
    ),
]
RegistryName = Annotated[
    str,
    typer.Option(
        "--registry-name",
        envvar="RAFTZMQ_REGISTRY_NAME",
        help="Name of the registry container that `create` makes.",
    ),
]
RegistryImage = Annotated[
    str,
    typer.Option(
        "--registry-image",
        envvar="RAFTZMQ_REGISTRY_IMAGE",
        help="Image of the registry container.",
    ),
]
Tag = Annotated[
    str | None,
    typer.Option(
        "--tag", envvar="RAFTZMQ_TAG", help="Tag of the image (default: raftzmq's version)."
    ),
]
BaseImage = Annotated[
    str,
    typer.Option(
        "--base-image",
        envvar="RAFTZMQ_BASE_IMAGE",
        help="Base image: Python 3.11 or newer with venv and pip.",
    ),
]
BuildNetwork = Annotated[
    str | None,
    typer.Option(
        "--network",
        envvar="RAFTZMQ_BUILD_NETWORK",
        help="--network of docker build, such as host (default: Docker's).",
    ),
]
ClusterName = Annotated[
    str,
    typer.Option(
        "--cluster-name", envvar="RAFTZMQ_CLUSTER_NAME", help="The name of the kind cluster."
    ),
]
KindImage = Annotated[
    str | None,
    typer.Option(
        "--kind-image",
        envvar="RAFTZMQ_KIND_IMAGE",
        help="Image of kind's nodes, and with it the version of Kubernetes, such as "
        "kindest/node:v1.33.1 (default: kind's own).",
    ),
]
Replicas = Annotated[
    int | None,
    typer.Option(
        "--replicas",
        envvar="RAFTZMQ_REPLICAS",
        min=1,
        max=99,
        help="Number of nodes or storage servers (default: as now; 3 for a new cluster).",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        envvar="RAFTZMQ_CLUSTER_TIMEOUT",
        min=1,
        max=86_400,
        help="Seconds to wait for the pods, and again for the membership.",
    ),
]
Purge = Annotated[
    bool, typer.Option("--purge", help="Remove the volumes too, and with them all data.")
]
