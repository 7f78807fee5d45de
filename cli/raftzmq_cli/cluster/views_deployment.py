"""The older design on Kubernetes: what `apply --design views` makes, and how it is waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raftzmq.errors import InvalidRequest
from raftzmq_cli.cluster import rollout, views_pods
from raftzmq_cli.cluster.deployment import (
    BASE,
    REPLICAS,
    Deployment,
    apply_objects,
    image_digest,
    image_setting,
)
from raftzmq_cli.cluster.deployment import kustomized as kustomize
from raftzmq_cli.cluster.images import Image
from raftzmq_cli.cluster.kubectl import Object
from raftzmq_cli.cluster.views_pods import CHECK, CLIENT, PROJECT, STORAGE
from raftzmq_cli.common.designs import Design

DIRECTORY: Final = "views"
"""Below kube/."""


@dataclass(frozen=True, slots=True)
class ViewsDeployment(Deployment):
    """kube/views, to be applied by kubectl. It has no overlays."""

    @property
    def design(self) -> Design:
        return Design.VIEWS

    @property
    def directory(self) -> Path:
        """Raises InvalidRequest if an overlay is asked for."""
        if self.overlay != BASE:
            raise InvalidRequest(
                f"design views has no overlays: leave --overlay {self.overlay} out"
            )
        return self.checkout / "kube" / DIRECTORY

    def live(self) -> Object | None:
        """The Deployment of the storage servers as it is now, or None."""
        return self.kubectl.get("deployment", STORAGE)

    def render(
        self,
        server: tuple[int, int],  # noqa: ARG002 - as of Deployment
        image: Image | None = None,
        digest: str | None = None,
        replicas: int = REPLICAS,
        initial: int = REPLICAS,  # noqa: ARG002 - as of Deployment
    ) -> str:
        """All objects as YAML, the same for every server, and however many began. Raises
        ToolFailed."""
        settings: dict[str, Any] = {
            "namespace": self.kubectl.namespace,
            "images": [] if image is None else [image_setting(image, digest)],
            "replicas": [{"name": STORAGE, "count": replicas}],
        }
        return kustomize(self.checkout, settings, self.directory)

    def apply(self, image: Image, replicas: int | None, say: Callable[[str], None]) -> int:
        """Apply, and return how many storage servers that means: without `replicas` as many as
        there are, or three."""
        server = self.kubectl.server_version()
        live = self.live()
        count = replicas or (int(live["spec"]["replicas"]) if live else 0) or REPLICAS
        if live is not None and replicas is None:
            say(f"the Deployment exists with {count} storage servers: the number stays")
        text = self.render(server, image, image_digest(image, say), count)
        self.make_namespace(say)
        apply_objects(self.kubectl, text, CLIENT, say)
        return count

    def remove(self, purge: bool, say: Callable[[str], None]) -> None:
        """Delete what `apply` made, never the namespace; there is no more to purge."""
        delete = ("delete", "--ignore-not-found", "--wait=false")
        text = self.render(self.kubectl.server_version())
        self.kubectl.act(*delete, "-f", "-", stdin=text)
        self.kubectl.act(*delete, "pod", CHECK)
        if not purge:
            say("the data was in the pods' memory and is gone with them")

    def warning(self, count: int) -> str | None:
        if count >= REPLICAS:
            return None
        lacks = "no backup and no spare" if count == 1 else "no spare"
        return f"warning: {count} of the usual {REPLICAS} storage servers: there is {lacks}"

    def wait(self, count: int, patience: rollout.Patience) -> str:
        """Wait until all pods are ready and have their roles; say what is up. Raises NotInTime."""
        views_pods.wait_ready(self.kubectl, count, patience)
        return views_pods.wait_roles(self.kubectl, count, patience)

    def wait_gone(self, patience: rollout.Patience) -> None:
        rollout.wait_gone(self.kubectl, patience, PROJECT)

    @property
    def try_next(self) -> str:
        return f"-ti {CLIENT} -- raftzmq views client status"
