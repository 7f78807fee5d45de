"""The blocking client of the older design: `ViewsClient("view-server:7000")`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any, Final

import zmq

from raftzmq.access.key_files import KeyPath, key_file
from raftzmq.client.results import Deleted, Item, Value
from raftzmq.client.sockets import Links, now_ms
from raftzmq.errors import ForkedClient, RaftzmqError, Unauthorized, Unavailable, WireError
from raftzmq.machine.values import from_wire, to_wire
from raftzmq.naming import parse_address
from raftzmq.views.messages import Message, Reply, StatusReply, StatusRequest
from raftzmq.views.session import VIEW_SERVER, Call, ClientSession, call
from raftzmq.views.wire import decode, encode

TURN_MS: Final = 200
"""The longest wait of a turn."""

RENEW_MS: Final = 2000
"""A view server that does not answer for this long is looked up by its name again."""

CLOSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Written:
    """A finished write: its index, the key's revision, and which server did it in which view."""

    index: int
    view: int
    primary: str

    @property
    def revision(self) -> int:
        return self.index


class ViewsClient:
    """A client of the primary. Several threads may use it; their calls are done one after the
    other. Not usable after a fork. `close` it, or use `with`.

    Every call takes `timeout` in seconds. It raises InvalidRequest (nothing was sent), Refused,
    Unavailable (nothing was done) or OutcomeUnknown (a write may have been done, or may yet be
    done). Where there are keys: Unauthorized (the servers do not let this client in, or are not
    those that its key is for) or Denied (the user lacks the right); nothing was done.
    """

    def __init__(self, view_server: str, *, key: KeyPath = None) -> None:
        """`view_server`: HOST:PORT. `key`: the user's key file, for servers that run with keys;
        with it the client never speaks unencrypted. Raises InvalidRequest."""
        parse_address(view_server)
        self.view_server = view_server
        self._key_file = key_file(key)
        self._session = ClientSession(Random(SystemRandom().getrandbits(64)), SystemRandom())
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._links: Links | None = None
        self._closed = False
        self._view_asked_ms: int | None = None
        self._unconnected: set[str] = set()  # addresses for which there was something to send

    def get(self, key: str, *, timeout: float = 5) -> Item | None:
        """Read a key; None if it is absent. Linearizable."""
        body = self._do("get", [key], timeout).body
        return None if body is None else Item(key, from_wire(body[0]), body[1])

    def put(self, key: str, value: Value, *, timeout: float = 5) -> Written:
        """Write a key."""
        return self._written(self._do("put", [key, _wired(value)], timeout))

    def append(self, key: str, value: Value, *, timeout: float = 5) -> Written:
        """Append the value to what the key holds; text with bytes becomes bytes."""
        return self._written(self._do("append", [key, _wired(value)], timeout))

    def delete(self, key: str, *, timeout: float = 5) -> Deleted:
        """Delete a key, if it is there. In the result, `term` is the view and `leader` the
        primary."""
        reply = self._do("delete", [key], timeout)
        return Deleted(int(reply.body), reply.index, reply.view, self._primary, reply.index)

    def status(self, *, timeout: float = 5) -> dict[str, Any]:
        """The view server's status of itself and of every server."""
        return self.status_of(self.view_server, timeout=timeout)

    def status_of(self, address: str, *, timeout: float = 5) -> dict[str, Any]:
        """The status of the server at HOST:PORT."""
        parse_address(address)
        with self._lock:
            links = self._started()
            until_ms = now_ms() + int(timeout * 1000)
            ask_ms = 0
            ident = 0
            while (now := now_ms()) < until_ms:
                up = links.is_up(address)
                for _, why in links.inspected({address}, now):
                    if why is not None:
                        raise Unauthorized(why)
                self._unconnected = set() if up else {address}
                if now >= ask_ms and up:
                    ident += 1
                    ask_ms = now + RENEW_MS
                    links.send(address, encode(StatusRequest(ident)))
                self._sleep(links, until_ms)
                for endpoint, message in _received(links):
                    if endpoint == address and isinstance(message, StatusReply):
                        return message.status
        raise Unavailable(f"{address} does not answer")

    def close(self) -> None:
        """End the session and close the sockets. May be repeated."""
        if self._closed or self._pid != os.getpid():
            return
        if self._session.is_open:
            with suppress(RaftzmqError):  # the servers forget it in time
                self._do("close", [], CLOSE_S)
        with self._lock:
            self._closed = True
            if self._links is not None:
                self._links.close_all()

    def __enter__(self) -> ViewsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside -----------------------------------------------------------------------------------

    @property
    def _primary(self) -> str:
        return self._session.view.primary.name if self._session.view else ""

    def _written(self, reply: Reply) -> Written:
        return Written(reply.index, reply.view, self._primary)

    def _started(self) -> Links:
        if self._pid != os.getpid():
            raise ForkedClient("this client is of another process: make a new one after a fork")
        if self._closed:
            raise Unavailable("this client is closed")
        if self._links is None:
            self._links = Links(key_source=self._key_file)
        return self._links

    def _do(self, name: str, arguments: list[Any], timeout: float) -> Reply:
        asked = call(name, arguments, now_ms(), timeout)
        if self._pid != os.getpid():
            self._started()  # raises; a thread that this process lacks may hold the lock
        with self._lock:
            links = self._started()
            self._session.submit(asked, now_ms())
            try:
                while not asked.is_done:
                    self._turn(links)
                    if not asked.is_done:
                        self._sleep(links, self._session.next_deadline_ms())
            finally:
                self._session.cancel(asked, now_ms())
                self._session.take_finished()
        return _answer(asked)

    def _turn(self, links: Links) -> None:
        session = self._session
        for endpoint, message in _received(links):
            if endpoint == self.view_server:
                self._view_asked_ms = None
            session.received(message, now_ms())
        now = now_ms()
        session.tick(now)
        self._hear_refusals(links, now)
        if any(links.is_up(address) for address in self._unconnected):
            session.connected(now)
        self._unconnected.clear()
        for to, message in session.outgoing(now):
            address = self.view_server if to == VIEW_SERVER else to
            if to == VIEW_SERVER:
                self._watch_view_server(links, now)
            if not (links.is_up(address) and links.send(address, encode(message))):
                self._unconnected.add(address)
                session.unsent(message, now)
        self._drop_links(links)

    def _hear_refusals(self, links: Links, now: int) -> None:
        """Tell the session which of the servers that it wants does not let this client in."""
        view = self._session.view
        wanted = {self.view_server} if self._session.wants_view else set[str]()
        wanted |= {view.primary.address} if view else set()
        for address, why in links.inspected(wanted, now):
            if why is not None:
                to = VIEW_SERVER if address == self.view_server else address
                self._session.refused(to, why, now)

    def _drop_links(self, links: Links) -> None:
        """Keep connections to the view server and the primary, and no others."""
        view = self._session.view
        wanted = {self.view_server, view.primary.address if view else ""}
        for address, _ in links.items():
            if address not in wanted:
                links.close(address)

    def _watch_view_server(self, links: Links, now: int) -> None:
        """Connect again to a view server that does not answer, because its name may have moved."""
        if self._view_asked_ms is None:
            self._view_asked_ms = now
        elif now - self._view_asked_ms > RENEW_MS:
            self._view_asked_ms = now
            links.close(self.view_server)

    def _sleep(self, links: Links, until_ms: int | None) -> None:
        poller = zmq.Poller()
        for address, link in links.items():
            waits = address in self._unconnected
            poller.register(link, zmq.POLLIN | zmq.POLLOUT if waits else zmq.POLLIN)
        wait_ms = TURN_MS if until_ms is None else min(TURN_MS, until_ms - now_ms())
        poller.poll(max(0, wait_ms))


def _received(links: Links) -> Iterator[tuple[str, Message]]:
    """The messages that have arrived, without those that are not of the protocol."""
    for endpoint, frame in links.receive():
        with suppress(WireError):
            yield endpoint, decode(frame)


def _wired(value: Value) -> Any:
    return to_wire(value) if isinstance(value, str | bytes) else value


def _answer(asked: Call) -> Reply:
    if asked.error is not None:
        raise asked.error
    if asked.answer is None:
        raise WireError("body", "a call ended without an answer")
    return asked.answer
