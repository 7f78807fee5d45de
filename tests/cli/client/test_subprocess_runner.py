"""Running COMMAND: its exit code, the signals it gets, and its end when the lock is lost."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
        assert process.wait(timeout=LIMIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(controller)
