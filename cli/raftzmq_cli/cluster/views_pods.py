"""The pods of the older design: whether they are ready, and which of them is primary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from raftzmq_cli.cluster import rollout, tools
from raftzmq_cli.cluster.kubectl import CONTAINER, Kubectl, Object
from raftzmq_cli.cluster.pods import Pod
from raftzmq_cli.common import exits, messages, printers
from raftzmq_cli.common.settings import Output
from raftzmq_cli.views.roles import Roles

STORAGE: Final = "storage"
SERVER: Final = "view-server"
CLIENT: Final = "views-client"
CHECK: Final = "views-check"
PROJECT: Final = "app.kubernetes.io/name=raftzmq-views"
SERVERS: Final = f"{PROJECT},app.kubernetes.io/component={STORAGE}"
"""Labels by which all pods, and those of the storage servers, are found."""

HEADINGS: Final = {
    "pod": "POD",
    "ready": "READY",
    "phase": "PHASE",
    "restarts": "RESTARTS",
    "worker": "WORKER",
    "role": "ROLE",
    "view": "VIEW",
}
_QUESTION: Final = ("raftzmq", "views", "client", "status", "-w", "json")
_EXEC_S: Final = 20.0


def ask(kubectl: Kubectl) -> Roles | None:
    """Have `raftzmq views client status` run in the pod views-client, or else in another. None if
    nobody can be asked, or nobody is answered."""
    for pod in _by_usefulness(_found(kubectl)):
        words = kubectl.words("exec", pod.name, "--container", CONTAINER, "--", *_QUESTION)
        try:
            said = tools.ask(words, timeout_s=_EXEC_S)
            return Roles.of(json.loads(said.out))
        except (tools.ToolUnavailable, ValueError, KeyError, TypeError):
            continue
    return None


def wait_ready(kubectl: Kubectl, servers: int, patience: rollout.Patience) -> None:
    """Wait until every pod runs what was applied last, and is ready. Raises NotInTime."""
    what = f"the view server, {servers} storage servers and the client, each ready"
    patience.wait(what, lambda: _not_ready(kubectl, servers))


def wait_roles(kubectl: Kubectl, servers: int, patience: rollout.Patience) -> str:
    """Wait until there is a primary, a backup and the rest idle; say who is what. Raises
    NotInTime."""
    seen: list[Roles] = []

    def missing() -> str | None:
        roles = ask(kubectl)
        if roles is None:
            return "the view server does not answer yet"
        seen.append(roles)
        return roles.lacking(servers)

    patience.wait("a primary and its backup", missing)
    return str(seen[-1])


def status(kubectl: Kubectl, output: Output) -> int:
    """Show every pod and its role. Exit code 0 if there are a primary and a backup, 1 if not, 3 if
    nobody can say so."""
    found = _found(kubectl)
    if not found:
        raise exits.NothingThere(
            f"nothing is deployed in context {kubectl.context}, namespace {kubectl.namespace}: "
            "run 'raftzmq cluster apply --design views'"
        )
    roles = ask(kubectl)
    rows = [_row(pod, roles) for pod in found]
    lines: list[str | bytes] = [*printers.aligned(rows, HEADINGS)]
    lines += [f"{row['pod']}: {row['reason']}" for row in rows if row["reason"]]
    printers.show(output, rows, lines, [*HEADINGS, "reason"])
    if roles is None:
        messages.say("raftzmq: the view server does not answer, so the roles are unknown")
        return exits.UNAVAILABLE
    return exits.NO if roles.lacking(2) else exits.DONE


def _row(pod: Pod, roles: Roles | None) -> dict[str, Any]:
    role = roles.role(pod.name) if roles else None
    return {
        "pod": pod.name,
        "ready": pod.is_ready,
        "phase": pod.phase,
        "restarts": pod.restarts,
        "worker": pod.worker,
        "role": role,
        "view": roles.view if roles and role else None,
        "reason": pod.reason,
    }


def _found(kubectl: Kubectl) -> list[Pod]:
    """All pods but that of the check, the view server first."""
    found = [Pod(item) for item in kubectl.items("pods", "--selector", PROJECT)]
    return sorted(
        (pod for pod in found if pod.name != CHECK), key=lambda pod: (pod.name != SERVER, pod.name)
    )


def _by_usefulness(found: Sequence[Pod]) -> list[Pod]:
    """Those in which a command can be run; the client's first, then the ready ones."""
    return sorted(
        (pod for pod in found if pod.is_running),
        key=lambda pod: (pod.name != CLIENT, not pod.is_ready),
    )


def _not_ready(kubectl: Kubectl, servers: int) -> str | None:
    """What keeps the pods from being ready; None if nothing does."""
    live = kubectl.get("deployment", STORAGE)
    if live is None:
        return f"the Deployment {STORAGE} is gone"
    found = _found(kubectl)
    names = {pod.name for pod in found}
    storage = [pod for pod in found if pod.name not in (SERVER, CLIENT)]
    parts = rollout.troubles(kubectl, [pod for pod in found if not pod.is_ready])
    parts += [f"{name} not there yet" for name in (SERVER, CLIENT) if name not in names]
    if len(storage) < servers:
        parts.append(f"{len(storage)} of {servers} storage servers are there{_complaint(live)}")
    return "; ".join(parts) or _old_ones(live, servers)


def _complaint(live: Object) -> str:
    """Why the Deployment can make no pods, if it cannot."""
    conditions = live.get("status", {}).get("conditions") or []
    said = [c.get("message") for c in conditions if c["type"] == "ReplicaFailure"]
    return f": {messages.one_line(str(said[0]))}" if said else ""


def _old_ones(live: Object, servers: int) -> str | None:
    """Whether pods of before a change are left, or new ones have not had their time yet."""
    now = live.get("status", {})
    if now.get("observedGeneration") != live["metadata"]["generation"]:
        return "Kubernetes has not taken note of the change yet"
    for field, text in (
        ("updatedReplicas", "run what was applied"),
        ("availableReplicas", "have been ready for their time"),
    ):
        if now.get(field, 0) < servers:
            return f"{now.get(field, 0)} of {servers} {text}"
    surplus = now.get("replicas", 0) - servers
    return f"{surplus} old ones not stopped yet" if surplus > 0 else None
