"""The program `raftzmq`: its command groups, and the one place where errors end a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from raftzmq_cli import anywhere, client, cluster, local, outcomes, views
from raftzmq_cli.coercion import use_plain_coercion
from raftzmq_cli.invocation import examples_text
from raftzmq_cli.node import EXAMPLES, node

PROGRAM = "raftzmq"
_COMPLETION = "_RAFTZMQ_COMPLETE"

app = typer.Typer(
    name=PROGRAM,
    help="A Raft-replicated key/value and coordination service.",
    epilog=examples_text(
        """
        raftzmq local up                     three nodes on this machine
        raftzmq client put greeting hello
        raftzmq client get greeting
        raftzmq client status
        raftzmq local down
        """
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("node", epilog=EXAMPLES, context_settings={"auto_envvar_prefix": "RAFTZMQ"})(node)
app.add_typer(client.app, name="client")
app.add_typer(local.app, name="local")
app.add_typer(cluster.app, name="cluster")
app.add_typer(views.app, name="views")
app.command(
    "up",
    epilog=anywhere.UP_EXAMPLES,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(anywhere.up)
app.command("down")(anywhere.down)


def print_version(wanted: bool) -> None:
    if wanted:
        from raftzmq import __version__

        print(f"{PROGRAM} {__version__}")
        raise typer.Exit(0)


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def build() -> Any:
    """Return the click command of the whole program."""
    command = typer.main.get_command(app)
    use_plain_coercion(command)
    return command


def run(words: Sequence[str]) -> int:
    """Run the program with these arguments; return its exit code, having said what went wrong."""
    try:
        with build().make_context(PROGRAM, list(words)) as context:
            code = context.command.invoke(context)
        sys.stdout.flush()
    except Exception as error:
        return outcomes.report(error)
    except KeyboardInterrupt as error:
        return outcomes.report(error)
    return code if isinstance(code, int) else outcomes.DONE


def main() -> None:
    """The entry point of the installed program."""
    if _COMPLETION in os.environ:
        build().main(prog_name=PROGRAM)
    sys.exit(run(sys.argv[1:]))
