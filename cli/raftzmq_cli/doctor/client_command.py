"""`raftzmq client doctor`: what ails a cluster, asked of its nodes."""

from __future__ import annotations

from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.doctor.facts import Facts
from raftzmq_cli.doctor.gathering import ask_nodes
from raftzmq_cli.doctor.rules import examine
from raftzmq_cli.doctor.telling import tell

commands = Commands(shared=SHARED)


@commands.command("doctor", "raftzmq client doctor\nraftzmq client doctor -w json")
def doctor(run: ClientInvocation) -> int:
    """Examine the cluster: one verdict, then a line for each check, with what to do.

    ✓ is well; ! works, and needs a look; ✗ does not work. Exit code 0 if all is well, 1 if the
    worst is !, 3 if it is ✗ (also if no node answers), 4 if no node lets this client in. Takes some
    seconds at most, whatever hangs.
    """
    nodes, asked_ms, answered_ms = ask_nodes(run)
    return tell(run, examine(Facts(nodes=nodes, asked_ms=asked_ms, answered_ms=answered_ms)))
