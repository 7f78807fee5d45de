"""`raftzmq local`: a cluster of plain processes on this machine, for trying and for development."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from raftzmq.client.discovery import (
    LOCAL_BASE_PORT,
    LOCAL_NODES,
    LOCAL_NODES_MAX,
    LOCAL_STEP,
    local_endpoints,
)
from raftzmq.errors import InvalidRequest
from raftzmq_cli.client import first_write, statuses
from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.messages import line, program, short
from raftzmq_cli.common.settings import GroupOutput, Settings
from raftzmq_cli.local import ports, processes, rejoining, running, view_servers, views
from raftzmq_cli.local.ownership import own
from raftzmq_cli.local.processes import DIRECTORY, LocalCluster, LocalNode, say_who_died
from raftzmq_cli.local.view_servers import LocalViews

_STATUS_TIMEOUT_S: Final = 1.0
_POLL_S: Final = 0.1

Directory = Annotated[
    Path,
    typer.Option(
        "--dir", envvar="RAFTZMQ_LOCAL_DIR", help="Directory for data, logs and process ids."
    ),
]

WhichDesign = Annotated[
    Design | None,
    typer.Option(
        "--design",
        show_default=False,
        help="raft, or views, the older design (default: detected).",
    ),
]

commands = Group(
    "local", "A cluster of plain processes on this machine.", variables="RAFTZMQ_LOCAL"
)


@commands.command(
    "up",
    """
    raftzmq local up
    raftzmq local up --nodes 5 --dir /tmp/five --base-port 7000
    raftzmq local up --rejoin raft-1        (its log asks for --rejoin)
    raftzmq local up --keys keys            (made if it does not exist)
    raftzmq local up --design views
    """,
)
def up(
    nodes: Annotated[
        int | None, typer.Option(min=1, max=LOCAL_NODES_MAX, help="Number of nodes (default: 3).")
    ] = None,
    directory: Directory = DIRECTORY,
    base_port: Annotated[
        int | None,
        typer.Option(min=1, max=64_000, help="First port; each node takes ten (default: 6000)."),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for all members and a first write.")
    ] = 30.0,
    design: Annotated[
        Design,
        typer.Option(
            help="raft, or views: a view server (port 7000) and storage servers, in .raftzmq/views."
        ),
    ] = Design.RAFT,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Directory of keys, made if it does not exist: only who has a key is let in "
            "(default: as the cluster was made; a new one has none).",
        ),
    ] = None,
    rejoin: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="Move the data of NODE aside and catch up from the other nodes, which must be a "
            "majority without it.",
        ),
    ] = None,
) -> int:
    """Start the nodes that are not running.

    Waits until all are members and a write succeeds. If that fails, what was started is stopped
    again.
    """
    if design is Design.VIEWS:
        if rejoin is not None:
            raise InvalidRequest("--rejoin is for nodes of Raft: the older design has no data")
        where = view_servers.DIRECTORY if directory == DIRECTORY else directory
        return views.up(where, nodes, base_port, keys, wait)
    directory = directory.resolve()
    with processes.locked(directory):
        is_new = processes.load(directory) is None
        cluster = cluster_for(directory, nodes, base_port, keys)
        members = cluster.nodes
        newcomer = None if rejoin is None else rejoining.node_of(cluster, rejoin, is_new=is_new)
        if newcomer is not None:
            members = [node for node in members if node.name != newcomer.name]
        down = [node for node in members if node.pid() is None]
        ports.require_free(cluster, down, is_new=is_new)
        cluster.make_keys()
        cluster.write()
        with processes.given_up(cluster, down, is_new=is_new):
            line(first_line(cluster, down))
            for node in down:
                node.start()
            if newcomer is not None:
                with _closing(Settings(), cluster) as run:
                    rejoining.wait_for_the_others(run, cluster, down, newcomer, wait)
                line(f"starting {newcomer.name}, with its data set aside in {newcomer.data}")
                newcomer.set_aside_at_start()
                newcomer.start()
                members.append(newcomer)
                down.append(newcomer)
            code = wait_until_up(cluster, members, down, wait)
            if code != exits.DONE:
                raise typer.Exit(code)
    _say_what_next(cluster)
    return exits.DONE


@commands.command("status")
def status(
    directory: Directory = DIRECTORY, output: GroupOutput = None, design: WhichDesign = None
) -> int:
    """Show every node and its process id. Exit codes are those of `raftzmq client status`."""
    cluster = _existing(directory, design)
    if isinstance(cluster, LocalViews):
        return views.status(cluster, Invocation(Settings(given_output=output)))
    with _closing(Settings(given_output=output), cluster) as run:
        documents = own(cluster, statuses.collect(run, _STATUS_TIMEOUT_S))
    pids = {node.name: node.pid() for node in cluster.nodes}
    for document in documents:
        document["pid"] = pids.get(document["node"])
    statuses.show(run, documents, with_pid=True)
    return statuses.verdict(documents)


@commands.command("down")
def down(
    directory: Directory = DIRECTORY,
    purge: Annotated[bool, typer.Option("--purge", help="Remove data and logs too.")] = False,
    design: WhichDesign = None,
) -> int:
    """Stop the nodes. Their data stays, unless --purge is given.

    In the default directory, nodes of both designs are stopped, unless --design is given.
    """
    found = running.here(directory, design)
    shown = short(view_servers.DIRECTORY if design is Design.VIEWS else directory)
    is_up = [cluster for cluster in found if cluster.is_running]
    if not found:
        what = "nothing of the older design" if design is Design.VIEWS else "no local cluster"
        line(f"{what} in {shown}: nothing to stop")
    for cluster in found if purge or not is_up else is_up:
        if isinstance(cluster, LocalViews):
            views.down(cluster, purge)
        else:
            _down(cluster, purge)
    if not is_up:
        for text in running.elsewhere(found):
            messages.say(text)
    return exits.DONE


def _down(cluster: LocalCluster, purge: bool) -> None:
    shown = short(cluster.directory)
    with processes.locked(cluster.directory):
        for text in processes.stop(cluster.nodes) or ["no node was running"]:
            line(text)
        if purge:
            cluster.purge()
            line(f"data and logs in {shown} are removed")
        else:
            line(
                f"data and logs stay in {shown}; to remove them: "
                f"{program()} local down --purge{running.options(cluster)}"
            )


def first_line(cluster: LocalCluster, down: list[LocalNode]) -> str:
    """Say what `up` starts, and where."""
    ports = [str(node.port) for node in cluster.nodes]
    where = f"127.0.0.1:{', '.join(ports)}"
    place = f"{where}, {cluster.security}; data in {short(cluster.directory)}"
    size = f"{cluster.size} node" + ("s" if cluster.size > 1 else "")
    if not down:
        return f"a local cluster of {size} is running already, {place}"
    if len(down) == cluster.size:
        return f"starting a local cluster of {size}, {place}"
    names = ", ".join(node.name for node in down)
    return f"starting {names} of a local cluster of {size}, {place}"


def cluster_for(
    directory: Path,
    nodes: int | None,
    base_port: int | None,
    keys: Path | None = None,
    option: str = "--dir",
) -> LocalCluster:
    """The cluster of this directory, which `option` chose: new, or as it was made. Raises
    InvalidRequest."""
    cluster = processes.load(directory)
    if cluster is None:
        cluster = processes.LocalCluster(
            directory, nodes or LOCAL_NODES, base_port or LOCAL_BASE_PORT, keys and keys.resolve()
        )
        if cluster.base_port + LOCAL_STEP * cluster.size > 65_536:
            raise InvalidRequest(
                f"--base-port {cluster.base_port} leaves too few ports for the nodes"
            )
    if (nodes or cluster.size, base_port or cluster.base_port) != (cluster.size, cluster.base_port):
        raise InvalidRequest(
            f"the cluster in {short(directory)} has {cluster.size} nodes from port "
            f"{cluster.base_port} on: give another {option}, or remove that one first: "
            f"{program()} local down --purge{running.options(cluster)}"
        )
    processes.require_keys(cluster, keys)
    return cluster


def _existing(directory: Path, design: Design | None) -> LocalCluster:
    found = running.here(directory, design)
    if found:
        return found[0]
    for text in running.elsewhere([]):
        messages.say(text)
    if design is Design.VIEWS:
        wanted = view_servers.DIRECTORY if directory == DIRECTORY else directory
        raise exits.NothingThere(
            f"nothing of the older design in {short(wanted)} ('local up --design views' starts it)"
        )
    raise exits.NothingThere(f"no local cluster in {short(directory)}: start one with 'local up'")


def wait_until_up(
    cluster: LocalCluster,
    members: list[LocalNode],
    started: list[LocalNode],
    wait_s: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> int:
    """Wait until all is well, showing what changes; call `meanwhile` again and again. Returns the
    exit code."""
    deadline = time.monotonic() + wait_s
    shown = ""
    with _closing(Settings(), cluster) as run:
        while True:
            meanwhile()
            dead = [node for node in started if node.exit_code() is not None]
            if dead:
                code = say_who_died(dead)
                rejoining.advise(cluster, dead)
                return code
            for node in members:
                if node not in started and node.pid() is None:
                    line(f"  {node.name} was stopping: starting it again")
                    node.start()
                    started.append(node)
            documents = own(cluster, statuses.collect(run, _STATUS_TIMEOUT_S))
            progress = statuses.summary(documents)
            code = statuses.verdict(documents)
            if code == exits.DONE:
                if first_write.is_acknowledged(run, deadline - time.monotonic()):
                    line(f"the cluster is up: {progress}")
                    return code
                progress += f"; {first_write.NOT_YET}"
                code = exits.NO
            if time.monotonic() > deadline:
                break
            if progress != shown:
                line(f"  {progress}")
                shown = progress
            time.sleep(_POLL_S)
    messages.say(
        f"raftzmq: not ready after {wait_s:g} s: {progress}; "
        f"see the logs, {short(members[0].directory.parent)}/*/node.log"
    )
    return code


def _say_what_next(cluster: LocalCluster) -> None:
    say_how_to_reach(cluster)
    line(f"to stop it: {running.stop_command(cluster)}")


def say_how_to_reach(cluster: LocalCluster) -> None:
    """Say what clients need to know, and which commands to try."""
    name = program()
    if cluster.endpoints != local_endpoints(LOCAL_NODES, LOCAL_BASE_PORT):
        line("first, since the ports are not the default ones:")
        line(f"  export RAFTZMQ_ENDPOINTS={','.join(cluster.endpoints)}")
    running.say_key(cluster)
    line("try next:")
    line(f"  {name} client put greeting hello")
    line(f"  {name} client get greeting")
    line(f"  {name} client status")


def _closing(settings: Settings, cluster: LocalCluster) -> closing[ClientInvocation]:
    """What asks the nodes of a local cluster, closed at the end of a `with` block."""
    endpoints = ",".join(cluster.endpoints)
    settings = settings.overridden(endpoints, None, None, cluster.client_key)
    return closing(ClientInvocation(settings))
