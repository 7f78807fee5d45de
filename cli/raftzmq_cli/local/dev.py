"""`raftzmq dev`: a local cluster in this terminal, which ends with the command."""

from __future__ import annotations

import heapq
import re
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from raftzmq.client.discovery import LOCAL_NODES_MAX
from raftzmq_cli.common import exits
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import escaped
from raftzmq_cli.common.interrupts import interrupted_by
from raftzmq_cli.common.messages import line
from raftzmq_cli.local import commands as local
from raftzmq_cli.local import ports, processes
from raftzmq_cli.local.processes import LocalCluster, LocalNode

COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "red")
"""Of the nodes, in turn: all six can be read on a dark and on a light ground."""

_POLL_S: Final = 0.1
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\S+ ")

commands = Commands()


@commands.command(
    "dev",
    """
    raftzmq dev
    raftzmq dev --nodes 5 --keep data    (the next time it goes on where it was)
    RAFTZMQ_LOG_LEVEL=debug raftzmq dev
    """,
)
def dev(
    nodes: Annotated[
        int | None, typer.Option(min=1, max=LOCAL_NODES_MAX, help="Number of nodes (default: 3).")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep data and logs in DIR (default: they go with the command)."
        ),
    ] = None,
    base_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64_000,
            help="First port; each node takes ten (default: 6000, or the next that is free).",
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for all members and a first write.")
    ] = 30.0,
) -> int:
    """Run a cluster in this terminal, for trying and for development, until Ctrl-C.

    Shows what the nodes log, each in a colour of its own. A node that ends is told; the others go
    on.
    """
    with (
        interrupted_by(signal.SIGTERM, signal.SIGHUP),
        _directory(keep) as directory,
        processes.locked(directory),
    ):
        is_new = processes.load(directory) is None
        cluster = local.cluster_for(directory, nodes, base_port, option="--keep")
        if is_new and base_port is None:
            cluster = ports.moved_where_free(cluster)
        ports.require_free(cluster, cluster.nodes, is_new=is_new, option="--keep")
        cluster.make_keys()
        cluster.write()
        line(local.first_line(cluster, cluster.nodes))
        return _run(cluster, wait)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="raftzmq-dev-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


def _run(cluster: LocalCluster, wait_s: float) -> int:
    """Run the nodes until all have ended, or an interrupt. Returns the exit code."""
    members = cluster.nodes
    logs = _Logs(members)
    try:
        for node in members:
            node.start()
        code = local.wait_until_up(cluster, members, list(members), wait_s, meanwhile=logs.show)
        if code != exits.DONE:
            return code
        line(f"endpoints: {','.join(cluster.endpoints)}")
        local.say_how_to_reach(cluster)
        line("to stop it: Ctrl-C")
        _watch(members, logs)
        line("all nodes have ended")
        return exits.NO
    except KeyboardInterrupt:
        return exits.DONE
    finally:
        _stop(members, logs)


def _watch(members: Sequence[LocalNode], logs: _Logs) -> None:
    """Show the logs until no node runs any more."""
    left = list(members)
    while left:
        time.sleep(_POLL_S)
        ended = [node for node in left if node.exit_code() is not None]
        logs.show()
        for node in ended:
            left.remove(node)
            others = f"; {len(left)} of {len(members)} go on" if left else ""
            line(f"{node.name} has ended with exit code {node.exit_code()}{others}")


def _stop(members: Sequence[LocalNode], logs: _Logs) -> None:
    """Stop the nodes; a second interrupt kills those that have not stopped yet."""
    try:
        stopped = processes.stop(list(members))
    except KeyboardInterrupt:
        stopped = processes.stop(list(members), grace_s=0)
    logs.show()
    for text in stopped:
        line(text)


class _Logs:
    """The logs of all nodes, of which it shows what is new.

    The nodes write into files, as after `local up`: into a pipe they would have to wait for this
    terminal whenever somebody holds it with Ctrl-S.
    """

    def __init__(self, nodes: Sequence[LocalNode]) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._logs = [_Log(node.log_file) for node in nodes]

    def show(self) -> None:
        """Show what has come since the last call, in the order of the lines' times."""
        new = [
            [(stamp, k, text) for stamp, text in log.new_lines()]
            for k, log in enumerate(self._logs)
        ]
        for _, k, text in heapq.merge(*new, key=itemgetter(0)):
            self._console.print(Text(escaped(text, "\t"), style=COLOURS[k % len(COLOURS)]))


class _Log:
    """A file that grows by lines. What is in it already is not new."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown = path.stat().st_size if path.exists() else 0
        self._stamp = ""

    def new_lines(self) -> list[tuple[str, str]]:
        """The whole lines that have come since the last call, each with the time that it begins
        with; a line without one, as of a traceback, has that of the line before."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._shown)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._shown += len(whole) + len(newline)
        lines = []
        for text in whole.decode(errors="replace").split("\n") if newline else ():
            if _STAMP.match(text):
                self._stamp = text.partition(" ")[0]
            lines.append((self._stamp, text))
        return lines
