"""`raftzmq node`: run one node in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from raftzmq.naming import parse_address, parse_peers, parse_pod_name
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.server_options import LogLevel, endpoint, level, with_last_words

commands = Commands(variables="RAFTZMQ")


@commands.command(
    "node",
    """
    raftzmq node raft-0 --data-dir d0 \\
        --peers raft-0=127.0.0.1:6000,raft-1=127.0.0.1:6010,raft-2=127.0.0.1:6020
    raftzmq node $HOSTNAME --service raft-service --namespace default --data-dir /data
    raftzmq node raft-1 --data-dir d1 --rejoin      (after its log was damaged)
    """,
)
def node(
    pod: Annotated[
        str,
        typer.Argument(
            metavar="POD",
            envvar=["RAFTZMQ_POD", "MINOMBREPOD"],
            help="This node's pod name, NAME-ORDINAL, such as raft-0.",
        ),
    ],
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where the log and the snapshots lie; .raftzmq/POD by default."),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(
            help="The initial members, NAME=HOST:PORT,...; without it they are "
            "NAME-0 to NAME-(replicas-1) of the Service."
        ),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(help="The headless Service of the pods; NAME-service by default."),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="The Service's namespace.")] = None,
    replicas: Annotated[int, typer.Option(min=1, help="How many initial members.")] = 3,
    listen: Annotated[
        str | None,
        typer.Option(
            help="Where to listen for nodes, such as tcp://*:6000; by default on the port that "
            "--peers gives for this node. Clients: the next port."
        ),
    ] = None,
    client_listen: Annotated[
        str | None, typer.Option(help="Where to listen for clients, if not on the next port.")
    ] = None,
    http_listen: Annotated[
        str | None,
        typer.Option(
            help="Where to serve /livez, /readyz and /metrics, if not on the port after that of "
            "the clients; none for nowhere."
        ),
    ] = None,
    advertise: Annotated[
        str | None, typer.Option(help="HOST:PORT under which other nodes reach this one.")
    ] = None,
    rejoin: Annotated[
        bool,
        typer.Option(
            "--rejoin", help="Set the data directory aside and catch up from the other nodes."
        ),
    ] = False,
    election_timeout_ms: Annotated[
        int | None, typer.Option(min=1, help="Followers wait this long, and up to twice as long.")
    ] = None,
    heartbeat_ms: Annotated[
        int | None, typer.Option(min=1, help="The leader's heartbeats come this often.")
    ] = None,
    statefulset: Annotated[
        str | None,
        typer.Option(
            help="Let spec.replicas of this StatefulSet decide who is a member, as `kubectl scale` "
            "sets it. Needs the extra raftzmq[kubernetes], and a service account that may get and "
            "watch it."
        ),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds, 25 by default, that a node which was scaled away votes on after it was "
            "told to stop, so that it can be removed; less than the pod's grace period.",
        ),
    ] = None,
    log_level: LogLevel = "INFO",
) -> int:
    """Run one node in this process until it is stopped.

    A node is its pod name. Give the same initial members to each: the nodes find one another,
    form a cluster once all of them have answered, and come back to it after a restart.
    SIGTERM hands leadership over and stops the node; its data stays.
    """
    # A list of the commands can do without the server.
    from raftzmq.server import serve
    from raftzmq.server.config import ServerConfig

    parse_pod_name(pod)
    if advertise:
        parse_address(advertise)
    optional: dict[str, Any] = {
        "election_timeout_ms": election_timeout_ms,
        "heartbeat_ms": heartbeat_ms,
        "grace_s": grace,
    }
    config = ServerConfig(
        name=pod,
        data_dir=data_dir or Path(".raftzmq") / pod,
        peers=parse_peers(peers) if peers else {},
        service=service or None,
        namespace=namespace or None,
        replicas=replicas,
        listen=endpoint(listen),
        client_listen=endpoint(client_listen),
        http_listen=http_listen if http_listen == "none" else endpoint(http_listen),
        advertise=advertise or None,
        rejoin=rejoin,
        statefulset=statefulset or None,
        log_level=level(log_level),
        **{name: value for name, value in optional.items() if value is not None},
    )
    return with_last_words(serve, config)
