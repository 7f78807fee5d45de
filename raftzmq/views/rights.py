"""Who may send what, where there are keys. Pure: a check of messages, and a table of operations.

What servers say to one another is taken from servers alone: not even an admin may forge it. The
rules about keys are those of raftzmq/access/rights.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from raftzmq.access.rights import NOBODY, Rights
from raftzmq.access.users import ANYBODY, User
from raftzmq.errors import Denied
from raftzmq.views.messages import Message, PeerMessage, Ping

SERVER: Final = User("node")
"""Who has node.key: a storage server. No user can have that name."""

OPERATIONS: Final[Mapping[str, Callable[..., None]]] = {
    "open": lambda may, _secret: may.write_something(),  # it takes room, as at a Raft node
    "close": lambda may: may.anything(),
    "get": lambda may, key: may.read(key),
    "put": lambda may, key, _value: may.write(key),
    "append": lambda may, key, _value: may.write(key),
    "delete": lambda may, key: may.write(key),
}
"""What every operation needs, of its arguments as in PROTOCOL.md."""


def check_message(sender: User, message: Message) -> None:
    """Raises Denied for what only servers say, from anybody else. What an operation needs is for
    the primary to check, by `check_operation`; the rest every user may ask."""
    if sender is ANYBODY or sender is SERVER:
        return
    if isinstance(message, Ping | PeerMessage):
        raise Denied(f"user {sender.name!r} may not speak as a storage server: that takes node.key")


def check_operation(user: User, op: list[Any]) -> None:
    """Raises Denied if the user may not do a validated operation `[serial, name, …arguments]`."""
    if not user.admin:
        _, name, *arguments = op
        OPERATIONS[name](Rights(user, NOBODY), *arguments)
