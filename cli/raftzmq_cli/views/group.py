"""`raftzmq views`: the older design, a primary and a backup governed by a view server."""

from __future__ import annotations

from typing import Final

from raftzmq_cli.common.commands import Group

FILES: Final = {
    "compare": "raftzmq_cli.compare.command",
    "server": "raftzmq_cli.views.servers",
    "store": "raftzmq_cli.views.servers",
    "client": "raftzmq_cli.views.client",
}

commands = Group(
    "views",
    "The older design: a view server, a primary and its backup. All data is in memory.",
    """
    raftzmq local up --design views         all servers, on this machine
    raftzmq views client put greeting hello
    raftzmq views client status
    raftzmq local down --design views
    """,
    files=FILES,
)
