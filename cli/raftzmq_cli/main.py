"""The program `raftzmq`: its command groups, and the one place where errors end a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from raftzmq import standard_streams
from raftzmq_cli.common import exits
from raftzmq_cli.common.coercion import use_plain_coercion
from raftzmq_cli.common.invocation import examples_text

PROGRAM = "raftzmq"
_COMPLETION = "_RAFTZMQ_COMPLETE"


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


def _node(app: typer.Typer) -> None:
    from raftzmq_cli.node import EXAMPLES, node

    app.command("node", epilog=EXAMPLES, context_settings={"auto_envvar_prefix": "RAFTZMQ"})(node)


def _group(name: str, module: str) -> Callable[[typer.Typer], None]:
    def add(app: typer.Typer) -> None:
        app.add_typer(import_module(f"raftzmq_cli.{module}").app, name=name)

    return add


def _up(app: typer.Typer) -> None:
    from raftzmq_cli.up_down import UP_EXAMPLES, up

    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("up", epilog=UP_EXAMPLES, context_settings=passed_on)(up)


def _down(app: typer.Typer) -> None:
    from raftzmq_cli.up_down import down

    app.command("down")(down)


_COMMANDS: Final[dict[str, Callable[[typer.Typer], None]]] = {
    "node": _node,
    "client": _group("client", "client.group"),
    "local": _group("local", "local.commands"),
    "cluster": _group("cluster", "cluster.group"),
    "views": _group("views", "views.group"),
    "up": _up,
    "down": _down,
}
"""What adds each command or group to the program, in the order in which --help shows them."""


def build(words: Sequence[str] = ()) -> Any:
    """Return the click command of the whole program; or, if the first of `words` names one of its
    commands, with that alone: to import and to make all the others takes longer than a put."""
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
    app.callback()(root)
    named = words[0] if words else ""
    for name, add in _COMMANDS.items():
        if named == name or named not in _COMMANDS:
            add(app)
    command = typer.main.get_command(app)
    use_plain_coercion(command)
    return command


def run(words: Sequence[str]) -> int:
    """Run the program with these arguments; return its exit code, having said what went wrong."""
    try:
        with build(words).make_context(PROGRAM, list(words)) as context:
            code = context.command.invoke(context)
        sys.stdout.flush()
    except Exception as error:
        return exits.report(error)
    except KeyboardInterrupt as error:
        return exits.report(error)
    return code if isinstance(code, int) else exits.DONE


def main() -> None:
    """The entry point of the installed program."""
    standard_streams.reserve()
    if _COMPLETION in os.environ:
        build().main(prog_name=PROGRAM)
    sys.exit(run(sys.argv[1:]))
