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
BASE_IMAGE: Final = "python:3.11-slim"

Place = Annotated[
    Where | None,
    typer.Argument(
        metavar="kind|k8s",
        help="kind: a cluster that is made here; k8s: the one that kubectl's context reaches.",
        show_default=False,
    ),
]
ChosenDesign = Annotated[
    Design,
    typer.Option(
        "--design",
        envvar="RAFTZMQ_DESIGN",
        help="raft: a StatefulSet whose nodes agree; views: the older design, a view server "
        "with a Deployment of storage servers.",
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context", envvar="RAFTZMQ_CONTEXT", help="kubectl's context; the current one by default."
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        envvar="RAFTZMQ_NAMESPACE",
        help="The namespace; that of the context by default, else `default`.",
    ),
]
Overlay = Annotated[
    str | None,
    typer.Option(
        "--overlay",
        envvar="RAFTZMQ_OVERLAY",
        help="What of kube/ to apply: base, or one of kube/overlays; by default kind on a "
        "context that kind has made, else base.",
    ),
]
RegistryAddress = Annotated[
    str,
    typer.Option(
        "--registry",
        envvar="RAFTZMQ_REGISTRY",
        help="The image registry, HOST:PORT, perhaps with /PATH.",
    ),
]
RegistryName = Annotated[
    str,
    typer.Option(
        "--registry-name",
        envvar="RAFTZMQ_REGISTRY_NAME",
        help="The container that is the registry, where `create` makes it.",
    ),
]
RegistryImage = Annotated[
    str,
    typer.Option(
        "--registry-image",
        envvar="RAFTZMQ_REGISTRY_IMAGE",
        help="The image of that container.",
    ),
]
Tag = Annotated[
    str | None,
    typer.Option(
        "--tag", envvar="RAFTZMQ_TAG", help="The image's tag; raftzmq's version by default."
    ),
]
BaseImage = Annotated[
    str,
    typer.Option(
        "--base-image",
        envvar="RAFTZMQ_BASE_IMAGE",
        help="The image to build on: Python 3.11 or newer with venv and pip.",
    ),
]
BuildNetwork = Annotated[
    str | None,
    typer.Option(
        "--network",
        envvar="RAFTZMQ_BUILD_NETWORK",
        help="docker build's --network, such as host; docker's own default without it.",
    ),
]
ClusterName = Annotated[
    str,
    typer.Option(
        "--cluster-name", envvar="RAFTZMQ_CLUSTER_NAME", help="The name of the kind cluster."
    ),
]
Replicas = Annotated[
    int | None,
    typer.Option(
        "--replicas",
        envvar="RAFTZMQ_REPLICAS",
        min=1,
        max=99,
        help="How many nodes, or storage servers; by default as many as there are, or 3 of a "
        "new cluster.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        envvar="RAFTZMQ_CLUSTER_TIMEOUT",
        min=1,
        max=86_400,
        help="Seconds to wait for pods, and again for the membership.",
    ),
]
Purge = Annotated[
    bool, typer.Option("--purge", help="Remove the volumes, and so all data, as well.")
]
