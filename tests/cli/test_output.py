"""Every command with a reader that has left, and with a device that is full."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pytest

from raftzmq_cli import main
from raftzmq_cli.common import exits, standard_output
from tests.cli.conftest import PROGRAM, Program
from tests.cli.test_usage import commands

FULL: Final = "cannot write the output: No space left on device"
DONE: Final = "; the write itself was done"

# What each command of the group `client` is run with; of those that write, first what makes it so.
READS: Final = {
    "get": "get a",
    "scan": "scan ''",
    "status": "status",
    "dump": "dump",
    "export": "export",
    "doctor": "doctor",
    "top": "top --once",
    "upgrade status": "upgrade status",
    "queues": "queues",
    "check": "check",
    "bench": "bench --seconds 0.1 --keys 3",
    "shell": "shell",
    "watch": "watch a --from 1 --limit 1",
    "lock": "lock held --describe",
    "elect": "elect led --describe",
    "member list": "member list",
    "lease list": "lease list",
    "lease show": "lease show {lease}",
    "sem describe": "sem describe out",
}
WRITES: Final = {
    "put": "put a 1",
    "incr": "incr number",
    "delete": "delete a",
    "txn": "txn --then 'put a 2'",
    "member transfer": "member transfer",
    "log-level": "log-level raft-0 info",
    "upgrade finish": "upgrade finish",
    "lease grant": "lease grant --ttl 60",
    "lease keep": "lease keep {lease}",
    "lease revoke": "lease revoke {lease}",
    "sem signal": "sem signal out --plain",
    "sem resize": "sem resize out 5",
    "sem forget": "sem forget free",
}
ELSEWHERE: Final = {
    "member add": "needs another node",
    "member promote": "needs a learner",
    "member remove": "takes a node of the session's cluster",
    "stop": "takes a node of the session's cluster",
    "sem wait": "needs a counter that was made with a capacity",
    "sem run": "prints nothing of its own",
    "import": "takes a file: client/test_exports.py",
    "snapshot save": "makes a file: system/test_backups.py",
    "upgrade downgrade": "takes forms from the session's cluster: tests/upgrade",
}


@contextmanager
def output(kind: str) -> Iterator[None]:
    """Standard output is a pipe that nobody reads, or a device that is full."""
    if kind == "pipe":
        reader, target = os.pipe()
        os.close(reader)
    else:
        target = os.open("/dev/full", os.O_WRONLY)
    kept, stream = os.dup(1), sys.stdout
    os.dup2(target, 1)
    os.close(target)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    standard_output.install()
    try:
        yield
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        sys.stdout = stream
        os.dup2(kept, 1)
        os.close(kept)


def test_no_command_of_the_client_is_left_out() -> None:
    all_ = {name.removeprefix("client ") for name in commands() if name.startswith("client ")}
    groups = {"member", "lease", "sem", "snapshot", "upgrade"}
    assert all_ - groups == READS.keys() | WRITES.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("command", ["", *commands()])
def test_help_ends_with_its_reader_and_says_that_a_device_is_full(
    command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for kind, code, told in (("pipe", exits.BROKEN_PIPE, ""), ("full", exits.CANNOT_WRITE, FULL)):
        with output(kind):
            assert main.run([*command.split(), "--help"]) == code
        assert capfd.readouterr().err == (f"raftzmq: {told}\n" if told else "")


@pytest.mark.system
@pytest.mark.parametrize("kind", ["pipe", "full"])
@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_an_answer_that_cannot_be_printed_says_whether_the_write_was_done(
    name: str, kind: str, raftzmq: Program, capfd: pytest.CaptureFixture[str]
) -> None:
    line = (READS | WRITES)[name]
    if "sem" in line:
        semaphore = line.split()[2]
        raftzmq("client", "sem", "resize", semaphore, "4")
    if "{lease}" in line:
        lease = raftzmq("client", "lease", "grant", "--ttl", "60", "-w", "json").json["lease"]
        line = line.format(lease=lease)
    raftzmq("client", "put", "a", "1", stdin=b"get a\n")  # the standard input of what follows
    words = shlex.split(line)
    with output(kind):
        code = main.run(["client", *words])
    err = capfd.readouterr().err
    assert "Traceback" not in err
    if kind == "pipe":
        assert code == exits.BROKEN_PIPE, err
        assert "raftzmq:" not in err
    else:
        assert code == exits.CANNOT_WRITE, err
        last = err.splitlines()[-1]
        assert last == f"raftzmq: {FULL}{DONE if name in WRITES else ''}"


@pytest.mark.system
def test_the_program_itself_ends_with_its_own_code_and_without_a_traceback() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [*PROGRAM, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (exits.CANNOT_WRITE, f"raftzmq: {FULL}\n")
        wrong = subprocess.run([*PROGRAM, "nonsense"], stderr=full, check=False)
    assert wrong.returncode == exits.USAGE, "that the error cannot be printed changes nothing"
