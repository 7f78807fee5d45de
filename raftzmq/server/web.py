"""A small HTTP server in a thread of its own: a few pages to GET, and nothing else.

A probe that is not answered costs the process its life, so no connection may block it. One event
loop serves all connections at once, and each has limited time. When there are too many, the oldest
is cut. So a client that opens thousands and sends nothing loses its own, and a probe, which sends
its request at once, gets its answer. A server of a few threads would wait for silent connections.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from threading import Thread
from typing import Final, NamedTuple

from raftzmq.descriptors import most_of_each_kind
from raftzmq.transport.servers import listen_error

BACKLOG: Final = 64
"""The most connections that wait to be accepted, and that are accepted before any is read again."""

CONNECTIONS: Final = 4 * BACKLOG
"""The most connections at a time. Several times BACKLOG, so that one whose request has come is read
before it can become the oldest."""

PATIENCE_S: Final = 5.0
"""How long a connection may last."""

HEAD_BYTES: Final = 8 * 1024
"""The longest request, with its header."""

REST_BYTES: Final = 64 * 1024
"""This much of what follows the request is read and dropped before the connection is cut."""

END_S: Final = 1.0

ACCEPTING_TURNS: Final = 8
"""More turns of the event loop than a connection needs from being accepted to being registered for
the close at the end."""

_REQUEST = re.compile(rb"([A-Z]{1,16}) (/[^\s?#]*)\S* HTTP/1\.[01]\r\n")


class Page(NamedTuple):
    """The current content of a page."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class Web:
    """Serves `pages`. Each is made on request, in the thread of this server."""

    def __init__(self, endpoint: str, pages: Mapping[str, Callable[[], Page]]) -> None:
        """Bind the port of `endpoint`, tcp://ADDRESS:PORT or tcp://*:PORT. Clients that connect
        wait until `start`. Raises PortTaken, ListenError."""
        self._pages = pages
        self._socket = _listen(endpoint)
        self._open: dict[asyncio.StreamWriter, None] = {}  # oldest first
        self._most = most_of_each_kind(CONNECTIONS)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = Thread(target=self._run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The TCP port it is bound to."""
        return int(self._socket.getsockname()[1])

    @property
    def is_alive(self) -> bool:
        """Whether its thread is alive."""
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop at once."""
        if self.is_alive:
            with suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(END_S)
        else:
            self._loop.close()
        self._socket.close()

    def _run(self) -> None:
        # Nothing can be done about what goes wrong with a connection.
        self._loop.set_exception_handler(lambda *_: None)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._converse, sock=self._socket, limit=HEAD_BYTES, backlog=BACKLOG
        )
        await self._stop.wait()
        # When the server is closed, asyncio loses connections that it has accepted and not yet
        # served.
        self._loop.remove_reader(self._socket)
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = None
        if len(self._open) > self._most:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        try:
            async with asyncio.timeout(PATIENCE_S):
                writer.write(await self._answer(reader))
                await writer.drain()
                writer.write_eof()
                # Closing with something unread would take the answer back.
                rest = REST_BYTES
                while rest > 0 and (more := await reader.read(rest)):
                    rest -= len(more)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it went away, or is slow
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        """Read a request and return what to send."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(_plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        request = _REQUEST.match(head)
        if request is None:
            return _response(_plain(HTTPStatus.BAD_REQUEST))
        method = request[1]
        path = request[2].decode(errors="replace")
        with_body = method != b"HEAD"
        page = self._pages.get(path)
        if page is None:
            return _response(_plain(HTTPStatus.NOT_FOUND), with_body)
        if method not in (b"GET", b"HEAD"):
            return _response(_plain(HTTPStatus.METHOD_NOT_ALLOWED), with_body, "Allow: GET, HEAD")
        try:
            return _response(page(), with_body)
        except Exception as error:  # a page that fails must not end the others
            remark = f"{type(error).__name__}: {error}"
            return _response(_plain(HTTPStatus.INTERNAL_SERVER_ERROR, remark), with_body)


def _plain(status: HTTPStatus, remark: str = "") -> Page:
    return Page(status, f"{remark or status.phrase}\n".encode())


def _response(page: Page, with_body: bool = True, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *headers,
    ]
    head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
    return head + page.body if with_body else head


def _listen(endpoint: str) -> socket.socket:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if host == "*":  # as for the other two ports: both families
        host = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    try:
        if int(port) > 65535:  # getaddrinfo would take it modulo 2**16
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if host == "::":
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listening.bind(address)
            listening.listen(BACKLOG)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise listen_error(endpoint, error.errno, error.strerror or str(error)) from None
    return listening
