"""`raftzmq keys rotate`: replace a key while the cluster runs."""

from __future__ import annotations

from typing import Annotated

import typer

from raftzmq.access.key_directory import KeyDirectory
from raftzmq_cli.common import printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import short
from raftzmq_cli.common.settings import GroupOutput, Output
from raftzmq_cli.keys.options import DEFAULT, Keys, Public

commands = Commands()


@commands.command("rotate", "raftzmq keys rotate node\nraftzmq keys rotate billing")
def rotate(
    name: Annotated[
        str, typer.Argument(metavar="node|server|NAME", help="Whose key is to be replaced.")
    ],
    *,
    public: Public = None,
    keys: Keys = DEFAULT,
    output: GroupOutput = None,
) -> None:
    """Take the next step in replacing a key; three steps replace it without a pause.

    The new key is made known, then used, then the old one is forgotten. Each step says which files
    to take where before the next.
    """
    step = KeyDirectory(keys).rotate(name, public)
    document = {
        "done": step.done,
        "changed": list(map(str, step.changed)),
        "then": step.then,
        "is_last": step.is_last,
    }
    lines = [step.done, *(f"  changed {short(path)}" for path in step.changed)]
    lines.append(f"{'last' if step.is_last else 'next'}: {step.then}")
    printers.show(output or Output.SIMPLE, document, lines)
