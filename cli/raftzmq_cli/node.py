"""`raftzmq node`: run one node in this process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq_cli.common.invocation import examples_text

if TYPE_CHECKING:
    from raftzmq.server.config import ServerConfig

EXAMPLES = examples_text(
    """
    raftzmq node raft-0 --data-dir d0 \\
        --peers raft-0=127.0.0.1:6000,raft-1=127.0.0.1:6010,raft-2=127.0.0.1:6020
    raftzmq node $HOSTNAME --service raft-service --namespace default --data-dir /data
    raftzmq node raft-1 --data-dir d1 --rejoin      (after its log was damaged)
    """
)

LAST_WORDS_S: Final = 5
"""How long a node that fails waits for somebody to read why; then it ends all the same."""


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
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> int:
    """Run one node in this process until it is stopped.

    A node is its pod name. Give the same initial members to each: the nodes find one another,
    form a cluster once all of them have answered, and come back to it after a restart.
    SIGTERM hands leadership over and stops the node; its data stays.
    """
    optional = {
        "election_timeout_ms": election_timeout_ms,
        "heartbeat_ms": heartbeat_ms,
        "grace_s": grace,
    }
    config = server_config(
        pod,
        data_dir,
        peers,
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
    from raftzmq.server import serve

    try:
        return serve(config)
    except BaseException:
        signal.alarm(LAST_WORDS_S)  # what is about to be printed may meet a full pipe
        raise


def server_config(
    pod: str, data_dir: Path | None, peers: str | None, **settings: Any
) -> ServerConfig:
    """Return the node's settings. Raises InvalidRequest for what cannot be."""
    from raftzmq.naming import parse_address, parse_peers, parse_pod_name

    parse_pod_name(pod)
    members = parse_peers(peers) if peers else {}
    if settings.get("advertise"):
        parse_address(settings["advertise"])

    from raftzmq.server.config import ServerConfig

    return ServerConfig(
        name=pod, data_dir=data_dir or Path(".raftzmq") / pod, peers=members, **settings
    )


def endpoint(text: str | None) -> str | None:
    """Return a listening endpoint, tcp://ADDRESS:PORT; the tcp:// may be left out."""
    from raftzmq.errors import InvalidRequest

    if not text:
        return None
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidRequest(f"{text!r} is no place to listen: it must be like tcp://*:6000")
    return f"tcp://{host}:{port}"


def level(text: str) -> str:
    from raftzmq.errors import InvalidRequest

    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise InvalidRequest(f"--log-level {text!r} is not one of DEBUG, INFO, WARNING, ERROR")
    return text.upper()
