"""The interactive session: from a pipe, and at a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import LIMIT_S, LocalCluster, Program, environment

pytestmark = pytest.mark.system


def test_every_line_is_a_command(raftzmq: Program) -> None:
    done = raftzmq("client", "shell", stdin=b"put a 'one two'\n\n# a comment\nget a\n")
    assert done.code == 0
    assert done.lines[1:] == ["one two"]


def test_an_error_does_not_end_the_session(raftzmq: Program) -> None:
    lines = [
        "nonsense",
        "get",
        "get a --nonsense",
        "put a 'not closed",
        "get missing --fail-missing",
        "put a " + "x" * 5000 + " -w nonsense",
        "shell",
        "put a -",
        "member add raft-7",
        "put a still-there",
        "get a",
    ]
    done = raftzmq("client", "shell", stdin="\n".join(lines).encode())
    assert done.code == 0
    assert done.lines[-1] == "still-there"
    assert done.err.count("\n") == 9


def test_options_of_the_shell_hold_for_its_commands_and_can_be_overridden(raftzmq: Program) -> None:
    done = raftzmq("client", "shell", "-w", "json", stdin=b"get missing\nget missing -w simple\n")
    assert done.out == "[]\n"


def test_exit_ends_the_session(raftzmq: Program) -> None:
    for word in (b"exit", b"quit"):
        assert raftzmq("client", "shell", stdin=word + b"\nget missing -w json\n").out == ""


def test_help_lists_the_commands_and_explains_one(raftzmq: Program) -> None:
    out = raftzmq("client", "shell", stdin=b"help\n").out
    for name in (
        "get",
        "put",
        "delete",
        "txn",
        "lock",
        "sem",
        "elect",
        "watch",
        "lease",
        "queues",
        "status",
        "dump",
        "stop",
        "check",
        "bench",
        "member",
    ):
        assert name in out
    assert "--fail-missing" in raftzmq("client", "shell", stdin=b"help get\n").out
    assert "transfer" in raftzmq("client", "shell", stdin=b"help member\n").out


def test_all_commands_work_in_it(raftzmq: Program) -> None:
    lines = [
        "put a 1",
        "get a",
        "get --prefix ''",
        "txn --if 'a value = 1' --then 'put a 2'",
        "delete a",
        "status",
        "dump raft-1",
        "member list",
        "member transfer",
        "check",
        "bench --seconds 0.1 --keys 3",
    ]
    done = raftzmq("client", "shell", stdin="\n".join(lines).encode())
    assert done.code == 0
    errors = [line for line in done.err.splitlines() if line.startswith("raftzmq:")]
    assert errors == []
    assert "operations a second" in done.out


# Makes its standard input the controlling terminal, so that Ctrl-C there is a signal, and goes on
# as the program.
CONTROLLED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """A shell at a pseudo-terminal."""

    def __init__(self, endpoints: str, state: Path) -> None:
        controller, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLED, "-m", "raftzmq_cli", "client", "shell"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env=environment(
                RAFTZMQ_ENDPOINTS=endpoints, XDG_STATE_HOME=str(state), TERM="dumb", HOME=str(state)
            ),
        )
        os.close(terminal)
        self.controller = controller
        self.seen = ""

    def expect(self, text: str, limit_s: float = LIMIT_S) -> None:
        """Wait until the terminal shows `text`, behind what was expected before."""
        deadline = time.monotonic() + limit_s
        while text not in self.seen:
            left_s = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self.controller], [], [], left_s)
            assert ready, f"{text!r} does not appear in {self.seen!r}"
            self.seen += os.read(self.controller, 4096).decode()
        self.seen = self.seen.partition(text)[2]

    def type(self, keys: str) -> None:
        os.write(self.controller, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C, again if need be: Python's input() sleeps through a signal that comes
        just before it begins to wait for a key, until the next key."""
        for _ in range(10):
            self.type("\x03")
            with suppress(AssertionError):
                self.expect("raftzmq> ", LIMIT_S / 10)
                return
        raise AssertionError("Ctrl-C does nothing")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.controller)


@pytest.fixture
def terminal(shared_cluster: LocalCluster, tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(shared_cluster.endpoints, tmp_path)
    yield opened
    opened.close()


def test_at_a_terminal_it_prompts_repeats_and_remembers(terminal: Terminal, tmp_path: Path) -> None:
    terminal.expect("raftzmq> ")
    terminal.type("put typed 12345\n")
    terminal.expect("index ")
    terminal.expect("raftzmq> ")
    terminal.type("get typed\n")
    terminal.expect("12345\r\n")
    terminal.type("\x1b[A")  # the key for the line before
    terminal.expect("get typed")
    terminal.type("\n")
    terminal.expect("12345\r\n")
    terminal.expect("raftzmq> ")
    terminal.type("del\tmissing\n")
    terminal.expect("0 keys deleted")
    terminal.expect("raftzmq> ")
    terminal.type("\x04")
    assert terminal.process.wait(timeout=LIMIT_S) == 0
    history = tmp_path / "raftzmq" / "history"
    assert history.read_text().splitlines()[:2] == ["put typed 12345", "get typed"]
    assert history.stat().st_mode & 0o077 == 0


def test_ctrl_c_at_the_prompt_starts_a_new_line(terminal: Terminal) -> None:
    terminal.expect("raftzmq> ")
    terminal.type("put half")
    terminal.expect("half")
    terminal.interrupt()
    terminal.type("get missing -w json\n")
    terminal.expect("[]")
    terminal.expect("raftzmq> ")
    terminal.type("\x04")
    assert terminal.process.wait(timeout=LIMIT_S) == 0
