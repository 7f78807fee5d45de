"""The reference of the commands, made of what the program itself knows about them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from raftzmq_cli import main

HEAD = """\
# Commands

`--help` after a command prints the same. An option may come from the variable that stands in
brackets.
"""


def page_of_commands() -> str:
    """The page, in Markdown."""
    program = main.build()
    context = program.make_context(main.PROGRAM, [], resilient_parsing=True)
    return "\n".join([HEAD, *_commands(program, context)])


def _commands(command: Any, context: Any) -> Iterator[str]:
    """A command, and those in it."""
    yield _command(command, context)
    for name, inner in getattr(command, "commands", {}).items():
        inner_context = inner.make_context(name, [], parent=context, resilient_parsing=True)
        yield from _commands(inner, inner_context)


def _command(command: Any, context: Any) -> str:
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", inspect.cleandoc(command.help or ""), f"    {usage}"]
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    rows = [f"| `{_cell(name)}` | {_cell(text)} |" for name, text in filter(None, records)]
    if rows:
        parts.append("\n".join(["| argument or option | meaning |", "| --- | --- |", *rows]))
    if command.epilog:
        _, *examples = command.epilog.removeprefix("\b\n").splitlines()
        parts.append("\n".join(f"    {line.strip()}" for line in examples))
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(text: str) -> str:
    """Text as it may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
