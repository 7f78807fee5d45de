"""`raftzmq node` with something done to it: `python -m tests.planted.launch node raft-0 …`.

The variable PLANTED names what, as the names of functions here. *Conditions* are what may happen to
any node: a name server that hangs, a part that fails. *Defects* are planted bugs: each makes the
node mind a condition that it should not mind, or hide one that it should tell. Everything else is
the real program.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import orjson
import pytest

from raftzmq.naming import parse_address
from raftzmq.node import Node
from raftzmq.server import server, text_log
from raftzmq.server.access import Access
from raftzmq.server.text_log import TextLog
from raftzmq.transport import frames, links, zap
from raftzmq.transport.client_wire import OperationsRequest, Request
from raftzmq.transport.curve import CLIENTS, NODES
from raftzmq.transport.guard import Guard
from raftzmq.transport.servers import ClientServer, Received
from raftzmq.transport.zap import Handshake
from raftzmq_cli.main import main

VARIABLE: Final = "PLANTED"

HANGS: Final = "hangs.invalid"
"""A host name whose lookup never ends, in Python; libzmq does not find it."""

FATAL_KEY: Final = "fatal"
"""A read of this key makes the loop of a node fail, under `loop_fails`."""

Patch = pytest.MonkeyPatch


# -- conditions ---------------------------------------------------------------------------------


def name_server_hangs(patch: Patch) -> None:
    lookup = socket.getaddrinfo

    def hang(host: Any, *arguments: Any, **more: Any) -> Any:
        if host == HANGS:
            threading.Event().wait()
        return lookup(host, *arguments, **more)

    patch.setattr(socket, "getaddrinfo", hang)


def loop_fails(patch: Patch) -> None:
    take = Node.request

    def request(node: Node, client: bytes, message: Request, *more: Any) -> None:
        if isinstance(message, OperationsRequest) and message.ops[0][2:] == [FATAL_KEY]:
            raise RuntimeError("a part of the loop fails")
        take(node, client, message, *more)

    patch.setattr(Node, "request", request)


def log_thread_fails(patch: Patch) -> None:
    """It dies of the line that says that the node leads."""
    write = TextLog._write

    def fail(log: TextLog, record: logging.LogRecord) -> None:
        if "is leader" in record.getMessage():
            raise MemoryError
        write(log, record)

    patch.setattr(TextLog, "_write", fail)


def guard_thread_fails(patch: Patch) -> None:
    """It dies at its first look after the node has begun to serve."""
    begun_s = time.monotonic()
    look = Guard.look

    def fail(guard: Guard, now_ms: int, resident: int) -> None:
        if time.monotonic() - begun_s > 2:
            raise MemoryError
        look(guard, now_ms, resident)

    patch.setattr(Guard, "look", fail)


def routing_ids_are_chosen(patch: Patch) -> None:
    """As they may be without keys: two connections, one after the other, have the same."""
    patch.setattr(zap, "_routing_id", lambda: b"")


# -- defects ------------------------------------------------------------------------------------


def log_straight_to_stderr(patch: Patch) -> None:
    """Lines are written where they arise, by the loop."""
    straight = logging.StreamHandler(sys.stderr)
    patch.setattr(
        text_log._DroppingQueueHandler, "enqueue", lambda _, record: straight.emit(record)
    )


def look_names_up_in_the_loop(patch: Patch) -> None:
    connect = links.PeerLinks.set_address

    def set_address(peers: links.PeerLinks, name: str, address: str) -> None:
        socket.getaddrinfo(*parse_address(address))
        connect(peers, name, address)

    patch.setattr(links.PeerLinks, "set_address", set_address)


def parse_numbers_of_any_length(patch: Patch) -> None:
    """In time that grows with the square of the length, as Python's own parser did until
    CVE-2020-10735."""
    sys.set_int_max_str_digits(0)
    patch.setattr(frames, "orjson", _Parser)


class _Parser:
    JSONDecodeError = orjson.JSONDecodeError
    loads = staticmethod(json.loads)


def loop_in_a_thread(patch: Patch) -> None:
    """The loop is a thread's, and the process lives until it is told to stop."""
    run = server.Server.run

    def apart(node: server.Server) -> None:
        threading.Thread(target=run, args=[node], daemon=True).start()
        threading.Event().wait()

    patch.setattr(server.Server, "run", apart)
    # Only the main thread may catch signals.
    patch.setattr(server.Server, "_catch_signals", lambda node: node._wake.setblocking(False))


def swallow_what_the_loop_raises(patch: Patch) -> None:
    """An error is logged, and the loop goes on with whatever was left half done."""
    receive = server.Server._receive_clients

    def careless(node: server.Server) -> None:
        try:
            receive(node)
        except Exception as error:
            node._log.warn(f"ignored: {error}")

    patch.setattr(server.Server, "_receive_clients", careless)


def nobody_minds_the_log_thread(patch: Patch) -> None:
    patch.setattr(TextLog, "check", lambda _: None)


def nobody_minds_the_guard(patch: Patch) -> None:
    patch.setattr(Guard, "check", lambda _: None)


def let_everybody_in(patch: Patch) -> None:
    """Zap says yes to every key."""
    patch.setattr(Access, "admits", lambda _, handshake: f"rzu{handshake.key.hex()}")


def mind_no_domain(patch: Patch) -> None:
    """A key that is let in at one port is at the other too."""
    know = Access._user_id

    def anywhere(access: Access, handshake: Handshake) -> str | None:
        answers = [know(access, handshake._replace(domain=one)) for one in (NODES, CLIENTS)]
        return next((user for user in answers if user is not None), None)

    patch.setattr(Access, "_user_id", anywhere)


def remember_users_by_identity(patch: Patch) -> None:
    """Who a client is, is looked up once for each identity."""
    receive = ClientServer.receive
    remembered: dict[bytes, str] = {}

    def received(server: ClientServer, budget: int) -> list[Received]:
        return [
            one._replace(user_id=remembered.setdefault(one.identity, one.user_id))
            for one in receive(server, budget)
        ]

    patch.setattr(ClientServer, "receive", received)


def never_read_users_again(patch: Patch) -> None:
    patch.setattr(Access, "reread", lambda *_: None)


WORDS: Final[dict[str, Callable[[Patch], None]]] = {
    plant.__name__: plant
    for plant in (
        name_server_hangs,
        loop_fails,
        log_thread_fails,
        guard_thread_fails,
        log_straight_to_stderr,
        look_names_up_in_the_loop,
        parse_numbers_of_any_length,
        loop_in_a_thread,
        swallow_what_the_loop_raises,
        nobody_minds_the_log_thread,
        nobody_minds_the_guard,
        routing_ids_are_chosen,
        let_everybody_in,
        mind_no_domain,
        remember_users_by_identity,
        never_read_users_again,
    )
}

if __name__ == "__main__":
    monkeypatch = pytest.MonkeyPatch()
    for word in os.environ[VARIABLE].split():
        WORDS[word](monkeypatch)
    main()
