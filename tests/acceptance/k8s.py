"""The scenario's cluster on a Kubernetes that kubectl reaches."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.acceptance.expectation import PATIENCE_S, Done, Unmet, run, until
from tests.acceptance.images import labelled, pushed, repository_of
from tests.acceptance.manifests import (
    CHECK,
    CHECK_DIRECTORY,
    CONTAINER,
    KEY_DIRECTORY,
    WRITER,
    check_manifest,
    writer_manifests,
)
from tests.acceptance.platforms import Platform, client_endpoints, replica_names
from tests.acceptance.with_kubectl import ROLLOUT_S, Target, WithKubectl, ready, uid_of
from tests.acceptance.writer import WRITE_TIMEOUT_S

STATEFULSET: Final = "statefulset/raft"
NODES: Final = "app.kubernetes.io/name=raftzmq,app.kubernetes.io/component=node"


class Kubernetes(WithKubectl, Platform):
    """Pods of the StatefulSet `raft`. The writer, and every check, sit on a worker without a
    replica, on which none may come as long as another worker is stopped."""

    name = "k8s"

    def __init__(self, say: Callable[[str], None], target: Target) -> None:
        super().__init__(say, target)
        self._image = ""  # what the StatefulSet had in the beginning
        self._spare = ""  # the worker without a replica
        self._cordoned = False
        self._stopped = ""  # the worker that is stopped
        self._left: tuple[str, str] = ("", "")  # which pod it took along, and where that was
        self._claims: set[str] = set()  # the volumes that were there before
        self._rolled = False
        self._made_image = ""
        self._prefix = ""  # of the writer's keys

    # -- the cluster ----------------------------------------------------------------------------

    def deploy(self) -> None:
        if self.target.deploy:
            self.make()
        found = self.kubectl("get", STATEFULSET, "-o", "json")
        where = f"namespace {self.target.namespace} of context {self.target.context}"
        if found.code != 0:
            raise Unmet(
                f"the StatefulSet raft in {where}: make it with 'raftzmq cluster up', or give "
                "--deploy",
                found.said,
            )
        spec = json.loads(found.out)["spec"]
        if spec["replicas"] != 3:
            raise Unmet(f"three replicas in {where}", f"there are {spec['replicas']}")
        self._image = next(
            container["image"]
            for container in spec["template"]["spec"]["containers"]
            if container["name"] == CONTAINER
        )
        self._claims = set(self._volume_claims())
        self._wait_for_rollout()
        self._spare = self._worker_without_replica()
        placed = (f"{name} on {self._worker(name)}" for name in replica_names(3))
        self.say(f"{', '.join(placed)}; the writer goes to {self._spare}")

    def kill(self, node: str) -> None:
        self.act("delete", "pod", node, "--force", "--grace-period=0")

    def replace(self, node: str) -> None:
        """The StatefulSet does."""

    def stop_worker(self, node: str) -> str:
        worker = self._worker(node)
        self._left = (self.instance(node), worker)
        self._stopped = worker
        run(*command_for(self.target.worker_stop, worker)).expect()
        return worker

    def stuck(self, node: str) -> str | None:
        pod = self.pod(node)
        if pod is None or (uid_of(pod), pod["spec"].get("nodeName")) != self._left:
            return f"{node} is another pod than the one that was on {self._left[1]}"
        return f"its worker is stopped, and {node} still counts as ready" if ready(pod) else None

    def start_worker(self, node: str) -> None:
        self._start_stopped_worker()
        self.act("uncordon", self._spare)
        self._cordoned = False

    def scale(self, replicas: int) -> None:
        self.act("scale", STATEFULSET, f"--replicas={replicas}")
        self.say(f"kubectl scale {STATEFULSET} --replicas={replicas}")

    def surplus(self, replicas: int) -> str | None:
        listed = self.act("get", "pods", "-l", NODES, "-o", "name").out.split()
        names = {name.removeprefix("pod/") for name in listed}
        surplus = sorted(names - set(replica_names(replicas)))
        return f"{', '.join(surplus)} still there" if surplus else None

    def kill_all(self) -> None:
        self.act("delete", "pods", "-l", NODES, "--force", "--grace-period=0")

    def roll(self) -> None:
        repository = repository_of(self._image)
        second = self.target.second_image
        if second is None:
            second = labelled(self._image, lambda made: f"{repository}:second-{made}")
            self._made_image = pushed(second)
        self.say(f"kubectl set image {STATEFULSET} {CONTAINER}={second}")
        self._rolled = True
        self._set_image(second)
        for name in replica_names(3):
            pod = self.pod(name)
            runs = pod["spec"]["containers"][0]["image"] if pod else "is not there"
            if runs != second:
                raise Unmet(f"{name} with the image {second}", f"{runs}")

    # -- what is seen of it ---------------------------------------------------------------------

    def instance(self, node: str) -> str:
        pod = self.pod(node)
        return uid_of(pod) if pod else ""

    def address(self, node: str) -> str | None:
        pod = self.pod(node)
        return pod["status"].get("podIP") if pod else None

    def unready(self, node: str) -> str | None:
        pod = self.pod(node)
        if pod is None:
            return "there is no such pod"
        return None if ready(pod) else "its pod is not ready"

    def client(self, *arguments: str) -> Done:
        return self.execute("raftzmq", "client", *arguments)

    def check(self) -> str:
        """The Pod client-check, made anew."""
        return self.outcome_of(check_manifest(CHECK_DIRECTORY, self._image, self._spare))

    # -- the writer -----------------------------------------------------------------------------

    def start_writer(self, prefix: str) -> None:
        self._prefix = prefix
        environment = {
            "RAFTZMQ_ENDPOINTS": client_endpoints(replica_names(3)),
            "RAFTZMQ_KEY": f"{KEY_DIRECTORY}/client.key",
        }
        self.make_writer(
            writer_manifests(self._image, self._spare, prefix, environment, "raft-client")
        )
        self._cordoned = True
        self.act("cordon", self._spare)

    # -- the end --------------------------------------------------------------------------------

    def gather(self, directory: Path) -> None:
        pods = [*replica_names(5), CHECK, WRITER]
        self.gather_from(directory, "pods,statefulset,persistentvolumeclaims", pods)
        status = self.kubectl("exec", WRITER, "--", "raftzmq", "client", "status")
        (directory / "status.txt").write_text(status.out + status.err)

    def whereabouts(self) -> str:
        where = f"--context {self.target.context} --namespace {self.target.namespace}"
        return f"kubectl {where} get all; the writer: kubectl {where} delete pod {WRITER}"

    def close(self) -> None:
        if self._stopped:
            self._start_stopped_worker()
        if self._cordoned:
            self.act("uncordon", self._spare)
        if self._prefix and not self.target.deploy:
            with suppress(Unmet):  # the writer has failed
                self.order_writer(json.dumps({"step": "end", "do": "hold"}))
                time.sleep(WRITE_TIMEOUT_S)
                self.client("delete", "--prefix", self._prefix)
        self.unmake_pods(CHECK)
        if self.target.deploy:
            self.unmake()
        elif self._image:
            self._restore()
        if self._made_image:
            run("docker", "image", "rm", self._made_image)

    def _restore(self) -> None:
        """Give the deployment that was there its number of replicas and its image back."""
        self.act("scale", STATEFULSET, "--replicas=3")
        if self._rolled:
            self.say(f"the deployment gets its image back, {self._image}")
            self._set_image(self._image)
        until("no replica beyond three", lambda: self.surplus(3))
        for claim in sorted(set(self._volume_claims()) - self._claims):
            self.act("delete", "persistentvolumeclaim", claim, "--wait=false")

    # -- Kubernetes -----------------------------------------------------------------------------

    def _worker(self, node: str) -> str:
        pod = self.pod(node)
        if pod is None or not pod["spec"].get("nodeName"):
            raise Unmet(f"{node} on a worker", "it is on none")
        return str(pod["spec"]["nodeName"])

    def _worker_without_replica(self) -> str:
        workers = json.loads(self.act("get", "nodes", "-o", "json").out)["items"]
        usable = [worker["metadata"]["name"] for worker in workers if takes_pods(worker)]
        taken = {self._worker(name) for name in replica_names(3)}
        free = [name for name in usable if name not in taken]
        if len(taken) < 3 or not free:
            raise Unmet(
                "three replicas on a worker each, and a fourth worker for the writer",
                f"replicas on {', '.join(sorted(taken))}, of {', '.join(usable)}",
            )
        return str(free[0])

    def _start_stopped_worker(self) -> None:
        worker = self._stopped
        run(*command_for(self.target.worker_start, worker)).expect()
        self.act("wait", f"node/{worker}", "--for=condition=Ready", f"--timeout={ROLLOUT_S}s")
        self._stopped = ""
        self.say(f"{worker} is ready again")

    def _set_image(self, image: str) -> None:
        self.act("set", "image", STATEFULSET, f"{CONTAINER}={image}")
        self._wait_for_rollout()

    def _wait_for_rollout(self) -> None:
        arguments = ("rollout", "status", STATEFULSET, f"--timeout={ROLLOUT_S}s")
        self.kubectl(*arguments, patience_s=ROLLOUT_S + PATIENCE_S).expect()

    def _volume_claims(self) -> list[str]:
        listed = self.act("get", "persistentvolumeclaims", "-l", NODES, "-o", "name")
        return [name.rpartition("/")[2] for name in listed.out.split()]


def takes_pods(worker: dict[str, Any]) -> bool:
    """Whether a node of Kubernetes is ready, and takes any pod."""
    conditions = {c["type"]: c["status"] for c in worker["status"]["conditions"]}
    return conditions.get("Ready") == "True" and not worker["spec"].get("taints")


def command_for(template: str, worker: str) -> list[str]:
    """The command of an option for a worker, with its name in place of {}."""
    words = shlex.split(template)
    return [word.replace("{}", worker) for word in words]
