"""`raftzmq cluster scale`: set the number, and wait until the membership is the same."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from raftzmq_cli.cluster import pods, rollout
from raftzmq_cli.cluster.kubectl import NODES, STATEFULSET, Object, connect
from raftzmq_cli.cluster.options import WAIT_S, Context, Namespace, Timeout
from raftzmq_cli.common import exits
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import line

BY_HAND: Final = "'raftzmq client member list|add|promote|remove' does it by hand"

commands = Commands()


@commands.command("scale", "raftzmq cluster scale 5\nraftzmq cluster scale 0")
def scale(
    replicas: Annotated[int, typer.Argument(min=0, max=99, help="Number of nodes.")],
    context: Context = None,
    namespace: Namespace = None,
    timeout: Timeout = WAIT_S,
) -> None:
    """Set the number of replicas, and wait until the membership matches.

    The leader changes one node at a time: a new node catches up before it votes, a surplus node
    votes until it has been removed.
    """
    kubectl = connect(context, namespace)
    kubectl.server_version()
    live = kubectl.get("statefulset", STATEFULSET)
    if live is None:
        raise exits.NothingThere(
            f"nothing to scale in context {kubectl.context}, namespace {kubectl.namespace}: "
            "run 'raftzmq cluster apply' first"
        )
    before = int(live["spec"]["replicas"])
    line(f"from {before} to {replicas} replicas")
    for text in (warning(replicas), _about_data(live, replicas)):
        if text is not None:
            line(text)
    kubectl.act("scale", "statefulset", STATEFULSET, f"--replicas={replicas}")
    patience = rollout.Patience(timeout, line)
    if replicas == 0:
        rollout.wait_gone(kubectl, patience, NODES)
        line(f"no node runs; start them with 'raftzmq cluster scale {before or 3}'")
        return
    try:
        rollout.wait_members(kubectl, replicas, patience)
    except rollout.NotInTime as late:
        raise rollout.NotInTime(f"{late}; {BY_HAND}") from None
    rollout.wait_ready(kubectl, replicas, patience)
    line(f"the members are {', '.join(pods.names_of(replicas))}, all of them voters")


def warning(replicas: int) -> str | None:
    """What is not so good about this number of replicas."""
    if replicas and replicas % 2 == 0:
        return (
            f"warning: {replicas} nodes survive the loss of {(replicas - 1) // 2}, as "
            f"{replicas - 1} would, but each write needs {replicas // 2 + 1} of them: "
            "odd numbers are better"
        )
    if replicas == 1:
        return "warning: one node: no service while it is down, and no second copy of the data"
    return None


def _about_data(live: Object, replicas: int) -> str | None:
    if replicas > 0:
        return None
    if live["spec"].get("volumeClaimTemplates"):
        return (
            "all nodes stop, and no client is served; data and membership stay on the volumes, and "
            "are there again after scaling back"
        )
    return "warning: these pods have no volumes: when the last one stops, all data is lost"
