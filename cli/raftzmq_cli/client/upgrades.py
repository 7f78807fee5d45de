"""`raftzmq client upgrade`: the cluster version, which builds may run, and changing that."""

from __future__ import annotations

from typing import Any

from raftzmq.errors import Unavailable
from raftzmq_cli.client import statuses
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import exits
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.printers import aligned

HEADINGS = {"node": "NODE", "build": "BUILD", "speaks": "SPEAKS", "settled": "SETTLED"}

commands = Group(
    "upgrade",
    "Show the cluster version, raise it, lower it.",
    """
    raftzmq client upgrade status
    raftzmq client upgrade finish       (raise it now; take back a downgrade)
    raftzmq client upgrade downgrade    (lower it by one, so that older builds can run)
    """,
    shared=SHARED,
)


@commands.command("status", "raftzmq client upgrade status\nraftzmq client upgrade status -w json")
def status(run: ClientInvocation) -> int:
    """Show the cluster version, what each node speaks, and what blocks a higher version.

    SETTLED is "yes" if a node needs nothing any more that was written before the last downgrade.
    Exit code 0 if nothing blocks, 1 if something does, 3 if there is no leader.
    """
    documents = statuses.collect(run)
    leader = statuses.leader_of(documents)
    if leader is None:
        raise Unavailable("no node that answers leads: `raftzmq client status` says why")
    if "cluster_version" not in leader:
        raise Unavailable(f"{leader['node']} runs a build that knows no cluster version")
    document = report(leader, documents)
    run.show(document, lines_of(document), list(document))
    return exits.NO if document["blocked"] else exits.DONE


def report(leader: dict[str, Any], documents: list[dict[str, Any]]) -> dict[str, Any]:
    """What the leader and the nodes say, in one document."""
    version = leader["cluster_version"]
    nodes = [
        {
            "node": document["node"],
            "build": document.get("version"),
            "spoken": document.get("spoken"),
            "settled": document.get("cluster_version_settled"),
        }
        for document in documents
    ]
    return {
        "cluster_version": version,
        "pinned": leader["cluster_version_pinned"],
        "blocked": leader["upgrade_blocked"],
        "settled": all(node["settled"] for node in nodes),
        "nodes": nodes,
    }


def lines_of(document: dict[str, Any]) -> list[str]:
    version = document["cluster_version"]
    rows = [
        {
            "node": node["node"],
            "build": node["build"],
            "speaks": "-" if node["spoken"] is None else "{} to {}".format(*node["spoken"]),
            "settled": "yes" if node["settled"] else "no",
        }
        for node in document["nodes"]
    ]
    return [
        f"cluster version {version}",
        *aligned(rows, HEADINGS),
        *(f"blocked: {why}" for why in document["blocked"]),
        *_of_downgrade(document),
    ]


def _of_downgrade(document: dict[str, Any]) -> list[str]:
    """What an operator does next after a downgrade."""
    if not document["pinned"]:
        return []
    version = document["cluster_version"]
    if not document["settled"]:
        return [f"pinned at {version}: wait until all nodes are settled before an older build runs"]
    finish = "`raftzmq client upgrade finish` unpins it"
    return [f"pinned at {version}: builds that speak it may run; {finish}"]


@commands.command("finish", "raftzmq client upgrade finish", writes=True)
def finish(run: ClientInvocation) -> None:
    """Raise the cluster version to what all members speak, and take back a downgrade."""
    message = run.client.upgrade_finish(timeout=run.timeout_s)
    statuses.say_done(run, {}, message)


@commands.command("downgrade", "raftzmq client upgrade downgrade", writes=True)
def downgrade(run: ClientInvocation) -> None:
    """Lower the cluster version by one and pin it there, so that older builds can run again."""
    message = run.client.upgrade_downgrade(timeout=run.timeout_s)
    statuses.say_done(run, {}, message)
