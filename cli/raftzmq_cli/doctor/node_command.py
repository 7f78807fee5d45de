"""`raftzmq doctor`: what ails a node's directory and keys on this machine, and its cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.settings import (
    GroupEndpoints,
    GroupKey,
    GroupOutput,
    GroupTimeout,
    Settings,
)
from raftzmq_cli.doctor.facts import Facts
from raftzmq_cli.doctor.gathering import ask_nodes
from raftzmq_cli.doctor.places import look_at_directory, look_at_keys
from raftzmq_cli.doctor.rules import examine
from raftzmq_cli.doctor.telling import tell

commands = Commands(variables="RAFTZMQ")


@commands.command(
    "doctor",
    """
    raftzmq doctor                              in a pod: its directory, its keys, its cluster
    raftzmq doctor --data-dir .raftzmq/raft-1   also of a node that does not start
    raftzmq doctor --offline --data-dir d1
    """,
)
def doctor(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="A node's data directory, read and checked; nothing is changed."),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="A directory of keys, as `raftzmq node --keys` has it.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no nodes: only what lies on this machine.")
    ] = False,
    endpoints: GroupEndpoints = None,
    timeout: GroupTimeout = None,
    output: GroupOutput = None,
    key: GroupKey = None,
) -> int:
    """Examine a node's directory and keys on this machine, and the cluster as `client doctor` does.

    ✓ is well; ! works, and needs a look; ✗ does not work. Exit code 0 if all is well, 1 if the
    worst is !, 3 if it is ✗ (also if no node answers), 4 if no node lets this client in.
    """
    run = ClientInvocation(Settings().overridden(endpoints, timeout, output, key))
    directory = None if data_dir is None else look_at_directory(data_dir)
    key_facts = None if keys is None else look_at_keys(keys)
    facts = Facts(directory=directory, keys=key_facts)
    if not offline:
        try:
            nodes, asked_ms, answered_ms = ask_nodes(run)
        finally:
            run.close()
        facts = Facts(
            nodes=nodes,
            asked_ms=asked_ms,
            answered_ms=answered_ms,
            directory=directory,
            keys=key_facts,
        )
    return tell(run, examine(facts))
