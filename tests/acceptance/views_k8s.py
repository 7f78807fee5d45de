"""The older design on a Kubernetes that kubectl reaches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from raftzmq_cli.cluster.kubectl import CONTAINER
from raftzmq_cli.cluster.views_pods import CHECK, SERVERS, STORAGE
from tests.acceptance.expectation import PATIENCE_S, Done, Unmet
from tests.acceptance.manifests import WRITER, check_manifest, writer_manifests
from tests.acceptance.views_platforms import FOUND_AT, ViewsPlatform
from tests.acceptance.with_kubectl import ROLLOUT_S, Target, WithKubectl

CHECK_DIRECTORY: Final = Path(__file__).parents[2] / "kube" / "views" / "check"
DEPLOYMENT: Final = f"deployment/{STORAGE}"


class ViewsKubernetes(WithKubectl, ViewsPlatform):
    """Pods of the Deployment `storage`, which gives each one that was killed a successor under
    another name. The writer is one more pod, and no worker is stopped."""

    name = "k8s-views"
    design = ("--design", "views")
    can_pause = False

    def __init__(self, say: Callable[[str], None], target: Target) -> None:
        super().__init__(say, target)
        self._image = ""  # what the Deployment has
        self._prefix = ""  # of the writer's keys

    def deploy(self) -> None:
        if self.target.deploy:
            self.make()
        found = self.kubectl("get", DEPLOYMENT, "-o", "json")
        if found.code != 0:
            raise Unmet(
                f"the Deployment {STORAGE} in namespace {self.target.namespace} of context "
                f"{self.target.context}: make it with 'raftzmq cluster up --design views', or give "
                "--deploy",
                found.said,
            )
        self._image = next(
            container["image"]
            for container in json.loads(found.out)["spec"]["template"]["spec"]["containers"]
            if container["name"] == CONTAINER
        )
        arguments = ("rollout", "status", DEPLOYMENT, f"--timeout={ROLLOUT_S}s")
        self.kubectl(*arguments, patience_s=ROLLOUT_S + PATIENCE_S).expect()

    def kill(self, server: str) -> None:
        self.act("delete", "pod", server, "--force", "--grace-period=0")

    def replace(self, server: str) -> None:
        """The Deployment does."""

    def client(self, *arguments: str) -> Done:
        return self.execute("raftzmq", "views", "client", *arguments)

    def check(self) -> str:
        """The Pod views-check, made anew."""
        return self.outcome_of(check_manifest(CHECK_DIRECTORY, self._image, None))

    def start_writer(self, prefix: str) -> None:
        self._prefix = prefix
        environment = {"RAFTZMQ_VIEW_SERVER": FOUND_AT}
        self.make_writer(writer_manifests(self._image, None, prefix, environment))

    def gather(self, directory: Path) -> None:
        listed = self.kubectl("get", "pods", "-l", SERVERS, "-o", "name").out.split()
        pods = [name.removeprefix("pod/") for name in listed]
        self.gather_from(
            directory, "pods,deployment,replicaset", ["view-server", *pods, CHECK, WRITER]
        )
        (directory / "status.txt").write_text(self.client("status").said)

    def close(self) -> None:
        self.unmake_pods(CHECK)
        if self.target.deploy:
            self.unmake()
