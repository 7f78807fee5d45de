"""`raftzmq dev` as processes: up, seen, and gone with the command."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from raftzmq import Client
from raftzmq_cli.common import exits
from raftzmq_cli.local import ports, processes
from raftzmq_cli.local.processes import LocalCluster
from tests.amounts import sample
from tests.cli.conftest import environment
from tests.system.ports import free_ports
from tests.system.processes import wait_for

pytestmark = pytest.mark.system

PATIENCE_S = 60.0
ESCAPE = "\x1b["


class Dev:
    """The command as it runs, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.process = process
        self._output = output
        self._said = bytearray()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError):  # a terminal ends with an error
            while data := os.read(self._output, 65_536):
                self._said += data

    @property
    def said(self) -> str:
        return self._said.decode()

    @property
    def endpoints(self) -> str:
        return self.said.partition("endpoints: ")[2].split()[0]

    def until(self, text: str) -> None:
        wait_for(text, lambda: text in self.said, PATIENCE_S)

    def end(self, number: signal.Signals) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        return code


@contextmanager
def dev(directory: Path, *words: str, terminal: bool = False, **variables: str) -> Iterator[Dev]:
    """`raftzmq dev` with its temporary files in a directory."""
    read, write = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "raftzmq_cli", "dev", *words],
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=write,
        env=environment(TMPDIR=str(directory), COLUMNS="200", TERM="xterm", **variables),
        start_new_session=True,
    )
    os.close(write)
    running = Dev(process, read)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_S)
        running.ended()
        os.close(read)


def nodes_below(directory: Path) -> list[int]:
    """The processes that work in a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").resolve().is_relative_to(directory):
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("number", sample([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], 1))
def test_all_of_it_is_gone_with_the_command(tmp_path: Path, number: signal.Signals) -> None:
    size = "3" if number is signal.SIGINT else "1"
    with dev(tmp_path, "--nodes", size, "--base-port", str(free_ports())) as running:
        running.until("to stop it: Ctrl-C")
        with Client(running.endpoints) as db:
            db.put("key", "value")
        assert len(nodes_below(tmp_path)) == int(size)
        assert running.end(number) == 0
    assert not nodes_below(tmp_path)
    assert not list(tmp_path.iterdir())
    assert "INFO raft-0 is leader" in running.said
    assert "raft-0 stopped" in running.said
    assert ESCAPE not in running.said, "no colours in a pipe"


def test_what_is_kept_is_there_the_next_time(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    words = ("--nodes", "1", "--keep", str(kept))
    with dev(tmp_path, *words, "--base-port", str(free_ports())) as first:
        first.until("to stop it: Ctrl-C")
        with Client(first.endpoints) as db:
            db.put("key", "value")
        assert first.end(signal.SIGINT) == 0
    with dev(tmp_path, *words) as second:
        second.until("to stop it: Ctrl-C")
        assert second.endpoints == first.endpoints
        with Client(second.endpoints) as db:
            item = db.get("key")
            assert item is not None
            assert item.value == "value"
        with dev(tmp_path, *words) as other:
            assert other.ended() == exits.REFUSED
        assert "is at work" in other.said
    assert second.said.count("starting without keys") == 1, "old lines are not shown again"
    with dev(tmp_path, *words[2:], "--nodes", "5") as other:
        assert other.ended() == 2
    assert "give another --keep" in other.said


def test_a_node_that_ends_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    with dev(tmp_path, "--base-port", str(free_ports())) as running:
        running.until("to stop it: Ctrl-C")
        (directory,) = tmp_path.glob("raftzmq-dev-*")
        cluster = processes.load(directory)
        assert isinstance(cluster, LocalCluster)
        cluster.nodes[1].signal(signal.SIGKILL)
        running.until("raft-1 has ended with exit code -9; 2 of 3 go on")
        with Client(running.endpoints) as db:
            db.put("key", "value")
        for node in (cluster.nodes[0], cluster.nodes[2]):
            node.signal(signal.SIGKILL)
        assert running.ended() == 1
    assert running.said.endswith("all nodes have ended\n")


def test_ports_that_were_asked_for_are_those_or_none(tmp_path: Path) -> None:
    port = free_ports()
    with dev(tmp_path, "--nodes", "1", "--base-port", str(port)) as running:
        running.until("to stop it: Ctrl-C")
        with dev(tmp_path, "--nodes", "1", "--base-port", str(port)) as refused:
            assert refused.ended() == exits.NO
        assert f"port {port} is taken" in refused.said


def test_ports_that_nobody_asked_for_are_the_next_free_ones(tmp_path: Path) -> None:
    wanted = LocalCluster(tmp_path, 2, free_ports())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", wanted.nodes[1].port))
        taken.listen()
        moved = ports.moved_where_free(wanted)
    assert moved.base_port > wanted.base_port
    assert ports.moved_where_free(wanted) == wanted


@pytest.mark.proof
def test_a_second_interrupt_kills_what_does_not_stop(tmp_path: Path) -> None:
    with dev(tmp_path, "--nodes", "1", "--base-port", str(free_ports())) as running:
        running.until("to stop it: Ctrl-C")
        (pid,) = nodes_below(tmp_path)
        os.kill(pid, signal.SIGSTOP)
        running.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(1)
        assert running.end(signal.SIGINT) == 0
    assert "was killed" in running.said


@pytest.mark.parametrize("colour", sample([True, False], 1))
def test_on_a_terminal_each_node_has_its_colour(tmp_path: Path, colour: bool) -> None:
    variables = {} if colour else {"NO_COLOR": "1"}
    words = ("--nodes", "1", "--base-port", str(free_ports()))
    with dev(tmp_path, *words, terminal=True, **variables) as running:
        running.until("to stop it: Ctrl-C")
        assert running.end(signal.SIGINT) == 0
    assert (ESCAPE in running.said) == colour
