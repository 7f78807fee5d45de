"""`raftzmq views server | store`: run one server of the older design in this process."""

from __future__ import annotations

import socket
from typing import Annotated, Any

import typer

from raftzmq_cli.common import server_options
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.server_options import (
    Insecure,
    Keys,
    LogFormat,
    LogLevel,
    endpoint,
    level,
    with_last_words,
)

PingMs = Annotated[
    int | None,
    typer.Option(min=1, help="Interval between pings of the storage servers (default: 100)."),
]
DeadMs = Annotated[
    int | None,
    typer.Option(
        min=2, help="A server that is silent for this long counts as dead (default: 1000)."
    ),
]

commands = Commands(variables="RAFTZMQ")


@commands.command(
    "server",
    """
    raftzmq views server --listen tcp://127.0.0.1:7000
    raftzmq views server --keys keys
    """,
)
def server(
    *,
    listen: Annotated[
        str | None, typer.Option(help="Endpoint to listen on (default: tcp://*:7000).")
    ] = None,
    name: Annotated[str, typer.Option(help="Its name in the log.")] = "view-server",
    keys: Keys = None,
    insecure: Insecure = False,
    ping_ms: PingMs = None,
    dead_ms: DeadMs = None,
    log_level: LogLevel = "INFO",
    log_format: LogFormat = "text",
) -> int:
    """Run the view server, which chooses primary and backup.

    Run exactly one. While it is down, primary and backup keep serving, but a server that dies is
    not replaced. It keeps nothing on disk: after a restart it asks the storage servers.
    """
    from raftzmq.views.view_server import ViewServerConfig, serve_views

    where: dict[str, Any] = {} if listen is None else {"listen": endpoint(listen)}
    config = ViewServerConfig(
        name=name,
        keys=keys,
        insecure=insecure,
        log_level=level(log_level),
        log_format=server_options.log_format(log_format),
        timing=_timing(ping_ms, dead_ms),
        **where,
    )
    return with_last_words(serve_views, config)


@commands.command(
    "store",
    """
    raftzmq views store storage-0 --view-server 127.0.0.1:7000 --listen tcp://127.0.0.1:7001
    raftzmq views store $HOSTNAME --view-server view-server:7000 --address $POD_IP:7001 --keys keys
    """,
)
def store(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            envvar="RAFTZMQ_POD",
            help="This server's name, such as storage-0; it must be unique.",
        ),
    ],
    *,
    view_server: Annotated[str, typer.Option(help="HOST:PORT of the view server.")],
    listen: Annotated[
        str | None,
        typer.Option(
            help="Endpoint for clients and other storage servers (default: tcp://*:7001)."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT at which others reach this server (default: the host of --listen, or "
            "this machine's name, and the port of --listen)."
        ),
    ] = None,
    keys: Keys = None,
    insecure: Insecure = False,
    ping_ms: PingMs = None,
    dead_ms: DeadMs = None,
    log_level: LogLevel = "INFO",
    log_format: LogFormat = "text",
) -> int:
    """Run one storage server in this process.

    The view server decides whether it is primary, backup or idle.

    Its data is in memory only. After a restart it is empty, and becomes an idle spare.
    """
    from raftzmq.views.storage_server import StorageServerConfig, serve_storage

    where = endpoint(listen) or "tcp://*:7001"
    config = StorageServerConfig(
        name=name,
        view_server=view_server,
        address=address or _address_of(where),
        listen=where,
        keys=keys,
        insecure=insecure,
        log_level=level(log_level),
        log_format=server_options.log_format(log_format),
        timing=_timing(ping_ms, dead_ms),
    )
    return with_last_words(serve_storage, config)


def _timing(ping_ms: int | None, dead_ms: int | None) -> Any:
    from raftzmq.views.view import Timing

    given = {"ping_ms": ping_ms, "dead_ms": dead_ms}
    return Timing(**{name: value for name, value in given.items() if value is not None})


def _address_of(listen: str) -> str:
    """What others may connect to, by where it is listened."""
    host, _, port = listen.removeprefix("tcp://").rpartition(":")
    return f"{socket.gethostname() if host in ('*', '0.0.0.0', '[::]') else host}:{port}"
