"""Why an endpoint does not answer, told apart: a name, a connection, another port, or silence."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from raftzmq.naming import parse_address

if TYPE_CHECKING:
    from raftzmq import NodeStatus

CONNECT_S: Final = 0.5
"""Wait for a connection: it is tried only after an answer has not come in time."""

PORTS: Final = {1: "the nodes' port", -1: "the HTTP port"}
"""What it is if the client port is so much above it."""

Ask = Callable[[Sequence[str]], Sequence["NodeStatus"]]
"""Asks endpoints for their status, in a time of its own."""


def why_silent(endpoint: str, ask: Ask) -> str:
    """Say in words why an endpoint has not answered."""
    host, port = parse_address(endpoint)
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError:
        return f"the name {host} does not resolve"
    errors = [_connect(family, address) for family, _, _, _, address in found]
    if None not in errors:
        refused = any(isinstance(error, ConnectionRefusedError) for error in errors)
        return f"no connection: {'nothing listens there' if refused else errors[0]}"
    nearby = {f"{host}:{port + k}": what for k, what in PORTS.items() if 0 < port + k < 65_536}
    for neighbour in ask(list(nearby)):
        if neighbour.status is not None:
            what = nearby[neighbour.endpoint]
            return f"that is {what}; the client port is {neighbour.endpoint}"
    return "is connected, but does not answer"


def _connect(family: int, address: Any) -> OSError | None:
    """Try to connect; return why not."""
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(CONNECT_S)
        try:
            attempt.connect(address)
        except TimeoutError:
            return OSError(f"no answer from the host within {CONNECT_S:g} s")
        except OSError as error:
            return error
    return None
