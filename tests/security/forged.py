"""What a stranger can say who has seen all that `status` tells: names, incarnations, cluster, term.

Bytes are written by hand on raw connections, as PROTOCOL.md has them.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tests.system.processes import Cluster, NodeProcess
from tests.system.zmtp import frame, speak

TERM_MAX: Final = 2**53 - 1
NOBODY: Final = "127.0.0.1:9"
"""An address at which nobody listens."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What `status` says of a cluster."""

    cluster: str
    term: int
    leader: str
    last_index: int
    incarnations: dict[str, str]

    @staticmethod
    def of(cluster: Cluster) -> Seen:
        status = cluster.leader().status()
        assert status
        return Seen(
            status["cluster"],
            status["term"],
            status["leader"],
            status["last_index"],
            {member["name"]: member["incarnation"] for member in status["members"]},
        )

    def message(self, kind: str, sender: str, to: str, **fields: Any) -> bytes:
        """A message between nodes, as if `sender` had sent it."""
        header = {"v": 1, "type": kind, "cluster": self.cluster, "term": self.term}
        header |= {"from": self.id(sender), "to": self.id(to), **fields}
        return json.dumps(header).encode()

    def id(self, name: str) -> list[str]:
        return [name, self.incarnations.get(name, "0" * 16)]


def say(port: int, *frames: bytes, identity: bytes = b"") -> None:
    """Say each of these as a message of one frame, on a connection of its own, which ends when the
    node has read them."""
    with suppress(OSError), speak(port, identity) as connection:
        for said in frames:
            connection.sendall(frame(said))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


def senders(seen: Seen, to: NodeProcess) -> Iterator[str]:
    """Who a stranger says that he is: nobody known, and each of the other members."""
    yield "raft-9"
    yield from (name for name in seen.incarnations if name != to.name)
