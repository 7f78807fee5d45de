"""`raftzmq local ... --design views`: the older design as plain processes on this machine."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from raftzmq.client.discovery import LOCAL_STEP
from raftzmq.errors import InvalidRequest, RaftzmqError, Unavailable
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.messages import line, program, short
from raftzmq_cli.local import ports, processes, running
from raftzmq_cli.local.processes import LocalNode, say_who_died
from raftzmq_cli.local.view_servers import BASE_PORT, SERVERS, VIEW_SERVER, LocalViews, load
from raftzmq_cli.views import status as statuses

if TYPE_CHECKING:
    from raftzmq.views.client import ViewsClient

_STATUS_TIMEOUT_S: Final = 1.0
_POLL_S: Final = 0.1


def up(
    directory: Path, nodes: int | None, base_port: int | None, keys: Path | None, wait_s: float
) -> int:
    """Start what is not running, and wait until a primary and a backup have taken a write."""
    directory = directory.resolve()
    with processes.locked(directory):
        is_new = load(directory) is None
        views = _views_for(directory, nodes, base_port, keys)
        down = [server for server in views.nodes if server.pid() is None]
        ports.require_free(views, down, is_new=is_new)
        views.make_keys()
        views.write()
        place = f"view server {views.view_server}, {views.security}; logs in {short(directory)}"
        what = f"a view server and {views.size} storage servers"
        with processes.given_up(views, down, is_new=is_new):
            line(f"starting {what}, {place}" if down else f"{what} are running already, {place}")
            for server in down:
                server.start()
            code = _wait(views, down, wait_s)
            if code != exits.DONE:
                raise typer.Exit(code)
    _say_what_next(views)
    return exits.DONE


def _views_for(
    directory: Path, nodes: int | None, base_port: int | None, keys: Path | None
) -> LocalViews:
    views = load(directory)
    if views is None:
        if (directory / "cluster.json").exists():
            raise InvalidRequest(
                f"{directory} belongs to a Raft cluster: give another --dir, or run "
                "'local down --purge' first"
            )
        views = LocalViews(
            directory, nodes or SERVERS, base_port or BASE_PORT, keys and keys.resolve()
        )
        if views.base_port + LOCAL_STEP * views.size > 65_536:
            raise InvalidRequest(
                f"--base-port {views.base_port} leaves too few ports for the servers"
            )
    if (nodes or views.size, base_port or views.base_port) != (views.size, views.base_port):
        raise InvalidRequest(
            f"in {directory} there are {views.size} storage servers, with the view server on port "
            f"{views.base_port}: give another --dir, or 'local down --purge' first"
        )
    processes.require_keys(views, keys)
    return views


def _wait(views: LocalViews, started: list[LocalNode], wait_s: float) -> int:
    from raftzmq.views.client import ViewsClient

    deadline = time.monotonic() + wait_s
    text = ""
    shown = ""
    with ViewsClient(views.view_server, key=views.client_key) as client:
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
                if document["healthy"] and views.is_whole and _takes_a_write(client):
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


def _takes_a_write(client: ViewsClient) -> bool:
    """Whether a write is acknowledged now; it deletes a key that is not there."""
    try:
        client.delete(f"raftzmq-up/{secrets.token_hex(8)}", timeout=_STATUS_TIMEOUT_S)
    except RaftzmqError:
        return False
    return True


def _say_what_next(views: LocalViews) -> None:
    name = program()
    if views.base_port != BASE_PORT:
        line("first, since the port is not the default one:")
        line(f"  export RAFTZMQ_VIEW_SERVER={views.view_server}")
    running.say_key(views)
    line("try next:")
    for command in ("put greeting hello", "get greeting", "status"):
        line(f"  {name} views client {command}")
    line(f"to stop it: {running.stop_command(views)}")


def status(views: LocalViews, run: Invocation) -> int:
    """Show every server and its process id. Exit codes as of `raftzmq views client status`."""
    from raftzmq.views.client import ViewsClient

    pids = {server.name: server.pid() for server in views.nodes}
    if pids[VIEW_SERVER] is None:
        raise Unavailable(
            f"the view server of {short(views.directory)} is not running: start it with "
            f"'local up --design views{running.options(views, with_design=False)}'"
        )
    with ViewsClient(views.view_server, key=views.client_key) as client:
        document = statuses.ask(client, run.settings.timeout_s(statuses.TIMEOUT_S))
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
            option = running.options(views, with_design=False)
            line(
                f"keys and values were in memory only; logs stay in {shown}; to remove them: "
                f"{program()} local down --design views --purge{option}"
            )
    return exits.DONE
