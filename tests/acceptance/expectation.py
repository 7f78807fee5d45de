"""What must come true, how long that may take, and how it is told when it does not."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

PATIENCE_S: Final = 150.0
"""How long anything may take before the run fails; nearly all of it takes a fraction."""

POLL_S: Final = 0.2
SHOWN_CHARACTERS: Final = 2000


class Unmet(Exception):
    """Something that had to be is not: what was expected, and what was seen instead."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected: {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen


def until(expected: str, look: Callable[[], str | None], patience_s: float = PATIENCE_S) -> None:
    """Wait until `look` finds nothing amiss. It returns what is amiss, or None. Raises Unmet with
    what it said last."""
    deadline_s = time.monotonic() + patience_s
    while (amiss := look()) is not None:
        if time.monotonic() > deadline_s:
            raise Unmet(expected, f"{amiss} (waited {patience_s:g} s)")
        time.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Its exit code and the end of what it printed."""
        text = (self.err.strip() or self.out.strip())[-SHOWN_CHARACTERS:]
        return f"exit code {self.code}, {text or 'and no word'}"

    def expect(self, *codes: int) -> Done:
        """Return itself if it ended with one of the codes, 0 by default. Raises Unmet."""
        if self.code not in (codes or (0,)):
            raise Unmet(f"success of: {' '.join(self.command)[:SHOWN_CHARACTERS]}", self.said)
        return self


def run(
    *command: str,
    given: str | None = None,
    environment: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
) -> Done:
    """Run a command, with `given` on its standard input, and wait for its end. Raises Unmet when
    there is no such program, or when it does not end."""
    try:
        done = subprocess.run(
            command,
            input=given or "",
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_s,
            check=False,
        )
    except FileNotFoundError:
        raise Unmet(f"the program {command[0]} on this machine", "there is none") from None
    except subprocess.TimeoutExpired:
        shown = " ".join(command)[:SHOWN_CHARACTERS]
        raise Unmet(f"the end of: {shown}", f"it still runs after {patience_s:g} s") from None
    return Done(command, done.returncode, done.stdout, done.stderr)
