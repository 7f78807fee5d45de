"""How far a proof is: lines on stderr in a run with --proof, whatever pytest captures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from time import monotonic
from typing import Final, TypeVar

from tests.amounts import VARIABLE

T = TypeVar("T")

EVERY_S: Final = 15.0


def _write(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


write: Callable[[str], None] = _write
"""Writes a line; tests/conftest.py has it write past the capture."""


class Progress:
    """Counts up to `total` of what `what` names, such as "worlds"."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._began_s = self._told_s = monotonic()

    def at(self, count: int) -> None:
        """So many are done: a line, if the last one is a while ago."""
        now_s = monotonic()
        if now_s - self._told_s >= EVERY_S and os.environ.get(VARIABLE):
            self._told_s = now_s
            elapsed = f"{now_s - self._began_s:.0f} s"
            write(f"proof: {self._what} {count:,} of {self._total:,}, {elapsed}")


def counted(what: str, items: Collection[T]) -> Iterator[T]:
    """The items, one by one, and lines on how many of them are done."""
    progress = Progress(what, len(items))
    for done, item in enumerate(items):
        progress.at(done)
        yield item
