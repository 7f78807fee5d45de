"""Standard input as a command reads it, which may be closed."""

from __future__ import annotations

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
    """Yield its lines. Raises InvalidRequest if it cannot be read."""
    try:
        yield from sys.stdin
    except OSError as error:
        raise _unreadable(error) from None


def _unreadable(error: OSError) -> InvalidRequest:
    return InvalidRequest(f"standard input is closed or cannot be read: {error.strerror}")
