"""`raftzmq snapshot status`: what is in a backup, and whether it is whole."""

from __future__ import annotations

from typing import Any

from raftzmq_cli.common.backups import Backup, document, file_of
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.printers import aligned, show
from raftzmq_cli.common.settings import GroupOutput, Output

commands = Commands()


@commands.command(
    "status",
    """
    raftzmq snapshot status backup
    raftzmq snapshot status backup -w json
    gunzip < backup.gz | raftzmq snapshot status -
    """,
)
def status(file: Backup, *, output: GroupOutput = None) -> None:
    """Read all of a backup, and say what is in it. No cluster is needed.

    Exit code 1 if it is damaged or not whole: the line and the byte are said.
    """
    from raftzmq.offline import backups
    from raftzmq.storage import OsFiles

    with file_of(file) as path:
        found = document(backups.contents(OsFiles(), path))
    rows = [{"what": what, "value": _shown(value)} for what, value in found.items()]
    show(output or Output.SIMPLE, found, aligned(rows, {"what": "", "value": ""})[1:])


def _shown(value: Any) -> Any:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return " ".join(f"{member['name']}={member['address']}" for member in value)
    return value
