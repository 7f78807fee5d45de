"""Real `raftzmq node` processes on loopback, for tests that kill, stop, wipe and damage them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from raftzmq import Client
from raftzmq.access.key_files import ClientKey
from tests.sim.story import ROOT
from tests.system.ports import free_ports
from tests.system.raw import NoAnswer, Raw, Stored

T = TypeVar("T")

TIMEOUT_S: Final = 60.0
"""How long anything here may take before the test fails; what is waited for takes a fraction."""

POLL_S: Final = 0.02

STEADY: Final = ("--election-timeout-ms", "3000", "--heartbeat-ms", "100")
"""Arguments for nodes that are not to change their leader merely because they had to wait for the
processor."""


def wait_for(what: str, probe: Callable[[], T | None], timeout_s: float = TIMEOUT_S) -> T:
    """Return what `probe` returns as soon as it is neither None nor False."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(POLL_S)


def _state(task: Path) -> str:
    """The letter that the kernel has for the state of a thread; one that is gone stands still."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "T"


class NodeProcess:
    """One node: its name, its ports, its directory, and the process while there is one.

    `within` is a command that becomes another one, with its process id: `nsenter …`, for example.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        port: int,
        host: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.port = port
        self.host = host
        self.within = within
        self.data_dir = directory / name
        self.address = f"{host}:{port}"
        self.endpoint = f"{host}:{port + 1}"
        self.arguments: list[str] = []
        self.key: ClientKey | None = None
        """With what this test speaks to it."""
        self.program = "raftzmq_cli"
        """The module that Python runs."""
        self.python = Path(sys.executable)
        """That of the build: another one has an environment of its own."""
        self._output = directory / f"{name}.output"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *extra: str) -> None:
        """Start the process; `extra` arguments count for this start only."""
        assert not self.is_running, f"{self.name} is running"
        command = [*self.within, str(self.python), "-m", self.program, "node", self.name]
        command += ["--data-dir", str(self.data_dir), *self.arguments, *extra]
        # Nothing that the tester's shell sets for raftzmq may reach a node.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=ROOT if self.python == Path(sys.executable) else self.python.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def run(self, *extra: str) -> tuple[int, str]:
        """Start it and wait until it ends by itself. Returns its exit code and what it said."""
        before = len(self.output())
        self.start(*extra)
        code = self.wait()
        return code, self.output()[before:]

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """The exit code of a process that is ending."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout_s:g} s") from None

    def kill(self) -> None:
        """kill -9: it gets no chance to do anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def terminate(self) -> None:
        """What a person or Kubernetes does to stop it."""
        self.send(signal.SIGTERM)

    def pause(self) -> None:
        """It stands still and does not know it. The signal is taken some time after it was sent, by
        one thread after the other."""
        self.send(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.pid}/task")
        wait_for(
            f"{self.name} stands still",
            lambda: all(_state(task) == "T" for task in tasks.iterdir()),
        )

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def wipe(self) -> None:
        """Lose the disk."""
        assert not self.is_running
        shutil.rmtree(self.data_dir)

    def output(self) -> str:
        """All that the processes of this node ever printed."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def segments(self) -> list[Path]:
        """The files of its log, oldest first."""
        return sorted((self.data_dir / "log").glob("*.jsonl"))

    def status(self, timeout_s: float = 10.0) -> dict[str, Any] | None:
        """What it says of itself, or None if it does not answer."""
        if self.is_running:
            with suppress(NoAnswer), Raw(self.endpoint, self.key) as raw:
                return raw.status(timeout_s)
        return None

    def everything(self, prefix: str = "") -> dict[str, Stored]:
        """What it has applied, asked of this very node."""
        with Raw(self.endpoint, self.key) as raw:
            return raw.everything(prefix)


class Cluster:
    """Nodes that know one another. Used as a context, it leaves no process behind."""

    def __init__(self, directory: Path, size: int = 3, arguments: Sequence[str] = ()) -> None:
        """`arguments` are for every node."""
        self._directory = directory
        self._arguments = arguments
        self.nodes = [self.make_node(f"raft-{k}", directory) for k in range(size)]
        self.peers = ",".join(f"{node.name}={node.address}" for node in self.nodes)
        for node in self.nodes:
            node.arguments = ["--peers", self.peers, *arguments]

    def make_node(self, name: str, directory: Path) -> NodeProcess:
        """A node of that name with ports of its own; not started."""
        return NodeProcess(name, directory, free_ports())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for node in self.nodes:
            node.kill()

    def __getitem__(self, name: str) -> NodeProcess:
        return next(node for node in self.nodes if node.name == name)

    @property
    def endpoints(self) -> list[str]:
        return [node.endpoint for node in self.nodes]

    def client(self) -> Client:
        """A client of all its nodes, which may do everything."""
        return Client(self.endpoints)

    @property
    def running(self) -> list[NodeProcess]:
        return [node for node in self.nodes if node.is_running]

    def start(self) -> Self:
        """Start all nodes that do not run, and wait until the cluster takes writes."""
        for node in self.nodes:
            if not node.is_running:
                node.start()
        self.wait_until_ready()
        return self

    def add_process(self, name: str) -> NodeProcess:
        """A node that is not among the initial members; not started."""
        node = self.make_node(name, self._directory)
        node.arguments = ["--peers", self.peers, "--advertise", node.address, *self._arguments]
        self.nodes.append(node)
        return node

    def leader(self, timeout_s: float = TIMEOUT_S) -> NodeProcess:
        """The node that leads in the newest term, once a majority of the running ones says so."""
        return wait_for("a majority agrees on a leader", self._agreed_leader, timeout_s)

    def followers(self) -> list[NodeProcess]:
        leader = self.leader()
        return [node for node in self.running if node is not leader]

    def _agreed_leader(self) -> NodeProcess | None:
        statuses = [status for node in self.running if (status := node.status())]
        term = max((status["term"] for status in statuses), default=0)
        newest = [status for status in statuses if status["term"] == term]
        names = {status["node"] for status in newest if status["role"] == "leader"}
        agreeing = [status for status in newest if status["leader"] in names]
        voters = max((sum(m["voter"] for m in s["members"]) for s in statuses), default=0)
        if len(names) != 1 or 2 * len(agreeing) <= voters:
            return None
        return self[names.pop()]

    def wait_until_ready(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until every running node is a voter, follows one leader and is caught up."""
        wait_for("every running node is a voter and caught up", self._is_ready, timeout_s)

    def wait_until_caught_up(self, node: NodeProcess) -> None:
        """Wait until a node has applied what any other has now. Also while somebody writes, when
        there is no moment at which all have applied the same."""
        statuses = [other.status() for other in self.running if other is not node]
        newest = max(status["applied_index"] for status in statuses if status)

        def caught_up() -> bool:
            status = node.status()
            return status is not None and status["applied_index"] >= newest

        wait_for(f"{node.name} is caught up", caught_up)

    def _is_ready(self) -> bool:
        leader = self._agreed_leader()
        statuses = [node.status() for node in self.running]
        applied = {status["applied_index"] for status in statuses if status}
        return (
            leader is not None
            and len(applied) == 1
            and all(_is_settled(status, leader.name) for status in statuses)
        )

    def everything(self, prefix: str = "") -> dict[str, Stored]:
        """What every running node holds; fails unless they all hold the same."""
        self.wait_until_ready()
        first, *others = self.running
        found = first.everything(prefix)
        for other in others:
            assert_same(found, other.everything(prefix), f"{first.name} and {other.name}")
        return found

    def show(self) -> None:
        """Print the end of every node's output: pytest shows it when a test failed."""
        print(self.ends())

    def ends(self) -> str:
        """The end of every node's output."""
        told = []
        for node in self.nodes:
            lines = node.output().splitlines()
            told.append(
                f"--- {node.name} ({'runs' if node.is_running else 'down'}), {node.data_dir}"
            )
            told += lines[-40:]
        return "\n".join(told)


def _is_settled(status: dict[str, Any] | None, leader: str) -> bool:
    return (
        status is not None
        and status["role"] in ("leader", "follower")
        and status["leader"] == leader
        and not status["forming"]
        and all(member["voter"] for member in status["members"])
    )


def assert_same(one: dict[str, Stored], other: dict[str, Stored], who: str) -> None:
    """Fail with the first difference rather than with two tables of thousands of keys."""
    for key in sorted(one.keys() | other.keys()):
        assert one.get(key) == other.get(key), f"{who} differ at {key!r}"


_CONFIG_LINE = re.compile(r'^[0-9a-f]{8} \[\d+,\d+,\d+,"config",')


def config_lines(node: NodeProcess) -> Iterable[str]:
    """The lines of a node's log that changed the membership, oldest first."""
    for segment in node.segments():
        for line in segment.read_text().splitlines():
            if _CONFIG_LINE.match(line):
                yield line
