"""`raftzmq show`: the page that plays a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raftzmq.errors import DataError, InvalidRequest
from raftzmq_cli.common import printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import escaped
from raftzmq_cli.common.values import unreadable

commands = Commands()


@commands.command(
    "show",
    """
    raftzmq show incident.json > incident.html      and open that in a browser
    """,
)
def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording, which is JSON.")],
) -> None:
    """Print the page that plays a recording of a cluster: a file of HTML that needs nothing else.

    In a checkout `./justw show` makes recordings and pages of stories and of simulated worlds.
    """
    from raftzmq.page import html
    from raftzmq.page.recording import decode

    try:
        recording = decode(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidRequest(unreadable(str(file), error)) from None
    except DataError as error:
        raise InvalidRequest(f"{escaped(str(file))}: {error}") from None
    printers.write_bytes(html(recording).encode())
