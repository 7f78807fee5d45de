"""What a person is told beside the answer: lines on stdout and stderr, and how paths are shown."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from raftzmq_cli.common.escaping import escaped
from raftzmq_cli.common.standard_output import forget


def line(text: str) -> None:
    """Print to stdout, at once."""
    print(escaped(text, "\t\n"), flush=True)


def say(text: str) -> None:
    """Print to stderr; nobody to read it is no error."""
    try:
        print(escaped(text, "\t\n"), file=sys.stderr, flush=True)
    except OSError:
        with suppress(OSError):
            forget(sys.stderr)  # or the end of the process would fail for what is still in it


def one_line(text: str) -> str:
    return " ".join(text.split())


def program() -> str:
    """How to call this program again from here."""
    script = Path(sys.argv[0])
    if script.name != "raftzmq":
        script = Path(sys.executable).with_name("raftzmq")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m raftzmq_cli"
    found = shutil.which("raftzmq")
    if found and Path(found).samefile(script):
        return "raftzmq"
    return shlex.quote(short(script))


def short(path: Path) -> str:
    """A path as seen from the working directory, if it is below it."""
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative
