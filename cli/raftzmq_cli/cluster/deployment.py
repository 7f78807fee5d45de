"""What `apply` makes and `remove` deletes: an overlay of kube/ with this deployment's own settings.

kustomize takes namespace, image and replicas only from a file, and only by paths relative to it. So
a kustomization of our own is written into .raftzmq/ of the checkout for as long as it is rendered.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raftzmq.errors import InvalidRequest
from raftzmq_cli.cluster import rollout, scaling, secrets, tools
from raftzmq_cli.cluster.api_versions import understood_by
from raftzmq_cli.cluster.images import Image
from raftzmq_cli.cluster.kubectl import (
    CHECK,
    CLIENT,
    CONTAINER,
    NODES,
    STATEFULSET,
    Kubectl,
    Object,
)
from raftzmq_cli.cluster.registry import Registry
from raftzmq_cli.common.designs import Design

BASE: Final = "base"
REPLICAS: Final = 3
INITIAL_MAX: Final = 3
"""A new cluster is formed by so many nodes at most; the others join one by one."""

RESTRICTED: Final = "restricted"
BASELINE: Final = "baseline"
ROOT_OVERLAY: Final = "hostpath"
"""The profiles of pod security, and the overlay with a first container that is root."""

_ENFORCED: Final = "pod-security.kubernetes.io/enforce"
"""The label of a namespace that says which profile its pods must keep to; Kubernetes looks at it
from 1.23 on."""

_IMAGE: Final = "localhost:5001/raftzmq"
"""What the manifests name the image."""
_ACCOUNT_S: Final = 60.0
"""In which Kubernetes makes the service account of a new namespace; it usually takes a moment."""
_INITIAL: Final = "RAFTZMQ_REPLICAS"
_BUDGET: Final = "disruption-budget"
_FIXED: Final = "pod updates may not change fields"
"""What Kubernetes says to a change of a pod that it does not make."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """An overlay of kube/, to be applied by kubectl."""

    checkout: Path
    kubectl: Kubectl
    overlay: str

    @property
    def design(self) -> Design:
        return Design.RAFT

    @property
    def directory(self) -> Path:
        """The overlay's directory. Raises InvalidRequest if there is no such overlay."""
        kube = self.checkout / "kube"
        overlays = sorted(path.parent.name for path in kube.glob("overlays/*/kustomization.yaml"))
        if self.overlay == BASE:
            return kube / BASE
        if self.overlay not in overlays:
            raise InvalidRequest(
                f"there is no overlay {self.overlay!r}: there are {', '.join([BASE, *overlays])}"
            )
        return kube / "overlays" / self.overlay

    def require(self) -> None:
        """Raises InvalidRequest if there is no such overlay."""
        _ = self.directory

    def live(self) -> Object | None:
        """The StatefulSet as it is now, or None."""
        return self.kubectl.get("statefulset", STATEFULSET)

    def render(
        self,
        server: tuple[int, int],
        image: Image | None = None,
        digest: str | None = None,
        replicas: int = REPLICAS,
        initial: int = REPLICAS,
    ) -> str:
        """All objects as YAML, for a server of this version. Raises ToolFailed.

        Which image, and how many replicas, makes no difference to what is deleted.
        """
        env = _env(initial)
        settings: dict[str, Any] = {
            "namespace": self.kubectl.namespace,
            "images": [] if image is None else [image_setting(image, digest)],
            "replicas": [{"name": STATEFULSET, "count": replicas}],
            "patches": [
                _patch("apps/v1", "StatefulSet", STATEFULSET, {"template": {"spec": env}}),
                _patch("v1", "Pod", CLIENT, env),
            ],
        }
        components = []
        if not self._has_budget():
            components.append(self.checkout / "kube" / "components" / _BUDGET)
        text = kustomized(self.checkout, settings, self.directory, components)
        return understood_by(server, text)

    def apply(self, image: Image, replicas: int | None, say: Callable[[str], None]) -> int:
        """Apply, and return how many replicas that means.

        Without `replicas` a cluster that is there keeps its number, so that applying again does not
        undo a scaling. The number of initial members is a fact of the past once a cluster was
        formed, and changing it would restart every pod for nothing: it is kept as well.
        """
        server = self.kubectl.server_version()
        live = self.live()
        count = chosen_replicas(live, replicas)
        if live is not None and replicas is None:
            say(f"the StatefulSet exists with {count} replicas: the number stays")
        digest = image_digest(image, say)
        text = self.render(server, image, digest, count, initial_members(live, count))
        self.make_namespace(say)
        secrets.require(self.kubectl, say)
        apply_objects(self.kubectl, text, CLIENT, say)
        return count

    def make_namespace(self, say: Callable[[str], None]) -> None:
        """Make the namespace if there is none, for pods that keep to a profile of pod security.
        Raises NotInTime."""
        kubectl = self.kubectl
        if not kubectl.has_namespace():
            kubectl.act("create", "namespace", kubectl.namespace)
            profile = BASELINE if self.overlay == ROOT_OVERLAY else RESTRICTED
            kubectl.act("label", "namespace", kubectl.namespace, f"{_ENFORCED}={profile}")
            rollout.wait_account(kubectl, rollout.Patience(_ACCOUNT_S, say))

    def warning(self, count: int) -> str | None:
        """What is not so good about this number of replicas."""
        return scaling.warning(count)

    def wait(self, count: int, patience: rollout.Patience) -> str:
        """Wait until all pods are ready and are members, and acknowledge a write; say what is up.
        Raises NotInTime."""
        rollout.wait_ready(self.kubectl, count, patience)
        rollout.wait_members(self.kubectl, count, patience)
        rollout.wait_writable(self.kubectl, count, patience)
        return f"{count} nodes, all of them ready and voters"

    def wait_gone(self, patience: rollout.Patience) -> None:
        """Wait until no pod is left. Raises NotInTime."""
        rollout.wait_gone(self.kubectl, patience)

    @property
    def try_next(self) -> str:
        """A command to run in a pod of it."""
        return f"-ti {CLIENT} -- raftzmq client shell"

    def remove(self, purge: bool, say: Callable[[str], None]) -> None:
        """Delete what `apply` made, and with `purge` the volumes; never the namespace."""
        text = self.render(self.kubectl.server_version())
        delete = ("delete", "--ignore-not-found", "--wait=false")
        self.kubectl.act(*delete, "-f", "-", stdin=text)
        self.kubectl.act(*delete, "pod", CHECK)
        claims = ("persistentvolumeclaims", "--selector", NODES)
        if purge:
            self.kubectl.act(*delete, *claims)
            secrets.delete(self.kubectl)
        elif self.kubectl.items(*claims):
            say(
                f"the volumes stay in namespace {self.kubectl.namespace}, and the next apply uses "
                "them; to delete them: raftzmq cluster remove --purge"
            )

    def _has_budget(self) -> bool:
        """Whether the overlay has a disruption budget of its own."""
        text = tools.answer(["kubectl", "kustomize", str(self.directory)])
        return "kind: PodDisruptionBudget" in text


def apply_objects(kubectl: Kubectl, text: str, client: str, say: Callable[[str], None]) -> None:
    """Apply objects. The pod `client` is replaced if it is to change: of a pod Kubernetes changes
    hardly more than the image, and this one holds nothing. Raises as Kubectl.act does."""
    try:
        kubectl.act("apply", "-f", "-", stdin=text)
    except tools.ToolFailed as error:
        if f'Pod "{client}"' not in str(error) or _FIXED not in str(error):
            raise
        say(f"the pod {client} is replaced, because a running pod cannot be changed so far")
        kubectl.act("delete", "pod", client)
        kubectl.act("apply", "-f", "-", stdin=text)


def chosen_replicas(live: Object | None, given: int | None) -> int:
    """What was given, else what is there, else three."""
    if given is not None:
        return given
    return REPLICAS if live is None else int(live["spec"]["replicas"])


def initial_members(live: Object | None, replicas: int) -> int:
    """How many nodes form the cluster: what the StatefulSet says, if there is one already."""
    if live is not None:
        for container in live["spec"]["template"]["spec"]["containers"]:
            for variable in container.get("env") or ():
                if variable["name"] == _INITIAL and variable.get("value"):
                    return int(variable["value"])
    return max(1, min(INITIAL_MAX, replicas))


def image_digest(image: Image, say: Callable[[str], None]) -> str | None:
    """What the tag means in the registry now, so that a new build under an old tag is rolled out.

    None if the registry cannot be asked. Raises ToolFailed if it has no such image.
    """
    registry = Registry(image.registry)
    if not registry.is_local or not registry.answers():
        return None
    digest = registry.digest(image.repository.partition("/")[2], image.tag)
    if digest is None:
        raise tools.ToolFailed(
            f"the registry on {image.registry} has no image {image}: "
            "run 'raftzmq cluster build' and 'push' first, or give another --tag"
        )
    say(f"image {image}, {digest[:19]}")
    return digest


def image_setting(image: Image, digest: str | None) -> dict[str, str]:
    """What kustomize puts in place of the manifests' image."""
    renamed = {"name": _IMAGE, "newName": image.repository, "newTag": image.tag}
    return renamed if digest is None else {**renamed, "digest": digest}


def _env(initial: int) -> dict[str, Any]:
    variable = {"name": _INITIAL, "value": str(initial)}
    return {"containers": [{"name": CONTAINER, "env": [variable]}]}


def _patch(version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    change = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(change)}


def kustomized(
    checkout: Path, settings: dict[str, Any], overlay: Path, components: Sequence[Path] = ()
) -> str:
    """The objects of an overlay with these settings and components. Raises ToolFailed."""
    with _directory(checkout) as directory:
        document = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            **settings,
            "resources": [os.path.relpath(overlay, directory)],
            "components": [os.path.relpath(component, directory) for component in components],
        }
        file = directory / "kustomization.yaml"  # JSON is YAML
        file.write_text(json.dumps(document, indent=2) + "\n")
        return tools.answer(["kubectl", "kustomize", str(directory)])


@contextmanager
def _directory(checkout: Path) -> Iterator[Path]:
    """A directory inside the checkout for as long as it is needed."""
    parent = checkout / ".raftzmq"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="render-", dir=parent) as name:
        yield Path(name)
