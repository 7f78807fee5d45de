"""The program `raftzmq`: its commands and groups, and the one place where errors end a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from raftzmq import standard_streams
from raftzmq_cli.common import exits, standard_output
from raftzmq_cli.common.commands import Group

PROGRAM: Final = "raftzmq"
FILES: Final = {
    "node": "raftzmq_cli.node",
    "dev": "raftzmq_cli.local.dev",
    "up": "raftzmq_cli.up_down",
    "down": "raftzmq_cli.up_down",
    "client": "raftzmq_cli.client.group",
    "doctor": "raftzmq_cli.doctor.node_command",
    "snapshot": "raftzmq_cli.snapshot.group",
    "local": "raftzmq_cli.local.commands",
    "cluster": "raftzmq_cli.cluster.group",
    "keys": "raftzmq_cli.keys.group",
    "recover": "raftzmq_cli.recover",
    "show": "raftzmq_cli.show",
    "views": "raftzmq_cli.views.group",
}
_COMPLETION: Final = "_RAFTZMQ_COMPLETE"


def print_version(wanted: bool) -> None:
    if wanted:
        from raftzmq import __version__

        print(f"{PROGRAM} {__version__}")
        raise typer.Exit(0)


def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


commands = Group(
    PROGRAM,
    "A Raft-replicated key/value and coordination service.",
    """
    raftzmq local up                     three nodes on this machine
    raftzmq client put greeting hello
    raftzmq client get greeting
    raftzmq client status
    raftzmq local down
    """,
    files=FILES,
    callback=root,
    completion=True,
)


def build() -> Any:
    """Return the click command of the whole program."""
    return commands.built()[PROGRAM]


def run(words: Sequence[str]) -> int:
    """Run the program with these arguments; return its exit code, having said what went wrong."""
    as_json = exits.wants_json(words, os.environ)
    try:
        with build().make_context(PROGRAM, list(words), obj=run) as context:
            code = context.command.invoke(context)
    except (Exception, KeyboardInterrupt) as error:
        code = exits.report(error, as_json=as_json)
    try:
        sys.stdout.flush()  # also what was printed before an error, or by --help
    except OSError as error:
        code = exits.report(error, as_json=as_json)
    return code if isinstance(code, int) else exits.DONE


def main() -> None:
    """Run the program with the arguments of this process, which ends with its exit code."""
    standard_streams.reserve()
    standard_output.install()
    if _COMPLETION in os.environ:
        build().main(prog_name=PROGRAM)
    sys.exit(run(sys.argv[1:]))
