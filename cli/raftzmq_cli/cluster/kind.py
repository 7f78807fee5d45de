"""`raftzmq cluster create | delete`: a kind cluster that pulls images from this machine.

Five steps, each of which leaves alone what is right already, after kind's own guide,
https://kind.sigs.k8s.io/docs/user/local-registry/: the registry; the cluster, whose containerd
reads certs.d; in each node, what localhost:PORT means there; the registry on kind's network; the
ConfigMap in which other tools look the registry up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from raftzmq_cli.cluster import registry as registries
from raftzmq_cli.cluster import tools
from raftzmq_cli.cluster.kubectl import Kubectl, kind_context
from raftzmq_cli.cluster.options import (
    CLUSTER_NAME,
    REGISTRY,
    REGISTRY_IMAGE,
    REGISTRY_NAME,
    ClusterName,
    KindImage,
    RegistryAddress,
    RegistryImage,
    RegistryName,
)
from raftzmq_cli.cluster.registry import Registry
from raftzmq_cli.cluster.tools import ToolFailed
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import line

# Images of kind since 0.27 read certs.d by themselves; older ones need the patch.
CONFIG: Final = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
- role: worker
- role: worker
- role: worker
containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"""

_CERTS: Final = "/etc/containerd/certs.d"
_HELP: Final = "https://kind.sigs.k8s.io/docs/user/local-registry/"
_NETWORK_VARIABLE: Final = "KIND_EXPERIMENTAL_DOCKER_NETWORK"

commands = Commands()


@commands.command(
    "create",
    """
    raftzmq cluster create
    raftzmq cluster create --registry localhost:5002
    raftzmq cluster create --kind-image kindest/node:v1.33.1
    """,
)
def create(
    cluster_name: ClusterName = CLUSTER_NAME,
    registry: RegistryAddress = REGISTRY,
    registry_name: RegistryName = REGISTRY_NAME,
    registry_image: RegistryImage = REGISTRY_IMAGE,
    kind_image: KindImage = None,
) -> None:
    """Create a kind cluster and an image registry for it.

    It has one control plane and four workers.
    """
    Kind(cluster_name, Registry(registry, registry_name, registry_image), kind_image).create(line)


@commands.command("delete")
def delete(
    cluster_name: ClusterName = CLUSTER_NAME,
    registry: RegistryAddress = REGISTRY,
    registry_name: RegistryName = REGISTRY_NAME,
) -> None:
    """Delete the kind cluster, and its registry if `create` made that."""
    Kind(cluster_name, Registry(registry, registry_name)).delete(line)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind cluster by its name, and the registry that its nodes pull from."""

    name: str
    registry: Registry
    image: str | None = None
    """Of its nodes; None is kind's own choice."""

    @property
    def context(self) -> str:
        return kind_context(self.name)

    def create(self, say: Callable[[str], None]) -> None:
        """Have the registry and the cluster. Raises ToolUnavailable, ToolFailed."""
        tools.require_docker()
        tools.require_kind()
        tools.require_kubectl()
        container = None
        if self.registry.is_local:
            container = registries.ensure(self.registry, network(), say)
        else:
            say(f"registry {self.registry.address} is not on this machine: left as it is")
        self._create_cluster(say)
        if container is not None:
            self._wire(container, say)
        say(f"kind cluster {self.name} is ready: context {self.context}")

    def delete(self, say: Callable[[str], None]) -> None:
        """Remove the cluster, and the registry if `create` made it."""
        tools.require_docker()
        tools.require_kind()
        if self.name in clusters():
            tools.act(["kind", "delete", "cluster", "--name", self.name])
        else:
            say(f"no kind cluster {self.name}: nothing to delete")
        if self.registry.is_local:
            made = registries.remove(self.registry, say)
            if made is not None:
                registries.remove_network(made, say)

    def _create_cluster(self, say: Callable[[str], None]) -> None:
        if self.name not in clusters():
            say("one control plane and four workers; this takes a minute or two")
            words = ["kind", "create", "cluster", "--name", self.name, "--config", "-"]
            if self.image is not None:
                words += ["--image", self.image]
            tools.act(words, stdin=CONFIG)
            return
        kept = "" if self.image is None else f", and keeps its nodes: {self.image} is for a new one"
        say(f"kind cluster {self.name} already exists{kept}")
        for node in self._nodes():
            found = registries.inspect(node)
            if found is not None and not found["State"]["Running"]:
                tools.act(["docker", "start", node])
        if self.context not in _contexts():
            tools.act(["kind", "export", "kubeconfig", "--name", self.name])

    def _nodes(self) -> list[str]:
        return tools.answer(["kind", "get", "nodes", "--name", self.name]).split()

    def _wire(self, container: str, say: Callable[[str], None]) -> None:
        nodes = self._nodes()
        if not nodes:
            raise ToolFailed(
                f"kind cluster {self.name} has no nodes: run 'raftzmq cluster delete' and try again"
            )
        directory = f"{_CERTS}/localhost:{self.registry.port}"
        file = f"{directory}/hosts.toml"
        content = hosts_toml(container)
        for node in nodes:
            if tools.ask(["docker", "exec", node, "cat", file]).out == content:
                say(f"{node} already knows the registry")
                continue
            tools.act(["docker", "exec", node, "mkdir", "-p", directory])
            tools.act(["docker", "exec", "-i", node, "cp", "/dev/stdin", file], stdin=content)
        registries.connect(container, network(), say)
        kubectl = Kubectl(self.context, "kube-public")
        kubectl.server_version()
        kubectl.act("apply", "-f", "-", stdin=json.dumps(hosting(self.registry)))


def network() -> str:
    """The docker network of kind's nodes."""
    return os.environ.get(_NETWORK_VARIABLE) or "kind"


def hosts_toml(container: str) -> str:
    """What a node must know: images of localhost:PORT come from this container."""
    return f'[host."http://{container}:{registries.PORT}"]\n'


def hosting(registry: Registry) -> dict[str, object]:
    """The ConfigMap that says where the local registry is (Kubernetes' proposal 1755)."""
    lines = [f'host: "localhost:{registry.port}"', f'help: "{_HELP}"']
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
        "data": {"localRegistryHosting.v1": "".join(f"{line}\n" for line in lines)},
    }


def clusters() -> list[str]:
    """The kind clusters of this machine, by name."""
    return tools.answer(["kind", "get", "clusters"]).split()


def _contexts() -> list[str]:
    said = tools.ask(["kubectl", "config", "get-contexts", "-o", "name"])
    return said.out.split()
