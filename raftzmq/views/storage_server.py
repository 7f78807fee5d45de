"""A storage server as a process: `raftzmq views store NAME`. All its data is in memory."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import zmq

from raftzmq import __version__
from raftzmq.access.key_files import ClientKey
from raftzmq.access.node_keys import NodeKeys
from raftzmq.access.users import User
from raftzmq.client.sockets import Links
from raftzmq.errors import Refused, WireError
from raftzmq.naming import parse_address
from raftzmq.server.access import Access
from raftzmq.server.link_inspection import LinkInspection
from raftzmq.server.name_lookup import NameLookup
from raftzmq.server.text_log import TextLog
from raftzmq.transport.links import PeerLinks
from raftzmq.transport.options import Socket
from raftzmq.views.loop import Loop, now_ms, random_id
from raftzmq.views.messages import (
    Ack,
    Chunk,
    ChunkAck,
    Forward,
    Message,
    OldView,
    Pong,
    Request,
    StatusReply,
    StatusRequest,
)
from raftzmq.views.replica import Replica
from raftzmq.views.view import BACKUP, PRIMARY, Server, Timing, parse_server_name
from raftzmq.views.wire import decode, encode

PORT: Final = 7001

SILENCE_MS: Final = 2000
"""A server that does not answer for this long gets a new connection. Its name may have moved, and
only a new connection looks it up again."""

LAST_ANSWERS_S: Final = 0.1
"""Time between the last answers and the end. What a client has not read by then is lost to it."""

KEYS_OPTION: Final = "--keys DIR (RAFTZMQ_KEYS)"
"""How a server is given keys."""

_VIEW_SERVER: Final = "view-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageServerConfig:
    """`view_server` and `address` are HOST:PORT. Clients and other servers find this server at
    `address`. `listen` is a ZeroMQ endpoint. `keys` and `insecure` are as in ViewServerConfig. With
    keys this server connects to others by node.key. Raises InvalidRequest."""

    name: str
    view_server: str
    address: str
    listen: str
    keys: Path | None = None
    insecure: bool = False
    log_level: str = "INFO"
    log_format: str = "text"
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        parse_server_name(self.name)
        parse_address(self.view_server)
        parse_address(self.address)


def serve_storage(config: StorageServerConfig) -> int:
    """Run a storage server until SIGTERM or SIGINT. Returns the exit code 0.

    Raises InvalidRequest for a port that would be open to everybody, KeyFileError, PortTaken,
    ListenError; Refused if the view server says that this server is of no use.
    """
    with ExitStack() as stack:
        log = stack.enter_context(TextLog(config.name, config.log_level, config.log_format))
        server = _StorageServer(config, log, stack)
        server.run()
        server.say_goodbye()
    return 0


class _StorageServer(Loop):
    def __init__(self, config: StorageServerConfig, log: TextLog, stack: ExitStack) -> None:
        super().__init__(config.listen, log, stack, keys=config.keys, insecure=config.insecure)
        me = Server(config.name, random_id(), config.address)
        self._replica = Replica(me, config.timing, now_ms())
        self._view_server = config.view_server
        self._asked_ms: dict[str, int] = {}  # since when a backup owes an answer
        self._view_asked_ms: int | None = None  # the same of the view server
        has_keys = self.access.keys is not None
        key_source = _OwnKey(self.access) if has_keys else None
        self._view_link = Links(self._opened, self._closing, key_source, KEYS_OPTION)
        stack.callback(self._view_link.close_all)
        self._linked: set[str] = set()  # servers to which there is a link
        self._links = PeerLinks(self.context)
        stack.callback(self._links.close)
        self._link_keys: NodeKeys | None = None  # with which the links were opened
        self._link_inspection = LinkInspection(self._links) if has_keys else None
        if self._link_inspection is not None:
            stack.callback(self._link_inspection.close)
        self._view_refusal: str | None = None  # why the view server does not let this one in
        self._refusing: dict[str, str] = {}  # the same of every server
        self._name_lookup = NameLookup()
        stack.callback(self._name_lookup.close)
        self._told: dict[str, Any] = {}
        log(
            self.greeting,
            version=__version__,
            incarnation=me.incarnation,
            listens=self.endpoint,
            address=me.address,
            view_server=config.view_server,
            keys=config.keys or "none",
        )

    def _opened(self, socket: Socket) -> None:
        self.poller.register(socket, zmq.POLLIN)

    def _closing(self, socket: Socket) -> None:
        self.poller.unregister(socket)

    def due_ms(self) -> int:
        return self._replica.next_deadline_ms

    def receive(self, client: bytes, message: Message, size: int, user: User) -> None:
        match message:
            case Request():
                self._replica.request(client, message, size, self.now_ms, user)
            case Forward() | Ack() | Chunk() | ChunkAck() | OldView():
                self._asked_ms.pop(message.sender.name, None)
                self._replica.receive(message, self.now_ms)
            case StatusRequest(ident):
                self.answer(client, StatusReply(ident, self._status()))
            case _:
                asked = getattr(message, "id", None)
                ids = [asked] if type(asked) is int else None
                raise WireError(
                    "invalid", "a storage server does not know: ask the view server", ids
                )

    def work(self) -> None:
        replica = self._replica
        self._use_keys()
        for _, frame in self._view_link.receive():
            self._hear_view_server(frame)
        replica.tick(self.now_ms)
        if replica.ended is not None:
            raise Refused(f"{replica.me.name} stops: {replica.ended}. Start it again to be a spare")
        self._send()
        self._renew_silent_links()
        self._inspect_links()
        self._tell()

    def _hear_view_server(self, frame: bytes) -> None:
        try:
            message = decode(frame)
        except WireError as error:
            self.dropped[error.reason] += 1
            self.warn_once("dropped an answer of the view server", error.reason)
            return
        if isinstance(message, Pong):
            self._view_asked_ms = None
            self._view_refusal = None
            self._replica.pong(message, self.now_ms)
            self._open_links()

    def _open_links(self) -> None:
        """Connect to the other servers of the view before there is a message for them, because a
        message needs an established connection."""
        view = self._replica.view
        me = self._replica.me
        members = [view.primary, view.backup] if view else []
        others = {s.name: s.address for s in members if s is not None and not s.is_same(me)}
        for name, address in others.items():
            self._links.set_address(name, address)
        for name in self._linked - others.keys():
            self._links.drop(name)
            self._asked_ms.pop(name, None)
        self._linked = set(others)

    def _send(self) -> None:
        out = self._replica.take()
        for ping in out.pings:
            self._view_link.send(self._view_server, encode(ping))
            if self._view_asked_ms is None:
                self._view_asked_ms = self.now_ms
        for to, message in out.messages:
            self._links.set_address(to.name, to.address)
            self._linked.add(to.name)
            if isinstance(message, (Forward, Chunk)):
                self._asked_ms.setdefault(to.name, self.now_ms)
            self._links.send(to.name, [encode(message)])
        for client, reply in out.answers:
            self.answer(client, reply)

    def _renew_silent_links(self) -> None:
        """Connect again to servers that do not answer; have the view server's name looked up."""
        silent: dict[str, str] = {}
        if self._view_asked_ms is not None and self.now_ms - self._view_asked_ms > SILENCE_MS:
            self._view_asked_ms = self.now_ms
            self._view_link.close(self._view_server)
        answered_ms = self._replica.answered_ms
        if answered_ms is None or self.now_ms - answered_ms > SILENCE_MS:
            silent[_VIEW_SERVER] = self._view_server
        for name, asked_ms in list(self._asked_ms.items()):
            if self.now_ms - asked_ms > SILENCE_MS:
                del self._asked_ms[name]
                self._links.renew(name)
        self._name_lookup.check()
        self._name_lookup.silent = silent

    def _use_keys(self) -> None:
        """Connect with the keys as they were read last."""
        keys, before = self.access.keys, self._link_keys
        if keys is None or keys is before:
            return
        self._link_keys = keys
        if before is None or _connects_by(keys) != _connects_by(before):
            self._links.use_keys(keys.node.own, keys.server.accepted)
            self._view_link.close(self._view_server)

    def _inspect_links(self) -> None:
        """Find out why links do not come up, because CURVE does not say. Those that may come up now
        are opened anew."""
        if self._view_asked_ms is not None:
            self._view_link.is_up(self._view_server)  # if it is not, it is inspected
        for _, why in self._view_link.inspected({self._view_server}, self.now_ms):
            self._view_refusal = why
        self._refusing = {} if self._view_refusal is None else {_VIEW_SERVER: self._view_refusal}
        if self._link_inspection is not None:
            self._refusing |= self._link_inspection.look(self._linked, self.now_ms)

    def say_goodbye(self) -> None:
        """After the last turn: tell waiting clients to ask again, and let these answers leave."""
        self._replica.stop()
        self._send()
        time.sleep(LAST_ANSWERS_S)
        self.log("stopped")

    # -- what people read -------------------------------------------------------------------------

    def _status(self) -> dict[str, Any]:
        replica = self._replica
        silent_ms = None if replica.answered_ms is None else self.now_ms - replica.answered_ms
        heard = silent_ms is not None and silent_ms <= SILENCE_MS
        well = replica.acts if replica.role == PRIMARY else replica.has_state
        return {
            "name": replica.me.name,
            "address": replica.me.address,
            "role": replica.role,
            "view": replica.view_number,
            "keys": replica.keys,
            "healthy": heard and (well or replica.role not in (PRIMARY, BACKUP)),
            "acts": replica.acts,
            "synced": replica.is_synced,
            "incarnation": replica.me.incarnation,
            "view_server": self._view_server,
            "view_server_silent_ms": silent_ms,
            "unresolved": dict(self._name_lookup.unresolved),
            "refusing": dict(self._refusing),
            "reason": replica.reason,
            "version": __version__,
        }

    def _tell(self) -> None:
        """Log what has changed."""
        replica = self._replica
        now = {
            "role": (replica.role, replica.view_number),
            "copy": replica.has_state if replica.role == BACKUP else replica.is_synced,
            "reason": replica.reason,
            "unresolved": tuple(self._name_lookup.unresolved.values()),
            "refusing": self._refusing,
        }
        before = self._told
        self._told = now
        if now == before:
            return
        if now["role"] != before.get("role") and replica.view is not None:
            self.log(f"is {replica.role}", view=replica.view_number, keys=replica.keys)
        if now["copy"] and now["copy"] != before.get("copy"):
            text = "has the whole state" if replica.role == BACKUP else "the backup has all"
            self.log(text, view=replica.view_number, keys=replica.keys)
        if replica.reason and replica.reason != before.get("reason"):
            self.log(f"waits: the view server {replica.reason}")
        if now["unresolved"] and now["unresolved"] != before.get("unresolved"):
            self.log.warn("a name does not resolve now", name=self._view_server)
        if self._refusing != before.get("refusing", {}):
            for name, why in self._refusing.items():
                self.log.warn("a server refuses this one", name=name, why=why)


class _OwnKey:
    """The key by which this server is let in at the view server, as it was read last."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @property
    def key(self) -> ClientKey:
        keys = self._access.keys
        assert keys is not None  # or there was none from the start
        return ClientKey("node", keys.node.own, keys.server.accepted)

    def refresh(self) -> ClientKey:
        return self.key


def _connects_by(keys: NodeKeys) -> tuple[object, ...]:
    return keys.node.own.public, keys.server.accepted
