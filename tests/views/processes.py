"""Real processes of the older design on loopback, for tests that kill and restart them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from raftzmq.access.key_directory import KeyDirectory
from raftzmq.errors import RaftzmqError
from raftzmq.views.client import ViewsClient
from tests.sim.story import ROOT
from tests.system.ports import STEP, free_ports
from tests.system.processes import TIMEOUT_S, wait_for

STEADY = ("--dead-ms", "2000")
"""For servers that do not die merely because they had to wait for the processor."""


class Program:
    """`raftzmq views ...` as a process, started and ended as often as is wanted. `within` is a
    command that becomes another one."""

    def __init__(self, name: str, directory: Path, *arguments: str) -> None:
        self.name = name
        self.arguments = arguments
        self.within: Sequence[str] = ()
        self._output = directory / f"{name}.output"
        self._process: subprocess.Popen[bytes] | None = None

    def like(self, name: str, *arguments: str) -> Program:
        """Another program, with its output beside this one's."""
        return Program(name, self._output.parent, *arguments)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.is_running
        command = [*self.within, sys.executable, "-m", "raftzmq_cli", "views", *self.arguments]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """kill -9: it gets no chance to do anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> int:
        """SIGTERM; return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(TIMEOUT_S)

    def output(self) -> str:
        return self._output.read_text(errors="replace")


class Service:
    """A view server and storage servers. Used as a context, it leaves no process behind. With
    `keys` all have this directory of keys, and the client is its admin."""

    def __init__(
        self,
        directory: Path,
        size: int = 3,
        host: str = "127.0.0.1",
        keys: KeyDirectory | None = None,
    ) -> None:
        options = () if keys is None else ("--keys", str(keys.path))
        base = free_ports(size + 1)
        self.port = base
        self.address = f"{host}:{base}"
        self.view_server = Program(
            "view-server",
            directory,
            *("server", "--listen", f"tcp://127.0.0.1:{base}"),
            *(*STEADY, *options),
        )
        self.stores = {
            f"storage-{k}": Program(
                f"storage-{k}",
                directory,
                *("store", f"storage-{k}", "--view-server", self.address, *options),
                *("--listen", f"tcp://127.0.0.1:{base + STEP * (k + 1)}"),
            )
            for k in range(size)
        }
        key = None if keys is None else keys.file_of("admin")
        self.client = ViewsClient(f"127.0.0.1:{base}", key=key)

    @property
    def programs(self) -> list[Program]:
        return [self.view_server, *self.stores.values()]

    def __enter__(self) -> Self:
        for program in self.programs:
            program.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        for program in self.programs:
            program.kill()
            if error is not None:
                print(f"--- {program.name}\n{program.output()[-3000:]}")

    def status(self, client: ViewsClient | None = None) -> dict[str, Any] | None:
        """What the view server says, or None if it does not answer."""
        try:
            return (client or self.client).status(timeout=2)
        except RaftzmqError:
            return None

    def wait_until(self, what: str, idle: int, client: ViewsClient | None = None) -> dict[str, Any]:
        """Wait until there are a primary, a backup with everything and so many spares."""

        def probe() -> dict[str, Any] | None:
            status = self.status(client)
            well = status is not None and status["healthy"] and len(status["idle"]) == idle
            return status if well else None

        return wait_for(what, probe)
