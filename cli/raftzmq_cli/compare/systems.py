"""The two designs as processes of this machine, for `raftzmq views compare`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from raftzmq import Client
from raftzmq.errors import Unavailable
from raftzmq.views.client import ViewsClient
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.ports import is_free
from raftzmq_cli.compare.load import Database
from raftzmq_cli.local import processes
from raftzmq_cli.views.roles import Roles

REPLICAS: Final = 3
PORTS: Final = 40
"""So many ports in a row are one design's."""

_PORTS: Final = range(20_000, 32_000, PORTS)
"""Below those that the kernel takes for outgoing connections."""
_STATUS_S: Final = 0.5


class Process:
    """A program, started and ended as often as is wanted."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "raftzmq_cli", *command]
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, or the last one."""
        return None if self._child is None else self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.is_running:
            return
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ
            )

    def signal(self, number: signal.Signals) -> None:
        if self._child is not None and self.is_running:
            self._child.send_signal(number)

    def kill(self) -> None:
        """End it as kill -9 does, and wait for that."""
        self.signal(signal.SIGKILL)
        if self._child is not None:
            self._child.wait()

    def last_words(self) -> str:
        """The end of what it said."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return lines[-1] if lines else "nothing was said"


class System(ABC):
    """One design: its processes by name, and who is what among them."""

    design: Design
    processes: dict[str, Process]

    def start(self) -> None:
        for process in self.processes.values():
            process.start()

    def close(self) -> None:
        """End all processes. May be repeated."""
        for process in self.processes.values():
            process.signal(signal.SIGKILL)
        for process in self.processes.values():
            process.kill()

    @abstractmethod
    def client(self) -> Database:
        """A new client."""

    @abstractmethod
    def servers(self) -> tuple[str, str] | None:
        """The leader and a follower, or the primary and its backup, once a loss of the first would
        lose nothing; None: not yet."""

    @abstractmethod
    def lacks(self) -> str | None:
        """What it lacks of being whole; None: nothing."""

    def waits(self) -> str | None:
        """What it says itself that it waits for before it serves; None: it says no such thing."""
        return None

    @property
    @abstractmethod
    def decider(self) -> str:
        """The process that decides who serves; where none does alone, any other."""


class RaftSystem(System):
    """Three nodes of Raft, their data in a directory."""

    design = Design.RAFT

    def __init__(self, directory: Path, base_port: int) -> None:
        cluster = processes.LocalCluster(directory, REPLICAS, base_port)
        self._endpoints = cluster.endpoints
        self.processes = {
            node.name: Process(node.name, node.command[3:], directory / f"{node.name}.log")
            for node in cluster.nodes
        }
        self._client = Client(self._endpoints)

    def close(self) -> None:
        super().close()
        self._client.close()

    def client(self) -> Database:
        return Client(self._endpoints)

    def servers(self) -> tuple[str, str] | None:
        found = self._statuses()
        leaders = [status for status in found if status["role"] == "leader"]
        if not leaders:
            return None
        leader = max(leaders, key=lambda status: int(status["term"]))["node"]
        followers = [
            status["node"]
            for status in found
            if (status["role"], status["leader"]) == ("follower", leader)
        ]
        return (leader, followers[0]) if followers else None

    def lacks(self) -> str | None:
        well = [status for status in self._statuses() if status["healthy"]]
        if len(well) < REPLICAS:
            return f"{len(well)} of {REPLICAS} nodes are well"
        return None if self.servers() else "no leader"

    @property
    def decider(self) -> str:
        found = self.servers()
        return found[1] if found else next(iter(self.processes))

    def _statuses(self) -> list[dict[str, Any]]:
        found = self._client.statuses(timeout=_STATUS_S)
        return [answer.status for answer in found if answer.status is not None]


class ViewsSystem(System):
    """A view server and three storage servers, their data in memory."""

    design = Design.VIEWS

    def __init__(self, directory: Path, base_port: int) -> None:
        self.address = f"127.0.0.1:{base_port}"
        """Where the view server is found."""
        words = {self.decider: ["server", "--listen", f"tcp://{self.address}"]}
        for number in range(1, REPLICAS + 1):
            name = f"storage-{number}"
            address = f"127.0.0.1:{base_port + number}"
            words[name] = ["store", name, "--view-server", self.address, "--address", address]
            words[name] += ["--listen", f"tcp://{address}"]
        self.processes = {
            name: Process(name, ["views", *command], directory / f"{name}.log")
            for name, command in words.items()
        }
        self._client = ViewsClient(self.address)

    def close(self) -> None:
        super().close()
        self._client.close()

    def client(self) -> Database:
        return ViewsClient(self.address)

    def servers(self) -> tuple[str, str] | None:
        roles = self._roles()
        if roles is None or not roles.is_healthy or roles.primary is None or roles.backup is None:
            return None
        return roles.primary, roles.backup

    def lacks(self) -> str | None:
        roles = self._roles()
        return "the view server does not answer" if roles is None else roles.lacking(REPLICAS)

    def waits(self) -> str | None:
        roles = self._roles()
        return roles.reason if roles is not None and roles.reason else None

    @property
    def decider(self) -> str:
        return "view-server"

    def _roles(self) -> Roles | None:
        try:
            return Roles.of(self._client.status(timeout=_STATUS_S))
        except Unavailable:
            return None


def free_ports() -> int:
    """The first of PORTS free ports in a row. Raises Unavailable."""
    for base in random.sample(_PORTS, len(_PORTS)):
        if all(is_free(port) for port in range(base, base + PORTS)):
            return base
    raise Unavailable(f"there are no {PORTS} free ports in a row on this machine")
