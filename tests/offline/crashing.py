"""A disk whose machine stops before an operation, for whatever works on directories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raftzmq.storage import MemoryFiles


class Crash(BaseException):
    """Not an Exception: no handler of the code under test may act on it."""


def operations(files: MemoryFiles, work: Callable[[], object]) -> int:
    """How many there are at which the work can be interrupted."""
    done = 0

    def count(operation: str, path: Path) -> None:
        nonlocal done
        done += 1

    files.before = count
    work()
    return done


def interrupt(files: MemoryFiles, number: int, work: Callable[[], object]) -> None:
    """Do the work until `number` operations are done: before the next the machine stops."""
    passed = 0

    def before(operation: str, path: Path) -> None:
        nonlocal passed
        if passed == number:
            raise Crash
        passed += 1

    files.before = before
    with pytest.raises(Crash):
        work()
    files.before = lambda operation, path: None
