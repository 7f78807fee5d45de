"""The terminal of `client top`: frames in place of one another, and single keys. At its end the
terminal is as it was before."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text


class Screen:
    """For a `with` block, on a terminal that obeys escape codes."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    @contextmanager
    def open(self) -> Iterator[None]:
        """The alternate screen, and single keys without echo."""
        with _single_keys(), self._live:
            yield

    @property
    def columns(self) -> int:
        return self._console.width

    @property
    def rows(self) -> int:
        return self._console.height

    def show(self, lines: Sequence[str]) -> None:
        """Put lines in place of those before."""
        text = Text("\n".join(lines), no_wrap=True, overflow="crop")
        text.stylize("bold", 0, len(lines[0]))
        self._live.update(text, refresh=True)

    def wants_to_end(self, seconds: float) -> bool:
        """Wait for a key, but no longer than that; return whether it was q, or the end."""
        if not sys.stdin.isatty():
            time.sleep(seconds)
            return False
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return bool(ready) and os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b"")


@contextmanager
def _single_keys() -> Iterator[None]:
    """Keys come one by one and are not shown; Ctrl-C stays what it is."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
