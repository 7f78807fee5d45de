"""The quickstart and the tutorial do what they say: each of their blocks is run, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from raftzmq import Client
from tests.cli.conftest import LocalCluster, environment
from tests.cli.local.test_dev import dev
from tests.documents import ROOT, fences_of
from tests.system.ports import free_ports
from tests.system.processes import wait_for

pytestmark = pytest.mark.system

PATIENCE_S: Final = 120.0


class Terminal:
    """A shell in a directory, and what it and its jobs have printed since the last command."""

    def __init__(self, directory: Path, endpoints: str) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        variables = environment(PATH=path, RAFTZMQ_ENDPOINTS=endpoints, PYTHONUNBUFFERED="1")
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=variables,
            text=True,
            start_new_session=True,
        )
        self._printed: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            self._printed.append(line.rstrip("\n"))

    def run(self, command: str, expected: list[str]) -> None:
        """Run a command until it has ended and the expected lines are there, and no others."""
        assert self._shell.stdin is not None
        self._printed.clear()
        self._shell.stdin.write(f"{command}\necho '--- done'\n")
        self._shell.stdin.flush()

        def lines() -> list[str]:
            return [line for line in self._printed if line != "--- done"]

        def is_there() -> bool:
            return "--- done" in self._printed and len(lines()) >= len(expected)

        with suppress(AssertionError):
            wait_for(command, is_there, PATIENCE_S)
        assert matches(lines(), expected), f"$ {command}\n{lines()}\ninstead of\n{expected}"

    def close(self) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write("kill -9 $(jobs -p) 2>/dev/null\n")
        self._shell.stdin.close()
        self._shell.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        assert self._shell.stdout is not None
        self._shell.stdout.close()


def matches(lines: list[str], expected: list[str]) -> bool:
    """Whether these are the lines of a page, where ... stands for anything, and spaces for tabs."""
    patterns = [re.sub(r"(\\ )+", r"\\s+", re.escape(line)) for line in expected]
    return len(lines) == len(patterns) and all(
        re.fullmatch(pattern.replace(r"\.\.\.", ".+"), line)
        for pattern, line in zip(patterns, lines, strict=True)
    )


def steps(console: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with what it prints."""
    for step in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, *printed = step.splitlines()
        yield command, printed


def follow(page: str, directory: Path, endpoints: str) -> int:
    """Do what a page says; return how many commands that were."""
    done = 0
    terminal = Terminal(directory, endpoints)
    try:
        for language, code in fences_of((ROOT / "docs" / page).read_text()):
            if language == "python":
                name = code.splitlines()[0].removeprefix("# ")
                (directory / name).write_text(code)
            else:
                assert language == "console"
                for command, printed in steps(code):
                    terminal.run(command, printed)
                    done += 1
    finally:
        terminal.close()
    return done


@pytest.mark.proof
def test_the_quickstart_works(tmp_path: Path) -> None:
    with dev(tmp_path, "--base-port", str(free_ports(3))) as running:
        running.until("to stop it: Ctrl-C")
        assert follow("quickstart.md", tmp_path, running.endpoints) == 4


@pytest.mark.proof
def test_the_tutorial_works(shared_cluster: LocalCluster, tmp_path: Path) -> None:
    with Client(shared_cluster.endpoints.split(",")) as db:
        db.delete_prefix("jobs/")  # other tests' examples have some too
    assert follow("tutorial.md", tmp_path, shared_cluster.endpoints) == 13


def test_what_a_page_prints_is_compared() -> None:
    assert matches(["a  b", "revision 7"], ["a b", "revision ..."])
    assert not matches(["a"], ["a", "b"])
    assert not matches(["a", "c"], ["a", "b"])
    assert list(steps("$ one\n$ two\n2\n3\n")) == [("one", []), ("two", ["2", "3"])]
