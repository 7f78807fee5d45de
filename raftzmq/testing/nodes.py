"""Nodes as processes that end with this one, and the nursery that forks them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

POLL_S: Final = 0.01


class Nursery:
    """The process of nursery.py: one for this process, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        """Start it, without waiting until it answers."""
        with self._lock:
            self._running()

    def start(self, nodes: list[dict[str, Any]]) -> list[int]:
        """Fork nodes; return their process ids once they listen."""
        pids: list[int] = self._ask({"start": nodes})
        return pids

    def exit_code(self, pid: int, *, wait: bool) -> int | None:
        """The exit code of a node that has ended, or, with `wait`, that is ending; None: it has
        not. To be asked no more once it is known."""
        code: int | None = self._ask({"pid": pid, "wait": wait})
        return code

    def _ask(self, request: dict[str, Any]) -> Any:
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{json.dumps(request)}\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line:
            raise RuntimeError("the process that starts nodes has ended: see its error above")
        return json.loads(line)

    def _running(self) -> subprocess.Popen[str]:
        """The process; a forked child has one of its own."""
        if self._process is None or self._owner != os.getpid():
            environment = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "raftzmq.testing.nursery"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the tests
            )
            self._owner = os.getpid()
        return self._process

    def end(self) -> None:
        """Let the process end, with all nodes that there are."""
        if self._process is not None and self._owner == os.getpid():
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
        self._process = None


NURSERY: Final = Nursery()


class NodeProcess:
    """One node: its name, its directory, and the process while there is one."""

    def __init__(self, name: str, address: str, endpoint: str, directory: Path) -> None:
        self.name = name
        self.address = address
        self.endpoint = endpoint
        self.log_file = directory / f"{name}.log"
        self.data_dir = directory / name
        self.pid = 0
        self.paused = False
        self.ended: int | None = None
        """With which exit code it has ended by itself, if it has."""

    @property
    def is_running(self) -> bool:
        """Whether there is a process; one that has ended by itself is noticed here."""
        if self.pid:
            self.ended = NURSERY.exit_code(self.pid, wait=False)
            if self.ended is not None:
                self.pid = 0
        return bool(self.pid)

    @property
    def state(self) -> str:
        """Whether it runs, in a word."""
        return "is down" if not self.is_running else "stands still" if self.paused else "runs"

    def kill(self) -> None:
        """kill -9: it gets no chance to do anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator does: it hands over leadership."""
        self.resume()
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.is_running:
            os.kill(self.pid, number)
            NURSERY.exit_code(self.pid, wait=True)
            self.pid = 0

    def pause(self) -> None:
        """Have it stand still, without knowing it. Returns once it does."""
        os.kill(self.pid, signal.SIGSTOP)
        self.paused = True
        tasks = Path(f"/proc/{self.pid}/task")
        while tasks.is_dir() and not all(_stands_still(task) for task in tasks.iterdir()):
            time.sleep(POLL_S)

    def resume(self) -> None:
        """Let it go on."""
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)
        self.paused = False

    def log(self) -> str:
        """All that its processes have said."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""


def start_together(nodes: list[NodeProcess], settings: dict[str, Any]) -> None:
    """Start the processes of nodes; return once they listen."""
    own = [
        {"name": node.name, "data_dir": str(node.data_dir), "log": str(node.log_file)}
        for node in nodes
    ]
    for node, pid in zip(nodes, NURSERY.start([{**settings, **one} for one in own]), strict=True):
        node.pid = pid
        node.paused = False
        node.ended = None


def _stands_still(task: Path) -> bool:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] in {"T", "Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return True
