"""The program in any surroundings: at a terminal, as another user, in another environment.

Starting Python takes longest. So a process loads the program once for each locale, which Python
looks at when it starts, and forks for each run of it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any, Final

LIMIT_S: Final = 120

_LOADED: Final = (
    "encodings.ascii",
    "encodings.idna",
    "pwd",
    "readline",
    "termios",
    "multiprocessing.connection",
    "rich.progress",
    "raftzmq.client.blocking",
    "raftzmq.server",
    "raftzmq_cli.client.bench_loop",
)
"""Modules for what the program imports late: another user may not be able to read them."""

Environ = Mapping[str, str | bytes | None]
"""Variables; None: not there."""


@dataclass(frozen=True)
class Seen:
    """What a run has printed; at a terminal stderr is in `out` too."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def said(self) -> str:
        return self.err.decode()


class ForkedProgram:
    """The program, loaded once, in the environment that the process was started with."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(
        self,
        *words: str,
        environ: Environ | None = None,
        user: int | None = None,
        columns: int | None = None,
        stdin: bytes = b"",
    ) -> Seen:
        """Run it. `columns`: at a terminal of that width, where `stdin` is typed."""
        more = {name: _written(value) for name, value in (environ or {}).items()}
        order = {
            "words": [_written(word) for word in words],
            "environ": more,
            "user": user,
            "columns": columns,
            "stdin": _written(stdin),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code, out, err = json.loads(self._process.stdout.readline())
        return Seen(code, _read(out), _read(err))


@contextmanager
def forked_program(environ: Mapping[str, str]) -> Iterator[ForkedProgram]:
    """Load the program in a process with this environment."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cli.forked_program"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="ascii",
        env=environ,
    ) as process:
        try:
            yield ForkedProgram(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _written(value: str | bytes | None) -> str | None:
    if value is None:
        return None
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return base64.b64encode(data).decode()


def _read(text: str) -> bytes:
    return base64.b64decode(text)


def _serve(orders: IO[str], answers: IO[str]) -> None:
    """Carry out the orders, one after the other."""
    from raftzmq_cli import main

    for name in _LOADED:
        import_module(name)
    root = main.build()
    for group in root.commands.values():
        for inner in getattr(group, "commands", {}).values():
            list(getattr(inner, "commands", {}).values())
    for order in orders:
        code, out, err = _run(json.loads(order))
        answers.write(json.dumps([code, _written(out), _written(err)]) + "\n")
        answers.flush()


def _run(order: dict[str, Any]) -> tuple[int, bytes, bytes]:
    import pty
    import selectors
    import signal
    import termios

    stdin = _read(order["stdin"])
    if order["columns"] is None:
        ours, theirs = os.pipe()
        err_ours, err_theirs = os.pipe()
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            given = os.dup(file.fileno())
    else:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (25, order["columns"]))
        modes = termios.tcgetattr(theirs)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        err_ours, err_theirs = os.pipe()
        given = theirs
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        os.close(err_ours)
        _be_the_program(order, given, theirs, theirs if order["columns"] else err_theirs)
    for descriptor in {given, theirs, err_theirs}:
        os.close(descriptor)
    if order["columns"] is not None and stdin:
        os.write(ours, stdin)
    said = {ours: bytearray(), err_ours: bytearray()}
    signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.alarm(LIMIT_S)
    with selectors.DefaultSelector() as selector:
        for descriptor in said:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                try:
                    data = os.read(key.fd, 65_536)
                except OSError:  # nobody has the terminal any more
                    data = b""
                said[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
    _, status = os.waitpid(pid, 0)
    signal.alarm(0)
    for descriptor in said:
        os.close(descriptor)
    out = bytes(said[ours])
    if order["columns"] is not None:
        out = out.replace(b"\r\n", b"\n")
    return os.waitstatus_to_exitcode(status), out, bytes(said[err_ours])


def _be_the_program(order: dict[str, Any], stdin: int, stdout: int, stderr: int) -> None:
    import traceback

    code: Any = 1
    try:
        os.setsid()
        if order["columns"] is not None:
            import fcntl
            import termios

            fcntl.ioctl(stdin, termios.TIOCSCTTY, 0)
        for source, descriptor in ((stdin, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, descriptor)
        os.closerange(3, 200)
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            old = getattr(sys, f"__{name}__")
            descriptor = ("stdin", "stdout", "stderr").index(name)
            stream = open(  # noqa: SIM115
                descriptor, mode, encoding=old.encoding, errors=old.errors, closefd=False
            )
            setattr(sys, name, stream)
        for name, value in order["environ"].items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environb[name.encode()] = _read(value)
        if order["user"] is not None:
            os.setgroups([])
            os.setgid(order["user"])
            os.setuid(order["user"])
        sys.argv = ["raftzmq", *(os.fsdecode(_read(word)) for word in order["words"])]
        from raftzmq_cli.main import main

        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _serve(sys.stdin, sys.stdout)
