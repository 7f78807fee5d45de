"""`raftzmq client elect`: lead while COMMAND runs, or see who leads."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from raftzmq.errors import InvalidRequest
from raftzmq_cli.client import queues
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.locks import hold
from raftzmq_cli.client.options import Grace, Limit, Ttl, Words, without_command
from raftzmq_cli.common import exits
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import fields
from raftzmq_cli.common.values import is_text

if TYPE_CHECKING:
    from raftzmq import Leader

commands = Commands(shared=SHARED)


@commands.command(
    "elect",
    """
    raftzmq client elect scheduler --value $HOSTNAME -- python scheduler.py
    raftzmq client elect scheduler --observe
    raftzmq client elect scheduler --describe -w json
    """,
)
def elect(
    run: ClientInvocation,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The election's name.", callback=is_text("name"))
    ],
    words: Words = None,
    *,
    value: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            callback=is_text("value"),
            help="The value that others see of this candidate (default: the host name).",
        ),
    ] = None,
    ttl: Ttl = 10.0,
    grace: Grace = None,
    observe: Annotated[
        bool, typer.Option("--observe", help="Show the leader, and every later one; run nothing.")
    ] = False,
    limit: Limit = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Show the leader and the candidates; run nothing.")
    ] = False,
) -> int:
    """Wait to be elected, run COMMAND while leading, then resign. Exits with COMMAND's exit code.

    Works as 'raftzmq client lock', and has the same exit codes. COMMAND gets RAFTZMQ_ELECTION_NAME
    and RAFTZMQ_ELECTION_TOKEN in its environment; the token is the term, and serves for --fence.
    """
    if describe and observe:
        raise InvalidRequest("--describe and --observe cannot be combined")
    if describe:
        without_command(words)
        queues.describe(run, "election", name)
        return exits.DONE
    if observe:
        without_command(words)
        _show_leaders(run, name, limit)
        return exits.DONE
    if limit is not None:
        raise InvalidRequest("--limit goes with --observe")
    candidate = socket.gethostname() if value is None else value
    waiting_s = run.settings.waiting_s()
    make = partial(run.client.election, name, candidate, ttl=ttl, timeout=waiting_s)
    return hold(run, make, "ELECTION", words or [], ttl, grace)


def _show_leaders(run: ClientInvocation, name: str, limit: int | None) -> None:
    """Show the leader, and every later one; run nothing."""
    leaders: Iterable[Leader | None] = run.client.election(name).observe()
    for leader in islice(leaders, limit):
        document = {
            "name": name,
            "term": None if leader is None else leader.term,
            "value": None if leader is None else leader.value,
        }
        line = "nobody leads" if leader is None else fields(leader.term, leader.value or "")
        run.show(document, [line])
