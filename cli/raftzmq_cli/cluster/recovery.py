"""`raftzmq cluster recover`: a majority of the volumes is lost for good.

What has been done is written down in an annotation of the StatefulSet, so that the command goes on
after an interruption, and never deletes a volume of the new cluster.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from raftzmq.errors import InvalidRequest
from raftzmq.naming import parse_pod_name
from raftzmq_cli.cluster import pods, rollout, tools
from raftzmq_cli.cluster.kubectl import CONTAINER, NODES, STATEFULSET, Kubectl, Object, connect
from raftzmq_cli.cluster.options import WAIT_S, Context, Namespace, Timeout
from raftzmq_cli.cluster.pods import Pod
from raftzmq_cli.common import exits
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import line

ANNOTATION: Final = "raftzmq/recovery"
POD: Final = "raft-recover"
DATA: Final = "/data"
_INITIAL: Final = "RAFTZMQ_REPLICAS"
_OF_A_MACHINE: Final = ("RAFTZMQ_MACHINE", "PYTHONPATH")
"""Where nodes find a state machine of their users' own, if they have one."""

commands = Commands()


@dataclass(frozen=True, slots=True)
class Progress:
    """What the annotation says: whose volume is used, how many nodes are to run again, and whether
    the other volumes are gone, after which none is deleted any more."""

    survivor: str
    replicas: int
    cleared: bool

    def text(self) -> str:
        return f"{self.survivor} {self.replicas} {'cleared' if self.cleared else 'begun'}"

    @classmethod
    def of(cls, live: Object) -> Progress | None:
        said = live["metadata"].get("annotations", {}).get(ANNOTATION, "").split()
        return cls(said[0], int(said[1]), said[2] == "cleared") if len(said) == 3 else None


@commands.command(
    "recover",
    """
    raftzmq cluster recover              what the nodes that still run have
    raftzmq cluster recover --from raft-2 --confirm "lose everything after revision 1234"
    """,
)
def recover(
    survivor: Annotated[
        str | None,
        typer.Option("--from", metavar="POD", help="The node whose volume is used."),
    ] = None,
    confirm: Annotated[
        str, typer.Option(metavar="TEXT", help="What is lost, in the words that it says before.")
    ] = "",
    context: Context = None,
    namespace: Namespace = None,
    timeout: Timeout = WAIT_S,
) -> None:
    """Make a new cluster from the volume of one node, when most volumes are lost for good.

    Without --from it asks the nodes that run what they have, and changes nothing. With --from it
    stops all nodes, recovers from that volume, deletes the volumes of the others, and starts all
    again. It shows each command, and goes on when it is run again.
    """
    kubectl = connect(context, namespace)
    kubectl.server_version()
    live = kubectl.get("statefulset", STATEFULSET)
    if live is None:
        where = f"context {kubectl.context}, namespace {kubectl.namespace}"
        raise exits.NothingThere(f"there is no StatefulSet {STATEFULSET} in {where}")
    begun = Progress.of(live)
    if survivor is None:
        if begun is not None:
            line(
                f"a recovery from {begun.survivor} was interrupted: give --from and --confirm again"
            )
        _show(kubectl)
        return
    parse_pod_name(survivor)
    if begun is not None and begun.survivor != survivor:
        raise InvalidRequest(f"a recovery from {begun.survivor} has begun: go on with that one")
    _carry_out(kubectl, live, survivor, confirm, begun, rollout.Patience(timeout, line))


def _show(kubectl: Kubectl) -> None:
    """What each node that runs has in its directory, and the command to go on with."""
    best: dict[str, Any] | None = None
    for pod in pods.nodes(kubectl):
        if not pod.is_running:
            line(f"{pod.name}  cannot be asked: {pod.reason}")
            continue
        asked = ["exec", pod.name, "--container", CONTAINER, "--"]
        words = kubectl.words(*asked, "raftzmq", "recover", DATA, "-w", "json")
        (row,) = json.loads(tools.answer(words))["survivors"]
        if row["damage"]:
            line(f"{pod.name}  {row['damage']}")
            continue
        line(
            f"{pod.name}  term {row['last_term']}, index {row['last_index']}, "
            f"revision {row['revision']}, {row['keys']} keys"
        )
        place = (row["last_term"], row["last_index"])
        if best is None or place > (best["last_term"], best["last_index"]):
            best = row
    if best is None:
        raise exits.AnswerIsNo("no node runs that could be asked: see the runbook, No quorum")
    line(f"newest    {best['node']}; what was acknowledged after it elsewhere is lost")
    line("careful   if a majority of the volumes exists, start those nodes: nothing is lost then")
    line(
        f"go on     raftzmq cluster recover --from {best['node']} "
        f'--confirm "lose everything after revision {best["revision"]}"'
    )


def _carry_out(
    kubectl: Kubectl,
    live: Object,
    survivor: str,
    confirm: str,
    begun: Progress | None,
    patience: rollout.Patience,
) -> None:
    replicas = begun.replicas if begun else int(live["spec"]["replicas"])
    ordinal = parse_pod_name(survivor).ordinal
    if ordinal >= replicas:
        raise InvalidRequest(
            f"{survivor} is none of {replicas} replicas: `kubectl scale statefulset {STATEFULSET} "
            f"--replicas={ordinal + 1}` first"
        )
    if begun is None or not begun.cleared:
        _replace(kubectl, live, Progress(survivor, replicas, cleared=False), confirm, patience)
    if ordinal >= _initial(live):  # or raft-0, empty and with nobody to ask, would form a cluster
        kubectl.act("set", "env", f"statefulset/{STATEFULSET}", f"{_INITIAL}={replicas}")
    kubectl.act("scale", "statefulset", STATEFULSET, f"--replicas={replicas}")
    rollout.wait_members(kubectl, replicas, patience)
    kubectl.act("annotate", "statefulset", STATEFULSET, f"{ANNOTATION}-")
    line(f"recovered from {survivor}: the members are {', '.join(pods.names_of(replicas))}")


def _replace(
    kubectl: Kubectl, live: Object, progress: Progress, confirm: str, patience: rollout.Patience
) -> None:
    """Stop all nodes, recover from the volume of one, and delete the others'."""
    resumed = Progress.of(live) is not None
    _note(kubectl, progress)
    kubectl.act("scale", "statefulset", STATEFULSET, "--replicas=0")
    rollout.wait_gone(kubectl, patience, NODES)
    try:
        done_before = _run(kubectl, live, progress.survivor, confirm, patience)
    except tools.ToolFailed:
        if not resumed:
            _back(kubectl, progress.replicas)
        raise
    if done_before and not resumed:
        _back(kubectl, progress.replicas)
        raise InvalidRequest(f"{progress.survivor} was recovered before: nothing was deleted")
    claims = [str(item["metadata"]["name"]) for item in kubectl.items("pvc", "--selector", NODES)]
    others = [name for name in claims if name != f"data-{progress.survivor}"]
    if others:
        kubectl.act("delete", "pvc", *others, "--ignore-not-found")
    _note(kubectl, Progress(progress.survivor, progress.replicas, cleared=True))


def _back(kubectl: Kubectl, replicas: int) -> None:
    """Start all nodes as they were, because nothing was changed."""
    kubectl.act("scale", "statefulset", STATEFULSET, f"--replicas={replicas}")
    kubectl.act("annotate", "statefulset", STATEFULSET, f"{ANNOTATION}-")


def _note(kubectl: Kubectl, progress: Progress) -> None:
    said = f"{ANNOTATION}={progress.text()}"
    kubectl.act("annotate", "statefulset", STATEFULSET, "--overwrite", said)


def _run(
    kubectl: Kubectl, live: Object, survivor: str, confirm: str, patience: rollout.Patience
) -> bool:
    """Run `raftzmq recover` in a pod that has the survivor's volume. Returns whether that had been
    done before. Raises ToolFailed with what it said."""
    kubectl.act("delete", "pod", POD, "--ignore-not-found")
    kubectl.act("apply", "-f", "-", stdin=json.dumps(manifest(live, survivor, confirm)))

    def missing() -> str | None:
        found = kubectl.get("pod", POD)
        if found is None:
            return f"the pod {POD} is not there yet"
        pod = Pod(found)
        return None if pod.phase in ("Succeeded", "Failed") else pod.reason or "it runs"

    patience.wait(f"the recovery in pod {POD}", missing)
    found = kubectl.get("pod", POD)
    said = tools.answer(kubectl.words("logs", POD)).strip()
    for text in said.splitlines():
        line(f"  {text}")
    kubectl.act("delete", "pod", POD, "--ignore-not-found")
    if found is None or Pod(found).phase != "Succeeded":
        raise tools.ToolFailed(f"the recovery from {survivor} failed: {tools.last_line(said)}")
    return bool(json.loads(tools.last_line(said)).get("repeated"))


def manifest(live: Object, survivor: str, confirm: str) -> Object:
    """The pod that recovers: the nodes' image and user, and the volume of one of them."""
    spec = live["spec"]["template"]["spec"]
    node = next(one for one in spec["containers"] if one["name"] == CONTAINER)
    words = ["recover", DATA, "--as-new-cluster", "--confirm", confirm, "-w", "json"]
    container = {
        "name": CONTAINER,
        "image": node["image"],
        "command": ["raftzmq", *words],
        "volumeMounts": [{"name": "data", "mountPath": DATA}],
    }
    own = [one for one in node.get("env", []) if one["name"] in _OF_A_MACHINE]
    if own:
        container["env"] = own
    for field in ("securityContext", "resources", "imagePullPolicy", "workingDir"):
        if field in node:
            container[field] = node[field]
    pod: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{survivor}"}},
        ],
    }
    for field in ("securityContext", "imagePullSecrets", "tolerations"):
        if field in spec:
            pod[field] = spec[field]
    labels = {
        "app.kubernetes.io/name": "raftzmq",
        "app.kubernetes.io/component": "recovery",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "labels": labels},
        "spec": pod,
    }


def _initial(live: Object) -> int:
    """How many nodes would form a cluster, if they were all empty."""
    containers = live["spec"]["template"]["spec"]["containers"]
    env = next(one for one in containers if one["name"] == CONTAINER).get("env", [])
    values = [one.get("value") for one in env if one["name"] == _INITIAL]
    return int(values[0]) if values else 3
