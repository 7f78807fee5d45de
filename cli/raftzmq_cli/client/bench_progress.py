"""How far a benchmark has come, while it runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from raftzmq_cli.common.standard_output import obeys_escapes

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PROGRESS_NS: Final = 200_000_000
"""Time between two pictures of the bar."""


class Progress:
    """A progress bar on stderr, where that is a terminal which can show it, and there is a title to
    show it with; for a `with` block of about so many seconds."""

    def __init__(self, title: str | None = None, seconds: float = 0.0) -> None:
        self._title = title
        self._seconds = seconds
        self._bar: RichProgress | None = None
        self._began_ns = self._next_ns = 0

    def __enter__(self) -> Progress:
        self._began_ns = time.perf_counter_ns()
        if self._title is not None and obeys_escapes(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            console = Console(stderr=True)
            self._bar = RichProgress(*columns, console=console, transient=True, auto_refresh=False)
            self._task = self._bar.add_task(self._title, total=self._seconds)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show_time(self) -> None:
        """Show the time since the start of the block."""
        self.show(time.perf_counter_ns() - self._began_ns, None)

    def show(self, elapsed_ns: int, done: int | None) -> None:
        """Show the time, and the rate if it is known how much is done."""
        if self._title is None or self._bar is None or elapsed_ns < self._next_ns:
            return
        self._next_ns = elapsed_ns + PROGRESS_NS
        elapsed_s = elapsed_ns / 1e9
        rate = "" if done is None else f": {done / max(elapsed_s, 1e-3):,.0f}/s"
        self._bar.update(
            self._task,
            completed=min(elapsed_s, self._seconds),
            description=self._title + rate,
            refresh=True,
        )
