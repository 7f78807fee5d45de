"""A view names one primary and at most one backup, and has a number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from raftzmq.errors import InvalidRequest

NAME_CHARS: Final = 253
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")


class Server(NamedTuple):
    """A storage server: its name, the random id of this run of it, and HOST:PORT.

    No data of a server outlives its process. So another incarnation is another server: it has
    none of the data of the first one.
    """

    name: str
    incarnation: str
    address: str

    def is_same(self, other: Server | None) -> bool:
        """Whether it is the same run of the same server."""
        return other is not None and self[:2] == other[:2]

    def __str__(self) -> str:
        return f"{self.name}@{self.incarnation[:8]}"


@dataclass(frozen=True, slots=True)
class View:
    """One decision of the view server. `number` grows. `service` is the random id of the service
    that starts with view 1, which distinguishes its views from those of another service. `reign`
    is the random id of the run of the view server that made the view."""

    service: str
    reign: str
    number: int
    primary: Server
    backup: Server | None

    def role_of(self, server: Server) -> str:
        """`primary`, `backup` or `idle`."""
        if server.is_same(self.primary):
            return PRIMARY
        return BACKUP if server.is_same(self.backup) else IDLE

    def __str__(self) -> str:
        backup = self.backup.name if self.backup else "none"
        return f"view {self.number}: primary {self.primary.name}, backup {backup}"


PRIMARY: Final = "primary"
BACKUP: Final = "backup"
IDLE: Final = "idle"


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in milliseconds.

    A server pings every `ping_ms`; one not heard for `dead_ms` counts as dead. A view server that
    has just started listens for `forming_ms` before it believes that there are no other servers.
    What a backup has not acknowledged for `resend_ms` is sent again. Raises InvalidRequest for
    times that cannot work.
    """

    ping_ms: int = 100
    dead_ms: int = 1000
    forming_ms: int = 2000
    resend_ms: int = 200

    def __post_init__(self) -> None:
        if not 0 < 2 * self.ping_ms <= self.dead_ms:
            raise InvalidRequest("--dead-ms must be at least twice --ping-ms, and both above 0")


def parse_server_name(text: str) -> str:
    """Return a storage server's name. Raises InvalidRequest, saying what one looks like."""
    if len(text) > NAME_CHARS or _NAME.fullmatch(text) is None:
        raise InvalidRequest(
            f"{text[:60]!r} is not a server's name: it must be a host name in lowercase, such as "
            "storage-1 or storage-6d9f7c-abcde"
        )
    return text
