"""`raftzmq views client`: the group, and where each of its commands is."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.settings import GroupKey, GroupOutput, GroupTimeout
from raftzmq_cli.views.invocation import VIEW_SERVER_HELP, ViewsInvocation

FILES: Final = {
    "get": "raftzmq_cli.views.keys",
    "put": "raftzmq_cli.views.keys",
    "append": "raftzmq_cli.views.keys",
    "delete": "raftzmq_cli.views.keys",
    "status": "raftzmq_cli.views.status",
    "check": "raftzmq_cli.views.check",
}

GroupViewServer = Annotated[
    str | None,
    typer.Option(
        "--view-server", envvar="RAFTZMQ_VIEW_SERVER", show_envvar=False, help=VIEW_SERVER_HELP
    ),
]


def group(
    ctx: typer.Context,
    view_server: GroupViewServer = None,
    timeout: GroupTimeout = None,
    output: GroupOutput = None,
    key: GroupKey = None,
) -> None:
    ctx.obj = ViewsInvocation().overridden(view_server, timeout, output, key)


commands = Group(
    "client",
    "Keys, values and status of the older design.",
    """
    raftzmq views client put greeting hello
    raftzmq views client append greeting ', world'
    raftzmq views client get greeting -w json
    raftzmq views client --view-server 127.0.0.1:7000 status

    The options stand before or after the command. Exit codes: 0 done; 1 the answer is
    no; 2 wrong usage; 3 no primary, or no answer in time; 4 refused, or no key that the
    servers know.
    """,
    files=FILES,
    callback=group,
)
