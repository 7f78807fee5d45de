"""The messages of the three parties. PROTOCOL.md has their form on the wire.

Any of them may be lost, delayed, duplicated or overtaken by a later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from raftzmq.views.view import Server, View

# -- between storage servers and the view server -----------------------------------------------


@dataclass(frozen=True, slots=True)
class Ping:
    """A storage server is alive. `serial` grows with each of its pings. `reign` is the run of the
    view server that it has joined, "" before the first; `before` is the one it had joined before.
    `view` is the newest view it has seen; so a primary acknowledges the view. `synced`: the sender
    is the view's primary, and its backup has the whole state."""

    serial: int
    server: Server
    reign: str
    before: str
    view: View | None
    synced: bool
    keys: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to the ping of this serial. `view` is None while there is none; `reason` says why.
    `superseded`: a later process has the sender's name, and this one is ignored from now on."""

    serial: int
    reign: str
    view: View | None
    reason: str
    superseded: bool


# -- between clients and the view server or a storage server --------------------------------------


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Ask for the current view."""

    id: int


@dataclass(frozen=True, slots=True)
class ViewReply:
    id: int
    view: View | None
    reason: str


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Ask for the status; of the view server: the status of the whole service."""

    id: int


@dataclass(frozen=True, slots=True)
class StatusReply:
    id: int
    status: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One operation, `[serial, name, ...arguments]`, of a client that believes the addressee to be
    the primary of this view. A read has session 0."""

    id: int
    service: str
    view: int
    session: int
    op: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request, or why it could not be read (`id` None). Codes: ok; invalid,
    malformed, unsupported_version, session_expired, too_long (nothing was done; `body` is the
    length that the append would have given the value); not_primary, overloaded
    (nothing was done, try again); view_changed (perhaps done, try again)."""

    id: int | None
    code: str
    index: int
    body: Any
    view: int


# -- between a primary and its backup -------------------------------------------------------------


class Entry(NamedTuple):
    """An operation in its order: the primary's time, and for which session."""

    time_ms: int
    session: int
    op: Any


@dataclass(frozen=True, slots=True)
class Forward:
    """The entries from index `first` on. `round` grows with every message that the primary
    sends. A read waits for the answer to an empty one."""

    service: str
    view: int
    sender: Server
    round: int
    first: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Ack:
    """In this view, at this round, the backup has everything up to `index`."""

    service: str
    view: int
    sender: Server
    round: int
    index: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the primary's whole state: records as in machine/snapshots.py."""

    service: str
    view: int
    sender: Server
    number: int
    last: bool
    records: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ChunkAck:
    """The backup has all chunks below `next`."""

    service: str
    view: int
    sender: Server
    next: int


@dataclass(frozen=True, slots=True)
class OldView:
    """The addressee's view is old: there is a view `view`."""

    service: str
    view: int
    sender: Server


PeerMessage = Forward | Ack | Chunk | ChunkAck | OldView
Message = (
    Ping
    | Pong
    | ViewRequest
    | ViewReply
    | StatusRequest
    | StatusReply
    | Request
    | Reply
    | PeerMessage
)
