"""Keys on sockets: what a bound ROUTER and a connecting DEALER are told before bind and connect.

Never a mechanism beside CURVE on such a socket: it does not speak, or take, anything unencrypted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import zmq

from raftzmq.access.keys import KeyPair, PublicKey
from raftzmq.transport.options import Socket

NODES: Final = "nodes"
CLIENTS: Final = "clients"
VIEWS: Final = "views"
"""ZAP's domains: which port a connection came to, and so which keys are let in. At the one port of
a server of the older design they are those of nodes and those of users."""

SEAL_BYTES: Final = 33
"""By so much CURVE makes each part of a message longer on the wire: name, nonce, seal, flags."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connecting socket proves itself with, and by which key the other side must."""

    own: KeyPair
    server: PublicKey


def listen_with(socket: Socket, key: KeyPair, domain: str) -> None:
    """Have the next `bind` of a ROUTER take CURVE alone, and ask ZAP about each connection. libzmq
    then refuses everybody while there is no handler."""
    socket.set(zmq.CURVE_SERVER, 1)
    socket.set(zmq.CURVE_SECRETKEY, key.secret.raw)
    socket.set_string(zmq.ZAP_DOMAIN, domain)
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)


def connect_with(socket: Socket, credentials: Credentials | None) -> None:
    """Have the next `connect` of a DEALER prove itself; None: it has no key."""
    if credentials is not None:
        socket.set(zmq.CURVE_PUBLICKEY, credentials.own.public.raw)
        socket.set(zmq.CURVE_SECRETKEY, credentials.own.secret.raw)
        socket.set(zmq.CURVE_SERVERKEY, credentials.server.raw)
