"""The pods of a deployment: what each of them is doing, and why it is not ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from raftzmq.naming import parse_pod_name
from raftzmq_cli.cluster import tools
from raftzmq_cli.cluster.kubectl import CONTAINER, NODES, STATEFULSET, Kubectl, Object

_TEXT_MAX: Final = 240
_ENDED_BADLY: Final = ("CrashLoopBackOff", "Error", "RunContainerError")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as Kubernetes describes it."""

    object: Object

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def phase(self) -> str:
        """Pending, Running, Succeeded, Failed or Unknown; Terminating while it is being deleted."""
        if self.object["metadata"].get("deletionTimestamp"):
            return "Terminating"
        return str(self._status.get("phase", "Unknown"))

    @property
    def worker(self) -> str | None:
        """The Kubernetes node that it runs on, or is to run on."""
        worker: str | None = self.object["spec"].get("nodeName")
        return worker

    @property
    def is_ready(self) -> bool:
        return self.phase == "Running" and self._condition("Ready").get("status") == "True"

    @property
    def is_running(self) -> bool:
        """Whether a command can be run in it."""
        return "running" in self._container.get("state", {})

    @property
    def restarts(self) -> int:
        return int(self._container.get("restartCount", 0))

    @property
    def reason(self) -> str | None:
        """Why it is not ready, as far as Kubernetes says; None for one that is."""
        if self.is_ready:
            return None
        if self.phase == "Terminating":
            return "is being stopped"
        scheduled = self._condition("PodScheduled")
        if scheduled.get("status") == "False":
            return _said("no worker for it", scheduled.get("message"))
        for status in self._containers:
            state = status.get("state", {})
            for kind in ("waiting", "terminated"):
                if kind in state and not _done(state[kind]):
                    return _said(state[kind].get("reason", kind), state[kind].get("message"))
        if not self.is_running:
            return "is being started"
        return "runs, but is not ready"

    @property
    def has_ended_badly(self) -> bool:
        """Whether its last words are worth reading."""
        return bool(self.reason and self.reason.startswith(_ENDED_BADLY))

    @property
    def _status(self) -> dict[str, Any]:
        return dict(self.object.get("status", {}))

    @property
    def _containers(self) -> list[dict[str, Any]]:
        """Those that prepare the pod first."""
        first = self._status.get("initContainerStatuses") or []
        return [*first, *(self._status.get("containerStatuses") or [])]

    @property
    def _container(self) -> dict[str, Any]:
        found = [c for c in self._containers if c["name"] == CONTAINER]
        return found[0] if found else {}

    def _condition(self, kind: str) -> dict[str, Any]:
        found = [c for c in self._status.get("conditions") or [] if c["type"] == kind]
        return found[0] if found else {}


def nodes(kubectl: Kubectl) -> list[Pod]:
    """The pods of the StatefulSet, by their ordinals."""
    found = [Pod(item) for item in kubectl.items("pods", "--selector", NODES)]
    return sorted(found, key=lambda pod: parse_pod_name(pod.name).ordinal)


def why(kubectl: Kubectl, pod: Pod) -> str:
    """Why a pod is not ready, with the last line of its log where that tells more."""
    reason = pod.reason or "is ready"
    if not pod.has_ended_badly:
        return reason
    words = kubectl.words("logs", pod.name, "--container", CONTAINER, "--tail=5")
    for previous in (["--previous"], []):
        said = tools.ask([*words, *previous])
        if said.code == 0 and said.out.strip():
            return f"{reason}; its last words: {_short(tools.last_line(said.out))}"
    return reason


def missing(kubectl: Kubectl, replicas: int, found: Sequence[Pod]) -> str | None:
    """Which pods are not even there, and what the StatefulSet's last complaint is."""
    names = {pod.name for pod in found}
    absent = [name for name in names_of(replicas) if name not in names]
    if not absent:
        return None
    about = f"involvedObject.name={STATEFULSET},type=Warning"
    events = kubectl.items("events", "--field-selector", about)
    events.sort(key=lambda event: str(event.get("lastTimestamp") or ""))
    said = events[-1].get("message") if events else None
    return _said(f"{', '.join(absent)} not there yet", said)


def names_of(replicas: int) -> list[str]:
    """The nodes of so many replicas: raft-0, raft-1 and so on."""
    return [f"{STATEFULSET}-{ordinal}" for ordinal in range(replicas)]


def _done(state: dict[str, Any]) -> bool:
    """A container that prepares and has done so."""
    return state.get("reason") == "Completed" or state.get("exitCode") == 0


def _said(reason: str, message: str | None) -> str:
    return f"{reason}: {_short(message)}" if message else reason


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_MAX else f"{line[: _TEXT_MAX - 1]}…"
