"""Running COMMAND while something is held: signals are passed on, and it ends when that is lost.

COMMAND gets a process group of its own, so that all it has started can be reached, and, at a
terminal, the terminal, as a shell gives it to the job in the foreground.
"""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import IO, Any, Final

import typer

from raftzmq.errors import InvalidRequest
from raftzmq.wakeups import woken_by_signals
from raftzmq_cli.common import messages
from raftzmq_cli.common.escaping import quoted

LOST: Final = 0
"""The news that what was held is lost; all other news are numbers of signals."""

GRACE_S: Final = 5.0
"""From SIGTERM to SIGKILL, unless --grace says otherwise, or the time to live is short."""

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

# It is of COMMAND's group, and what comes to that must not end or stop it. It says when it is
# ready, and reads the end of the pipe when this program is no more: else it is killed.
# Signals are ignored, not blocked: dash clears the mask. Not every sleep knows fractions.
_GUARD: Final = """
trap '' INT TERM HUP QUIT USR1 USR2 TSTP TTIN TTOU
echo ready
read -r line
kill -s TERM 0
kill -s CONT 0
sleep "$1" 2> /dev/null || sleep "$2"
kill -s KILL 0
"""


class News:
    """What is going on. A signal handler or another thread may put something in at any moment."""

    def __init__(self) -> None:
        self._numbers: deque[int] = deque()
        self._bell: socket.socket | None = None

    def put(self, number: int) -> None:
        self._numbers.append(number)
        bell = self._bell
        if bell is not None:
            with suppress(BlockingIOError):  # full: it wakes anyway
                bell.send(b"!")

    def take(self) -> int | None:
        """The oldest of the news; None if there are none."""
        return self._numbers.popleft() if self._numbers else None

    @contextmanager
    def awaited(self) -> Iterator[Callable[[float], None]]:
        """What waits for news, for so many seconds at most. A signal wakes it too, whichever thread
        gets it, and when it comes just before the wait. For the main thread."""
        with woken_by_signals() as (bell, ear):

            def wait(timeout_s: float) -> None:
                if not self._numbers and select.select([ear], [], [], timeout_s)[0]:
                    ear.recv(4096)

            self._bell = bell
            try:
                yield wait
            finally:
                self._bell = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How COMMAND ended: its exit code as a shell tells it, whether what was held was lost before,
    and the signal that was passed on to end it, if one was."""

    code: int
    lost: bool = False
    signal: int | None = None


def refuse_nul(words: Sequence[str]) -> None:
    """Raises InvalidRequest for what no program can get as an argument or a variable."""
    for word in words:
        if "\0" in word:
            raise InvalidRequest(f"{quoted(word)} has a NUL in it, which COMMAND cannot get")


def run_command(
    words: Sequence[str],
    variables: Mapping[str, str | None],
    news: News,
    *,
    grace_s: float,
    remaining_s: Callable[[], float] = lambda: math.inf,
    stdin: IO[bytes] | int | None = None,
) -> Ended:
    """Run COMMAND to its end, with more `variables` in its environment, and without those that are
    None. Nothing has a NUL in it.

    When LOST comes as news, or this program is killed, it gets SIGTERM, and after `grace_s`
    SIGKILL. It gets SIGTERM too when what is held certainly lasts, by `remaining_s`, for no longer
    than that: so it has ended before the next holder begins. What cannot be started is said on
    stderr, and is 127 or 126. Only for the main thread, which gets the signals. A signal to end
    that comes when COMMAND has ended is raised here.
    """
    try:
        return _run(words, variables, news, grace_s, remaining_s, stdin)
    finally:
        while (number := news.take()) is not None:
            if number in _ENDING:
                signal.raise_signal(number)


def _run(
    words: Sequence[str],
    variables: Mapping[str, str | None],
    news: News,
    grace_s: float,
    remaining_s: Callable[[], float],
    stdin: IO[bytes] | int | None,
) -> Ended:
    given = {**os.environ, **variables}
    environment = {name: value for name, value in given.items() if value is not None}
    with news.awaited() as wait, _reported(news):
        with _guarded(grace_s) as group:
            terminal = _terminal() if stdin is None else None
            try:
                process = subprocess.Popen(
                    list(words), env=environment, stdin=stdin, process_group=group
                )
            except OSError as error:
                messages.say(f"raftzmq: {words[0]} cannot be run: {error.strerror or error}")
                return Ended(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN)
            job = _Job(process, group, news, wait, grace_s, remaining_s, terminal)
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
    wait: Callable[[float], None]
    grace_s: float
    remaining_s: Callable[[], float]
    terminal: int | None
    lost: bool = False
    ending: int | None = None
    kill_s: float | None = None  # when to kill it, by the monotonic clock

    def follow(self) -> None:
        """Do what the news ask for until it has ended."""
        try:
            self.to_foreground()
            while self._runs():
                number = self.news.take()
                if number is not None:
                    self._heed(number)
                    continue
                if self.remaining_s() <= self.grace_s:
                    self._lose()
                self.wait(self._wait_s())
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
            self._lose()
        elif number != signal.SIGCHLD:
            if number in _ENDING:
                self.ending = number
            self.send(number)

    def _lose(self) -> None:
        """What is held is lost, or will be when COMMAND has had its grace."""
        if not self.lost:
            self.lost = True
            self.kill_s = time.monotonic() + self.grace_s
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)  # one that is stopped cannot end

    def _wait_s(self) -> float:
        """How long to wait for news: until something is due, and never for long."""
        if self.kill_s is not None:
            left_s = self.kill_s - time.monotonic()
        elif self.lost:
            left_s = _LOOK_S
        else:
            left_s = self.remaining_s() - self.grace_s
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
        while (news := self.news.take()) is not None:  # above all whether the lock was lost
            self._heed(news)
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
    with subprocess.Popen(
        ["sh", "-c", _GUARD, "guard", f"{grace_s:.3f}", str(math.ceil(grace_s))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as guard:
        try:
            assert guard.stdout is not None
            guard.stdout.readline()  # no signal ends it from now on
            yield guard.pid
        finally:
            guard.kill()  # before its input ends; COMMAND may have stopped it


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
