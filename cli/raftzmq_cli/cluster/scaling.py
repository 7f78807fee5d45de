"""Scaling from outside: set the number, then wait until the nodes have made it their membership."""

from __future__ import annotations

from collections.abc import Callable

from raftzmq_cli.cluster import pods, rollout
from raftzmq_cli.cluster.kubectl import NODES, STATEFULSET, Kubectl, Object
from raftzmq_cli.common import exits

BY_HAND = "'raftzmq client member list|add|promote|remove' does it by hand"


def scale(kubectl: Kubectl, replicas: int, timeout_s: float, say: Callable[[str], None]) -> None:
    """Set the replicas and wait for pods and membership. Raises NotInTime, ToolFailed."""
    live = kubectl.get("statefulset", STATEFULSET)
    if live is None:
        raise exits.NothingThere(
            f"nothing to scale in context {kubectl.context}, namespace {kubectl.namespace}: "
            "'raftzmq cluster apply' comes first"
        )
    before = int(live["spec"]["replicas"])
    say(f"from {before} to {replicas} replicas")
    for text in (warning(replicas), _about_data(live, replicas)):
        if text is not None:
            say(text)
    kubectl.act("scale", "statefulset", STATEFULSET, f"--replicas={replicas}")
    patience = rollout.Patience(timeout_s, say)
    if replicas == 0:
        rollout.wait_gone(kubectl, patience, NODES)
        say(f"no node runs; 'raftzmq cluster scale {before or 3}' starts them again")
        return
    try:
        rollout.wait_members(kubectl, replicas, patience)
    except rollout.NotInTime as late:
        raise rollout.NotInTime(f"{late}; {BY_HAND}") from None
    rollout.wait_ready(kubectl, replicas, patience)
    say(f"the members are {', '.join(pods.names_of(replicas))}, all of them voters")


def warning(replicas: int) -> str | None:
    """What is not so good about this number of replicas."""
    if replicas and replicas % 2 == 0:
        return (
            f"warning: {replicas} nodes survive the loss of {(replicas - 1) // 2}, as "
            f"{replicas - 1} would, but each write needs {replicas // 2 + 1} of them: "
            "odd numbers are better"
        )
    if replicas == 1:
        return "warning: one node alone: while it is away nothing works, and its volume is all"
    return None


def _about_data(live: Object, replicas: int) -> str | None:
    if replicas > 0:
        return None
    if live["spec"].get("volumeClaimTemplates"):
        return (
            "all nodes stop, and nobody is served; their data and membership stay on the volumes, "
            "and are there again when they are scaled back"
        )
    return "warning: these pods have no volumes: with the last of them all data is gone"
