"""Names and addresses: what a pod name looks like, and where to find a node of that name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from raftzmq.errors import InvalidRequest

PEER_PORT: Final = 6000
_POD_NAME = re.compile(r"([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)-(0|[1-9][0-9]{0,8})")
_HOST = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9._]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


class PodName(NamedTuple):
    """A StatefulSet pod's name: `raft-0` is base `raft`, ordinal 0."""

    base: str
    ordinal: int

    def __str__(self) -> str:
        return f"{self.base}-{self.ordinal}"


def parse_pod_name(text: str) -> PodName:
    """Return the parts of a pod name. Raises InvalidRequest, saying what one looks like."""
    match = _POD_NAME.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            f"{text!r} is not a pod name: it must be NAME-ORDINAL in lowercase, such as raft-0"
        )
    return PodName(match[1], int(match[2]))


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`. Raises InvalidRequest."""
    host, _, port = text.rpartition(":")
    if not (_HOST.fullmatch(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidRequest(f"{text!r} is not an address: it must be HOST:PORT, such as db:6000")
    return host, int(port)


def check_endpoint(endpoint: str) -> str:
    """Return HOST:PORT, without the `tcp://` that it may be written with. Raises InvalidRequest."""
    if not isinstance(endpoint, str):
        kind = type(endpoint).__name__
        raise InvalidRequest(f"an endpoint is text, HOST:PORT, such as db:6001, not of type {kind}")
    address = endpoint.strip().removeprefix("tcp://")
    try:
        parse_address(address)
    except InvalidRequest:
        raise InvalidRequest(
            f"{endpoint.strip()[:100]!r} is not an endpoint: it must be HOST:PORT, such as "
            "127.0.0.1:6001"
        ) from None
    return address


def endpoint_list(endpoints: Sequence[str] | str) -> tuple[str, ...]:
    """Return the endpoints of a list, or of text with commas in between, each once. Raises
    InvalidRequest.

    >>> endpoint_list("a:1, tcp://b:2,a:1")
    ('a:1', 'b:2')
    """
    if isinstance(endpoints, str):
        endpoints = [part for part in endpoints.split(",") if part.strip()]
    if not endpoints:
        raise InvalidRequest("no endpoints: name at least one node's client port, as HOST:PORT")
    return tuple(dict.fromkeys(map(check_endpoint, endpoints)))


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that HOST spells out, `127.0.0.1` or `[::1]`; None for a name."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def client_address(address: str) -> str:
    """The client port's address of a node: its node port plus one."""
    host, port = parse_address(address)
    return f"{host}:{port + 1}"


def parse_peers(text: str) -> dict[str, str]:
    """Return name -> HOST:PORT of `raft-0=HOST:PORT,raft-1=HOST:PORT`. Raises InvalidRequest."""
    peers: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, address = item.partition("=")
        if not equals:
            raise InvalidRequest(f"{item!r} is not a peer: it must be NAME=HOST:PORT")
        parse_pod_name(name)
        parse_address(address)
        if name in peers:
            raise InvalidRequest(f"peer {name} is given twice")
        peers[name] = address
    return peers


CLUSTER_CHARS: Final = 64
"""The longest cluster id."""


def descendant(new: str, origin: str) -> str:
    """The id of a cluster that is made from another's state: its own, and those it comes from.

    The oldest are left out if all are too long for an id.

    >>> descendant("c3", "b2.a1")
    'c3.b2.a1'
    """
    ids = [new, *filter(None, origin.split("."))]
    while len(".".join(ids)) > CLUSTER_CHARS:
        ids.pop()
    return ".".join(ids)


def descends(cluster: str, origin: str) -> bool:
    """Whether a cluster is `origin`, or was made from its state, so that what its clients had goes
    on.

    >>> descends("c3.b2.a1", "b2.a1"), descends("b2.a1", "c3.b2.a1")
    (True, False)
    """
    return origin != "" and origin.partition(".")[0] in cluster.split(".")


def service_address(name: str, service: str, namespace: str | None) -> str:
    """Where a headless Service publishes the pod `name`; never an IP, so it survives a move."""
    domain = f"{service}.{namespace}.svc.cluster.local" if namespace else service
    return f"{name}.{domain}:{PEER_PORT}"
