"""A bar on stderr that shows how far something has come."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from raftzmq_cli.common.standard_output import obeys_escapes

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PROGRESS_NS: Final = 200_000_000
"""Time between two pictures of the bar."""


class Bar:
    """A progress bar on stderr, where that is a terminal which can show it, and there is a title to
    show it with; for a `with` block in which `total` of something is done. If the block `prints`
    meanwhile, there is no bar among what it prints on a terminal."""

    def __init__(self, title: str | None, total: float, *, prints: bool = False) -> None:
        self._title = None if prints and obeys_escapes(sys.stdout) else title
        self._total = total
        self._bar: RichProgress | None = None
        self._began_ns = self._next_ns = 0

    def __enter__(self) -> Bar:
        self._began_ns = time.perf_counter_ns()
        if self._title is not None and obeys_escapes(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            console = Console(stderr=True)
            self._bar = RichProgress(*columns, console=console, transient=True, auto_refresh=False)
            self._task = self._bar.add_task(self._title, total=self._total)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, completed: float, remark: str = "") -> None:
        """Show that so much of the total is done, and a remark behind the title."""
        if self._title is None or self._bar is None:
            return
        elapsed_ns = time.perf_counter_ns() - self._began_ns
        if elapsed_ns < self._next_ns:
            return
        self._next_ns = elapsed_ns + PROGRESS_NS
        self._bar.update(
            self._task,
            completed=min(completed, self._total),
            description=self._title + remark,
            refresh=True,
        )
