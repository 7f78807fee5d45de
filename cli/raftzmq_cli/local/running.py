"""Which clusters run on this machine, as `raftzmq local up` started them, wherever that was."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.escaping import escaped
from raftzmq_cli.common.messages import line, program, short
from raftzmq_cli.local import processes, view_servers
from raftzmq_cli.local.processes import LocalCluster

DEFAULTS = {Design.RAFT: processes.DIRECTORY, Design.VIEWS: view_servers.DIRECTORY}


def clusters() -> list[LocalCluster]:
    """The clusters of this user that have a process now. Where there is no /proc: none."""
    found = (_of(directory) for directory in sorted(set(_directories())))
    return [cluster for cluster in found if cluster is not None]


def here(directory: Path, design: Design | None) -> list[LocalCluster]:
    """The clusters that a `local` command is about, those with processes first.

    With the default directory these are the ones of both designs, if none is asked for. Raises
    InvalidRequest.
    """
    if directory == processes.DIRECTORY:
        raft = None if design is Design.VIEWS else processes.load(directory)
        views = None if design is Design.RAFT else view_servers.load(view_servers.DIRECTORY)
        found = [cluster for cluster in (raft, views) if cluster is not None]
        return sorted(found, key=lambda cluster: not cluster.is_running)
    views = None if design is Design.RAFT else view_servers.load(directory)
    one = views if design is Design.VIEWS else views or processes.load(directory)
    return [] if one is None else [one]


def elsewhere(known: Sequence[LocalCluster], most: int = 5) -> list[str]:
    """A line about each cluster that runs besides these, with how to stop it."""
    directories = {cluster.directory for cluster in known}
    others = [cluster for cluster in clusters() if cluster.directory not in directories]
    lines = [
        escaped(f"a cluster is running in {cluster.directory}; to stop it: {stop_command(cluster)}")
        for cluster in others[:most]
    ]
    return [*lines, f"and {len(others) - most} more"] if len(others) > most else lines


def stop_command(cluster: LocalCluster) -> str:
    """The command that stops a cluster, called from here."""
    return f"{program()} local down{options(cluster)}"


def say_key(cluster: LocalCluster) -> None:
    """Say which key the commands of clients need, if they need one."""
    if cluster.client_key:
        line("first, as whoever has no key is not let in:")
        line(f"  export RAFTZMQ_KEY={shlex.quote(short(cluster.client_key))}")


def options(cluster: LocalCluster, *, with_design: bool = True) -> str:
    """What `local` commands need besides, to be about this cluster."""
    if cluster.directory != DEFAULTS[cluster.design].resolve():
        return f" --dir {shlex.quote(short(cluster.directory))}"
    return f" --design {cluster.design}" if with_design and cluster.design is Design.VIEWS else ""


def _directories() -> Iterator[Path]:
    """A node works in its own directory, where node.pid has its number."""
    proc = Path("/proc")
    for entry in proc.iterdir() if proc.is_dir() else ():
        if not entry.name.isdigit():
            continue
        try:
            place = Path(os.readlink(entry / "cwd"))  # noqa: PTH115 -- it need not exist any more
            if place.joinpath("node.pid").read_text().strip() == entry.name:
                yield place.parent
        except (OSError, ValueError):
            continue  # somebody else's, or gone; ValueError: a file of that name that is no text


def _of(directory: Path) -> LocalCluster | None:
    try:
        return view_servers.load(directory) or processes.load(directory)
    except InvalidRequest:
        return None
