"""Processes that want the same, of which the one that has it is killed again and again.

python -m tests.contrib.rivals MODULE:FUNCTION ENDPOINTS DIRECTORY

Three processes call FUNCTION(ENDPOINTS, inside) over and over, and whichever ends is made again. It
calls `inside` when it has what all of them want. `inside` notes in the directory that it is there,
and who else was there meanwhile.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.sim.story import ROOT
from tests.system.processes import wait_for

PROCESSES: Final = 3
STAY_S: Final = 0.05


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def present(directory: Path) -> list[int]:
    """The processes that are inside, and live."""
    return [pid for path in directory.glob("inside-*") if lives(pid := int(path.name[7:]))]


class Inside:
    """What a rival calls when it has what all of them want."""

    def __init__(self, directory: Path, stay_s: float = STAY_S) -> None:
        self._directory = directory
        self._stay_s = stay_s

    def __call__(self, what: str = "-") -> None:
        mine = self._directory / f"inside-{os.getpid()}"
        mine.touch()
        others = len(present(self._directory)) - 1
        with (self._directory / "runs").open("a") as runs:
            runs.write(f"{what} {os.getpid()} {others}\n")
        time.sleep(self._stay_s)
        mine.unlink()


class Rivals:
    """The processes. Used as a context, it leaves none behind."""

    def __init__(self, function: str, endpoints: str, directory: Path) -> None:
        self._words = [sys.executable, "-m", "tests.contrib.rivals"]
        self._words += [function, endpoints, str(directory)]
        self._directory = directory
        self.kills = 0

    def __enter__(self) -> Self:
        with (self._directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._words, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if error is not None:
            print((self._directory / "output").read_text()[-4000:])

    def runs(self) -> list[tuple[str, int, int]]:
        """What, by whom, and how many were inside besides."""
        path = self._directory / "runs"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(w[0], int(w[1]), int(w[2])) for line in lines for w in [line.split(" ")]]

    def kill_holder(self) -> None:
        """kill -9 of one that is inside; wait until another has been there since."""

        def somebody() -> int | None:
            return next(iter(present(self._directory)), None)

        before = len(self.runs())
        pid = wait_for("somebody is inside", somebody)
        os.kill(pid, signal.SIGKILL)
        self.kills += 1
        wait_for(
            "somebody takes over",
            lambda: any(other != pid for _, other, _ in self.runs()[before + 1 :]),
        )

    def check(self) -> None:
        """No two were ever inside at once."""
        runs = self.runs()
        doubles = [run for run in runs if run[2]]
        assert (len(doubles), len(runs) > self.kills) == (0, True), runs


def main(words: Sequence[str]) -> None:
    module, _, name = words[0].partition(":")
    function = getattr(importlib.import_module(module), name)
    inside = Inside(Path(words[2]))
    children: set[int] = set()
    while True:
        while len(children) < PROCESSES:
            pid = os.fork()
            if pid == 0:
                while True:
                    function(words[1], inside)
            children.add(pid)
        children.discard(os.wait()[0])


if __name__ == "__main__":
    main(sys.argv[1:])
