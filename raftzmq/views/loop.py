"""The loop that view servers and storage servers share: one thread, one poller.

The sockets, their options, their bounds and the text log are those of a Raft node.
"""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

import zmq

from raftzmq.access.users import User
from raftzmq.descriptors import limit_open_files
from raftzmq.errors import Denied, WireError
from raftzmq.server.access import Access
from raftzmq.server.exposure import check_exposure, opening_words
from raftzmq.server.process import calm_garbage_collector, keep_memory_private
from raftzmq.server.text_log import TextLog
from raftzmq.transport.guard import Guard
from raftzmq.transport.options import node_context
from raftzmq.views.messages import Message, Reply
from raftzmq.views.port import Port
from raftzmq.views.rights import check_message
from raftzmq.views.wire import decode, encode
from raftzmq.wakeups import woken_by_signals

BUDGET: Final = 1024
"""The most messages taken in one turn."""

IDLE_MS: Final = 1000
"""The longest wait of a turn."""

ID_BYTES: Final = 8
"""Bytes of a random id; it has twice as many hexadecimal digits."""


def now_ms() -> int:
    """Monotonic time in milliseconds."""
    return time.monotonic_ns() // 1_000_000


def random_id() -> str:
    return token_hex(ID_BYTES)


class Loop(ABC):
    """One listening socket, signals, and turns. `counters` count what was dropped, by reason."""

    def __init__(
        self, endpoint: str, log: TextLog, stack: ExitStack, *, keys: Path | None, insecure: bool
    ) -> None:
        """Listen on a ZeroMQ endpoint, with this directory of keys. Raises PortTaken, ListenError,
        KeyFileError; InvalidRequest for a port that would be open to everybody."""
        check_exposure(keys, endpoint, insecure=insecure)
        limit_open_files()
        if keys is not None:
            keep_memory_private()
        self.log = log
        self.access = Access(keys, log)
        self.dropped: Counter[str] = Counter()
        self.now_ms = now_ms()
        self.context = stack.enter_context(node_context())
        self.access.open(self.context)
        stack.callback(self.access.close)
        self._port = Port(self.context, endpoint, self.access)
        stack.callback(self._port.close)
        self._guard = Guard((self._port.router.traffic,))
        stack.callback(self._guard.close)
        self._guard.start()
        _, self._wake = stack.enter_context(woken_by_signals())
        self.poller = zmq.Poller()
        for source in (self._port.router.socket, *self.access.sockets, self._wake.fileno()):
            self.poller.register(source, zmq.POLLIN)
        self._warned: set[str] = set()
        self._stopping = False

    @property
    def endpoint(self) -> str:
        """Where it listens, with the port in place of a *."""
        return self._port.router.endpoint

    @property
    def greeting(self) -> str:
        """The first line of the log."""
        return opening_words(keys=self.access.keys is not None)

    # -- what the two kinds of server do ----------------------------------------------------------

    @abstractmethod
    def due_ms(self) -> int:
        """When `work` is due, even if nothing arrives."""

    @abstractmethod
    def receive(self, client: bytes, message: Message, size: int, user: User) -> None:
        """Take a message that arrived, and that its sender may send. Raises WireError for one that
        does not belong here."""

    @abstractmethod
    def work(self) -> None:
        """Do what is due, and send what is ready."""

    # -- the turns --------------------------------------------------------------------------------

    def run(self) -> None:
        """Take turns until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        calm_garbage_collector()
        while not self._stopping:
            self.turn()
        self.log("stopping")

    def turn(self) -> None:
        wait_ms = min(self.due_ms(), self.now_ms + IDLE_MS) - now_ms()
        ready = {source for source, _ in self.poller.poll(max(0, wait_ms))}
        self.now_ms = now_ms()
        if self._wake.fileno() in ready:
            with suppress(BlockingIOError):
                self._stopping = bool(self._wake.recv(64))
        self.access.answer_handshakes(ready)
        for client, frame, user in self._port.receive(BUDGET):
            self._take(client, frame, user)
        for reason in self._guard.cuts():
            self.warn_once("cut a connection", reason)
        self._port.reread_keys(self.now_ms)
        self.work()
        self.log.check()
        self._guard.check()

    def _take(self, client: bytes, frame: bytes, user: User) -> None:
        try:
            message = decode(frame)
            check_message(user, message)
            self.receive(client, message, len(frame), user)
        except WireError as error:
            ident = error.ids[0] if error.ids else None
            self._drop(client, ident, error, error.reason)
        except Denied as error:
            self._drop(client, None, error, error.code)

    def _drop(
        self, client: bytes, ident: int | None, error: WireError | Denied, reason: str
    ) -> None:
        self.dropped[reason] += 1
        self.warn_once("dropped a message", reason)
        self.answer(client, Reply(ident, error.code, 0, {"message": str(error)}, 0))

    def answer(self, client: bytes, message: Message) -> None:
        """Send an answer. One without a reader is lost, and the socket counts it."""
        self._port.router.send(client, encode(message))

    def warn_once(self, what: str, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            self.log.warn(f"{what} (logged once per reason)", reason=reason)
