"""Who is let in: the keys and users that a node was started with, read again when they change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, Final

from raftzmq.access.key_files import (
    NODE_FILE,
    SERVER_FILE,
    USERS_FILE,
    KeyFileError,
    stamp,
)
from raftzmq.access.keys import Kind, PublicKey
from raftzmq.access.node_keys import NodeKeys, read_node_keys
from raftzmq.access.users import ANYBODY, User, Users
from raftzmq.server.text_log import TextLog
from raftzmq.transport.curve import CLIENTS, NODES, VIEWS
from raftzmq.transport.options import Context, Socket
from raftzmq.transport.zap import Handshake, Zap

NODE_USER_ID: Final = "node"
"""The User-Id of another node. It never comes to the client port."""

REREAD_MS: Final = 500
"""Time between two looks at whether the files have changed."""

REFUSALS_LOGGED: Final = 1000
"""So many different refused keys are logged, each once."""

Refused = Callable[[Handshake], None]


class Access:
    """The keys of one node, or none.

    `keys` is what was read last without a fault. A file that cannot be read, or is wrong, changes
    nothing, and is warned of: nobody is let in who was not, and nobody shut out, by a half-written
    file.
    """

    def __init__(
        self,
        directory: Path | None,
        log: TextLog,
        refused: Refused | None = None,
        *,
        also_plain: bool = False,
    ) -> None:
        """Raises KeyFileError for a directory that cannot be used. `refused` is told of each
        handshake that is refused. `also_plain`: who has no key may do everything, for now."""
        self._also_plain = also_plain
        self._directory = directory
        self._log = log
        self._refused = refused
        self._logged: set[bytes] = set()
        self._next_ms = 0
        self._fault = False  # the files are not what the keys were read from, and cannot be read
        self._zap: Zap | None = None
        self.keys: NodeKeys | None = None
        if directory is not None:
            self._paths = [directory / name for name in (NODE_FILE, SERVER_FILE, USERS_FILE)]
            self._stamp = stamp(self._paths)
            self.keys = read_node_keys(directory)

    def open(self, context: Context) -> None:
        """Answer handshakes from now on, if there are keys. Before a ROUTER of that context is
        bound: without a handler libzmq refuses everybody."""
        if self.keys is not None:
            self._zap = Zap(context, self.admits)

    def close(self) -> None:
        """Let nobody in any more."""
        if self._zap is not None:
            self._zap.close()

    @property
    def sockets(self) -> list[Socket]:
        """For a poller."""
        return [] if self._zap is None else [self._zap.socket]

    @property
    def counters(self) -> dict[str, Counter[str]]:
        """How many were let in and refused."""
        return {} if self._zap is None else {"handshakes": self._zap.counters}

    def answer_handshakes(self, ready: Container[object]) -> None:
        """Let in, or refuse, who waits for it, if that socket is among those that are `ready`."""
        if self._zap is not None and self._zap.socket in ready:
            self._zap.answer()

    def state(self) -> dict[str, Any]:
        """How it stands with the keys, for the status: nothing in it is a secret."""
        keys = self.keys
        if keys is None:
            return {"keys": False, "also_plain": False, "rotating": [], "fault": False}
        rotating = {
            "node": len(keys.node.accepted) > 1,
            "server": len(keys.server.accepted) > 1,
            "users": any(len(user.keys) > 1 for user in keys.users),
        }
        return {
            "keys": True,
            "also_plain": self._also_plain,
            "rotating": [name for name, unfinished in rotating.items() if unfinished],
            "fault": self._fault,
        }

    def user(self, user_id: str) -> User | None:
        """Return who has sent a message with this User-Id; None: nobody who has a right to, any
        more."""
        keys = self.keys
        if keys is None or (self._also_plain and not user_id):
            return ANYBODY
        return keys.users.by_key(user_id)

    def admits(self, handshake: Handshake) -> str | None:
        """Return the User-Id of who is let in: at the node port only who has a node's key, at the
        client port only a user, at the one port of the older design both."""
        user_id = self._user_id(handshake)
        if user_id is None:
            self._refuse(handshake)
        return user_id

    def _user_id(self, handshake: Handshake) -> str | None:
        if self.keys is None:
            return None
        if handshake.domain in (NODES, VIEWS):
            key = PublicKey(Kind.NODE, handshake.key)
            if key in self.keys.node.accepted:
                return NODE_USER_ID
        if handshake.domain in (CLIENTS, VIEWS):
            text = str(PublicKey(Kind.USER, handshake.key))
            return None if self.keys.users.by_key(text) is None else text
        return None

    def _refuse(self, handshake: Handshake) -> None:
        if self._refused is not None:
            self._refused(handshake)
        if handshake.key not in self._logged and len(self._logged) < REFUSALS_LOGGED:
            self._logged.add(handshake.key)
            kind = Kind.NODE if handshake.domain == NODES else Kind.USER
            self._log.warn(
                "refused an unknown key (logged once per key)",
                port=handshake.domain,
                key=PublicKey(kind, handshake.key).short,
                address=handshake.address,
            )

    def reread(self, now_ms: int) -> NodeKeys | None:
        """Read the files again if they have changed. Return what was there before; None if nothing
        else holds now."""
        if self._directory is None or now_ms < self._next_ms:
            return None
        self._next_ms = now_ms + REREAD_MS
        now = stamp(self._paths)
        if now == self._stamp:
            return None
        self._stamp = now
        before = self.keys
        try:
            self.keys = read_node_keys(self._directory)
        except KeyFileError as error:
            self._fault = True
            self._log.warn(f"the keys stay as they were: {error}")
            return None
        self._fault = False
        self._log("keys read again", users=len(self.keys.users))
        return before


def removed_keys(before: Users, after: Users) -> set[str]:
    """The keys that nobody has any more."""
    return {key for user in before for key in user.keys if after.by_key(key) is None}
