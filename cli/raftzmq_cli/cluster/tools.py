"""Running other programs: each command line is shown, and what goes wrong is said in one line.

`act` runs what changes something and shows the program's own output as it comes; `ask` runs a
question and keeps its answer. A question that is asked again and again is shown once.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO, Final

from raftzmq.errors import RaftzmqError, Refused, Unavailable
from raftzmq_cli.cluster.complaints import cause
from raftzmq_cli.common import messages

ANSWER_S: Final = 60.0
"""How long a question to a program may take, in seconds."""
_END_S: Final = 60.0
"""How long a program that is interrupted may take to tidy up and end; then it is killed."""

HOW_TO_GET: Final = {
    "docker": "see https://docs.docker.com/engine/install/",
    "kind": "see https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "kubectl": "see https://kubernetes.io/docs/tasks/tools/",
    "git": "see https://git-scm.com/downloads",
}

_asked: set[str] = set()


class ToolUnavailable(Unavailable):
    """A program is not installed, or what it talks to does not answer; the text says what to do."""


class ToolFailed(RaftzmqError):
    """A program was run and ended with an error."""


class NotPermitted(Refused):
    """Kubernetes answered that the user may not do this."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said: its exit code and all its output."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The line that says why, of stderr, or of stdout if it said nothing there."""
        return cause(self.err) or cause(self.out) or f"exit code {self.code}"


def act(words: Sequence[str], *, stdin: str | None = None) -> None:
    """Run a program that changes something, showing its output line by line on stderr.

    Raises ToolUnavailable if there is no such program, NotPermitted if Kubernetes says so, else
    ToolFailed if it does not end with 0.
    """
    messages.say(f"$ {shlex.join(words)}")
    said: list[str] = []
    with _running(
        words,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        if stdin is not None:
            _feed(process, stdin)
        assert process.stdout is not None
        for text in process.stdout:
            messages.say(f"  {text.rstrip()}")
            said.append(text)
        code = process.wait()
    if code != 0:
        raise failure(words, Answer(code, "", "".join(said)))


def ask(
    words: Sequence[str],
    *,
    stdin: str | None = None,
    timeout_s: float = ANSWER_S,
    quiet: bool = False,
) -> Answer:
    """Run a program that only answers. Raises ToolUnavailable if it is missing or says nothing.

    A `quiet` question is not shown: one that only finds out what the first line is to say.
    """
    shown = f"$ {shlex.join(words)}"
    if not quiet and shown not in _asked:
        _asked.add(shown)
        messages.say(shown)
    with _running(
        words,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise ToolUnavailable(
                f"{shlex.join(words[:2])} gave no answer within {timeout_s:g} s: "
                "the server it talks to hangs or is unreachable"
            ) from None
    return Answer(process.returncode, out, err)


def answer(words: Sequence[str], *, stdin: str | None = None) -> str:
    """The output of a program that must end with 0. Raises as `act` does."""
    said = ask(words, stdin=stdin)
    if said.code != 0:
        raise failure(words, said)
    return said.out


def hand_over(words: Sequence[str], cwd: Path) -> int:
    """Run a program with this one's own input and output; return its exit code."""
    messages.say(f"$ {shlex.join(words)}")
    sys.stdout.flush()
    with _running(words, cwd=cwd) as process:
        return process.wait()


def failure(words: Sequence[str], said: Answer) -> RaftzmqError:
    """The error that a program's answer is."""
    text = f"'{shlex.join(_named(words))}' failed: {said.complaint}"
    if words[0] == "kubectl" and ("(Forbidden)" in said.err or "(Unauthorized)" in said.err):
        return NotPermitted(f"{text}; ask for the permission, or use another --context")
    return ToolFailed(text)


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def require_docker(quiet: bool = False) -> None:
    """Raises ToolUnavailable unless docker is installed and its engine answers."""
    words = ["docker", "version", "--format", "{{.Server.Version}}"]
    said = ask(words, timeout_s=20, quiet=quiet)
    if said.code != 0:
        raise ToolUnavailable(
            f"docker does not answer: {said.complaint.rstrip('.')}; start the Docker Engine, "
            "and make sure that you may use it ('docker version' must work)"
        )


def require_kind(quiet: bool = False) -> None:
    """Raises ToolUnavailable unless kind is installed."""
    said = ask(["kind", "version"], timeout_s=20, quiet=quiet)
    if said.code != 0:
        raise ToolUnavailable(f"kind does not work: {said.complaint}; {HOW_TO_GET['kind']}")


def require_kubectl(quiet: bool = False) -> None:
    """Raises ToolUnavailable unless kubectl is installed."""
    ask(["kubectl", "version", "--client"], quiet=quiet)


def _named(words: Sequence[str]) -> list[str]:
    """The beginning of a command line that names what it does, up to its options."""
    rest = list(words[1:])
    while rest[:1] in (["--context"], ["--namespace"]):
        del rest[:2]
    return [words[0], *takewhile(lambda word: not word.startswith("-"), rest[:3])]


def _feed(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it ended before it had read all; its exit code says why
        process.stdin.write(text)
        process.stdin.flush()
    _close(process.stdin)


@contextmanager
def _running(
    words: Sequence[str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A running program that ends with this block, however that ends: Ctrl-C leaves none behind."""
    try:
        process = subprocess.Popen(
            list(words),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            text=True,
            errors="replace",
            process_group=0,  # a Ctrl-C reaches it once, from here, and all that it has started
        )
    except (FileNotFoundError, PermissionError):
        name = words[0]
        raise ToolUnavailable(
            f"{name} is not on the PATH: install it ({HOW_TO_GET.get(name, 'and try again')})"
        ) from None
    try:
        yield process
    except BaseException:
        _end(process)
        raise
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            _close(pipe)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _close(pipe: IO[str] | None) -> None:
    if pipe is not None:
        with suppress(BrokenPipeError):
            pipe.close()
