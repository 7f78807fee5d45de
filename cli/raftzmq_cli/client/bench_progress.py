"""How far a benchmark has come, while it runs."""

from __future__ import annotations

import time

from raftzmq_cli.common.progress import Bar


class Progress(Bar):
    """A progress bar for a `with` block of about so many seconds."""

    def __init__(self, title: str | None = None, seconds: float = 0.0) -> None:
        super().__init__(title, seconds)

    def show_time(self) -> None:
        """Show the time since the start of the block."""
        self.show((time.perf_counter_ns() - self._began_ns) / 1e9)

    def show_rate(self, elapsed_ns: int, done: int) -> None:
        """Show the time, and the rate at which something is done."""
        elapsed_s = elapsed_ns / 1e9
        self.show(elapsed_s, f": {done / max(elapsed_s, 1e-3):,.0f}/s")
