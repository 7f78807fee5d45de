"""`raftzmq client member`: who belongs to the cluster, and changing that by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from raftzmq.errors import Unavailable
from raftzmq_cli.common.invocation import Invocation, command, examples_text
from raftzmq_cli.common.printers import aligned
from raftzmq_cli.common.settings import CommandEndpoints, CommandOutput, CommandTimeout

Name = Annotated[str, typer.Argument(metavar="NODE", help="The node's name, such as raft-3.")]

app = typer.Typer(
    name="member",
    help="List, add, promote and remove members; hand leadership over.",
    epilog=examples_text(
        """
        raftzmq client member list
        raftzmq client member add raft-3        (a started node that waits to be admitted)
        raftzmq client member promote raft-3    (a learner becomes a voter)
        raftzmq client member remove raft-3
        raftzmq client member transfer raft-1
        """
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group(
    ctx: typer.Context,
    endpoints: CommandEndpoints = None,
    timeout: CommandTimeout = None,
    output: CommandOutput = None,
) -> None:
    settings = ctx.obj.settings.overridden(endpoints, timeout, output)
    ctx.obj = replace(ctx.obj, settings=settings)


@command(app, "list", "raftzmq client member list -w json")
def list_members(run: Invocation) -> None:
    """List the members, as the leader has them."""
    from raftzmq_cli.client import statuses

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


@command(app, "add", "raftzmq client member add raft-3")
def add(run: Invocation, node: Name) -> None:
    """Admit a node that has been started, beyond the initial members, and waits."""
    _change(run, node, "member_add", "is added")


@command(app, "promote", "raftzmq client member promote raft-3")
def promote(run: Invocation, node: Name) -> None:
    """Make a learner a voter."""
    _change(run, node, "member_promote", "is a voter")


@command(app, "remove", "raftzmq client member remove raft-3")
def remove(run: Invocation, node: Name) -> None:
    """Take a node out of the cluster; its process and its data stay."""
    _change(run, node, "member_remove", "is removed")


@command(app, "transfer", "raftzmq client member transfer\nraftzmq client member transfer raft-1")
def transfer(
    run: Invocation,
    node: Annotated[
        str | None,
        typer.Argument(
            metavar="NODE", help="The next leader; without it, whoever is most caught up."
        ),
    ] = None,
) -> None:
    """Hand leadership over to another node."""
    from raftzmq_cli.client import statuses

    message = run.client.transfer(node, timeout=run.timeout_s)
    statuses.say_done(run, {"node": node}, message or "leadership is handed over")


def _change(run: Invocation, node: str, method: str, done: str) -> None:
    from raftzmq.naming import parse_pod_name
    from raftzmq_cli.client import statuses

    parse_pod_name(node)
    message = getattr(run.client, method)(node, timeout=run.timeout_s)
    statuses.say_done(run, {"node": node}, message or f"{node} {done}")
