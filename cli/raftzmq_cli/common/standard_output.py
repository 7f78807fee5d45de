"""Standard output that tells its own failures from all others.

A reader that leaves is the end of a command: BrokenPipeError. A device that is full is an error:
CannotWrite. Neither says anything about what the command did before it printed.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, Final, TextIO

_PLAIN_TERMS: Final = ("", "dumb", "unknown")


class CannotWrite(OSError):
    """The output cannot be written. `after_write`: a write was acknowledged before that."""

    code = "output"
    after_write = False

    def __str__(self) -> str:
        done = "; the write itself was done" if self.after_write else ""
        return f"cannot write the output: {self.strerror}{done}"


class _Descriptor(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror) from None


def install() -> None:
    """Make sys.stdout raise CannotWrite, for the rest of the process. It is UTF-8, whatever the
    locale is said to be: keys and values are."""
    old = sys.stdout
    old.flush()
    raw = _Descriptor(old.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=bool(old.line_buffering),
    )


def obeys_escapes(stream: TextIO) -> bool:
    """Whether a stream is a terminal that may get escape codes."""
    wanted = not os.environ.get("NO_COLOR")
    return wanted and stream.isatty() and os.environ.get("TERM", "") not in _PLAIN_TERMS


def forget(stream: TextIO) -> None:
    """Point a stream at nothing, so that flushing it at exit cannot fail again."""
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), stream.fileno())
