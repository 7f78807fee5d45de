"""`raftzmq client member`: who belongs to the cluster, and changing that by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from raftzmq.errors import Unavailable
from raftzmq.naming import parse_pod_name
from raftzmq_cli.client import statuses
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.printers import aligned

Name = Annotated[str, typer.Argument(metavar="NODE", help="The node's name, such as raft-3.")]

commands = Group(
    "member",
    "List, add, promote and remove members; transfer leadership.",
    """
    raftzmq client member list
    raftzmq client member add raft-3        (a started node that waits to be admitted)
    raftzmq client member promote raft-3    (a learner becomes a voter)
    raftzmq client member remove raft-3
    raftzmq client member transfer raft-1
    """,
    shared=SHARED,
)


@commands.command("list", "raftzmq client member list -w json")
def list_members(run: ClientInvocation) -> None:
    """List the members as the leader knows them."""
    documents = statuses.collect(run)
    members = statuses.newest_members(documents)
    if not members:
        said = "; ".join(
            f"{d['endpoint']}: {d.get('error') or d.get('waiting') or d['role']}" for d in documents
        )
        raise Unavailable(f"no node knows the members: {said}")
    leader = statuses.leader_of(documents)
    rows = [
        {**member, "leader": leader is not None and member["name"] == leader["node"]}
        for member in members
    ]
    headings = {
        "name": "NAME",
        "voter": "VOTER",
        "leader": "LEADER",
        "address": "ADDRESS",
        "incarnation": "INCARNATION",
    }
    run.show(rows, aligned(rows, headings), list(headings))


@commands.command("add", "raftzmq client member add raft-3", writes=True)
def add(run: ClientInvocation, node: Name) -> None:
    """Add a node that is not an initial member. It must be started and waiting."""
    _change(run, node, "member_add", "is added")


@commands.command("promote", "raftzmq client member promote raft-3", writes=True)
def promote(run: ClientInvocation, node: Name) -> None:
    """Make a learner a voter."""
    _change(run, node, "member_promote", "is a voter")


@commands.command("remove", "raftzmq client member remove raft-3", writes=True)
def remove(run: ClientInvocation, node: Name) -> None:
    """Take a node out of the cluster; its process and its data stay."""
    _change(run, node, "member_remove", "is removed")


@commands.command(
    "transfer", "raftzmq client member transfer\nraftzmq client member transfer raft-1", writes=True
)
def transfer(
    run: ClientInvocation,
    node: Annotated[
        str | None,
        typer.Argument(
            metavar="NODE", help="The next leader (default: the voter that is most caught up)."
        ),
    ] = None,
) -> None:
    """Transfer leadership to another node."""
    message = run.client.transfer(node, timeout=run.timeout_s)
    statuses.say_done(run, {"node": node}, message or "leadership is handed over")


def _change(run: ClientInvocation, node: str, method: str, done: str) -> None:
    parse_pod_name(node)
    message = getattr(run.client, method)(node, timeout=run.timeout_s)
    statuses.say_done(run, {"node": node}, message or f"{node} {done}")
