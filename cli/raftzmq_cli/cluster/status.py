"""`raftzmq cluster status`: the pods, and what the nodes in them say."""

from __future__ import annotations

from raftzmq_cli.client import statuses
from raftzmq_cli.cluster import membership, pods, views_pods
from raftzmq_cli.cluster.kubectl import STATEFULSET, connect
from raftzmq_cli.cluster.options import ChosenDesign, Context, Namespace
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.settings import GroupOutput, Output

commands = Commands()


@commands.command("status", "raftzmq cluster status -w json")
def status(
    design: ChosenDesign = Design.RAFT,
    context: Context = None,
    namespace: Namespace = None,
    output: GroupOutput = None,
) -> int:
    """Show every pod, its worker and its node. Exit codes are those of `client status`."""
    kubectl = connect(context, namespace)
    kubectl.server_version()
    if design is Design.VIEWS:
        return views_pods.status(kubectl, output or Output.SIMPLE)
    live = kubectl.get("statefulset", STATEFULSET)
    if live is None:
        raise exits.NothingThere(
            f"nothing is deployed in context {kubectl.context}, namespace {kubectl.namespace}: "
            "run 'raftzmq cluster apply'"
        )
    found = pods.nodes(kubectl)
    documents = membership.ask(kubectl, int(live["spec"]["replicas"]), found)
    rows = membership.joined(documents, found)
    membership.show(output or Output.SIMPLE, rows)
    if not rows:
        messages.say("raftzmq: the StatefulSet has 0 replicas: see 'raftzmq cluster scale'")
    return statuses.verdict(rows)
