"""Waiting for pods and for the membership, and saying meanwhile what is being waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from raftzmq_cli.client import first_write
from raftzmq_cli.cluster import membership, pods
from raftzmq_cli.cluster.kubectl import CLIENT, PROJECT, STATEFULSET, Kubectl
from raftzmq_cli.cluster.pods import Pod
from raftzmq_cli.cluster.tools import ToolFailed, ToolUnavailable

_POLL_S: Final = 1.0


class NotInTime(ToolUnavailable):
    """What was waited for did not come about in time; the text says what was missing."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and where to say what for."""

    timeout_s: float
    say: Callable[[str], None]

    def wait(self, what: str, missing: Callable[[], str | None]) -> None:
        """Ask again and again what is missing until that is nothing. Raises NotInTime."""
        deadline = time.monotonic() + self.timeout_s
        shown = None
        self.say(f"waiting for {what}")
        while (lacks := _asked(missing)) is not None:
            if lacks != shown:
                self.say(f"  {lacks}")
                shown = lacks
            if time.monotonic() > deadline:
                raise NotInTime(f"{what}: not within {self.timeout_s:g} s: {lacks}")
            time.sleep(_POLL_S)


def wait_account(kubectl: Kubectl, patience: Patience) -> None:
    """Wait until a new namespace has its service account, without which no pod can be made. Raises
    NotInTime."""

    def missing() -> str | None:
        there = kubectl.get("serviceaccount", "default") is not None
        return None if there else "there is none yet"

    patience.wait(f"the service account of namespace {kubectl.namespace}", missing)


def wait_ready(kubectl: Kubectl, replicas: int, patience: Patience) -> None:
    """Wait until every pod runs what was applied last, and is ready. Raises NotInTime."""
    patience.wait(f"{replicas} pods, each ready", lambda: _not_ready(kubectl, replicas))


def wait_members(kubectl: Kubectl, replicas: int, patience: Patience) -> None:
    """Wait until the voters are raft-0 to raft-(replicas-1) and nobody else. Raises NotInTime."""

    def missing() -> str | None:
        found = pods.nodes(kubectl)
        text = membership.difference(membership.ask(kubectl, replicas, found), replicas)
        if text is None:
            return None
        return "; ".join([text, *troubles(kubectl, [pod for pod in found if not pod.is_ready])])

    patience.wait(f"the membership: {', '.join(pods.names_of(replicas))}", missing)


def wait_writable(kubectl: Kubectl, replicas: int, patience: Patience) -> None:
    """Wait until a write is acknowledged. Raises NotInTime."""

    def missing() -> str | None:
        found = pods.nodes(kubectl)
        done = membership.acknowledges_a_write(kubectl, replicas, found)
        return None if done else first_write.NOT_YET

    patience.wait("a first write", missing)


def wait_gone(kubectl: Kubectl, patience: Patience, selector: str = PROJECT) -> None:
    """Wait until no pod is left. Raises NotInTime."""

    def missing() -> str | None:
        names = [item["metadata"]["name"] for item in kubectl.items("pods", "--selector", selector)]
        return f"{', '.join(names)} still there" if names else None

    patience.wait("the pods to end", missing)


def _asked(missing: Callable[[], str | None]) -> str | None:
    """What is missing; a question that fails now may be answered the next time."""
    try:
        return missing()
    except (ToolFailed, ToolUnavailable) as error:
        return str(error)


def _not_ready(kubectl: Kubectl, replicas: int) -> str | None:
    """What keeps the pods from being ready, pod by pod; None if nothing does."""
    live = kubectl.get("statefulset", STATEFULSET)
    if live is None:
        return f"the StatefulSet {STATEFULSET} is gone"
    found = pods.nodes(kubectl)
    client = kubectl.get("pod", CLIENT)
    others = [Pod(client)] if client is not None else []
    waiting = [pod for pod in [*found, *others] if not pod.is_ready]
    surplus = [pod.name for pod in found if pod.name not in pods.names_of(replicas)]
    parts = troubles(kubectl, waiting)
    absent = pods.missing(kubectl, replicas, found)
    if absent is not None:
        parts.append(absent)
    if surplus and not waiting:
        parts.append(f"{', '.join(surplus)} not stopped yet")
    if not parts:
        return _old_ones(live, replicas)
    ready = sum(pod.is_ready for pod in found)
    return f"{ready} of {replicas} ready; " + "; ".join(parts)


def troubles(kubectl: Kubectl, waiting: Sequence[Pod]) -> list[str]:
    """Why pods are not ready, those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for pod in waiting:
        reasons.setdefault(pods.why(kubectl, pod), []).append(pod.name)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _old_ones(live: dict[str, Any], replicas: int) -> str | None:
    """Whether some pods, though ready, are still those from before a change."""
    status = live.get("status", {})
    if status.get("observedGeneration") != live["metadata"]["generation"]:
        return "Kubernetes has not taken note of the change yet"
    if replicas == 0 or status.get("currentRevision") == status.get("updateRevision"):
        return None
    updated = status.get("updatedReplicas", 0)
    return None if updated >= replicas else f"{updated} of {replicas} run the new revision"
