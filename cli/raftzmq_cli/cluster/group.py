"""`raftzmq cluster`: the way to Kubernetes, step by step, with docker, kind and kubectl."""

from __future__ import annotations

import signal
from functools import partial
from typing import Final

import typer

from raftzmq_cli.common.commands import Group

FILES: Final = {
    "create": "raftzmq_cli.cluster.kind",
    "build": "raftzmq_cli.cluster.images",
    "push": "raftzmq_cli.cluster.images",
    "apply": "raftzmq_cli.cluster.lifecycle",
    "up": "raftzmq_cli.cluster.lifecycle",
    "test": "raftzmq_cli.cluster.acceptance",
    "scale": "raftzmq_cli.cluster.scaling",
    "recover": "raftzmq_cli.cluster.recovery",
    "status": "raftzmq_cli.cluster.status",
    "remove": "raftzmq_cli.cluster.lifecycle",
    "delete": "raftzmq_cli.cluster.kind",
}


def group(ctx: typer.Context) -> None:
    # What was started ends with this program, however it is told to end.
    for number in (signal.SIGTERM, signal.SIGHUP):
        before = signal.signal(number, signal.default_int_handler)
        ctx.call_on_close(partial(signal.signal, number, before))


commands = Group(
    "cluster",
    "A cluster on kind, or on the Kubernetes of kubectl.",
    """
    raftzmq cluster up kind           create, build, push, apply
    raftzmq cluster up k8s            build, push, apply on kubectl's current context
    raftzmq cluster status
    raftzmq cluster scale 5
    raftzmq cluster remove            delete what was applied; the Kubernetes cluster stays
    raftzmq cluster delete            delete the kind cluster and its registry

    Each command prints the programs it runs, and can be repeated. Exit codes: 0 done; 1 a
    step failed; 2 wrong usage; 3 no answer in time; 4 not permitted by Kubernetes.
    """,
    files=FILES,
    callback=group,
)
