"""`raftzmq client status | dump | stop`: commands about single nodes."""

from __future__ import annotations

from typing import Annotated

import typer

from raftzmq_cli.common.invocation import Invocation, command

NODE_HELP = "A node's name, such as raft-1, or HOST:PORT of its client port."


def register(app: typer.Typer) -> None:
    """Add the commands to the group `raftzmq client`."""
    command(app, "status", "raftzmq client status\nraftzmq client status -w json")(status)
    command(app, "dump", "raftzmq client dump\nraftzmq client dump raft-1 -w json")(dump)
    command(app, "stop", "raftzmq client stop raft-2")(stop)


def status(run: Invocation) -> int:
    """Show every node: role, term, leader, commit, applied and last index.

    Exit code 0 if all are healthy and there is a leader, 1 if not, 3 if no node answered.
    """
    from raftzmq_cli.client import statuses

    documents = statuses.collect(run)
    statuses.show(run, documents)
    return statuses.verdict(documents)


def dump(
    run: Invocation,
    node: Annotated[
        str | None,
        typer.Argument(metavar="NODE", help=NODE_HELP + " Without it, the first that answers."),
    ] = None,
) -> None:
    """Print all that one node has in its store, without asking the others: it may be stale."""
    from raftzmq_cli.client import keys as data
    from raftzmq_cli.client import statuses

    data.dump(run, statuses.find(run, node))


def stop(
    run: Invocation,
    node: Annotated[str, typer.Argument(metavar="NODE", help=NODE_HELP)],
) -> None:
    """Stop a node, as SIGTERM does: it hands leadership over first. Its data stays."""
    from raftzmq_cli.client import statuses

    endpoint = statuses.find(run, node).endpoint
    message = run.client.stop(endpoint, timeout=run.timeout_s)
    statuses.say_done(run, {"node": node, "endpoint": endpoint}, message or f"{node} stops")
