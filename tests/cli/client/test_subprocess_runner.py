"""Running COMMAND: its exit code, the signals it gets, and its end when the lock is lost."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq_cli.client import subprocess_runner
from raftzmq_cli.client.locks import grace_within
from raftzmq_cli.client.subprocess_runner import LOST, Ended, News, run_command
from tests.cli.conftest import LIMIT_S

REMINDER_S = 30
"""So that a test fails, and does not hang, when a signal is not heeded."""

FOREVER = "while :; do sleep 0.02; done"


@pytest.fixture(autouse=True)
def nobody_ignores_sighup() -> Iterator[None]:
    """As processes do that nohup has started, and all that they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def run(script: str, news: News | None = None, *, grace_s: float = LIMIT_S) -> Ended:
    return run_command(
        ["sh", "-c", script], {}, news or News(), grace_s=grace_s, stdin=subprocess.DEVNULL
    )


def when(there: Callable[[], bool], then: Callable[[], None]) -> threading.Thread:
    """Do something once something is there."""

    def wait() -> None:
        deadline = time.monotonic() + LIMIT_S
        while not there() and time.monotonic() < deadline:
            time.sleep(0.01)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def gone(pid: int) -> bool:
    """Whether a process has ended, though nobody may have waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_its_exit_code_is_returned_as_a_shell_tells_it() -> None:
    assert run("exit 7") == Ended(7)
    assert run("kill -KILL $$") == Ended(128 + signal.SIGKILL)


def test_what_cannot_be_run_is_said(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for word, code in (("no-such-command", 127), (str(tmp_path), 126)):
        assert run_command([word], {}, News(), grace_s=1) == Ended(code)
        err = capfd.readouterr().err
        assert err.count("\n") == 1
        assert word in err


def test_variables_and_standard_input_are_given_to_it(capfd: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"y\n")
        file.seek(0)
        words = ["sh", "-c", 'echo "$NAME"; cat']
        assert run_command(words, {"NAME": "x"}, News(), grace_s=1, stdin=file) == Ended(0)
    assert capfd.readouterr().out == "x\ny\n"


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "USR1"])
def test_signals_are_passed_on_and_handled_as_before_afterwards(name: str) -> None:
    number = signal.Signals[f"SIG{name}"]
    before = signal.getsignal(number)
    ended = run(f"trap 'exit 5' {name}; kill -{name} $PPID; {FOREVER}")
    assert ended == Ended(5, signal=None if name == "USR1" else number)
    assert signal.getsignal(number) is before


def test_a_signal_that_another_thread_gets_is_passed_on_too(tmp_path: Path) -> None:
    """The kernel may give it to any thread, and that does not wake the one that waits."""
    ready = tmp_path / "ready"
    ended = threading.Event()
    reminded: list[bool] = []

    def get_one() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        if not ended.wait(REMINDER_S):
            reminded.append(True)
            os.kill(os.getpid(), signal.SIGUSR1)

    telling = when(ready.exists, get_one)
    assert run(f"trap 'exit 5' USR1; : > {ready}; {FOREVER}") == Ended(5)
    ended.set()
    telling.join()
    assert not reminded


def test_a_signal_that_this_program_ignores_is_not_passed_on() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("trap 'exit 5' HUP; kill -HUP $PPID; exit 0") == Ended(0)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_when_the_lock_is_lost_it_gets_sigterm(tmp_path: Path) -> None:
    news, ready = News(), tmp_path / "ready"
    telling = when(ready.exists, lambda: news.put(LOST))
    assert run(f"trap 'exit 6' TERM; : > {ready}; {FOREVER}", news) == Ended(6, lost=True)
    telling.join()


def test_what_does_not_end_by_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    news, ready = News(), tmp_path / "ready"
    telling = when(ready.exists, lambda: news.put(LOST))
    ended = run(f"trap '' TERM; : > {ready}; {FOREVER}", news, grace_s=0.1)
    assert ended == Ended(128 + signal.SIGKILL, lost=True)
    telling.join()


def test_what_it_has_started_itself_is_killed_too(tmp_path: Path) -> None:
    news, ready = News(), tmp_path / "ready"
    telling = when(ready.exists, lambda: news.put(LOST))
    child = f"(trap '' TERM; echo $BASHPID > {ready}.tmp; mv {ready}.tmp {ready}; {FOREVER}) & wait"
    ended = run_command(["bash", "-c", child], {}, news, grace_s=0.1, stdin=subprocess.DEVNULL)
    assert ended.lost
    telling.join()
    pid = int(ready.read_text())
    deadline = time.monotonic() + LIMIT_S
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_is_stopped_is_ended_as_well(tmp_path: Path) -> None:
    news, ready = News(), tmp_path / "ready"

    def stopped() -> bool:
        if not ready.exists() or not ready.read_text():
            return False
        return Path(f"/proc/{int(ready.read_text())}/stat").read_text().split()[2] == "T"

    telling = when(stopped, lambda: news.put(LOST))
    ended = run(f"echo $$ > {ready}.tmp; mv {ready}.tmp {ready}; kill -STOP $$", news)
    assert ended == Ended(128 + signal.SIGTERM, lost=True)
    telling.join()


AT_A_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from raftzmq_cli.client.subprocess_runner import News, run_command
script = "trap 'echo interrupted' INT; echo ask; read x; read x; echo got $x"
print(run_command(["bash", "-c", script], {}, News(), grace_s=1).code, "and back")
print(input())
input()  # what a terminal's first process leaves unread is gone with it
"""


def test_at_a_terminal_it_may_ask_and_gets_ctrl_c() -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", AT_A_TERMINAL],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    seen = ""

    def expect(text: str) -> None:
        nonlocal seen
        while text not in seen:
            assert select.select([controller], [], [], LIMIT_S)[0], seen
            seen += os.read(controller, 4096).decode()
        seen = seen.partition(text)[2]

    try:
        expect("ask")
        os.write(controller, b"\x03")
        expect("interrupted")
        os.write(controller, b"word\nword\n")
        expect("got word")
        expect("0 and back")
        os.write(controller, b"mine again\n")
        expect("mine again\r\nmine again")
        os.write(controller, b"\n")
        assert process.wait(timeout=LIMIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(controller)


# -- no wake-up and no signal is lost -------------------------------------------------------------


def check_series(runs: int) -> None:
    """COMMAND ends at every moment, before, in and after the wait for news."""

    def fail(*_: object) -> None:
        raise AssertionError("run_command hangs")

    before = signal.signal(signal.SIGALRM, fail)
    try:
        for _ in range(runs):
            signal.alarm(int(LIMIT_S))
            assert run_command(["true"], {}, News(), grace_s=1) == Ended(0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_the_end_of_command_is_always_noticed() -> None:
    check_series(100)


@pytest.mark.proof
def test_the_end_of_command_is_always_noticed_in_a_long_series() -> None:
    check_series(4000)


def test_a_wait_that_is_over_is_not_one_without_end() -> None:
    news = News()
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        with news.awaited() as wait:
            began = time.monotonic()
            for _ in range(200):
                wait(0.001)
            assert time.monotonic() - began < LIMIT_S
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_counts_even_if_command_has_just_ended() -> None:
    """It is passed on, or handled as it would be after the end."""
    after: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: after.append(number))
    passed_on = 0
    try:
        for _ in range(40):
            passed_on += run("kill -TERM $PPID").signal is not None
    finally:
        signal.signal(signal.SIGTERM, before)
    assert passed_on + len(after) == 40


def test_a_signal_after_the_end_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    after: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: after.append(number))
    ended = subprocess_runner._Job.ended

    def late(job: subprocess_runner._Job) -> Ended:
        os.kill(os.getpid(), signal.SIGTERM)
        return ended(job)

    monkeypatch.setattr(subprocess_runner._Job, "ended", late)
    try:
        assert run("exit 7") == Ended(7)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert after == [signal.SIGTERM]


def test_a_guard_that_command_has_stopped_does_not_matter() -> None:
    assert run("kill -STOP $(ps -o pgid= -p $$); exit 3") == Ended(3)


# -- the time to live -----------------------------------------------------------------------------


def test_command_ends_before_what_is_held_does() -> None:
    """It gets its grace while it is still held."""
    end_s = time.monotonic() + 1.5
    ended = run_command(
        ["sh", "-c", f"trap '' TERM; {FOREVER}"],
        {},
        News(),
        grace_s=0.3,
        remaining_s=lambda: end_s - time.monotonic(),
        stdin=subprocess.DEVNULL,
    )
    assert ended == Ended(128 + signal.SIGKILL, lost=True)
    assert time.monotonic() - end_s + 1.5 > 1.1


HOLDER = """
import subprocess
from raftzmq_cli.client.subprocess_runner import News, run_command
script = "trap '' TERM; echo $$; exec > /dev/null; while :; do sleep 0.02; done"
run_command(["sh", "-c", script], {}, News(), grace_s=0.2, stdin=subprocess.DEVNULL)
"""
SHELLS = [
    words
    for words in (["dash"], ["bash", "--posix"], ["bash"], ["busybox", "sh"], ["mksh"], ["ksh"])
    if shutil.which(words[0])
]


@pytest.mark.parametrize("words", SHELLS, ids=" ".join)
def test_the_guard_ends_command_under_every_shell(words: list[str], tmp_path: Path) -> None:
    """When this program is killed, also a COMMAND that does not end by SIGTERM."""
    shell = tmp_path / "sh"
    shell.write_text(f'#!/bin/sh\nexec {shutil.which(words[0])} {" ".join(words[1:])} "$@"\n')
    shell.chmod(0o755)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert holder.stdout is not None
    pid = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    holder.stdout.close()
    deadline = time.monotonic() + LIMIT_S
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_grace_fits_into_the_time_to_live() -> None:
    assert grace_within(60, None) == 5
    assert grace_within(3, None) == 1
    assert grace_within(10, 5) == 5
    with pytest.raises(InvalidRequest, match="half of --ttl, here 5"):
        grace_within(10, 5.1)
