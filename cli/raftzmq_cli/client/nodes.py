"""`raftzmq client status | dump | stop`: commands about single nodes."""

from __future__ import annotations

from typing import Annotated

import typer

from raftzmq.errors import InvalidRequest, Refused
from raftzmq_cli.client import keys, moments, statuses
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import messages
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.values import show_items

NODE_HELP = "A node's name, such as raft-1, or HOST:PORT of its client port."
commands = Commands(shared=SHARED)


@commands.command("status", "raftzmq client status\nraftzmq client status -w json")
def status(run: ClientInvocation) -> int:
    """Show every node, and whether the cluster can be written to.

    LAG is how many committed entries a node has not applied yet. Exit code 0 if all are healthy and
    there is a leader, 1 if not, 3 if no node answered, 4 if none lets this client in.
    """
    documents = statuses.collect(run)
    for document in documents:
        if "error" in document and "code" not in document:
            document["error"] = document["reason"] = run.why_silent_at(document["endpoint"])
    statuses.show(run, documents)
    return statuses.verdict(documents)


@commands.command("dump", "raftzmq client dump\nraftzmq client dump raft-1 -w json")
def dump(
    run: ClientInvocation,
    node: Annotated[
        str | None,
        typer.Argument(metavar="NODE", help=NODE_HELP + " Default: the first that answers."),
    ] = None,
) -> None:
    """Print all keys that one node has applied. They may be stale: no other node is asked.

    They are of one moment, if you are an admin and the node's version can give that. Otherwise they
    are read in pages, and writes in between show in later pages only. Leases, locks and times to
    live are not in it: keys written back from a dump are permanent. A backup is `snapshot save`.
    """
    found = statuses.find(run, node)
    snapshot = run.client.snapshot(endpoint=found.endpoint, stale=True, timeout=run.timeout_s)
    try:
        items = [item for item, _ in moments.items(snapshot)]
        when = f"at revision {snapshot.revision}"
    except Refused:
        items = list(keys.pages(run, "", "", None, stale=True, endpoint=found.endpoint))
        when = "while they were read"
    show_items(run, items, with_keys=True)
    count = f"{len(items)} key" if len(items) == 1 else f"{len(items)} keys"
    messages.say(f"{found.name}: {count}, as this node had applied them {when}")


@commands.command("stop", "raftzmq client stop raft-2", writes=True)
def stop(
    run: ClientInvocation,
    node: Annotated[str, typer.Argument(metavar="NODE", help=NODE_HELP)],
) -> None:
    """Stop a node, as SIGTERM does: it hands over leadership first. Its data stays."""
    endpoint = statuses.find(run, node).endpoint
    message = run.client.stop(endpoint, timeout=run.timeout_s)
    statuses.say_done(run, {"node": node, "endpoint": endpoint}, message or f"{node} stops")


@commands.command(
    "log-level",
    """
    raftzmq client log-level raft-2 debug
    raftzmq client log-level raft-2 info
    """,
    writes=True,
)
def log_level(
    run: ClientInvocation,
    node: Annotated[str, typer.Argument(metavar="NODE", help=NODE_HELP)],
    level: Annotated[
        str,
        typer.Argument(metavar="LEVEL", help="debug, info, warning or error, and what is above."),
    ],
) -> None:
    """Let a running node log more or less, until it ends. With keys this takes an admin."""
    endpoint = statuses.find(run, node).endpoint
    try:
        message = run.client.log_level(endpoint, level, timeout=run.timeout_s)
    except InvalidRequest as error:
        if "unknown request type" not in str(error):
            raise
        raise Refused(
            f"{node} is of an older version, which cannot do that: restart it with --log-level"
        ) from None
    statuses.say_done(run, {"node": node, "endpoint": endpoint, "level": level.upper()}, message)
