"""`client top` on a real cluster: a frame for scripts, and a terminal that is left as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable

import pytest

from tests.cli.conftest import PROGRAM, LocalCluster, Program, environment

LIMIT_S = 60.0
Q, CTRL_C = b"q", b"\x03"
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


def test_a_pipe_gets_one_frame(raftzmq: Program) -> None:
    done = raftzmq("client", "top", "--interval", "0.5")
    assert done.code == 0
    assert done.lines[0].startswith("OK: 3 of 3 nodes healthy; leader raft-")
    assert done.lines[1].startswith("NODE ")
    assert [text.split()[0] for text in done.lines[2:5]] == ["raft-0", "raft-1", "raft-2"]
    assert "\x1b" not in done.out


def test_json_is_one_document_with_the_longest_lines(raftzmq: Program) -> None:
    done = raftzmq("client", "top", "--interval", "0.5", "-w", "json")
    assert done.code == 0
    assert done.json["verdict"].startswith("OK")
    assert {row["role"] for row in done.json["nodes"]} == {"leader", "follower"}
    assert all(row["writes_per_s"] is not None for row in done.json["nodes"])
    assert done.json["commit_p99_ms"] is None or done.json["commit_p99_ms"] > 0
    assert done.json["lines"] == []


def test_nobody_to_ask(program: Program, nobody: str) -> None:
    done = program("client", "--endpoints", nobody, "--timeout", "0.5", "top")
    assert done.code == 3
    assert done.out.startswith("NO ANSWER")


@pytest.mark.parametrize("key", [Q, CTRL_C], ids=["q", "Ctrl-C"])
@pytest.mark.parametrize("columns", [80, 20])
def test_a_terminal_shows_frames_and_is_left_as_it_was(
    shared_cluster: LocalCluster, key: bytes, columns: int
) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [*PROGRAM, "client", "--endpoints", shared_cluster.endpoints, "top", "--interval", "0.5"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", COLUMNS="", LINES=""),
    )
    try:
        shown = _read(ours, lambda text: text.count(b"NODE") >= 2)
        assert ENTER in shown
        assert b"raft-2" in shown
        if key == Q:
            os.write(ours, key)
        else:
            process.send_signal(signal.SIGINT)  # what the terminal makes of it
        assert LEAVE in _read(ours, lambda text: LEAVE in text)
        assert process.wait(LIMIT_S) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def _read(terminal: int, enough: Callable[[bytes], bool]) -> bytes:
    """What a terminal shows until that is enough."""
    shown = b""
    deadline_s = time.monotonic() + LIMIT_S
    while not enough(shown):
        assert time.monotonic() < deadline_s, shown
        shown += os.read(terminal, 65536)
    return shown
