"""A process that has imported the server, and forks nodes: each is up in a fraction of the time.

Started as `python -m raftzmq.testing.nursery` by `nodes.py`. It takes a line of JSON for each
request, and answers with one. Once whoever started it has ended, in whatever way, it kills its
nodes and ends. If it is killed itself, the kernel kills them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import select
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from raftzmq.core.messages import Message
from raftzmq.errors import RaftzmqError
from raftzmq.file_modes import restrict_new_files
from raftzmq.server.config import ServerConfig
from raftzmq.server.server import Server
from raftzmq.server.text_log import TextLog
from raftzmq.storage import StorageConfig
from raftzmq.transport.peer_wire import Hello, Welcome

FIRST_HELLOS_MS: Final = 20
"""Nodes on one machine hear one another at once, so a cluster need not take long to form."""

TOGETHER_S: Final = 5
"""How long nodes wait for the others that are started with them."""

_PR_SET_PDEATHSIG: Final = 1
_FAILED: Final = 1


class Together:
    """Processes that go on when all of them are ready, or have ended: then a pipe ends that each of
    them keeps open until it is."""

    def __init__(self) -> None:
        self._all_ready, self._not_ready = os.pipe()

    def close_all_but(self) -> None:
        """Close what this process has inherited, but for its standard streams and this pipe."""
        first, second = sorted((self._all_ready, self._not_ready))
        os.closerange(3, first)
        os.closerange(first + 1, second)
        os.closerange(second + 1, 256)

    def ready(self) -> None:
        """Say that this process is ready, and return once all are."""
        os.close(self._not_ready)
        select.select([self._all_ready], [], [], TOGETHER_S)
        os.close(self._all_ready)


class Cuts:
    """Which nodes cannot send to which, in a file that all map: a byte for each pair."""

    def __init__(self, file: Path, names: list[str], name: str) -> None:
        size = len(names) ** 2
        with file.open("rb") as opened:
            self._bytes = mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_READ)
        row = names.index(name) * len(names)
        self._places = {other: row + k for k, other in enumerate(names)}

    def __contains__(self, name: str) -> bool:
        place = self._places.get(name)
        return place is not None and self._bytes[place] != 0


class PartedServer(Server):
    """A node whose messages to some others are lost: the connections stay."""

    cuts: Cuts

    def send(self, address: str | None, cluster: str, message: Message) -> bool:
        """As of Server; what is lost on its way seems sent."""
        return message.to.name in self.cuts or super().send(address, cluster, message)

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        """As of Server."""
        if name not in self.cuts:
            super().greet(name, address, greeting)


def _serve(node: dict[str, Any], together: Together) -> None:
    config = ServerConfig(
        name=node["name"],
        data_dir=Path(node["data_dir"]),
        peers=node["peers"],
        http_listen="none",
        log_level=node["log_level"],
        election_timeout_ms=node["election_timeout_ms"],
        heartbeat_ms=node["heartbeat_ms"],
        first_hellos_ms=FIRST_HELLOS_MS,
        storage=StorageConfig(),
    )
    restrict_new_files()
    with ExitStack() as stack:
        log = stack.enter_context(TextLog(config.name, config.log_level, config.log_format))
        server = PartedServer(config, log, stack)
        server.cuts = Cuts(Path(node["cuts"]), list(node["peers"]), config.name)
        together.ready()  # nobody finds a port closed, and waits before trying again
        server.run()


def _live(node: dict[str, Any], parent: int, together: Together) -> None:
    """Be a node. Does not return."""
    code = _FAILED
    try:
        prctl = getattr(ctypes.CDLL(None), "prctl", None)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return
        log = os.open(node["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        together.close_all_but()
        try:
            _serve(node, together)
            code = 0
        except RaftzmqError as error:
            sys.stderr.write(f"{error}\n")
        except BaseException:
            traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _start(nodes: list[dict[str, Any]]) -> list[int]:
    """Fork nodes; return their process ids once they listen."""
    parent = os.getpid()
    together = Together()
    pids = []
    for node in nodes:
        pid = os.fork()
        if pid == 0:
            _live(node, parent, together)
        pids.append(pid)
    together.ready()
    return pids


def _exit_code(pid: int, options: int) -> int | None:
    done, status = os.waitpid(pid, options)
    return os.waitstatus_to_exitcode(status) if done else None


def _requests() -> Iterator[dict[str, Any]]:
    """What is asked, until nobody can ask any more. Children that whoever started this has forked
    keep its standard input open, so the end of that process is waited for too."""
    sources: list[Any] = [sys.stdin]
    with suppress(OSError, AttributeError):  # it has ended already, or this system cannot tell
        sources.append(os.pidfd_open(os.getppid()))
    while select.select(sources, [], [])[0] == [sys.stdin] and (line := sys.stdin.readline()):
        yield json.loads(line)


def main() -> None:
    """Answer requests until there can be no more."""
    gc.collect()
    gc.freeze()
    nodes: set[int] = set()
    for request in _requests():
        if "start" in request:
            answer: Any = _start(request["start"])
            nodes.update(answer)
        else:
            pid = request["pid"]
            answer = _exit_code(pid, 0 if request["wait"] else os.WNOHANG)
            if answer is not None:
                nodes.discard(pid)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    for pid in nodes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
