"""A node and the commands of the program, started with every combination of closed streams."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.amounts import sample
from tests.cli.conftest import LIMIT_S, PROGRAM, environment
from tests.system.ports import free_ports

ALL = [numbers for count in range(4) for numbers in itertools.combinations(range(3), count)]
CLOSED = sorted(ALL, key=lambda numbers: len(numbers) not in (1, 3))
FIRST = b"acknowledged"


def without(closed: Sequence[int], command: Sequence[str]) -> list[str]:
    """The command with these of its descriptors closed."""
    shut = " ".join(f"{number}>&-" for number in closed)
    return ["sh", "-c", f'exec "$@" {shut}', "sh", *command]


def ids(closed: Sequence[int]) -> str:
    return "".join(map(str, closed)) or "none"


class Alone:
    """A cluster of one node."""

    def __init__(self, directory: Path) -> None:
        self.port = free_ports(2)
        self.endpoint = f"127.0.0.1:{self.port + 1}"
        self.data = directory / "data"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, closed: Sequence[int] = ()) -> None:
        address = f"127.0.0.1:{self.port}"
        command = [*PROGRAM, "node", "raft-0", "--data-dir", str(self.data)]
        command += ["--peers", f"raft-0={address}", "--listen", address, "--http-listen", "none"]
        self.process = subprocess.Popen(
            without(closed, command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(LIMIT_S)

    def open_files(self) -> dict[int, Path]:
        assert self.process is not None
        directory = Path(f"/proc/{self.process.pid}/fd")
        return {int(link.name): link.readlink() for link in directory.iterdir()}

    def client(
        self, *words: str, closed: Sequence[int] = (), given: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            without(closed, [*PROGRAM, "client", *words]),
            input=given,
            capture_output=True,
            timeout=LIMIT_S,
            env=environment(RAFTZMQ_ENDPOINTS=self.endpoint),
            check=False,
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    alone = Alone(tmp_path_factory.mktemp("alone"))
    alone.start()
    assert alone.client("put", "kept", FIRST.decode()).returncode == 0
    yield alone
    alone.stop()


@pytest.mark.parametrize("closed", sample([(closed,) for closed in CLOSED], 2), ids=ids)
def test_what_a_node_acknowledged_is_there_after_a_restart(
    closed: tuple[int, ...], tmp_path: Path
) -> None:
    node = Alone(tmp_path)
    node.start(closed)
    try:
        assert node.client("put", "k", FIRST.decode()).returncode == 0
        below = {number: path for number, path in node.open_files().items() if number < 3}
        assert set(below.values()) == {Path(os.devnull)}
        assert set(below) == {0, 1, 2}
        assert node.stop() == 0
        node.start(closed)
        assert node.client("get", "k").stdout.strip() == FIRST
    finally:
        node.stop()


COMMANDS = {
    "put": ["put", "a", "b"],
    "put-": ["put", "a", "-"],
    "get": ["get", "kept"],
    "status": ["status"],
    "txn": ["txn", "-"],
    "shell": ["shell"],
    "lock": ["lock", "x", "--", "sh", "-c", "echo held"],
}
READS_INPUT = {"put-", "txn", "shell"}
INPUT = {
    "txn": b'{"then": [["put", "a", "b"]]}',
    "shell": b"get kept\n",
}
SAYS = {"get": FIRST, "shell": FIRST, "lock": b"held"}


@pytest.mark.parametrize(
    ("name", "closed"),
    sample([(name, closed) for closed in CLOSED for name in COMMANDS], 9),
    ids=ids,
)
def test_a_command_does_its_work_or_says_why_not(
    running: Alone, name: str, closed: tuple[int, ...]
) -> None:
    done = running.client(*COMMANDS[name], closed=closed, given=INPUT.get(name, b"value"))
    assert b"Traceback" not in done.stderr
    if 0 in closed and name in READS_INPUT:
        assert done.returncode == 2
        if 2 not in closed:
            assert b"standard input is closed" in done.stderr
            assert done.stderr.count(b"\n") == 1
        return
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    if 1 not in closed:
        assert SAYS.get(name, b"") in done.stdout


def test_a_value_from_closed_input_is_not_an_empty_one(running: Alone) -> None:
    assert running.client("put", "untouched", "-", closed=(0,)).returncode == 2
    assert b"untouched" not in running.client("get", "--prefix", "").stdout
