"""The two ports of a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from raftzmq.access.node_keys import NodeKeys
from raftzmq.access.users import Users
from raftzmq.server.access import Access, removed_keys
from raftzmq.server.config import ServerConfig
from raftzmq.server.peers import Peers
from raftzmq.transport.front import Door, Front
from raftzmq.transport.options import Context, Socket
from raftzmq.transport.servers import ClientServer, PeerServer

LOOPBACK: Final = "tcp://127.0.0.1:*"
"""Where the ROUTERs are behind a Front."""


class Ports:
    """The ROUTERs of a node, bound with its keys if it has any."""

    def __init__(
        self, context: Context, config: ServerConfig, access: Access, peers: Peers
    ) -> None:
        """Raises PortTaken, ListenError."""
        self._access = access
        self._peers = peers
        self._front: Front | None = None
        with ExitStack() as stack:
            node_key = client_key = None
            if (keys := access.keys) is not None:
                node_key, client_key = keys.node.own, keys.server.own
                peers.use_keys(keys.node.own, keys.node.accepted)
                peers.links.also_plainly = config.also_plain
            endpoints = config.peer_endpoint, config.client_endpoint
            if config.also_plain:
                self.nodes = PeerServer(context, LOOPBACK)
                stack.callback(self.nodes.close)
                self.clients = ClientServer(context, LOOPBACK)
                stack.callback(self.clients.close)
                assert node_key is not None
                assert client_key is not None
                self._front = Front(
                    [
                        Door(endpoints[0], self.nodes.port, self.nodes.listen_with(node_key)),
                        Door(endpoints[1], self.clients.port, self.clients.listen_with(client_key)),
                    ]
                )
                stack.callback(self._front.close)
            else:
                self.nodes = PeerServer(context, endpoints[0], node_key)
                stack.callback(self.nodes.close)
                self.clients = ClientServer(context, endpoints[1], client_key)
                stack.callback(self.clients.close)
            self._closing = stack.pop_all()

    def close(self) -> None:
        """Stop listening."""
        self._closing.close()

    @property
    def sockets(self) -> list[Socket]:
        """For a poller."""
        return [self.nodes.socket, self.clients.socket]

    @property
    def counters(self) -> dict[str, Counter[str]]:
        """What was done and dropped at each port."""
        return {"nodes": self.nodes.counters, "clients": self.clients.counters}

    def check(self) -> None:
        """Raise RuntimeError if a thread has died."""
        if self._front is not None:
            self._front.check()

    def reread_keys(self, now_ms: int, users_changed: Callable[[Users], None]) -> None:
        """Take over what has changed in the files of keys and users. The connections of removed
        keys end. With another key of its own a port ends all its connections; their owners connect
        again."""
        before = self._access.reread(now_ms)
        if before is None:
            return
        keys = self._access.keys
        assert keys is not None  # there was one before
        if _public(keys) != _public(before):
            self.nodes.rebind(keys.node.own)
            self._peers.use_keys(keys.node.own, keys.node.accepted)
        if keys.server.own.public != before.server.own.public:
            self.clients.rebind(keys.server.own)
        if [*keys.users] != [*before.users]:
            self.clients.cut(removed_keys(before.users, keys.users))
            users_changed(keys.users)


def _public(keys: NodeKeys) -> tuple[object, ...]:
    return keys.node.own.public, keys.node.accepted
