"""What the nodes in a Kubernetes say of themselves, asked from inside; their pods beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from raftzmq.naming import client_address, service_address
from raftzmq_cli.client import first_write, statuses
from raftzmq_cli.cluster import pods, tools
from raftzmq_cli.cluster.kubectl import CLIENT, CONTAINER, Kubectl
from raftzmq_cli.cluster.pods import Pod
from raftzmq_cli.common import exits, messages, printers
from raftzmq_cli.common.settings import Output

SERVICE: Final = "raft-service"
_EXEC_S: Final = 20.0
POD_FIELDS: Final = ("phase", "ready", "restarts", "worker", "reason")
"""What a document has besides the fields of `client status`."""

HEADINGS: Final = {
    "node": "NODE",
    "ready": "READY",
    "phase": "PHASE",
    "restarts": "RESTARTS",
    "worker": "WORKER",
    "role": "ROLE",
    "term": "TERM",
    "leader": "LEADER",
    "commit_index": "COMMIT",
    "applied_index": "APPLIED",
    "healthy": "HEALTHY",
}

Document = dict[str, Any]


def ask(kubectl: Kubectl, replicas: int, found: Sequence[Pod]) -> list[Document]:
    """Have `raftzmq client status` run in the pod `client`, or else in one of the nodes.

    Asks the nodes that there should be and those that there are. Empty if nobody can be asked.
    """
    by_endpoint = _endpoints(kubectl, replicas, found)
    question = ["raftzmq", "client", "status", "-w", "json", "--endpoints", ",".join(by_endpoint)]
    for pod in _who_can_be_asked(kubectl, found) if by_endpoint else ():
        documents = _documents(_said_in(kubectl, pod, question).out)
        if documents is not None:
            for document in documents:
                document["node"] = document["node"] or by_endpoint.get(document["endpoint"])
            return documents
    return []


def acknowledges_a_write(kubectl: Kubectl, replicas: int, found: Sequence[Pod]) -> bool:
    """Whether the nodes acknowledge a write that is sent from one of the pods."""
    endpoints = ",".join(_endpoints(kubectl, replicas, found))
    question = [*first_write.COMMAND, "--endpoints", endpoints]
    for pod in _who_can_be_asked(kubectl, found):
        said = _said_in(kubectl, pod, question, first_write.TRANSACTION)
        if said.code in (exits.DONE, exits.UNAVAILABLE, exits.REFUSED):
            return first_write.says_acknowledged(said.out)
    return False


def _endpoints(kubectl: Kubectl, replicas: int, found: Sequence[Pod]) -> dict[str, str]:
    """The client ports of the nodes that there should be and of those that there are; names."""
    names = dict.fromkeys([*pods.names_of(replicas), *(pod.name for pod in found)])
    return {_endpoint(name, kubectl.namespace): name for name in names}


def _who_can_be_asked(kubectl: Kubectl, found: Sequence[Pod]) -> list[str]:
    """The pods in which a command can run, those first that are ready."""
    client = kubectl.get("pod", CLIENT)
    candidates = [*([Pod(client)] if client is not None else []), *found]
    ready = [pod.name for pod in candidates if pod.is_ready]
    return ready + [pod.name for pod in candidates if pod.is_running and not pod.is_ready]


def _said_in(
    kubectl: Kubectl, pod: str, command: Sequence[str], stdin: str | None = None
) -> tools.Answer:
    """What a command says in a pod; nothing, and exit code 1, if it cannot be run there."""
    options = () if stdin is None else ("--stdin",)
    words = kubectl.words("exec", *options, pod, "--container", CONTAINER, "--", *command)
    try:
        return tools.ask(words, stdin=stdin, timeout_s=_EXEC_S)
    except tools.ToolUnavailable:  # its worker is lost, which Kubernetes may not know yet
        return tools.Answer(exits.NO, "", "")


def joined(documents: Sequence[Document], found: Sequence[Pod]) -> list[Document]:
    """The documents with the pods' fields; a pod of which nobody spoke has one too."""
    by_name = {pod.name: pod for pod in found}
    rows = [{**document, **_pod_fields(by_name.get(document["node"]))} for document in documents]
    spoken_of = {document["node"] for document in documents}
    for pod in found:
        if pod.name not in spoken_of:
            silent: Document = dict.fromkeys(statuses.FIELDS)
            silent |= {"node": pod.name, "members": [], "healthy": False, "error": "not asked"}
            rows.append({**silent, **_pod_fields(pod)})
    return rows


def show(output: Output, rows: Sequence[Document]) -> None:
    """Print the rows of `joined`, and the judgement on them all."""
    judgement = statuses.judgement(rows, cure="see why the pods are not ready") if rows else ""
    lines: list[str | bytes] = [*printers.aligned(rows, HEADINGS)]
    for row in rows:
        for field in ("reason", "error", "waiting"):
            if row.get(field):
                who = row["node"] or row["endpoint"]
                lines.append(f"{who}: {messages.one_line(str(row[field]))}")
    if judgement:
        lines.append(judgement)
    printers.show(output, rows, lines, [*HEADINGS, "reason"])
    if judgement and output is Output.TABLE:
        messages.line(judgement)


def difference(documents: Sequence[Document], replicas: int) -> str | None:
    """What is still missing until raft-0 to raft-(replicas-1) are the voters; None: nothing."""
    members = {m["name"]: bool(m["voter"]) for m in statuses.newest_members(documents)}
    wanted = pods.names_of(replicas)
    if not members:
        return (
            f"no node knows the members; {statuses.summary(documents)}"
            if documents
            else ("no pod can be asked yet")
        )
    parts = []
    for text, names in (
        ("to be added", [name for name in wanted if name not in members]),
        ("catching up", [name for name in wanted if members.get(name) is False]),
        ("to be removed", [name for name in members if name not in wanted]),
    ):
        if names:
            parts.append(f"{', '.join(names)} {text}")
    if statuses.leader_of(documents) is None:
        parts.append("no leader")
    return "; ".join(parts) or None


def _documents(text: str) -> list[Document] | None:
    """The answer of `client status -w json`, which it gives with any exit code."""
    try:
        documents = json.loads(text)
    except ValueError:
        return None
    return documents if isinstance(documents, list) else None


def _pod_fields(pod: Pod | None) -> Document:
    if pod is None:
        return {**dict.fromkeys(POD_FIELDS), "reason": "there is no such pod"}
    values = (pod.phase, pod.is_ready, pod.restarts, pod.worker, pod.reason)
    return dict(zip(POD_FIELDS, values, strict=True))


def _endpoint(name: str, namespace: str) -> str:
    return client_address(service_address(name, SERVICE, namespace))
