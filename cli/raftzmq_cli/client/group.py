"""`raftzmq client`: the group, the options that its commands share, and where each of them is."""

from __future__ import annotations

from typing import Final

import typer

from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.settings import (
    GroupEndpoints,
    GroupKey,
    GroupOutput,
    GroupTimeout,
    Settings,
)

FILES: Final = {
    "get": "raftzmq_cli.client.keys",
    "put": "raftzmq_cli.client.keys",
    "incr": "raftzmq_cli.client.numbers",
    "delete": "raftzmq_cli.client.keys",
    "scan": "raftzmq_cli.client.scans",
    "txn": "raftzmq_cli.client.txn",
    "check": "raftzmq_cli.client.check",
    "bench": "raftzmq_cli.client.bench",
    "shell": "raftzmq_cli.client.shell",
    "lock": "raftzmq_cli.client.locks",
    "elect": "raftzmq_cli.client.elections",
    "watch": "raftzmq_cli.client.watches",
    "queues": "raftzmq_cli.client.queues",
    "export": "raftzmq_cli.client.exports",
    "import": "raftzmq_cli.client.imports",
    "snapshot": "raftzmq_cli.client.snapshots",
    "status": "raftzmq_cli.client.nodes",
    "doctor": "raftzmq_cli.doctor.client_command",
    "top": "raftzmq_cli.top.command",
    "dump": "raftzmq_cli.client.nodes",
    "stop": "raftzmq_cli.client.nodes",
    "log-level": "raftzmq_cli.client.nodes",
    "sem": "raftzmq_cli.client.semaphores",
    "lease": "raftzmq_cli.client.leases",
    "member": "raftzmq_cli.client.members",
    "upgrade": "raftzmq_cli.client.upgrades",
}


def group(
    ctx: typer.Context,
    endpoints: GroupEndpoints = None,
    timeout: GroupTimeout = None,
    output: GroupOutput = None,
    key: GroupKey = None,
) -> None:
    settings = Settings().overridden(endpoints, timeout, output, key)
    invocation = ClientInvocation(settings, group=ctx)
    ctx.obj = invocation
    ctx.call_on_close(invocation.close)


commands = Group(
    "client",
    "Keys, locks and watches, status and members of a cluster.",
    """
    raftzmq client put greeting hello
    raftzmq client get greeting -w json
    raftzmq client --endpoints 127.0.0.1:6001,127.0.0.1:6011 status
    raftzmq client shell

    The options stand before or after the command. Exit codes: 0 done; 1 the answer is
    no; 2 wrong usage; 3 no leader, or no answer in time; 4 refused by the cluster, or no key
    that it knows.
    """,
    files=FILES,
    callback=group,
)
