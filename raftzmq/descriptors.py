"""Descriptors that are kept for a process itself, whatever crowd connects to it.

libzmq accepts connections in a thread of its own, as many as there are descriptors. So the soft
limit of open files stays some way below the hard one, and what the process itself has to open
raises it for that moment. Without this a crowd would keep a node from writing down its vote.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from raftzmq.file_modes import FILE_MODE

OPEN_FILES: Final = 65_536
"""The limit that a node sets itself, if it may: every connection takes a descriptor."""

SPARE: Final = 32
"""How far below the hard limit it stays."""


def limit_open_files() -> None:
    """Raise the soft limit of open files as far as is useful, but leave SPARE."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(OPEN_FILES, max(hard - SPARE, hard // 2))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_of_each_kind(most: int) -> int:
    """How many connections of one kind there may be: `most`, and no more than a quarter of the
    files that may be open, because there are three kinds, and the process has files of its own."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else min(most, soft // 4)


@contextlib.contextmanager
def spare() -> Iterator[None]:
    """Within this, SPARE descriptors more may be opened, if the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    more = soft + SPARE if hard == resource.RLIM_INFINITY else min(soft + SPARE, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_file(path: Path, flags: int, mode: int = FILE_MODE) -> int:
    """os.open, with one of the spare descriptors if there is no other. Raises OSError."""
    try:
        return os.open(path, flags | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    with spare():
        return os.open(path, flags | os.O_CLOEXEC, mode)
