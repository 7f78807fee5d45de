"""Whatever runs as processes of this machine, with the writer as one more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp

from tests.acceptance.expectation import Done, Unmet, run
from tests.acceptance.platforms import SCRIPT, Place, last_line, replace_text
from tests.sim.story import ROOT


class WithProcesses(Place):
    """A directory for all of them, and the environment in which clients find the service."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(say)
        self.directory = Path(mkdtemp(prefix="raftzmq-acceptance-local-"))
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RAFTZMQ_")
        }
        self._orders = self.directory / "orders.json"
        self._report = self.directory / "report.json"
        self._writer: subprocess.Popen[bytes] | None = None

    def program(self, *words: str) -> Done:
        """Run `raftzmq`, and wait for its end."""
        return run(sys.executable, "-m", "raftzmq_cli", *words, environment=self.environment)

    def start_writer(self, prefix: str) -> None:
        command = [sys.executable, str(SCRIPT), "--prefix", prefix]
        command += ["--orders", str(self._orders), "--report", str(self._report)]
        with (self.directory / "writer.output").open("ab") as output:
            self._writer = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def order_writer(self, orders: str) -> None:
        replace_text(self._orders, orders)

    def writer_report(self) -> str | None:
        if self._writer is None or self._writer.poll() is not None:
            said = (self.directory / "writer.output").read_text()
            raise Unmet("a writer that works", f"it has ended: {last_line(said)}")
        return self._report.read_text() if self._report.exists() else None

    def gather(self, directory: Path) -> None:
        for path in self.directory.glob("*.*"):
            shutil.copy(path, directory)

    def ended_by(self, pids: Sequence[str]) -> str:
        """Where everything is, and how these processes and the writer are ended."""
        writer = [str(self._writer.pid)] if self._writer else []
        return f"{self.directory}; to end it: kill -9 {' '.join([*writer, *pids])}"

    def close(self) -> None:
        if self._writer is not None:
            self._writer.kill()
            self._writer.wait()
        shutil.rmtree(self.directory)
