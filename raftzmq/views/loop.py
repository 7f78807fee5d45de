"""The loop that view servers and storage servers share: one thread, one poller.

The sockets, their options, their bounds and the text log are those of a Raft node.
"""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import ExitStack, suppress
from secrets import token_hex
from typing import Final

import zmq

from raftzmq.descriptors import limit_open_files
from raftzmq.errors import WireError
from raftzmq.server.process import calm_garbage_collector
from raftzmq.server.text_log import TextLog
from raftzmq.transport.guard import Guard
from raftzmq.transport.options import node_context
from raftzmq.transport.servers import ClientServer
from raftzmq.views.messages import Message, Reply
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

    def __init__(self, endpoint: str, log: TextLog, stack: ExitStack) -> None:
        """Listen on a ZeroMQ endpoint. Raises PortTaken, ListenError."""
        limit_open_files()
        self.log = log
        self.dropped: Counter[str] = Counter()
        self.now_ms = now_ms()
        self.context = stack.enter_context(node_context())
        self.server = ClientServer(self.context, endpoint)
        stack.callback(self.server.close)
        self._guard = Guard((self.server.traffic,))
        stack.callback(self._guard.close)
        self._guard.start()
        _, self._wake = stack.enter_context(woken_by_signals())
        self.poller = zmq.Poller()
        self.poller.register(self.server.socket, zmq.POLLIN)
        self.poller.register(self._wake.fileno(), zmq.POLLIN)
        self._warned: set[str] = set()
        self._stopping = False

    # -- what the two kinds of server do ----------------------------------------------------------

    @abstractmethod
    def due_ms(self) -> int:
        """When `work` is due, even if nothing arrives."""

    @abstractmethod
    def receive(self, sender: bytes, message: Message, size: int) -> None:
        """Take a message that arrived. Raises WireError for one that does not belong here."""

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
        for sender, frame, *_ in self.server.receive(BUDGET):
            self._take(sender, frame)
        for reason in self._guard.cuts():
            self.warn_once("cut a connection", reason)
        self.work()
        self.log.check()
        self._guard.check()

    def _take(self, sender: bytes, frame: bytes) -> None:
        try:
            self.receive(sender, decode(frame), len(frame))
        except WireError as error:
            self.dropped[error.reason] += 1
            self.warn_once("dropped a message", error.reason)
            ident = error.ids[0] if error.ids else None
            self.answer(sender, Reply(ident, error.code, 0, {"message": str(error)}, 0))

    def answer(self, client: bytes, message: Message) -> None:
        """Send an answer. One without a reader is lost, and the socket counts it."""
        self.server.send(client, encode(message))

    def warn_once(self, what: str, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            self.log.warn(f"{what} (logged once per reason)", reason=reason)
