"""The line of a program's output that says why it failed.

It is seldom the last one: kubectl adds a hint, docker the way to its help, pip what it was run by,
and kind all that the program said that it ran itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX: Final = re.compile(r"^(?:#\d+ (?:[\d.]+ )?)?(?:Command Output: )?")
"""What docker puts before the lines of a step of a build, and kind before what its program said."""

_CAUSE: Final = re.compile(
    r"(?:docker: )?\[?error\b"
    r"|the .+ is invalid:"
    r"|unable to connect to "
    r"|the connection to the server ",
    re.IGNORECASE,
)
"""How a line begins that names a cause."""

_VAGUE: Final = re.compile(r"exit (?:status|code:?) \d+$|non-zero code: \d+$")
"""How a line ends that only says which program failed: what that said names the cause."""

_HINT: Final = re.compile(r"(?:see|run) '|ensure CRDs are installed", re.IGNORECASE)
"""How a line begins that says what to do next, where nothing says more than that."""


def cause(output: str) -> str:
    """The line that names the cause, the first if several do; else the last line. Empty if there is
    no line."""
    lines = [text for line in output.splitlines() if (text := _plain(line))]
    causes = [at for at, line in enumerate(lines) if _CAUSE.match(line)]
    for at in [at for at in causes if not _VAGUE.search(lines[at])] or causes:
        return _whole(lines, at)
    said = [line for line in lines if not _HINT.match(line)]
    return (said or lines or [""])[-1]


def _whole(lines: Sequence[str], at: int) -> str:
    """A line with the next one, if it announces that."""
    announced = lines[at].endswith(":") and at + 1 < len(lines)
    return f"{lines[at]} {lines[at + 1].lstrip('* ')}" if announced else lines[at]


def _plain(line: str) -> str:
    return _PREFIX.sub("", _COLOUR.sub("", line).strip(), count=1)
