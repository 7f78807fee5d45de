"""The scenario's cluster on a Kubernetes that kubectl reaches."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.acceptance.expectation import PATIENCE_S, POLL_S, Done, Unmet, run, until
from tests.acceptance.images import labelled, pushed, repository_of, tag_of
from tests.acceptance.manifests import (
    CHECK,
    CONTAINER,
    ORDERS,
    REPORT,
    WRITER,
    check_manifest,
    writer_manifests,
)
from tests.acceptance.platforms import Platform, last_line, replica_names
from tests.acceptance.writer import WRITE_TIMEOUT_S

STATEFULSET: Final = "statefulset/raft"
NODES: Final = "app.kubernetes.io/name=raftzmq,app.kubernetes.io/component=node"
ROLLOUT_S: Final = 300
EXEC_PATIENCE_S: Final = 30.0
"""`kubectl exec` is tried again for so long: it fails now and then for reasons of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which Kubernetes, and what of it. The commands have {} where the worker's name goes."""

    context: str
    namespace: str
    worker_stop: str = "docker stop {}"
    worker_start: str = "docker start {}"
    second_image: str | None = None
    deploy: bool = False
    """Make a deployment, and take it down in the end; else the one that is there is used."""
    overlay: str | None = None
    image: str
    """Of the deployment that is made."""


class Kubernetes(Platform):
    """Pods of the StatefulSet `raft`. The writer, and every check, sit on a worker without a
    replica, on which none may come as long as another worker is stopped."""

    name = "k8s"

    def __init__(self, say: Callable[[str], None], target: Target) -> None:
        super().__init__(say)
        self._target = target
        self._image = ""  # what the StatefulSet had in the beginning
        self._spare = ""  # the worker without a replica
        self._cordoned = False
        self._stopped = ""  # the worker that is stopped
        self._left: tuple[str, str] = ("", "")  # which pod it took along, and where that was
        self._made_namespace = False
        self._deployed = False
        self._claims: set[str] = set()  # the volumes that were there before
        self._rolled = False
        self._made_image = ""
        self._prefix = ""  # of the writer's keys

    # -- the cluster ----------------------------------------------------------------------------

    def deploy(self) -> None:
        if self._target.deploy:
            self._apply()
        found = self._kubectl("get", STATEFULSET, "-o", "json")
        where = f"namespace {self._target.namespace} of context {self._target.context}"
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
        self._act("delete", "pod", node, "--force", "--grace-period=0")

    def replace(self, node: str) -> None:
        """The StatefulSet does."""

    def stop_worker(self, node: str) -> str:
        worker = self._worker(node)
        self._left = (self.instance(node), worker)
        self._stopped = worker
        run(*command_for(self._target.worker_stop, worker)).expect()
        return worker

    def stuck(self, node: str) -> str | None:
        pod = self._pod(node)
        if pod is None or (uid_of(pod), pod["spec"].get("nodeName")) != self._left:
            return f"{node} is another pod than the one that was on {self._left[1]}"
        return f"its worker is stopped, and {node} still counts as ready" if ready(pod) else None

    def start_worker(self, node: str) -> None:
        self._start_stopped_worker()
        self._act("uncordon", self._spare)
        self._cordoned = False

    def scale(self, replicas: int) -> None:
        self._act("scale", STATEFULSET, f"--replicas={replicas}")
        self.say(f"kubectl scale {STATEFULSET} --replicas={replicas}")

    def surplus(self, replicas: int) -> str | None:
        listed = self._act("get", "pods", "-l", NODES, "-o", "name").out.split()
        names = {name.removeprefix("pod/") for name in listed}
        surplus = sorted(names - set(replica_names(replicas)))
        return f"{', '.join(surplus)} still there" if surplus else None

    def kill_all(self) -> None:
        self._act("delete", "pods", "-l", NODES, "--force", "--grace-period=0")

    def roll(self) -> None:
        repository = repository_of(self._image)
        second = self._target.second_image
        if second is None:
            second = labelled(self._image, lambda made: f"{repository}:second-{made}")
            self._made_image = pushed(second)
        self.say(f"kubectl set image {STATEFULSET} {CONTAINER}={second}")
        self._rolled = True
        self._set_image(second)
        for name in replica_names(3):
            pod = self._pod(name)
            runs = pod["spec"]["containers"][0]["image"] if pod else "is not there"
            if runs != second:
                raise Unmet(f"{name} with the image {second}", f"{runs}")

    # -- what is seen of it ---------------------------------------------------------------------

    def instance(self, node: str) -> str:
        pod = self._pod(node)
        return uid_of(pod) if pod else ""

    def address(self, node: str) -> str | None:
        pod = self._pod(node)
        return pod["status"].get("podIP") if pod else None

    def unready(self, node: str) -> str | None:
        pod = self._pod(node)
        if pod is None:
            return "there is no such pod"
        return None if ready(pod) else "its pod is not ready"

    def client(self, *arguments: str) -> Done:
        return self._exec("raftzmq", "client", *arguments)

    def check(self) -> str:
        """The Pod client-check, made anew; its phase tells the result, and its log why."""
        self._act("delete", "pod", CHECK, "--ignore-not-found", "--force", "--grace-period=0")
        manifest = check_manifest(self._image, self._spare)
        self._act("apply", "-f", "-", given=json.dumps(manifest))
        until(f"the end of the Pod {CHECK}", self._check_runs, 2 * PATIENCE_S)
        log = self._act("logs", CHECK).out
        pod = self._pod(CHECK)
        phase = pod["status"]["phase"] if pod else "gone"
        if phase != "Succeeded":
            raise Unmet(f"the Pod {CHECK} in the phase Succeeded", f"{phase}; {log[-1000:]}")
        return last_line(log)

    def _check_runs(self) -> str | None:
        pod = self._pod(CHECK)
        phase = pod["status"].get("phase") if pod else "gone"
        return None if phase in ("Succeeded", "Failed") else f"its phase is {phase}"

    # -- the writer -----------------------------------------------------------------------------

    def start_writer(self, prefix: str) -> None:
        self._prefix = prefix
        self._kubectl("delete", "pod", WRITER, "--ignore-not-found", "--force", "--grace-period=0")
        manifests = writer_manifests(self._image, self._spare, prefix)
        self._act("apply", "-f", "-", given=json.dumps(manifests))
        self._act("wait", f"pod/{WRITER}", "--for=condition=Ready", f"--timeout={PATIENCE_S:g}s")
        self._cordoned = True
        self._act("cordon", self._spare)

    def order_writer(self, orders: str) -> None:
        self._exec("sh", "-c", f"cat > {ORDERS}.new && mv {ORDERS}.new {ORDERS}", given=orders)

    def writer_report(self) -> str | None:
        done = self._exec("sh", "-c", f"[ ! -e {REPORT} ] || cat {REPORT}").expect()
        return done.out or None

    # -- the end --------------------------------------------------------------------------------

    def gather(self, directory: Path) -> None:
        said = {
            "pods.txt": ("get", "pods", "-o", "wide"),
            "described.txt": ("describe", "pods,statefulset,persistentvolumeclaims"),
            "workers.txt": ("describe", "nodes"),
            "events.txt": ("get", "events", "--sort-by=.lastTimestamp"),
        }
        for name in [*replica_names(5), CHECK, WRITER]:
            said[f"{name}.log"] = ("logs", name, "--timestamps")
            said[f"{name}.before.log"] = ("logs", name, "--timestamps", "--previous")
        for file, arguments in said.items():
            done = self._kubectl(*arguments)
            if done.code == 0:
                (directory / file).write_text(done.out)
        status = self._kubectl("exec", WRITER, "--", "raftzmq", "client", "status")
        (directory / "status.txt").write_text(status.out + status.err)

    def whereabouts(self) -> str:
        where = f"--context {self._target.context} --namespace {self._target.namespace}"
        return f"kubectl {where} get all; the writer: kubectl {where} delete pod {WRITER}"

    def close(self) -> None:
        if self._stopped:
            self._start_stopped_worker()
        if self._cordoned:
            self._act("uncordon", self._spare)
        if self._prefix and not self._target.deploy:
            with suppress(Unmet):  # the writer has failed
                self.order_writer(json.dumps({"step": "end", "do": "hold"}))
                time.sleep(WRITE_TIMEOUT_S)
                self.client("delete", "--prefix", self._prefix)
        self._act("delete", "configmap", WRITER, "--ignore-not-found")
        gone = ("--ignore-not-found", "--force", "--grace-period=0")
        self._act("delete", "pod", WRITER, CHECK, *gone)
        if self._target.deploy:
            self._remove()
        elif self._image:
            self._restore()
        if self._made_image:
            run("docker", "image", "rm", self._made_image)

    def _restore(self) -> None:
        """Give the deployment that was there its number of replicas and its image back."""
        self._act("scale", STATEFULSET, "--replicas=3")
        if self._rolled:
            self.say(f"the deployment gets its image back, {self._image}")
            self._set_image(self._image)
        until("no replica beyond three", lambda: self.surplus(3))
        for claim in sorted(set(self._volume_claims()) - self._claims):
            self._act("delete", "persistentvolumeclaim", claim, "--wait=false")

    def _apply(self) -> None:
        there = self._kubectl("get", "namespace", self._target.namespace, "--ignore-not-found")
        self._made_namespace = there.expect().out == ""
        self._deployed = True
        overlay = ("--overlay", self._target.overlay) if self._target.overlay else ()
        self._cluster("apply", *overlay, *self._image_options())

    def _remove(self) -> None:
        if self._made_namespace:
            self._kubectl("delete", "namespace", self._target.namespace, "--wait=false")
        elif self._deployed:
            self._cluster("remove", "--purge", *self._image_options())

    def _image_options(self) -> tuple[str, ...]:
        image = self._target.image
        registry = repository_of(image).removesuffix("/raftzmq")
        return "--registry", registry, "--tag", tag_of(image)

    def _cluster(self, command: str, *options: str) -> None:
        where = ("--context", self._target.context, "--namespace", self._target.namespace)
        words = (sys.executable, "-m", "raftzmq_cli", "cluster", command, *where, *options)
        run(*words, patience_s=2 * ROLLOUT_S).expect()

    # -- Kubernetes -----------------------------------------------------------------------------

    def _kubectl(
        self, *arguments: str, given: str | None = None, patience_s: float = 2 * PATIENCE_S
    ) -> Done:
        where = ("--context", self._target.context, "--namespace", self._target.namespace)
        return run("kubectl", *where, *arguments, given=given, patience_s=patience_s)

    def _act(self, *arguments: str, given: str | None = None) -> Done:
        """Run kubectl, which must succeed. Raises Unmet."""
        return self._kubectl(*arguments, given=given).expect()

    def _exec(self, *command: str, given: str | None = None) -> Done:
        """Run a command in the writer's pod. Raises Unmet if the writer has ended."""
        deadline_s = time.monotonic() + EXEC_PATIENCE_S
        stdin = ("--stdin",) if given is not None else ()
        while True:
            done = self._kubectl("exec", *stdin, WRITER, "--", *command, given=given)
            ended = "command terminated with exit code" in done.err
            if done.code == 0 or ended or time.monotonic() > deadline_s:
                return done
            pod = self._pod(WRITER)
            phase = pod["status"].get("phase") if pod else "gone"
            if phase != "Running":
                said = self._kubectl("logs", WRITER)
                raise Unmet("a writer that works", f"its Pod is {phase}: {last_line(said.out)}")
            time.sleep(POLL_S)

    def _pod(self, name: str) -> dict[str, Any] | None:
        found = self._act("get", "pod", name, "--ignore-not-found", "-o", "json").out
        pod: dict[str, Any] | None = json.loads(found) if found.strip() else None
        return pod

    def _worker(self, node: str) -> str:
        pod = self._pod(node)
        if pod is None or not pod["spec"].get("nodeName"):
            raise Unmet(f"{node} on a worker", "it is on none")
        return str(pod["spec"]["nodeName"])

    def _worker_without_replica(self) -> str:
        workers = json.loads(self._act("get", "nodes", "-o", "json").out)["items"]
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
        run(*command_for(self._target.worker_start, worker)).expect()
        self._act("wait", f"node/{worker}", "--for=condition=Ready", f"--timeout={ROLLOUT_S}s")
        self._stopped = ""
        self.say(f"{worker} is ready again")

    def _set_image(self, image: str) -> None:
        self._act("set", "image", STATEFULSET, f"{CONTAINER}={image}")
        self._wait_for_rollout()

    def _wait_for_rollout(self) -> None:
        arguments = ("rollout", "status", STATEFULSET, f"--timeout={ROLLOUT_S}s")
        self._kubectl(*arguments, patience_s=ROLLOUT_S + PATIENCE_S).expect()

    def _volume_claims(self) -> list[str]:
        listed = self._act("get", "persistentvolumeclaims", "-l", NODES, "-o", "name")
        return [name.rpartition("/")[2] for name in listed.out.split()]


def uid_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["uid"])


def ready(pod: dict[str, Any]) -> bool:
    """Whether the pod's probes call it ready, and nobody has asked for its end."""
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def takes_pods(worker: dict[str, Any]) -> bool:
    """Whether a node of Kubernetes is ready, and takes any pod."""
    conditions = {c["type"]: c["status"] for c in worker["status"]["conditions"]}
    return conditions.get("Ready") == "True" and not worker["spec"].get("taints")


def command_for(template: str, worker: str) -> list[str]:
    """The command of an option for a worker, with its name in place of {}."""
    words = shlex.split(template)
    return [word.replace("{}", worker) for word in words]
