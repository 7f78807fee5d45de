"""The one port of a view server or a storage server, and who is let in at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from raftzmq.access.node_keys import NodeKeys
from raftzmq.access.users import User
from raftzmq.server.access import NODE_USER_ID, Access, removed_keys
from raftzmq.transport.curve import VIEWS
from raftzmq.transport.options import Context
from raftzmq.transport.servers import ClientServer
from raftzmq.views.rights import SERVER


class Received(NamedTuple):
    """A message: from which connection, and whose that is."""

    identity: bytes
    frame: bytes
    sender: User


class _Router(ClientServer):
    domain = VIEWS


class Port:
    """A ROUTER, bound with the key of the service if there are keys. Storage servers come to it and
    users."""

    def __init__(self, context: Context, endpoint: str, access: Access) -> None:
        """Raises PortTaken, ListenError."""
        self._access = access
        key = None if access.keys is None else access.keys.server.own
        self.router = _Router(context, endpoint, key)

    def close(self) -> None:
        """Stop listening."""
        self.router.close()

    def receive(self, budget: int) -> Iterator[Received]:
        """Take up to `budget` waiting messages. The connection of a key that has been removed is
        cut instead."""
        for identity, frame, user_id, _ in self.router.receive(budget):
            sender = SERVER if user_id == NODE_USER_ID else self._access.user(user_id)
            if sender is None:
                self.router.cut({user_id})
            else:
                yield Received(identity, frame, sender)

    def reread_keys(self, now_ms: int) -> None:
        """Take over what has changed in the files of keys and users. The connections of removed
        users' keys end. With another key of its own, or another of the servers', the port ends all
        its connections; their owners connect again."""
        before = self._access.reread(now_ms)
        if before is None:
            return
        keys = self._access.keys
        assert keys is not None  # there was one before
        if _listens_by(keys) != _listens_by(before):
            self.router.rebind(keys.server.own)
        else:
            self.router.cut(removed_keys(before.users, keys.users))


def _listens_by(keys: NodeKeys) -> tuple[object, ...]:
    return keys.server.own.public, keys.node.accepted
