"""Running COMMAND while something is held: signals are passed on, and it ends when that is lost.

COMMAND gets a process group of its own, so that all it has started can be reached, and, at a
terminal, the terminal, as a shell gives it to the job in the foreground.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType
from typing import IO, Any, Final

import typer

from raftzmq_cli.common import messages

LOST: Final = 0
"""The news that what was held is lost; all other news are numbers of signals."""

News = SimpleQueue[int]
"""What is going on. A signal handler may put something in at any moment."""

GRACE_S: Final = 5.0
"""From SIGTERM to SIGKILL, unless --grace says otherwise."""

CANNOT_RUN: Final = 126
NOT_FOUND: Final = 127
BY_SIGNAL: Final = 128
"""Added to the number of the signal that ended a process, as shells do."""

_PASSED_ON: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_POLL_S: Final = 0.02
_LOOK_S: Final = 0.25

# Reads a line when all is well, and the end of the pipe when this program is no more.
_GUARD: Final = """
read -r line && exit
kill -s TERM 0
kill -s CONT 0
sleep "$1"
kill -s KILL 0
"""
# What may come to COMMAND's group, of which the guard is one, without ending or stopping it.
_NOT_FOR_THE_GUARD: Final = {*_PASSED_ON, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


@dataclass(frozen=True, slots=True)
class Ended:
    """How COMMAND ended: its exit code as a shell tells it, whether what was held was lost before,
    and the signal that was passed on to end it, if one was."""

    code: int
    lost: bool = False
    signal: int | None = None


def run_command(
    words: Sequence[str],
    variables: Mapping[str, str],
    news: News,
    *,
    grace_s: float,
    stdin: IO[bytes] | int | None = None,
) -> Ended:
    """Run COMMAND to its end, with more `variables` in its environment.

    When LOST comes as news, or this program is killed, it gets SIGTERM, and after `grace_s`
    SIGKILL. What cannot be started is said on stderr, and is 127 or 126. Only for the main thread,
    which gets the signals.
    """
    with _reported(news):
        with _guarded(grace_s) as group:
            terminal = _terminal() if stdin is None else None
            try:
                process = subprocess.Popen(
                    list(words), env={**os.environ, **variables}, stdin=stdin, process_group=group
                )
            except OSError as error:
                messages.say(f"raftzmq: {words[0]} cannot be run: {error.strerror or error}")
                return Ended(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN)
            job = _Job(process, group, news, grace_s, terminal)
            job.follow()
        return job.ended()


@contextmanager
def ending_with_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP meanwhile end what is done here as an exception does, with all that is to
    be tidied up."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise typer.Exit(BY_SIGNAL + number)

    with _handled((signal.SIGTERM, signal.SIGHUP), end):
        yield


@dataclass(slots=True)
class _Job:
    """COMMAND as it runs."""

    process: subprocess.Popen[bytes]
    group: int
    news: News
    grace_s: float
    terminal: int | None
    lost: bool = False
    ending: int | None = None
    kill_s: float | None = None  # when to kill it, by the monotonic clock

    def follow(self) -> None:
        """Do what the news ask for until it has ended."""
        try:
            self.to_foreground()
            while self._runs():
                with suppress(Empty):
                    self._heed(self.news.get(timeout=self._wait_s()))
                if self.kill_s is not None and time.monotonic() >= self.kill_s:
                    self.kill_s = None
                    self.send(signal.SIGKILL)
        except BaseException:
            self.send(signal.SIGKILL)
            self.process.wait()
            raise
        finally:
            self.take_terminal()

    def ended(self) -> Ended:
        """How it has ended. What it has started itself has ended too, if the lock was lost."""
        if self.lost:
            self._end_the_rest()
        code = self.process.returncode
        return Ended(BY_SIGNAL - code if code < 0 else code, self.lost, self.ending)

    def send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.group, number)

    def to_foreground(self) -> None:
        """Give it the terminal, if that is this program's to give."""
        if self.terminal is not None and os.tcgetpgrp(self.terminal) == os.getpgrp():
            _set_foreground(self.terminal, self.group)

    def take_terminal(self) -> None:
        if self.terminal is not None and os.tcgetpgrp(self.terminal) == self.group:
            _set_foreground(self.terminal, os.getpgrp())

    def _heed(self, number: int) -> None:
        if number == LOST:
            self.lost = True
            self.kill_s = time.monotonic() + self.grace_s
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)  # one that is stopped cannot end
        elif number != signal.SIGCHLD:
            if number in _ENDING:
                self.ending = number
            self.send(number)

    def _wait_s(self) -> float:
        """How long to wait for news. A signal that another thread gets does not wake this one."""
        left_s = _LOOK_S if self.kill_s is None else self.kill_s - time.monotonic()
        return min(_LOOK_S, max(0.0, left_s))

    def _runs(self) -> bool:
        """Whether it has not ended. One that the terminal has stopped is seen to."""
        states = os.WEXITED | os.WSTOPPED | os.WNOHANG
        while found := os.waitid(os.P_PID, self.process.pid, states | os.WNOWAIT):
            if found.si_code != os.CLD_STOPPED:
                self.process.wait()
                return False
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG)
            self._stopped(found.si_status)
        return True

    def _stopped(self, number: int) -> None:
        """Ctrl-Z stops this program too, as the shell it was started from expects, and the lock is
        lost if it stays stopped for too long. COMMAND goes on with it."""
        if self.terminal is None or self.lost:
            return
        if number == signal.SIGTSTP:
            self.take_terminal()
            os.killpg(0, signal.SIGTSTP)  # goes on here when it is continued
        elif number not in (signal.SIGTTIN, signal.SIGTTOU):
            return
        self.to_foreground()
        while not self.news.empty():  # first of all whether the lock was lost meanwhile
            self._heed(self.news.get())
        if not self.lost:
            self.send(signal.SIGCONT)

    def _end_the_rest(self) -> None:
        """What it has started itself may tidy up as long as the grace lasts, and no longer."""
        while self.kill_s is not None and time.monotonic() < self.kill_s:
            try:
                os.killpg(self.group, 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(_POLL_S)
        self.send(signal.SIGKILL)


@contextmanager
def _guarded(grace_s: float) -> Iterator[int]:
    """A process group for COMMAND, which ends should this program be killed meanwhile: what is held
    is kept alive by nobody then. The guard is in the group, so there is none without it."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_THE_GUARD)
    try:
        guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(math.ceil(grace_s))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        yield guard.pid
    finally:
        guard.communicate(b"\n")


@contextmanager
def _reported(news: News) -> Iterator[None]:
    """Signals are news meanwhile, apart from those that this program was told to ignore."""
    with _handled((*_PASSED_ON, signal.SIGCHLD), lambda number, _: news.put(number)):
        yield


@contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in numbers}
    try:
        for number, earlier in before.items():
            if earlier is not signal.SIG_IGN or number == signal.SIGCHLD:
                signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


def _terminal() -> int | None:
    """The terminal that standard input is, if this program has it in the foreground."""
    try:
        descriptor = sys.stdin.fileno()
        return descriptor if os.tcgetpgrp(descriptor) == os.getpgrp() else None
    except (OSError, ValueError):
        return None


def _set_foreground(terminal: int, group: int) -> None:
    """Who is not in the foreground is stopped for this, unless SIGTTOU is blocked."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        with suppress(OSError):  # the group is gone, or the terminal
            os.tcsetpgrp(terminal, group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
