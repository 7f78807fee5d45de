"""Standard input as a command reads it, which may be closed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator

from raftzmq.errors import InvalidRequest


def read_bytes(most: int) -> bytes:
    """Return at most `most` bytes of it. Raises InvalidRequest if it cannot be read."""
    try:
        return sys.stdin.buffer.read(most)
    except OSError as error:
        raise _unreadable(error) from None


def read_lines() -> Iterator[str]:
    """Yield its lines, decoded as arguments are: bytes that are not UTF-8 are surrogates. Raises
    InvalidRequest if it cannot be read."""
    try:
        for line in sys.stdin.buffer:
            yield os.fsdecode(line)
    except OSError as error:
        raise _unreadable(error) from None


def accept_any_bytes() -> None:
    """Let `input` too take what is not UTF-8 as arguments have it."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def _unreadable(error: OSError) -> InvalidRequest:
    return InvalidRequest(f"standard input is closed or cannot be read: {error.strerror}")
