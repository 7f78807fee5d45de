"""The interactive session: from a pipe, and at a terminal."""

from __future__ import annotations

import json
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
    done = raftzmq("client", "shell", "--keep-going", stdin="\n".join(lines).encode())
    assert done.code == 0
    assert done.lines[-1] == "still-there"
    assert done.err.count("\n") == 9


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("get missing --fail-missing", 1),
        ("nonsense", 2),
        ("put a 'not closed", 2),
        ("put a 1 --lease 999999", 4),
    ],
)
def test_a_script_ends_at_the_first_command_that_fails(
    line: str, code: int, raftzmq: Program
) -> None:
    script = f"put a before\n{line}\nput a behind\n".encode()
    done = raftzmq("client", "shell", stdin=script)
    assert (done.code, done.err.count("\n")) == (code, 1)
    assert raftzmq("client", "get", "a").out == "before\n"


def test_errors_are_in_the_shells_own_words(raftzmq: Program) -> None:
    lines = b"get\nmember frobnicate\ndelete\nget k -w nonsense\n"
    done = raftzmq("client", "shell", "--keep-going", stdin=lines)
    assert done.err.count("\n") == 4
    assert "'help get'" in done.err
    assert "raftzmq client" not in done.err
    assert "--help" not in done.err


def test_errors_are_json_where_that_was_asked_for(raftzmq: Program) -> None:
    done = raftzmq("client", "shell", "-w", "json", stdin=b"get k --fail-missing\n")
    assert (done.code, done.out) == (1, "[]\n")
    assert json.loads(done.err)["code"] == "no"


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


def test_a_question_mark_is_help(raftzmq: Program) -> None:
    shown = raftzmq("client", "shell", stdin=b"help\nhelp get\n").out
    assert raftzmq("client", "shell", stdin=b"?\n? get\n").out == shown


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


def test_options_and_keys_are_completed(terminal: Terminal, raftzmq: Program) -> None:
    raftzmq("client", "put", "colours/indigo", "#4b0082")
    terminal.expect("raftzmq> ")
    terminal.type("get colours/in\t--fai\t\n")
    terminal.expect("get colours/indigo --fail-missing")
    terminal.expect("#4b0082")
    terminal.expect("raftzmq> ")
    terminal.type("\x04")
    assert terminal.process.wait(timeout=LIMIT_S) == 0


def test_a_lock_is_held_until_ctrl_c(terminal: Terminal, raftzmq: Program) -> None:
    terminal.expect("raftzmq> ")
    terminal.type("lock nightly\n")
    terminal.expect("lock 'nightly' is held, token ")
    taken = raftzmq("client", "lock", "nightly", "--timeout", "0", "--", "true")
    assert taken.code == 3
    terminal.interrupt()
    assert raftzmq("client", "lock", "nightly", "--timeout", "0", "--", "true").code == 0
    terminal.type("\x04")
    assert terminal.process.wait(timeout=LIMIT_S) == 0


def test_in_a_script_a_lock_needs_a_command(raftzmq: Program) -> None:
    done = raftzmq("client", "shell", stdin=b"lock nightly\n")
    assert done.code == 2
    assert "COMMAND" in done.err
