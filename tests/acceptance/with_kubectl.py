"""Whatever runs on a Kubernetes that kubectl reaches, with the writer in a pod of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.acceptance.expectation import PATIENCE_S, POLL_S, Done, Unmet, run, until
from tests.acceptance.images import repository_of, tag_of
from tests.acceptance.manifests import ORDERS, REPORT, WRITER, Manifest
from tests.acceptance.platforms import Place, last_line

ROLLOUT_S: Final = 300
EXEC_PATIENCE_S: Final = 30.0
"""`kubectl exec` is tried again for so long: it fails now and then for reasons of its own."""

_AT_ONCE: Final = ("--ignore-not-found", "--force", "--grace-period=0")


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


class WithKubectl(Place):
    """kubectl for the target's context and namespace, and the writer's pod."""

    design: Sequence[str] = ()
    """Options of `raftzmq cluster` that say which design it is about."""

    def __init__(self, say: Callable[[str], None], target: Target) -> None:
        super().__init__(say)
        self.target = target
        self._made_namespace = False
        self._deployed = False

    # -- the deployment -------------------------------------------------------------------------

    def make(self) -> None:
        """Deploy it with `raftzmq cluster apply`."""
        there = self.kubectl("get", "namespace", self.target.namespace, "--ignore-not-found")
        self._made_namespace = there.expect().out == ""
        self._deployed = True
        overlay = ("--overlay", self.target.overlay) if self.target.overlay else ()
        self._cluster("apply", *self.design, *overlay, *self._image_options())

    def unmake(self) -> None:
        """Remove what `make` made."""
        if self._made_namespace:
            self.kubectl("delete", "namespace", self.target.namespace, "--wait=false")
        elif self._deployed:
            self._cluster("remove", *self.design, "--purge", *self._image_options())

    def _image_options(self) -> tuple[str, ...]:
        image = self.target.image
        registry = repository_of(image).removesuffix("/raftzmq")
        return "--registry", registry, "--tag", tag_of(image)

    def _cluster(self, command: str, *options: str) -> None:
        where = ("--context", self.target.context, "--namespace", self.target.namespace)
        words = (sys.executable, "-m", "raftzmq_cli", "cluster", command, *where, *options)
        run(*words, patience_s=2 * ROLLOUT_S).expect()

    # -- the check and the writer ---------------------------------------------------------------

    def outcome_of(self, check: Manifest) -> str:
        """Make the Pod of a check anew; its phase tells the result, and its log why. Returns the
        last line of that."""
        name = check["metadata"]["name"]
        self.act("delete", "pod", name, *_AT_ONCE)
        self.act("apply", "-f", "-", given=json.dumps(check))

        def runs() -> str | None:
            phase = self._phase(name)
            return None if phase in ("Succeeded", "Failed") else f"its phase is {phase}"

        until(f"the end of the Pod {name}", runs, 2 * PATIENCE_S)
        log = self.act("logs", name).out
        phase = self._phase(name)
        if phase != "Succeeded":
            raise Unmet(f"the Pod {name} in the phase Succeeded", f"{phase}; {log[-1000:]}")
        return last_line(log)

    def make_writer(self, manifests: Manifest) -> None:
        """Make the writer's pod anew, and wait until it is ready."""
        self.kubectl("delete", "pod", WRITER, *_AT_ONCE)
        self.act("apply", "-f", "-", given=json.dumps(manifests))
        self.act("wait", f"pod/{WRITER}", "--for=condition=Ready", f"--timeout={PATIENCE_S:g}s")

    def order_writer(self, orders: str) -> None:
        self.execute("sh", "-c", f"cat > {ORDERS}.new && mv {ORDERS}.new {ORDERS}", given=orders)

    def writer_report(self) -> str | None:
        done = self.execute("sh", "-c", f"[ ! -e {REPORT} ] || cat {REPORT}").expect()
        return done.out or None

    # -- the end --------------------------------------------------------------------------------

    def gather_from(self, directory: Path, described: str, pods: Sequence[str]) -> None:
        """Put what Kubernetes says into the directory, and what the pods have said."""
        said = {
            "pods.txt": ("get", "pods", "-o", "wide"),
            "described.txt": ("describe", described),
            "workers.txt": ("describe", "nodes"),
            "events.txt": ("get", "events", "--sort-by=.lastTimestamp"),
        }
        for name in pods:
            said[f"{name}.log"] = ("logs", name, "--timestamps")
            said[f"{name}.before.log"] = ("logs", name, "--timestamps", "--previous")
        for file, arguments in said.items():
            done = self.kubectl(*arguments)
            if done.code == 0:
                (directory / file).write_text(done.out)

    def whereabouts(self) -> str:
        where = f"--context {self.target.context} --namespace {self.target.namespace}"
        return f"kubectl {where} get all; the writer: kubectl {where} delete pod {WRITER}"

    def unmake_pods(self, check: str) -> None:
        """Remove the pods of the writer and of the check."""
        self.act("delete", "configmap", WRITER, "--ignore-not-found")
        self.act("delete", "pod", WRITER, check, *_AT_ONCE)

    # -- Kubernetes -----------------------------------------------------------------------------

    def kubectl(
        self, *arguments: str, given: str | None = None, patience_s: float = 2 * PATIENCE_S
    ) -> Done:
        """Run kubectl, and wait for its end."""
        where = ("--context", self.target.context, "--namespace", self.target.namespace)
        return run("kubectl", *where, *arguments, given=given, patience_s=patience_s)

    def act(self, *arguments: str, given: str | None = None) -> Done:
        """Run kubectl, which must succeed. Raises Unmet."""
        return self.kubectl(*arguments, given=given).expect()

    def execute(self, *command: str, given: str | None = None) -> Done:
        """Run a command in the writer's pod. Raises Unmet if the writer has ended."""
        deadline_s = time.monotonic() + EXEC_PATIENCE_S
        stdin = ("--stdin",) if given is not None else ()
        while True:
            done = self.kubectl("exec", *stdin, WRITER, "--", *command, given=given)
            ended = "command terminated with exit code" in done.err
            if done.code == 0 or ended or time.monotonic() > deadline_s:
                return done
            pod = self.pod(WRITER)
            phase = pod["status"].get("phase") if pod else "gone"
            if phase != "Running":
                said = self.kubectl("logs", WRITER)
                raise Unmet("a writer that works", f"its Pod is {phase}: {last_line(said.out)}")
            time.sleep(POLL_S)

    def pod(self, name: str) -> dict[str, Any] | None:
        """A pod as Kubernetes describes it; None: there is none."""
        found = self.act("get", "pod", name, "--ignore-not-found", "-o", "json").out
        pod: dict[str, Any] | None = json.loads(found) if found.strip() else None
        return pod

    def _phase(self, name: str) -> str:
        pod = self.pod(name)
        return str(pod["status"].get("phase")) if pod else "gone"


def uid_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["uid"])


def ready(pod: dict[str, Any]) -> bool:
    """Whether the pod's probes call it ready, and nobody has asked for its end."""
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
