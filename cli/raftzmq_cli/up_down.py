"""`raftzmq up` and `raftzmq down`: wherever a cluster can be started here, and whatever is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from raftzmq_cli.cluster import deployments_record, tools
from raftzmq_cli.cluster.lifecycle import take_down
from raftzmq_cli.cluster.options import WAIT_S, Purge, Timeout
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import line
from raftzmq_cli.local import commands as local
from raftzmq_cli.local import processes, running


class Place(StrEnum):
    """Where a cluster can be."""

    LOCAL = "local"
    KIND = "kind"
    K8S = "k8s"


commands = Commands()


@commands.command(
    "up",
    """
    raftzmq up                      kind if Docker and kind are available, else local
    raftzmq up local --nodes 5      takes the options of `raftzmq local up`
    raftzmq up k8s --namespace try  takes the options of `raftzmq cluster up`
    """,
    allow_extra_args=True,
    ignore_unknown_options=True,
)
def up(
    ctx: typer.Context,
    place: Annotated[
        Place | None,
        typer.Argument(
            metavar="local|kind|k8s",
            show_default=False,
            help="local: processes on this machine; kind: a kind cluster on this machine; k8s: the "
            "cluster of kubectl's context. Default: detected. Their options may follow.",
        ),
    ] = None,
) -> int:
    """Start a cluster. The first line of the output says where."""
    if place is None:
        lacks = _what_kind_lacks()
        place = Place.KIND if lacks is None else Place.LOCAL
        if lacks is None:
            line(
                "up: kind, as Docker and kind are available ('local' for processes on this machine)"
            )
        else:
            line(f"up: local, processes on this machine, not kind: {lacks}")
    group = ["local", "up"] if place is Place.LOCAL else ["cluster", "up", place.value]
    run: Callable[[Sequence[str]], int] = ctx.obj
    return run([*group, *ctx.args])


@commands.command("down")
def down(
    directory: local.Directory = processes.DIRECTORY,
    purge: Purge = False,
    timeout: Timeout = WAIT_S,
) -> int:
    """Stop every cluster that was started from here.

    Local ones, those on kind, and on other Kubernetes.

    A Kubernetes cluster that existed before stays. Data stays too, unless --purge is given.
    """
    entries = deployments_record.load()
    has_local = bool(running.here(directory, None))
    for entry in reversed(entries):
        take_down(entry, purge, timeout)
    if has_local:
        return local.down(directory, purge)
    if not entries:
        line("no cluster is up")
        for text in running.elsewhere([]):
            messages.say(text)
    return exits.DONE


def _what_kind_lacks() -> str | None:
    """Why a kind cluster cannot be made here, or None."""
    try:
        tools.require_docker(quiet=True)
        tools.require_kind(quiet=True)
        tools.require_kubectl(quiet=True)
    except tools.ToolUnavailable as error:
        return str(error)
    return None
