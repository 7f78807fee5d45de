"""Many processes that hold something in turn, as a test sees them; and the judge of the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from raftzmq.core.entry import Entry
from tests.machine.entries import commands_of
from tests.machine.model import Model
from tests.sim.linearizability import check_result
from tests.sim.story import ROOT, Violation
from tests.system.holder import ASKS, DONE, HOLDS, LEAVES, LOST, PERMITS, REGISTER
from tests.system.logs import results_of
from tests.system.processes import wait_for


class Holders:
    """Processes of holder.py. Used as a context, it leaves none behind."""

    def __init__(self, endpoints: Sequence[str], directory: Path, *arguments: str) -> None:
        self._output = directory / "holders.output"
        self._command = [sys.executable, "-m", "tests.system.holder"]
        self._command += [",".join(endpoints), *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self.killed: set[int] = set()

    def __enter__(self) -> Self:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if error is not None:
            print(self._output.read_text()[-4000:])

    def said(self) -> list[tuple[int, str, int]]:
        """All that they said, in order: process, what, token."""
        lines = self._output.read_text().splitlines()
        words = [line.split() for line in lines]
        return [(int(w[0]), w[1], int(w[2])) for w in words if len(w) == 3 and w[0].isdigit()]

    def doing(self, what: str) -> list[int]:
        """The processes of which that is the newest word."""
        newest = {pid: said for pid, said, _ in self.said()}
        return [pid for pid, said in newest.items() if said == what and pid not in self.killed]

    def count(self, what: str) -> int:
        return sum(said == what for _, said, _ in self.said())

    def kill_one(self, what: str) -> int:
        """kill -9 of one that holds, or asks."""
        pid = wait_for(f"somebody {what}", lambda: next(iter(self.doing(what)), None))
        os.kill(pid, signal.SIGKILL)
        self.killed.add(pid)
        return pid

    def kill_holder(self) -> int:
        return self.kill_one(HOLDS)

    def kill_waiter(self) -> int:
        return self.kill_one(ASKS)

    def wait_for_more(self, what: str, more: int = 1) -> None:
        """Wait until that was said some times more."""
        wanted = self.count(what) + more
        wait_for(f"{more} more that {what}", lambda: self.count(what) >= wanted)

    def wait(self, processes: int) -> None:
        """Wait until all that were not killed have done all their rounds."""
        left = processes - len(self.killed)
        wait_for(f"{left} have done their work", lambda: self.count(DONE) >= left, 120)

    def tokens(self) -> list[int]:
        """All that they were told they hold."""
        return [token for _, said, token in self.said() if said == HOLDS]

    def check_turns(self, most: int) -> None:
        """Never did more than so many hold at a time, in the order in which they said so: without
        those that were killed, and those that had lost it and did not know yet."""
        said = self.said()
        lost = {token for _, what, token in said if what == LOST}
        holding: set[int] = set()
        for pid, what, token in said:
            if pid in self.killed or token in lost:
                continue
            if what == HOLDS:
                holding.add(token)
                if len(holding) > most:
                    raise Violation(f"{len(holding)} hold at a time: {sorted(holding)}")
            elif what == LEAVES:
                holding.remove(token)


def judge(entries: Sequence[Entry]) -> dict[int, str]:
    """Replay a whole log on the plain model; return the tokens that were granted, and of which
    queue. Raises Violation where the state machine gave another result than the model, more is
    held than there is, somebody is overtaken, or an update of the register is lost."""
    model, given = Model(), results_of(entries)
    granted: dict[int, str] = {}
    last: defaultdict[str, int] = defaultdict(int)
    value = 0
    for entry in entries:
        results = given.get(entry.index, [])
        found_of = zip(commands_of(entry), results, strict=True)
        for place, (command, found) in enumerate(found_of):
            before = {token for token, place in model.places.items() if place[4]}
            revision = max(model.index + 1, entry.index)
            result = model.apply(revision, entry.time_ms, command, first=place == 0)
            check_result(entry, command, result, found)
            held: Counter[str] = Counter()
            for token, ((_, name), _, permits, _, holds) in model.places.items():
                held[name] += permits if holds else 0
                if holds and token not in before:
                    if token <= last[name]:
                        raise Violation(f"{name}: {token} was granted after {last[name]}")
                    last[name] = token
                    granted[token] = name
            for (kind, name), permits in model.queues.items():
                if held[name] > (PERMITS if kind == "semaphore" else 1) or permits > PERMITS:
                    raise Violation(f"{name}: {held[name]} are held at entry {entry.index}")
            now = int(model.keys[REGISTER][0]) if REGISTER in model.keys else 0
            if now not in (value, value + 1):
                raise Violation(f"the register went from {value} to {now}")
            value = now
    return granted
