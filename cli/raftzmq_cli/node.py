"""`raftzmq node`: run one node in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from raftzmq.naming import parse_address, parse_peers, parse_pod_name
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
            help="This node's pod name, NAME-ORDINAL, such as raft-0. MINOMBREPOD (Spanish: my "
            "pod's name) is the variable in which kube/base gives a pod its own name.",
        ),
    ],
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Directory for the log and the snapshots (default: .raftzmq/POD)."),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(
            help="The initial members, NAME=HOST:PORT,... (default: NAME-0 to NAME-(replicas-1) "
            "of the Service)."
        ),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(help="The headless Service of the pods (default: NAME-service)."),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="The Service's namespace.")] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Number of initial members.")] = 3,
    listen: Annotated[
        str | None,
        typer.Option(
            help="Endpoint for other nodes, such as tcp://*:6000 on all interfaces (default: the "
            "IP address and port of this node in --peers; all interfaces for a name and in a "
            "pod). Clients use the next port."
        ),
    ] = None,
    client_listen: Annotated[
        str | None, typer.Option(help="Endpoint for clients (default: the next port).")
    ] = None,
    http_listen: Annotated[
        str | None,
        typer.Option(
            help="Endpoint for /livez, /readyz and /metrics (default: the port after the client "
            "port); `none` disables it."
        ),
    ] = None,
    advertise: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT at which other nodes reach this one (default: its address in --peers, "
            "otherwise the IP address of --listen)."
        ),
    ] = None,
    keys: Keys = None,
    also_plain: Annotated[
        bool,
        typer.Option(
            "--also-plain",
            help="With --keys, take connections without a key too, which may do everything: only "
            "until all nodes and clients have keys.",
        ),
    ] = False,
    insecure: Insecure = False,
    rejoin: Annotated[
        bool,
        typer.Option(
            "--rejoin", help="Move the data directory aside and catch up from the other nodes."
        ),
    ] = False,
    election_timeout_ms: Annotated[
        int | None, typer.Option(min=1, help="Followers start an election after 1 to 2 times this.")
    ] = None,
    heartbeat_ms: Annotated[
        int | None, typer.Option(min=1, help="Interval between the leader's heartbeats.")
    ] = None,
    statefulset: Annotated[
        str | None,
        typer.Option(
            help="Follow spec.replicas of this StatefulSet: `kubectl scale` then changes the "
            "membership. Needs the extra raftzmq[kubernetes] and a service account that may get "
            "and watch the StatefulSet."
        ),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds (default: 25) that a node which is scaled away keeps voting after "
            "SIGTERM, so that it can be removed. Must be less than the pod's grace period.",
        ),
    ] = None,
    quota: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory that the store may take, such as 700MiB (default: two thirds of what "
            "the memory limit, or half the machine's memory, leaves after 96 MiB). A full store "
            "refuses what adds to it.",
        ),
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:CLASS",
            help="The class of a state machine of your own, such as shop.bank:Bank: imported from "
            "the working directory or PYTHONPATH. Give every node the same.",
        ),
    ] = None,
    check_machine: Annotated[
        bool,
        typer.Option(
            "--check-machine",
            help="Run each call of --machine twice, watched, and end with an error where nodes "
            "could differ: for development.",
        ),
    ] = False,
    audit: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write a line of JSON for each write, membership change, stop, snapshot, refused "
            "key and denied request; `log`: into the text log.",
        ),
    ] = None,
    audit_required: Annotated[
        bool,
        typer.Option(
            "--audit-required",
            help="Refuse writes while the audit trail cannot be written; records are on the disk "
            "before the answers leave.",
        ),
    ] = False,
    log_level: LogLevel = "INFO",
    log_format: LogFormat = "text",
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help="Send spans of traced requests to OTEL_EXPORTER_OTLP_ENDPOINT, by OTLP over HTTP. "
            "Needs the extra raftzmq[otel].",
        ),
    ] = False,
) -> int:
    """Run one node in this process until it is stopped.

    A node is identified by its pod name. Give every node the same initial members. The nodes form
    a cluster once all of them have answered, and rejoin it after a restart. On SIGTERM the node
    hands over leadership and stops; its data stays.
    """
    # A list of the commands can do without the server.
    from raftzmq.server import serve
    from raftzmq.server.config import ServerConfig
    from raftzmq.server.quota import parse_size

    parse_pod_name(pod)
    if advertise:
        parse_address(advertise)
    optional: dict[str, Any] = {
        "election_timeout_ms": election_timeout_ms,
        "heartbeat_ms": heartbeat_ms,
        "grace_s": grace,
        "quota": parse_size(quota) if quota else None,
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
        in_pod="KUBERNETES_SERVICE_HOST" in os.environ,
        keys=keys,
        also_plain=also_plain,
        insecure=insecure,
        rejoin=rejoin,
        machine=machine or None,
        check_machine=check_machine,
        audit=audit or None,
        audit_required=audit_required,
        statefulset=statefulset or None,
        log_level=level(log_level),
        log_format=server_options.log_format(log_format),
        trace=trace,
        **{name: value for name, value in optional.items() if value is not None},
    )
    return with_last_words(serve, config)
