"""`raftzmq local ... --design views`: the older design as plain processes on this machine.

DIR/cluster.json                how many storage servers, and from which port on
DIR/view-server/, storage-0/    each with node.pid and node.log; there is no data on disk
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raftzmq.errors import InvalidRequest, RaftzmqError
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.messages import line, program, short
from raftzmq_cli.local import processes
from raftzmq_cli.local.processes import PORT_STEP, LocalCluster, LocalNode, say_who_died
from raftzmq_cli.views import status as statuses

DIRECTORY: Final = Path(".raftzmq/views")
BASE_PORT: Final = 7000
SERVERS: Final = 3
VIEW_SERVER: Final = "view-server"
_STATUS_TIMEOUT_S: Final = 1.0
_POLL_S: Final = 0.1


class LocalServer(LocalNode):
    """The view server or a storage server. `peers` is the view server's address."""

    @property
    def mark(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def command(self) -> list[str]:
        program = [sys.executable, "-m", "raftzmq_cli", "views"]
        if self.name == VIEW_SERVER:
            return [*program, "server", "--name", self.name, "--listen", self.mark]
        where = ["--view-server", self.peers, "--listen", self.mark]
        return [*program, "store", self.name, *where]


@dataclass(frozen=True, slots=True)
class LocalViews(LocalCluster):
    """A directory with a view server and `size` storage servers."""

    @property
    def nodes(self) -> list[LocalNode]:
        ports = {VIEW_SERVER: self.base_port}
        ports |= {f"storage-{k}": self.base_port + 1 + PORT_STEP * k for k in range(self.size)}
        return [
            LocalServer(name, port, self.directory / name, self.view_server)
            for name, port in ports.items()
        ]

    @property
    def view_server(self) -> str:
        return f"127.0.0.1:{self.base_port}"

    def document(self) -> dict[str, Any]:
        base = {"format": 1, "nodes": self.size, "base_port": self.base_port}
        return {**base, "design": Design.VIEWS.value}


def load(directory: Path) -> LocalViews | None:
    """Return the servers of the older design that live in `directory`, or None. What is damaged is
    left to `processes.load` to refuse."""
    directory = directory.resolve()
    try:
        document = json.loads((directory / "cluster.json").read_text())
        if document.get("design") != Design.VIEWS:
            return None
        return LocalViews(directory, int(document["nodes"]), int(document["base_port"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def find(directory: Path, design: Design | None, default: Path) -> LocalViews | None:
    """Return the servers that `local status` or `down` is about, or None if that is a cluster of
    Raft: by what was asked for, and else by what there is. Raises NothingThere."""
    if design is Design.RAFT:
        return None
    wanted = directory
    if directory == default:
        there = (directory / "cluster.json").exists()
        wanted = DIRECTORY if design is Design.VIEWS or not there else directory
    found = load(wanted)
    if found is None and design is Design.VIEWS:
        raise exits.NothingThere(
            f"nothing of the older design in {wanted} ('local up --design views' starts it)"
        )
    return found


def up(directory: Path, nodes: int | None, base_port: int | None, wait_s: float) -> int:
    """Start what is not running, and wait until there are a primary and a backup."""
    directory = directory.resolve()
    with processes.locked(directory):
        views = _views_for(directory, nodes, base_port)
        down = [server for server in views.nodes if server.pid() is None]
        place = f"view server {views.view_server}; logs in {short(directory)}"
        what = f"a view server and {views.size} storage servers"
        line(f"starting {what}, {place}" if down else f"{what} are running already, {place}")
        for server in down:
            server.start()
        code = _wait(views, down, wait_s)
    if code == exits.DONE:
        _say_what_next(views)
    return code


def _views_for(directory: Path, nodes: int | None, base_port: int | None) -> LocalViews:
    views = load(directory)
    if views is None:
        if (directory / "cluster.json").exists():
            raise InvalidRequest(
                f"{directory} belongs to a Raft cluster: give another --dir, or run "
                "'local down --purge' first"
            )
        views = LocalViews(directory, nodes or SERVERS, base_port or BASE_PORT)
        if views.base_port + PORT_STEP * views.size > 65_536:
            raise InvalidRequest(
                f"--base-port {views.base_port} leaves too few ports for the servers"
            )
        views.write()
    if (nodes or views.size, base_port or views.base_port) != (views.size, views.base_port):
        raise InvalidRequest(
            f"in {directory} there are {views.size} storage servers, with the view server on port "
            f"{views.base_port}: give another --dir, or 'local down --purge' first"
        )
    return views


def _wait(views: LocalViews, started: list[LocalNode], wait_s: float) -> int:
    from raftzmq.views.client import ViewsClient

    deadline = time.monotonic() + wait_s
    text = ""
    shown = ""
    with ViewsClient(views.view_server) as client:
        while time.monotonic() < deadline:
            dead = [server for server in started if server.exit_code() is not None]
            if dead:
                return say_who_died(dead)
            try:
                document = statuses.ask(client, _STATUS_TIMEOUT_S)
            except RaftzmqError:
                text = "the view server does not answer yet"
            else:
                text = statuses.summary(document)
                if document["healthy"]:
                    line(f"the service is up: {text}")
                    return exits.DONE
            if text != shown:
                line(f"  {text}")
                shown = text
            time.sleep(_POLL_S)
    messages.say(
        f"raftzmq: not ready after {wait_s:g} s: {text}; "
        f"see the logs, {short(views.directory)}/*/node.log"
    )
    return exits.NO


def _say_what_next(views: LocalViews) -> None:

    name = program()
    if views.base_port != BASE_PORT:
        line("first, since the port is not the default one:")
        line(f"  export RAFTZMQ_VIEW_SERVER={views.view_server}")
    line("try next:")
    for command in ("put greeting hello", "get greeting", "status"):
        line(f"  {name} views client {command}")


def status(views: LocalViews, run: Invocation) -> int:
    """Show every server and its process id. Exit codes as of `raftzmq views client status`."""
    from raftzmq.views.client import ViewsClient

    with ViewsClient(views.view_server) as client:
        document = statuses.ask(client, run.settings.timeout_s(statuses.TIMEOUT_S))
    pids = {server.name: server.pid() for server in views.nodes}
    for server in document["servers"]:
        server["pid"] = pids.get(server["name"])
    statuses.show(run, {**document, "pid": pids[VIEW_SERVER]}, with_pid=True)
    return statuses.verdict(document)


def down(views: LocalViews, purge: bool) -> int:
    """Stop the servers; with them goes everything that they hold."""

    with processes.locked(views.directory):
        for text in processes.stop(views.nodes) or ["no server was running"]:
            line(text)
        shown = short(views.directory)
        if purge:
            views.purge()
            line(f"logs in {shown} are removed; keys and values were in memory only")
        else:
            option = (
                "" if views.directory == DIRECTORY.resolve() else f" --dir {shlex.quote(shown)}"
            )
            line(
                f"keys and values were in memory only; logs stay in {shown}; to remove them: "
                f"{program()} local down --design views --purge{option}"
            )
    return exits.DONE
